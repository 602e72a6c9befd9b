"""Argmax: the index of the largest value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.base.costs import comparison
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
        return Steps(np.ones(beat.size, bool), beat % folds == folds - 1, latency=1 + self.levels)

    @property
    def levels(self) -> int:
        """Levels of the tree that finds the largest lane of a beat."""
        return max((self.lanes - 1).bit_length(), 1)

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
        compare = (within + across) * comparison(family, bits + 1)
        # If one beat holds all values, the largest value itself is not selected.
        values = (within - 1 + across) * bits if within else 0
        indices = sum(len(self._spans(level)) * (level - 1) for level in range(1, self.levels + 1))
        keep = across * family.coefficient("argmax.keep", 1.8, 0.85) * (bits + index)
        select = family.coefficient("argmax.select", 1.65, 1.1) * (values + indices)
        return Cost(lut=compare + select + keep + 4, ff=self._registers(family, bits, index, folds))

    def _registers(self, family: Family, bits: int, index: int, folds: int) -> int:
        """Return the flip-flops of the tree, of its valid bits, and of the best beat so far."""
        across = int(folds > 1)
        tree = sum(
            bits * (level < self.levels or across) + (span - 1).bit_length()
            for level in range(1, self.levels + 1)
            for span in self._spans(level)
        )
        base = (folds - 1).bit_length() * 2
        return tree + self.levels + 1 + index + across * (bits + base)

    def _spans(self, level: int) -> list[int]:
        """Return the lanes of each entry of a level of the tree."""
        return [min(2**level, self.lanes - first) for first in range(0, self.lanes, 2**level)]

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(self._count(x[0])):
            yield replace(self, lanes=lanes)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=1), (Tensor((10,), Ints(-3, 3)),)
        yield cls(lanes=5), (Tensor((2, 10), Ints(0, 3)),)
        yield cls(axes=2, lanes=2), (Tensor((3, 2, 4), Ints(0, 7)),)
        yield cls(lanes=4), (Tensor((4,), Ints(-8, 8, step=2)),)
        yield cls(lanes=11), (Tensor((2, 11), Ints(-3, 3)),)
