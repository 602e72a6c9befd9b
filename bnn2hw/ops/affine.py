"""Affine map in fixed point: multiply, add and shift per channel. It replaces large tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Memory, Ranges, Tensor
from bnn2hw.ops.base.channels import Meaning, signed_bits
from bnn2hw.ops.base.costs import (
    adder,
    comparison,
    distinct,
    dsps,
    product_luts,
    rom_cost,
    state_bits,
)
from bnn2hw.ops.base.folds import MOST_INSIDE
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family

MOST = 2**31 - 1
"""Largest output: the templates use numbers of 32 bits. Sums have at most 62 bits."""


@dataclass(frozen=True)
class _Codes:
    """The constants for the wire codes of an input, and their widths.

    Attributes:
        slopes: Integers of shape (rows, segments).
        biases: Integers of shape (rows, segments).
        cuts: Integers of shape (rows, segments - 1).
        slope_bits: Bits of a slope.
        bias_bits: Bits of a bias.
        cut_bits: Bits of a cut.
        lowest: Smallest sum before the shift.
        highest: Largest sum before the shift.
    """

    slopes: Array
    biases: Array
    cuts: Array
    slope_bits: int
    bias_bits: int
    cut_bits: int
    lowest: int
    highest: int

    @property
    def doublings(self) -> int:
        """The n of 2^n if that is every slope, so that nothing is multiplied; -1 if not."""
        first = int(self.slopes.flat[0])
        power = first > 0 and first & (first - 1) == 0 and bool(np.all(self.slopes == first))
        return first.bit_length() - 1 if power else -1

    @property
    def row_bits(self) -> int:
        """Bits of all constants of a channel."""
        segments = int(self.slopes.shape[1])
        return segments * (self.slope_bits + self.bias_bits) + (segments - 1) * self.cut_bits


@dataclass(frozen=True, eq=False)
class Affine(Elementwise):
    """Map each channel with a piecewise affine function, in fixed point.

    y = clamp((slopes[c, k] · (x >> drop) + biases[c, k]) >> shift),  k = #{j : x >= cuts[c, j]}

    Shifts round down. To round to the nearest integer, add 2^shift / 2 to the biases. With one
    segment the function is a plain affine map.

    Attributes:
        slopes: Integers of shape (channels, segments); of shape (1, segments) if all channels share
            them.
        biases: Integers of the same shape.
        cuts: Integers of shape (channels or 1, segments - 1), ascending in each row.
        shift: Bits dropped from the sum.
        type: Integers of the output, in steps of 1. Results are clamped to them.
        scale: Real value of an output of 1: one number, or one for each channel of the last axis.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that count channels.
        pe: Channels computed in parallel (lanes of the stream).
        drop: Low bits of the input that are dropped before the multiplication; 0 unless the input's
            step is 1.
    """

    kind: ClassVar[str] = "affine"
    stages: ClassVar[int] = 5

    slopes: Array
    biases: Array
    cuts: Array
    shift: int
    type: Ints
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1
    pe: int = 1
    drop: int = 0

    @property
    def rows(self) -> int:
        return int(self.slopes.shape[0])

    @property
    def segments(self) -> int:
        """Number of pieces of the function."""
        return int(self.slopes.shape[1])

    def infer(self, *x: Tensor) -> Tensor:
        self.check_folding(*x)
        if self.biases.shape != self.slopes.shape or self.cuts.shape != (self.rows, self.segments - 1):
            raise ValueError(
                f"has slopes of shape {self.slopes.shape}, biases of shape {self.biases.shape} and cuts of "
                f"shape {self.cuts.shape}; biases need the shape of slopes, cuts one column less"
            )
        if np.any(np.diff(self.cuts, axis=1) < 0):
            row = int(np.flatnonzero(np.any(np.diff(self.cuts, axis=1) < 0, axis=1))[0])
            raise ValueError(f"cuts of channel {row} are not ascending: {self.cuts[row].tolist()}")
        if self.shift < 0 or self.type.step != 1 or max(-self.type.lo, self.type.hi) > MOST:
            raise ValueError(
                f"needs a shift of at least 0, not {self.shift}, and an output in steps of 1 between "
                f"{-MOST} and {MOST}, not {self.type}"
            )
        if not 0 <= self.drop < x[0].ints.bits or (self.drop and x[0].ints.step != 1):
            raise ValueError(
                f"cannot drop {self.drop} bits of {x[0].ints}, whose codes have {x[0].ints.bits}"
            )
        codes = self._codes(x[0])
        if max(-codes.lowest, codes.highest) >= 2**62:
            raise ValueError(
                f"has sums of {signed_bits(codes.lowest, codes.highest)} bits, but 62 are possible"
            )
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(-1, self.rows).astype(np.int64)
        segment = np.zeros(values.shape, np.int64)
        for cut in self.cuts.T:
            segment += values >= cut
        row = np.arange(self.rows)
        slopes, biases = (
            self.slopes.astype(np.int64)[row, segment],
            self.biases.astype(np.int64)[row, segment],
        )
        sums = slopes * (values >> self.drop) + biases
        y: Array = np.clip(sums >> self.shift, self.type.lo, self.type.hi)
        return y.reshape(x[0].shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        # A piecewise affine function has its extremes at the ends of its range and of its pieces.
        lo, hi = given[0].over(y.channels).ends
        cuts = np.broadcast_to(self.cuts.T, (self.segments - 1, max(self.rows, y.channels)))
        cuts = cuts.reshape(-1, y.channels)
        at = np.clip(np.concatenate([[lo, hi], cuts, cuts - x[0].ints.step]), lo, hi)
        return self.at_points(at, y)

    def _codes(self, x: Tensor) -> _Codes:
        """Return the constants for wire codes; those of segments that no input reaches are 0."""
        ints = x.ints
        first, last = ints.first_code, ints.first_code + ints.count - 1
        start = ints.lo if ints.step > 1 else 0
        slopes, biases = (
            self.slopes.astype(object),
            self.biases.astype(object),
        )  # Python integers cannot overflow
        slopes, biases = slopes * ints.step, biases + slopes * start
        # The first code that reaches a cut: cuts below the range are always reached, those above it
        # never.
        cuts = np.clip(-((start - self.cuts.astype(np.int64)) // ints.step), first, last + 1)
        outer = np.full((self.rows, 1), first), np.full((self.rows, 1), last + 1)
        bounds = np.concatenate([outer[0], cuts, outer[1]], axis=1).astype(object)
        low, high = bounds[:, :-1], bounds[:, 1:] - 1
        used = (low <= high).astype(np.int64)
        slopes, biases = slopes * used, biases * used
        ends = (slopes * (end >> self.drop) + biases for end in (low, high))
        sums = np.concatenate([*ends])[np.tile(used, (2, 1)) == 1]
        return _Codes(
            slopes,
            biases,
            cuts,
            signed_bits(slopes.min(), slopes.max()),
            signed_bits(biases.min(), biases.max()),
            Ints(first, last + 1).bits,
            int(sums.min()),
            int(sums.max()),
        )

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        codes = self._codes(x[0])
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "SEGMENTS": self.segments,
            "IN_BITS": x[0].ints.bits,
            "IN_SIGNED": int(x[0].ints.signed),
            "SLOPE_BITS": codes.slope_bits,
            "DOUBLINGS": codes.doublings,
            "BIAS_BITS": codes.bias_bits,
            "CUT_BITS": codes.cut_bits,
            "SUM_BITS": self._sum_bits(codes),
            "SHIFT": self.shift,
            "DROP": self.drop,
            "OUT_BITS": self.type.bits,
            "OUT_LO": self.type.lo,
            "OUT_HI": self.type.hi,
            "CLAMPS_LO": int(codes.lowest >> self.shift < self.type.lo),
            "CLAMPS_HI": int(codes.highest >> self.shift > self.type.hi),
        }

    def _sum_bits(self, codes: _Codes) -> int:
        """Return the bits of the sums: no term is wider, and the shift leaves at least one bit."""
        return max(
            signed_bits(codes.lowest, codes.highest), codes.slope_bits, codes.bias_bits, self.shift + 1
        )

    def lane_bits(self, *x: Tensor) -> int:
        return self._codes(x[0]).row_bits

    def inner_bits(self, *x: Tensor) -> int:
        most = self.segments * 3 * 64  # slope, bias and cut
        return most if most <= MOST_INSIDE else self.lane_bits(*x)

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        # Slopes, biases and cuts differ in width, so a lane of the ROM is a single bit.
        codes = self._codes(x[0])
        kinds = (
            (codes.slopes, codes.slope_bits),
            (codes.biases, codes.bias_bits),
            (codes.cuts, codes.cut_bits),
        )
        planes = [
            (values.astype(np.int64)[:, :, None] >> np.arange(bits) & 1).reshape(self.rows, -1)
            for values, bits in kinds
        ]
        rows = np.concatenate(planes, axis=1)
        return {"CONSTANTS": Memory(self.in_folds(rows).reshape(self.folds, -1), 1)}

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        codes, fixed = self._codes(x[0]), self.folds == 1
        slope = 0 if codes.doublings >= 0 else codes.slope_bits
        sums, absorbs = self._sums(family, codes, x[0])
        luts = self._selection(family, codes, x[0].ints.bits, slope) + self._clamps(family, codes)
        # A block that multiplies contains the register of its operand, unless the segment is found first.
        operand = 0 if absorbs and self.segments == 1 and x[0].ints.bits - self.drop > 1 else x[0].ints.bits
        lane = sums + Cost(lut=luts, ff=operand + min(self.type.bits, self._sum_bits(codes) - self.shift))
        # Registers of the constants that were selected for a lane, and of the addend one stage
        # later. Without a ROM, bits that all segments share need none.
        varying = 0.0 if self.segments == 1 else 0.6
        columns = [codes.bias_bits] if absorbs else [slope + codes.bias_bits, codes.bias_bits]
        held = (varying * self.pe * n if fixed else distinct(self.folds, self.pe * n) for n in columns)
        shared, folds = family.coefficient("affine.control", 1.5, 1), state_bits(self.folds)
        control = Cost(lut=shared + folds / 2, ff=folds + 5 + sum(held))
        if sums.dsp and not absorbs and self.segments == 1 and not fixed:
            # LUTs may delay the biases, as shift registers of three bits.
            delayed = family.coefficient("affine.delay", 0, 0) * codes.bias_bits
            lane += Cost(lut=delayed, ff=-3 * delayed)
        return lane * self.pe + control + rom_cost(family, self.folds, self.pe * codes.row_bits)

    def _sums(self, family: Family, codes: _Codes, x: Tensor) -> tuple[Cost, bool]:
        """Return the cost of a lane's product and sum, and whether its DSP block also adds."""
        total, slope, unsigned = self._sum_bits(codes), codes.slope_bits, not x.ints.signed
        inputs, kept = x.ints.bits - self.drop, total - self.shift
        if codes.doublings >= 0:
            return Cost(ff=inputs + min(inputs, total) + kept, lut=adder(family, total)), False
        takes = inputs == 1 and unsigned  # the slope, or nothing
        blocks = 0 if takes else dsps(family, inputs + unsigned, slope)
        if blocks and family.dsp_adds:  # the block contains the registers
            one = Cost(lut=adder(family, total), ff=kept) if inputs == 1 else Cost()
            return one + Cost(dsp=blocks), True
        registers = inputs + min(inputs + slope - 1, total)  # before and after the product
        if blocks and family.dsp_registers:
            registers = inputs if self.folds == 1 else 0
        if blocks:
            product = float(product_luts(family, inputs, slope))
        else:
            # A product with one bit without sign is the slope, or the reset of its register.
            product = 0 if takes else inputs * slope if inputs > 1 else slope / 2
        # A carry cell may take the bit of a constant addend without a LUT.
        constant = (
            family.coefficient("affine.constant_sum", 1.0, 1.0)
            if blocks and self.segments == self.folds == 1
            else 1.0
        )
        return Cost(ff=registers + kept, lut=constant * adder(family, total) + product, dsp=blocks), False

    def _selection(self, family: Family, codes: _Codes, width: int, slope: int) -> float:
        """Return the LUTs that find the segment of an input and select its slope and bias.

        Args:
            family: Device family.
            codes: The constants.
            width: Bits of the input.
            slope: Bits of a slope that are selected.
        """
        # Without a ROM, constant cuts halve the comparators, and bits that all segments share need
        # no logic.
        if self.folds == 1:
            compare = family.coefficient("affine.constant_comparison", 1.0, 0.5) * width
            select = family.coefficient("affine.constant_select", 0.08, 0.05)
        else:
            compare = comparison(family, codes.cut_bits)
            select = family.coefficient("affine.select", 1.0, 0.6)
        return (self.segments - 1) * (compare + select * (slope + codes.bias_bits))

    def _clamps(self, family: Family, codes: _Codes) -> float:
        """Return the LUTs that keep a result within the output's range."""
        kept = self._sum_bits(codes) - self.shift
        bounds = (codes.lowest >> self.shift < self.type.lo) + (codes.highest >> self.shift > self.type.hi)
        # A single bound is the reset value of the output register.
        both = family.coefficient("affine.clamp", 1.0, 0.3) * kept + self.type.bits
        return both if bounds == 2 else 2.0 * bounds

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(5)

        def constants(*shape: int) -> tuple[Array, Array, Array]:
            cuts = np.sort(rng.integers(-40, 60, (shape[0], shape[1] - 1)), 1)
            return rng.integers(-200, 200, shape), rng.integers(-4000, 4000, shape), cuts

        dot, byte = Ints(-36, 36, step=2), Ints(-128, 127)
        yield cls(*constants(6, 1), 6, byte, 0.25, pe=2), (Tensor((2, 2, 6), dot),)
        yield cls(*constants(4, 3), 7, byte, offset=0.5, pe=4), (Tensor((3, 4), Ints(-70, 50)),)
        yield cls(*constants(1, 2), 5, Ints(0, 255), axes=2, pe=3), (Tensor((2, 3), Ints(0, 63)),)
        yield cls(*constants(3, 2), 6, byte, pe=3, pixels=2), (Tensor((2, 4, 3), dot),)
        yield cls(*constants(5, 2), 6, byte, pe=2), (Tensor((2, 5), dot),)
        yield cls(*constants(4, 1), 6, byte, pe=2), (Tensor((2, 4), BIPOLAR),)
        real = (0.5, 0.25, 1.0)
        yield cls(*constants(3, 8), 0, Ints(-9, 90000), real, real[::-1]), (Tensor((3, 3), Ints(-70, 50)),)
        ones = np.ones((1, 1), np.int64)
        yield cls(ones, 0 * ones, ones[:, :0], 20, Ints(-1, 1)), (Tensor((2, 2), Ints(-7, 7)),)
        whole = rng.integers(-20, 20, (6, 1))
        for slope, pe in ((1, 6), (2, 2)):
            doubled = cls(0 * whole + slope, whole, whole[:, :0], 0, Ints(-30, 300), pe=pe)
            yield doubled, (Tensor((6,), Ints(0, 130)),)
        # Terms and inputs wider than their sums; products and sums of nearly 64 bits.
        steep, far = np.array([[0, 300, 0]]), np.array([[-50, -300 * 4000, 50]])
        yield cls(steep, far, np.array([[4000, 4001]]), 1, byte), (Tensor((2, 3), Ints(-5000, 5000)),)
        coarse = (Tensor((2, 4), Ints(-(2**14), 2**14)), Tensor((3,), Ints(0, 2**16)))
        yield cls(*constants(4, 2), 3, byte, pe=2, drop=8), coarse[:1]
        yield cls(*constants(1, 3), 9, byte, drop=9), coarse[1:]
        large = Ints(-(2**21), 2**21)
        yield cls(2**45 * ones, 2**39 * ones, ones[:, :0], 40, large), (Tensor((3,), Ints(-40000, 65535)),)
        # Cuts at the ends of the input and beyond; the sign alone is multiplied.
        ends = np.array([[-8, 8], [-7, 6]])
        yield cls(*constants(2, 3)[:2], ends, 0, Ints(-9000, 9000), drop=3), (Tensor((4, 2), Ints(-8, 7)),)
