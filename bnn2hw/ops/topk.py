"""Top k: the indices of the largest values, in descending order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.base.costs import comparison, state_bits
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class TopK(HardwareOp):
    """Return the indices of the `k` largest values along the last `axes` axes, largest first.

    Of equal values, the one with the smaller index comes first. The op reads one value per cycle and
    emits the indices of a vector after its last value, one per cycle; or it reads a vector and emits all
    its indices in every cycle.

    Attributes:
        k: Number of indices; at most the number of values.
        axes: Trailing axes over which values are sorted.
        lanes: Values per beat: 1, or all of a vector.
    """

    kind: ClassVar[str] = "topk"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    k: int
    axes: int = 1
    lanes: int = 1

    def _count(self, x: Tensor) -> int:
        """Return the number of values that are sorted."""
        return math.prod(x.shape[-self.axes :])

    def infer(self, *x: Tensor) -> Tensor:
        count = self._count(x[0])
        if not 1 <= self.k <= count:
            raise ValueError(f"k={self.k} must be from 1 to {count}, the number of values")
        if self.lanes not in (1, count):
            raise ValueError(f"lanes={self.lanes} must be 1 or {count}, the number of values")
        return Tensor((*x[0].shape[: -self.axes], self.k), Ints(0, max(count - 1, 1)))

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(*x[0].shape[: x[0].ndim - self.axes], -1).astype(np.int64)
        order: Array = np.argsort(-values, axis=-1, kind="stable")
        return order[..., : self.k]

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.k if self.lanes > 1 else 1

    def interval(self, *x: Tensor) -> int:
        vectors = x[0].size // self._count(x[0])
        return vectors if self.lanes > 1 else vectors * (self._count(x[0]) + self.k)

    def timing(self, *x: Tensor) -> Steps:
        count = self._count(x[0])
        if self.lanes > 1:
            every = np.ones(self.interval(*x), bool)
            return Steps(every, every, latency=3)
        reading = np.arange(self.interval(*x)) % (count + self.k) < count
        return Steps(reading, ~reading, latency=1)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "K": self.k,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "COUNT": self._count(x[0]),
            "INDEX_BITS": self.infer(*x).ints.bits,
            "LANES": self.lanes,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        bits, index = x[0].ints.bits, self.infer(*x).ints.bits
        if self.lanes > 1:
            return self._ranked_cost(family, bits, x[0].ints.signed, index)
        # The first entry is replaced or kept; each other entry may also take the place of the one
        # before.
        keep, move = family.coefficient("topk.keep", 1.2, 0.8), family.coefficient("topk.move", 2.3, 1.35)
        moves = keep + move * (self.k - 1)
        counter = state_bits(self._count(x[0]) + self.k)
        return Cost(
            lut=self.k * comparison(family, bits + 1) + moves * (bits + index + 1) + counter / 2,
            ff=self.k * (bits + index + 1) + counter + index + 1,
        )

    def _ranked_cost(self, family: Family, bits: int, signed: bool, index: int) -> Cost:
        """Return the cost of comparisons of all pairs, counts of them, and the indices of the ranks."""
        pairs, rank = self.lanes * (self.lanes - 1) // 2, (self.lanes - 1).bit_length()
        compared = comparison(family, bits + signed) * family.coefficient("topk.comparison", 1, 1)
        counts = family.coefficient("topk.count", 0.9, 0.75) * 2 * pairs
        select = self.k * index * self.lanes / (family.lut_inputs / 2)
        return Cost(
            lut=pairs * compared + counts + select,
            ff=pairs + self.lanes * rank + self.k * index + 3,
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in sorted({1, self._count(x[0])}):
            yield replace(self, lanes=lanes)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(3), (Tensor((2, 10), Ints(-3, 3)),)
        yield cls(1, axes=2), (Tensor((3, 2, 4), Ints(0, 7)),)
        yield cls(4), (Tensor((4,), Ints(-8, 8, step=2)),)
        yield cls(3, lanes=7), (Tensor((4, 7), Ints(-3, 3)),)
        yield cls(2, axes=2, lanes=6), (Tensor((5, 2, 3), Ints(0, 3)),)
