"""Width converter: the same values in wider or narrower beats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Beats, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ir.timing import repeated
from bnn2hw.ops.base.costs import state_bits
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class WidthConverter(HardwareOp):
    """Pass the same values on in beats of another width. One width must divide the other.

    If `vector` is set, a side whose lanes do not divide it has ragged beats (see `Beats`). A wide
    beat then ends where the vector ends. Lanes that are padding on the wider side only are dropped
    when the stream narrows, and carry code 0 when it widens.

    Attributes:
        narrow: Values per beat on the narrower side.
        ratio: Beats of the narrower side per beat of the wider side.
        widens: True if the output is the wider side.
        vector: Values of a vector if some beats are ragged, else 0.
        zeros: True if padding of the input carries code 0.
    """

    kind: ClassVar[str] = "width_converter"

    narrow: int
    ratio: int
    widens: bool
    vector: int = 0
    zeros: bool = False

    def infer(self, *x: Tensor) -> Tensor:
        if self.ratio < 2 or x[0].size % (self.vector or self.wide):
            raise ValueError(f"beats of {self.narrow} × {self.ratio} must divide {x[0].size} values")
        if self.vector and (self.wide <= self.narrow or (self.wide_beats == 1 and self.parts < self.ratio)):
            raise ValueError(f"beats of {self.narrow} × {self.ratio} are too wide for {self.vector} values")
        return x[0]

    @property
    def wide(self) -> int:
        """Values per beat on the wider side."""
        return min(self.narrow * self.ratio, self.vector or self.narrow * self.ratio)

    @property
    def wide_beats(self) -> int:
        """Beats of the wider side per vector; 1 if no beat is ragged."""
        return -(-self.vector // self.wide) if self.vector else 1

    @property
    def parts(self) -> int:
        """Beats of the narrower side per vector; `ratio` if no beat is ragged."""
        return -(-self.vector // self.narrow) if self.vector else self.ratio

    def golden(self, *x: Array) -> Array:
        return x[0]

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return (self.narrow, self.wide) if self.widens else (self.wide, self.narrow)

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        taken, given = (Beats.of(lanes, self.vector, zeros=self.zeros) for lanes in self.stream_lanes(*x))
        return taken, given if taken.vector else given._replace(zeros=given.vector > 0)

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.vector or self.wide) * self.parts

    def timing(self, *x: Tensor) -> Steps:
        count, at = self.interval(*x), np.arange(self.parts)
        every = np.ones(count, bool)
        if self.widens:
            last = (at % self.ratio == self.ratio - 1) | (at == self.parts - 1)
            return Steps(every, repeated(last, count), latency=1)
        return Steps(repeated(at % self.ratio == 0, count), every, latency=1)

    def inner_bits(self, *x: Tensor) -> int:
        return self.narrow * self.ratio * x[0].ints.bits

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "NARROW_BITS": self.narrow * x[0].ints.bits,
            "RATIO": self.ratio,
            "WIDENS": int(self.widens),
            "WIDE_BITS": self.wide * x[0].ints.bits,
            "WIDE_BEATS": self.wide_beats,
            "LAST": self.parts - (self.wide_beats - 1) * self.ratio,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        narrow = self.narrow * x[0].ints.bits
        wide, count = self.wide * x[0].ints.bits, state_bits(self.ratio)
        ends = self.parts % self.ratio > 0
        if ends:  # a counter of the wide beats of a vector
            count += state_bits(self.wide_beats)
        if self.widens:  # the last part of a shorter beat enters at another position
            return Cost(lut=count + 3 + ends * (narrow + 2), ff=count + 1 + wide)
        # Lanes behind the end of the wide beat have one part less.
        short = (narrow * self.ratio - wide) % narrow
        select = short * _selection(self.ratio - 1, family) + (narrow - short) * _selection(
            self.ratio, family
        )
        shared = family.coefficient("width_converter.narrowing", 6, 4)
        index = state_bits(self.ratio)  # of the part that is offered
        return Cost(lut=select + count + shared, ff=count + index + 1 + wide)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(2, 3, widens=True), (Tensor((4, 6), BIPOLAR),)
        yield cls(1, 4, widens=False), (Tensor((12,), Ints(-2, 1)),)
        yield cls(3, 2, widens=False), (Tensor((2, 6), BIPOLAR),)
        yield cls(1, 8, widens=False), (Tensor((16,), Ints(-2, 1)),)
        # To whole vectors and back, wide beats that end early, and wide beats with padding.
        yield cls(4, 3, widens=True, vector=10), (Tensor((2, 10), Ints(0, 5)),)
        yield cls(4, 3, widens=False, vector=10), (Tensor((2, 10), BIPOLAR),)
        yield cls(2, 3, widens=True, vector=10), (Tensor((3, 10), Ints(-3, 3)),)
        yield cls(2, 3, widens=False, vector=10), (Tensor((3, 10), Ints(-3, 3)),)
        yield cls(1, 4, widens=True, vector=9), (Tensor((9,), BIPOLAR),)
        yield cls(3, 2, widens=True, vector=7, zeros=True), (Tensor((2, 7), Ints(1, 3)),)
        yield cls(2, 2, widens=False, vector=9), (Tensor((2, 9), Ints(1, 3)),)
        yield cls(2, 3, widens=True, vector=11, zeros=True), (Tensor((11,), BIPOLAR),)


def _selection(parts: int, family: Family) -> int:
    """Return the LUTs with which Yosys selects one of some bits."""
    if parts <= 3:
        return int(family.by_lut(parts - 1, min(parts - 1, 1)))
    if parts == 8:
        return int(family.coefficient("width_converter.eight", 6, 3))
    # A LUT6 selects one of four bits. That there are fewer numbers than a power of two helps where they are few.
    there = parts if parts < 8 or parts % 4 == 0 else 1 << (parts - 1).bit_length()
    return round(family.by_lut(0.85 * parts - 0.8, math.ceil((there - 1) / 3)))
