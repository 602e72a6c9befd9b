"""Concatenation of two streams along their channels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Ranges, Steps, Tensor
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.base.costs import adder, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.ops.base.join import by_channel, coded, same_places, spanning, zero
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Concat(HardwareOp):
    """At each position, emit all channels of the first input, then all channels of the second.

    Attributes:
        lanes: Channels per beat; must divide the numbers of channels of both inputs.
    """

    kind: ClassVar[str] = "concat"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        a, b = x
        same_places(a, b)
        if math.gcd(a.channels, b.channels) % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {a.channels} and {b.channels} channels")
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
        a, b = x[0].ints, x[1].ints
        y = spanning(a, b)
        return {
            "LANES": self.lanes,
            "A_FOLDS": x[0].channels // self.lanes,
            "B_FOLDS": x[1].channels // self.lanes,
            **coded("A", a),
            "A_FACTOR": a.step // y.step,
            "A_OFFSET": (zero(a) - zero(y)) // y.step,
            **coded("B", b),
            "B_FACTOR": b.step // y.step,
            "B_OFFSET": (zero(b) - zero(y)) // y.step,
            "Y_BITS": y.bits,
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

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(math.gcd(x[0].channels, x[1].channels)):
            yield replace(self, lanes=lanes)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=2), (Tensor((3, 2, 4), BIPOLAR), Tensor((3, 2, 2), Ints(-5, 7, step=4)))
        yield cls(lanes=1), (Tensor((3, 1), Ints(0, 9), 0.5), Tensor((3, 2), BIPOLAR, (0.5, 0.25)))
        yield cls(lanes=3), (Tensor((3,), Ints(-9, 3, step=3)), Tensor((6,), Ints(-2, 1), offset=1.0))
        yield cls(lanes=4), (Tensor((2, 2, 4), Ints(0, 3)), Tensor((2, 2, 4), Ints(0, 200)))
