"""Sum of two streams."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Ranges, Steps, Tensor
from bnn2hw.ops.base.channels import uniform, within_words
from bnn2hw.ops.base.costs import adder, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.ops.base.join import by_channel, coded, same_places, spanning, zero
from bnn2hw.ops.base.pixelwise import Pixelwise
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Add(Pixelwise):
    """Add the second input to the last channels of the first. Other channels pass unchanged.

    y[c] = a[c] for c < first;  y[c] = a[c] + b[c - first] for the other channels.

    Both inputs must have the same scale, since integers are added.

    Attributes:
        first: Channel of the first input to which channel 0 of the second is added.
        lanes: Channels per beat of each pixel; must divide `first` and the number of channels.
        pixels: Pixels per beat; more than one only with all channels.
    """

    kind: ClassVar[str] = "add"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    first: int = 0
    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        a, b = x
        same_places(a, b)
        if not 0 <= self.first < a.channels or b.channels != a.channels - self.first:
            raise ValueError(
                f"the second input has {b.channels} channels, but the first has "
                f"{a.channels - self.first} from channel {self.first} to the last"
            )
        if math.gcd(self.first, a.channels) % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {self.first} and {a.channels} channels")
        self.check_pixels(*x)
        if by_channel(a.scale, a.channels)[self.first :] != by_channel(b.scale, b.channels):
            raise ValueError(f"cannot add integers of different scales: {a.scale} and {b.scale}")
        ours, theirs = by_channel(a.offset, a.channels), by_channel(b.offset, b.channels)
        both = (o + t for o, t in zip(ours[self.first :], theirs, strict=True))
        return Tensor(
            a.shape, self._type(a.ints, b.ints), a.scale, uniform(np.array([*ours[: self.first], *both]))
        )

    def _type(self, a: Ints, b: Ints) -> Ints:
        total = Ints(a.lo + b.lo, a.hi + b.hi, math.gcd(a.step, b.step))
        return within_words(spanning(total, a) if self.first else total, "sums")

    def golden(self, *x: Array) -> Array:
        total = x[0].astype(np.int64)
        total[..., self.first :] += x[1]
        return total

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        total = given[0].ends
        total[:, self.first :] += given[1].ends
        return Ranges(*total)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self.lanes * self.pixels

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.lanes * self.pixels)

    def whole(self, *x: Tensor) -> bool:
        return self.lanes == x[0].channels

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[:-1]

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        fold = np.arange(every.size) % (x[0].channels // self.lanes)
        return Steps(every, every, latency=1, others=(fold >= self.first // self.lanes,))

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        a, b = x[0].ints, x[1].ints
        y = self._type(a, b)
        return {
            "LANES": self.lanes,
            "FOLDS": x[0].channels // self.lanes,
            "FIRST": self.first // self.lanes,
            **coded("A", a),
            "A_FACTOR": a.step // y.step,
            **coded("B", b),
            "B_FACTOR": b.step // y.step,
            "Y_BITS": y.bits,
            "BOTH": (zero(a) + zero(b) - zero(y)) // y.step,
            "ALONE": (zero(a) - zero(y)) // y.step if self.first else 0,
        }

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        params, bits = self.params(*x), self._type(x[0].ints, x[1].ints).bits
        states = state_bits(x[0].channels // self.lanes) if self.first else 0
        constant = int(params["BOTH"] != 0 or params["ALONE"] != 0)
        # Channels without a second operand mask it. A LUT with 6 inputs does that within the adder.
        mask = family.coefficient("add.mask", 1, 0) * x[1].ints.bits if self.first else 0
        carry = family.coefficient(
            "add.carry", 0, 1
        )  # the highest bit of a sum is the end of the carry chain
        return Cost(
            lut=self.lanes * ((1 + constant) * adder(family, bits) - carry + mask)
            + family.coefficient("add.state", 2, 1) * states
            + 4,
            ff=self.lanes * bits + states + 1,
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(math.gcd(self.first, x[0].channels)):
            yield replace(self, lanes=lanes, pixels=1)
        if self.first == 0:
            yield from replace(self, lanes=x[0].channels, pixels=1).side_by_side(*x)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=2), (Tensor((3, 2, 4), BIPOLAR), Tensor((3, 2, 4), Ints(-5, 7, step=4)))
        yield (
            cls(lanes=3, pixels=4),
            (Tensor((2, 6, 3), BIPOLAR), Tensor((2, 6, 3), Ints(-5, 7, step=4))),
        )
        yield (
            cls(first=2, lanes=2),
            (
                Tensor((3, 6), Ints(-3, 9, step=6), (1.0, 1.0, 0.5, 0.5, 0.5, 2.0), 1.0),
                Tensor((3, 4), Ints(-8, 4, step=3), (0.5, 0.5, 0.5, 2.0), (0.0, 1.0, 0.0, 0.0)),
            ),
        )
        yield cls(first=3, lanes=1), (Tensor((5,), Ints(0, 9)), Tensor((2,), Ints(-200, -50)))
        yield (
            cls(first=4, lanes=4),
            (Tensor((2, 8), Ints(0, 12, step=4)), Tensor((2, 4), Ints(2, 10, step=8))),
        )
        yield cls(lanes=3), (Tensor((3,), Ints(5, 7)), Tensor((3,), Ints(-5, -5)))
