"""Quantizer to binary fixed point: drop low bits of each channel, and wrap or clamp the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, Ints, Memory, Ranges, Tensor
from bnn2hw.ops.base.channels import Meaning, signed_bits
from bnn2hw.ops.base.costs import adder, distinct, rom_cost, state_bits
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family

ROUNDINGS = ("down", "up", "even")
"""Of a value between two results: the lower one; the nearer one, or the upper or the even of two."""


@dataclass(frozen=True, eq=False)
class Quantize(Elementwise):
    """Round each channel to multiples of a power of two, and bring it into a range.

    y = limit(round(x / 2^drops[c]) · 2^drops[c]) >> shift

    The range [lows[c], highs[c]] holds multiples of 2^drops[c]. If values wrap, it has as many of them
    as a power of two, and contains 0.

    Attributes:
        drops: Low bits of each channel that become 0, of shape (channels,), or (1,) for all channels.
        lows: Smallest value of each channel in front of the shift, of the same shape.
        highs: Largest value of each channel in front of the shift, of the same shape.
        wraps: True if values wrap around at the ends of their range, false if they are clamped.
        rounding: One of `ROUNDINGS`.
        shift: Bits dropped from all results; no channel keeps bits below.
        type: Integers of the output, in steps of 1.
        scale: Real value of an output of 1: one number, or one for each channel of the last axis.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that count channels.
        pe: Channels computed in parallel (lanes of the stream).
    """

    kind: ClassVar[str] = "quantize"
    stages: ClassVar[int] = 3

    drops: Array
    lows: Array
    highs: Array
    wraps: bool
    rounding: str
    shift: int
    type: Ints
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1
    pe: int = 1

    @property
    def rows(self) -> int:
        return int(self.drops.shape[0])

    def infer(self, *x: Tensor) -> Tensor:
        self.check_folding(*x)
        drops, lows, highs = (v.astype(np.int64) for v in (self.drops, self.lows, self.highs))
        if not drops.shape == lows.shape == highs.shape == (self.rows,):
            raise ValueError(
                f"has drops, lows and highs of shapes {drops.shape}, {lows.shape} and {highs.shape}; they must agree"
            )
        if self.rounding not in ROUNDINGS or self.type.step != 1 or x[0].ints.step != 1:
            raise ValueError(
                f"needs one of the roundings {', '.join(ROUNDINGS)}, not {self.rounding}, and integers in steps of 1"
            )
        if self.shift < 0 or np.any(drops < 0) or np.any((lows | highs) & ((1 << drops) - 1)):
            raise ValueError(
                f"needs multiples of 2^drops as lows and highs, and a shift of at least 0: {self.shift}"
            )
        kept = np.where(lows == highs, self.shift, drops)
        ends = Ints(
            int(lows.min()) >> self.shift, max(int(highs.max()) >> self.shift, int(lows.min()) >> self.shift)
        )
        if np.any(kept < self.shift) or not (self.type.lo <= ends.lo and ends.hi <= self.type.hi):
            raise ValueError(
                f"has results {ends} that are lost behind a shift by {self.shift}, or no {self.type}"
            )
        spans = highs - lows + (1 << drops)
        if self.wraps and np.any((spans & (spans - 1) != 0) | ((lows != 0) & (lows != -(spans >> 1)))):
            raise ValueError("can wrap in ranges from 0 or around 0 that are powers of two only")
        if self._width(x[0]) > 62:
            raise ValueError(f"has values of {self._width(x[0])} bits, but 62 are possible")
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(-1, self.rows).astype(np.int64)
        add, mask, low, high, tie = self.constants()
        rounded = values + add + ((values & tie) != 0) & mask
        limited = (rounded ^ low) - low if self.wraps else np.clip(rounded, low, high)
        y: Array = limited >> self.shift
        return y.reshape(x[0].shape)

    def constants(self) -> tuple[Array, Array, Array, Array, Array]:
        """Return what is added, the bits that are kept, both ends, and the bit that tells ties, by row.

        If values wrap, the first end is the sign's bit, and the second is not used.
        """
        drops, lows, highs = (v.astype(np.int64) for v in (self.drops, self.lows, self.highs))
        one = np.int64(1)
        half = np.where(drops > 0, one << np.maximum(drops - 1, 0), 0)
        add = {"down": 0 * half, "up": half, "even": np.maximum(half - 1, 0)}[self.rounding]
        tie = np.where((drops > 0) & (self.rounding == "even"), one << drops, 0)
        low_bits = (one << drops) - 1
        if not self.wraps:
            return add, ~low_bits, lows, highs, tie
        span = highs - lows + low_bits + 1
        return add, (span - 1) & ~low_bits, -lows, highs, tie

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        if self.wraps:
            ends = np.stack([self.lows, self.highs]).astype(np.int64) >> self.shift
            each = np.broadcast_to(ends, (2, max(self.rows, y.channels))).reshape(2, -1, y.channels)
            return Ranges.spanning(np.stack([each[0].min(0), each[1].max(0)]))
        return self.at_points(given[0].over(y.channels).ends, y)  # monotone, so the ends are extremes

    def _width(self, x: Tensor) -> int:
        """Bits of the values in front of the shift."""
        add = int(self.constants()[0].max()) + 1
        ends = (x.ints.lo, x.ints.hi + add, int(self.lows.min()), int(self.highs.max()))
        return max(signed_bits(*ends), x.ints.bits + 1)

    @property
    def _fields(self) -> int:
        """Number of constants of a row: sum, mask, one or two ends, and the tie's bit."""
        return 4 - self.wraps + (self.rounding == "even")

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "IN_BITS": x[0].ints.bits,
            "IN_SIGNED": int(x[0].ints.signed),
            "VALUE_BITS": self._width(x[0]),
            "WRAPS": int(self.wraps),
            "EVEN": int(self.rounding == "even"),
            "SHIFT": self.shift,
            "OUT_BITS": self.type.bits,
        }

    def lane_bits(self, *x: Tensor) -> int:
        return self._fields * self._width(x[0])

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        add, mask, low, high, tie = self.constants()
        fields = [
            add,
            mask,
            low,
            *(() if self.wraps else (high,)),
            *((tie,) if self.rounding == "even" else ()),
        ]
        rows = self.in_folds(np.stack(fields, 1))
        return {"CONSTANTS": Memory(rows.reshape(self.folds, -1), self._width(x[0]))}

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        width, fixed = self._width(x[0]), self.folds == 1
        # With constants in logic, a mask and the extension of a sign are wires.
        limit = (0.0 if fixed else 2.0 * width) if self.wraps else width * (1.0 if fixed else 2.5)
        sums = 0.0 if self.rounding == "down" else adder(family, width)
        lane = Cost(lut=sums + limit, ff=x[0].ints.bits + width + self.type.bits)
        row = self._fields * width
        held = Cost(ff=0.0 if fixed else self.pe * distinct(self.folds, row))
        control = Cost(lut=3 + state_bits(self.folds) / 2, ff=state_bits(self.folds) + 4)
        return lane * self.pe + held + control + rom_cost(family, self.folds, self.pe * row)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        drops = np.array([1, 2, 3, 4, 2, 1])
        around = np.array([-16, -16, -64, 0, 0, -8])
        tops = -around - 2**drops
        tops[3:5] = 0, 60
        wide, byte = Ints(-300, 255), Ints(-64, 63)
        yield cls(drops, around, tops, True, "up", 1, Ints(-32, 31), 0.5, pe=2), (Tensor((2, 3, 6), wide),)
        five = drops[:5], around[:5], tops[:5]
        yield cls(*five, False, "up", 1, Ints(-32, 31), pe=3), (Tensor((2, 5), wide),)
        yield cls(drops, around, tops, True, "even", 0, byte, offset=0.5, pe=6), (Tensor((5, 6), wide),)
        yield cls(drops, around, tops, False, "even", 0, byte, pe=6, pixels=2), (Tensor((4, 6), wide),)
        yield (
            cls(drops[:1], 0 * drops[:1], np.array([14]), True, "down", 1, Ints(0, 7)),
            (Tensor((2, 4), byte),),
        )
        yield (
            cls(drops, around, tops, False, "down", 1, Ints(-32, 31), axes=2, pe=3),
            (Tensor((2, 3), Ints(0, 9)),),
        )
        real = (0.5, 0.25, 1.0)
        far = np.array([12])
        ends = np.array([-(2**17)]), np.array([2**17 - 2**12])
        yield (
            cls(far, *ends, True, "even", 12, Ints(-32, 31), real, real),
            (Tensor((3,), Ints(-(2**15), 2**16)),),
        )
        yield cls(far, *ends, False, "up", 12, Ints(-32, 31)), (Tensor((3,), Ints(-(2**20), 2**20)),)
        zero = 0 * drops
        yield (
            cls(zero, -(2**drops), 2**drops - 1, True, "up", 0, Ints(-16, 15), pe=2),
            (Tensor((3, 6), wide),),
        )
