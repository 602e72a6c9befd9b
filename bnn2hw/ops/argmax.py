"""Argmax: the index of the largest value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.base.costs import comparison, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Argmax(HardwareOp):
    """Return the first index of the largest value along the last `axes` axes, as numpy.argmax.

    Attributes:
        axes: Trailing axes over which values are compared.
        lanes: Values per beat; must divide their number.
    """

    kind: ClassVar[str] = "argmax"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    axes: int = 1
    lanes: int = 1

    def _count(self, x: Tensor) -> int:
        """Return the number of values that are compared."""
        return math.prod(x.shape[-self.axes :])

    def infer(self, *x: Tensor) -> Tensor:
        count = self._count(x[0])
        if count % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {count} values")
        return Tensor((*x[0].shape[: -self.axes], 1), Ints(0, count - 1))

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(*x[0].shape[: x[0].ndim - self.axes], -1)
        index: Array = np.argmax(values, axis=-1, keepdims=True)
        return index

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, 1

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.lanes

    def timing(self, *x: Tensor) -> Steps:
        folds = self._count(x[0]) // self.lanes
        beat = np.arange(self.interval(*x))
        return Steps(np.ones(beat.size, bool), beat % folds == folds - 1, latency=2)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "LANES": self.lanes,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "FOLDS": self._count(x[0]) // self.lanes,
            "INDEX_BITS": self.infer(*x).ints.bits,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        bits, index = x[0].ints.bits, self.infer(*x).ints.bits
        folds = self._count(x[0]) // self.lanes
        within, across = self.lanes - 1, int(folds > 1)
        compare = (
            (within + across) * comparison(family, bits + 1) * family.coefficient("argmax.comparison", 1, 1)
        )
        # If one beat holds all values, the largest value itself is not stored.
        select = within * index + (within - 1 + across) * bits
        keep = across * (family.coefficient("argmax.keep", 0.8, 0.5) * (bits + index) + 7)
        counters = state_bits(folds) + across * index + 4
        return Cost(
            lut=compare
            + family.coefficient("argmax.select", 1.7, 0.9 if across else 0.8) * max(select, 0)
            + keep
            + 4,
            ff=2 * index + counters + 2 * bits * family.by_lut(1, across),
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(self._count(x[0])):
            yield replace(self, lanes=lanes)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=1), (Tensor((10,), Ints(-3, 3)),)
        yield cls(lanes=5), (Tensor((2, 10), Ints(0, 3)),)
        yield cls(axes=2, lanes=2), (Tensor((3, 2, 4), Ints(0, 7)),)
        yield cls(lanes=4), (Tensor((4,), Ints(-8, 8, step=2)),)
