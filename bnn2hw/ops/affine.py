"""Multiply, add and shift per channel: scalings that no table is to hold, rounded to fixed point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, Ints, Memory, Ranges, Tensor
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
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family

MOST = 2**31 - 1
"""Largest output, which the templates take as a number of 32 bits; sums have 62 bits at most."""


@dataclass(frozen=True)
class _Codes:
    """The constants as they meet the input's wire codes, each of shape (rows, …), and how wide everything is.

    `lowest` and `highest` are those of all sums, before the shift.
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
    def row_bits(self) -> int:
        """Width of a channel's constants."""
        segments = int(self.slopes.shape[1])
        return segments * (self.slope_bits + self.bias_bits) + (segments - 1) * self.cut_bits


@dataclass(frozen=True, eq=False)
class Affine(Elementwise):
    """y = clamp((slopes[c, k] · (x >> drop) + biases[c, k]) >> shift), k being the number of cuts[c] that x reaches.

    The shifts round down; who wants the nearest adds half of 2^shift to the biases. One segment is a plain affine
    map, more of them a piecewise one.

    Attributes:
        slopes: integers of shape (channels, segments), or (1, segments) for all channels alike.
        biases: likewise.
        cuts: integers of shape (channels or 1, segments − 1), each row in rising order.
        shift: bits that are dropped.
        type: the output's integers, in steps of 1, to whose ends results are clamped.
        scale: real meaning of the output (see Tensor).
        offset: likewise.
        axes: trailing axes of the input that count channels.
        pe: channels per beat; the fewest for their number of beats.
        drop: low bits of the input that do not reach the multiplier, where it comes in steps of 1.
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
        """Pieces of the function."""
        return int(self.slopes.shape[1])

    def infer(self, *x: Tensor) -> Tensor:
        self.check_folding(*x)
        if self.biases.shape != self.slopes.shape or self.cuts.shape != (self.rows, self.segments - 1):
            raise ValueError(
                f"slopes {self.slopes.shape}, biases {self.biases.shape} and cuts {self.cuts.shape}"
            )
        if np.any(np.diff(self.cuts, axis=1) < 0):
            raise ValueError("cuts must rise")
        if self.shift < 0 or self.type.step != 1 or max(-self.type.lo, self.type.hi) > MOST:
            raise ValueError(f"cannot shift by {self.shift} to {self.type}")
        if not 0 <= self.drop < x[0].ints.bits or (self.drop and x[0].ints.step != 1):
            raise ValueError(f"cannot drop {self.drop} bits of {x[0].ints}")
        codes = self._codes(x[0])
        if max(-codes.lowest, codes.highest) >= 2**62:
            raise ValueError("sums have more than 62 bits")
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
        # A function of straight pieces has its extremes at the ends of its range and of its pieces.
        lo, hi = given[0].over(y.channels).ends
        cuts = np.broadcast_to(self.cuts.T, (self.segments - 1, max(self.rows, y.channels)))
        cuts = cuts.reshape(-1, y.channels)
        at = np.clip(np.concatenate([[lo, hi], cuts, cuts - x[0].ints.step]), lo, hi)
        return self.at_points(at, y)

    def _codes(self, x: Tensor) -> _Codes:
        """The constants for wire codes; those of segments that no input is in are 0."""
        ints = x.ints
        first, last = ints.first_code, ints.first_code + ints.count - 1
        start = ints.lo if ints.step > 1 else 0
        slopes, biases = self.slopes.astype(object), self.biases.astype(object)  # no overflow goes unseen
        slopes, biases = slopes * ints.step, biases + slopes * start
        # The first code that reaches a cut; one below the range is always reached, one above it never.
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
        """Width of the sums: no term is wider, and one bit at least is left by the shift."""
        return max(
            signed_bits(codes.lowest, codes.highest), codes.slope_bits, codes.bias_bits, self.shift + 1
        )

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        # The three kinds of constants differ in width, so that a lane of the ROM is a single bit.
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
        codes, width, fixed = self._codes(x[0]), x[0].ints.bits, self.folds == 1
        total, slope, bias = self._sum_bits(codes), codes.slope_bits, codes.bias_bits
        inputs = width - self.drop  # of the multiplier
        kept = total - self.shift
        blocks = dsps(family, inputs + (not x[0].ints.signed), slope)
        absorbs = blocks > 0 and family.dsp_adds  # the block also holds the registers around it
        vector_axes = inputs + min(inputs + slope - 1, total)  # registers before and behind the product
        if blocks and family.dsp_registers:
            vector_axes = inputs if fixed else 0
        sums = Cost(ff=vector_axes + kept, lut=adder(family, total))
        sums += Cost(lut=product_luts(family, inputs, slope))
        if not blocks:
            # A product by one bit is in part the reset of its register.
            sums += Cost(lut=inputs * slope if inputs > 1 else slope / 2)
        elif absorbs:
            sums = Cost(lut=adder(family, total), ff=kept) if inputs == 1 else Cost()
        # Where constants lie in no ROM, cuts take half of their comparators, and bits that all segments share no logic.
        varying = (0.0 if self.segments == 1 else 0.6) if fixed else 1.0
        compare = (
            family.coefficient("affine.constant_comparison", 1.0, 0.5) * width
            if fixed
            else comparison(family, codes.cut_bits)
        )
        constant = family.coefficient("affine.constant_select", 0.08, 0.05)
        select = constant if fixed else family.coefficient("affine.select", 1.0, 0.6)
        select *= self.segments - 1
        clamps = (codes.lowest >> self.shift < self.type.lo) + (codes.highest >> self.shift > self.type.hi)
        # One bound is the reset of the output's registers.
        clamp = (
            family.coefficient("affine.clamp", 1.0, 0.3) * kept + self.type.bits
            if clamps == 2
            else 2 * clamps
        )
        lane = Cost(
            lut=(self.segments - 1) * compare + select * (slope + bias) + clamp,
            ff=width * (not (absorbs and self.segments == 1 and inputs > 1)) + min(self.type.bits, kept),
            dsp=blocks,
        )
        # What is chosen for a lane, and the addend behind it.
        chosen = [bias] if absorbs else [slope + bias, bias]
        columns = (self.pe * bits for bits in chosen)
        held = Cost(ff=sum(varying * bits if fixed else distinct(self.folds, bits) for bits in columns))
        shared, folds = family.coefficient("affine.control", 3, 1), state_bits(self.folds)
        control = Cost(lut=shared + folds / 2, ff=folds + 5)
        rom = rom_cost(family, self.folds, self.pe * codes.row_bits)
        return (lane + sums) * self.pe + held + control + rom

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
        real = (0.5, 0.25, 1.0)
        yield cls(*constants(3, 8), 0, Ints(-9, 90000), real, real[::-1]), (Tensor((3, 3), Ints(-70, 50)),)
        ones = np.ones((1, 1), np.int64)
        yield cls(ones, 0 * ones, ones[:, :0], 20, Ints(-1, 1)), (Tensor((2, 2), Ints(-7, 7)),)
        # Terms and inputs that are wider than their sums; products and sums of all that 64 bits hold.
        steep, far = np.array([[0, 300, 0]]), np.array([[-50, -300 * 4000, 50]])
        yield cls(steep, far, np.array([[4000, 4001]]), 1, byte), (Tensor((2, 3), Ints(-5000, 5000)),)
        coarse = (Tensor((2, 4), Ints(-(2**14), 2**14)), Tensor((3,), Ints(0, 2**16)))
        yield cls(*constants(4, 2), 3, byte, pe=2, drop=8), coarse[:1]
        yield cls(*constants(1, 3), 9, byte, drop=9), coarse[1:]
        large = Ints(-(2**21), 2**21)
        yield cls(2**45 * ones, 2**39 * ones, ones[:, :0], 40, large), (Tensor((3,), Ints(-40000, 65535)),)
