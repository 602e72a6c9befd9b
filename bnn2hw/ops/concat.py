"""Concatenation of two streams along their channels: in turn, or whole pixels of both in each beat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Beats, Cost, HardwareOp, Ints, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.abreast import abreast, check_pixels
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.base.costs import adder, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.ops.base.join import by_channel, coded, same_places, spanning, zero
from bnn2hw.ops.base.recoding import columns
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Concatenating(HardwareOp):
    """At each position, emit all channels of the first input, then all channels of the second.

    Attributes:
        lanes: Channels per beat of each pixel of the output.
    """

    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        a, b = x
        same_places(a, b)
        scale, offset = (
            uniform(np.array([*by_channel(of_a, a.channels), *by_channel(of_b, b.channels)]))
            for of_a, of_b in ((a.scale, b.scale), (a.offset, b.offset))
        )
        shape = (*a.shape[:-1], a.channels + b.channels)
        return Tensor(shape, spanning(a.ints, b.ints), scale, offset)

    def golden(self, *x: Array) -> Array:
        return np.concatenate(x, axis=-1)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return Ranges(*np.concatenate([g.ends for g in given], axis=1))

    def folded_like(self, other: StreamOp) -> StreamOp:
        if not isinstance(other, Concatenating):
            return self
        return type(other)(**{knob: getattr(other, knob) for knob in other.knobs})

    def foldings(self, *x: Tensor) -> Iterator[Concatenating]:
        for lanes in divisors(math.gcd(x[0].channels, x[1].channels)):
            yield Concat(lanes)
        for pixels in (1, *abreast(*x)):
            yield ParallelConcat(x[0].channels + x[1].channels, pixels=pixels)

    def codes(self, *x: Tensor) -> dict[str, int | str]:
        """Return the parameters that tell how codes of the inputs become codes of the output.

        Args:
            x: Types of the inputs.
        """
        a, b = x[0].ints, x[1].ints
        y = spanning(a, b)
        return {
            **coded("A", a),
            "A_FACTOR": a.step // y.step,
            "A_OFFSET": (zero(a) - zero(y)) // y.step,
            **coded("B", b),
            "B_FACTOR": b.step // y.step,
            "B_OFFSET": (zero(b) - zero(y)) // y.step,
            "Y_BITS": y.bits,
        }


@dataclass(frozen=True, eq=False)
class Concat(Concatenating):
    """Take beats of the first input, then beats of the second.

    `lanes` must divide the numbers of channels of both inputs.
    """

    kind: ClassVar[str] = "concat"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    def infer(self, *x: Tensor) -> Tensor:
        a, b = x
        if math.gcd(a.channels, b.channels) % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {a.channels} and {b.channels} channels")
        return super().infer(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def interval(self, *x: Tensor) -> int:
        return (x[0].size + x[1].size) // self.lanes

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        ours, theirs = (tensor.channels // self.lanes for tensor in x)
        second = np.arange(every.size) % (ours + theirs) >= ours
        return Steps(~second, every, latency=1, others=(second,))

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "LANES": self.lanes,
            "A_FOLDS": x[0].channels // self.lanes,
            "B_FOLDS": x[1].channels // self.lanes,
            **self.codes(*x),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        y = spanning(x[0].ints, x[1].ints)
        converts = sum(t.ints.step != y.step or zero(t.ints) != zero(y) for t in x)
        if sum(t.ints.bits for t in x) < family.lut_inputs:
            converts = 0  # the LUT that selects an input converts it, too
        states = state_bits((x[0].channels + x[1].channels) // self.lanes)
        state = family.coefficient("concat.state", 2, 1)
        return Cost(
            lut=self.lanes * (y.bits + converts * adder(family, y.bits)) + state * states + 4,
            ff=self.lanes * y.bits + states + 2,
        )

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=2), (Tensor((3, 2, 4), BIPOLAR), Tensor((3, 2, 2), Ints(-5, 7, step=4)))
        yield cls(lanes=1), (Tensor((3, 1), Ints(0, 9), 0.5), Tensor((3, 2), BIPOLAR, (0.5, 0.25)))
        yield cls(lanes=3), (Tensor((3,), Ints(-9, 3, step=3)), Tensor((6,), Ints(-2, 1), offset=1.0))
        yield cls(lanes=4), (Tensor((2, 2, 4), Ints(0, 3)), Tensor((2, 2, 4), Ints(0, 200)))


@dataclass(frozen=True, eq=False)
class ParallelConcat(Concatenating):
    """Take whole pixels of both inputs in each beat.

    `lanes` must be the number of channels of both inputs together.

    Attributes:
        pixels: Pixels per beat; must divide the pixels of a frame.
    """

    kind: ClassVar[str] = "parallel_concat"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    pixels: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if self.lanes != x[0].channels + x[1].channels:
            raise ValueError(f"lanes={self.lanes} must be all {x[0].channels} and {x[1].channels} channels")
        check_pixels(self.pixels, x[0])
        return super().infer(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return x[0].channels * self.pixels, self.lanes * self.pixels

    def input_beats(self, port: int, *x: Tensor) -> Beats:
        return Beats(x[port].channels * self.pixels)

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (x[0].channels * self.pixels)

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=1, others=(every,))

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "PIXELS": self.pixels,
            "A_LANES": x[0].channels,
            "B_LANES": x[1].channels,
            **self.codes(*x),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        y, total = spanning(x[0].ints, x[1].ints), Cost(lut=4, ff=1)
        each = family.coefficient("parallel_concat.code", 1.0, 0.6)
        for tensor in x:
            ints = tensor.ints
            kept, made = columns(ints, ints.step // y.step, (zero(ints) - zero(y)) // y.step, y.bits)
            total += Cost(lut=each * made, ff=kept) * (self.pixels * tensor.channels)
        return total

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(6), (Tensor((3, 2, 4), BIPOLAR), Tensor((3, 2, 2), Ints(-5, 7, step=4)))
        yield cls(3, pixels=2), (Tensor((4, 1), Ints(0, 9), 0.5), Tensor((4, 2), BIPOLAR, (0.5, 0.25)))
        yield cls(9, pixels=3), (Tensor((2, 6, 3), Ints(-9, 3, step=3)), Tensor((2, 6, 6), Ints(-2, 1)))
        yield cls(4), (Tensor((2,), Ints(0, 3)), Tensor((2,), Ints(0, 200)))
