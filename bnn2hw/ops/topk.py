"""Top k: the indices of the largest values, in descending order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.base.costs import comparison, state_bits
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class TopK(HardwareOp):
    """Return the indices of the `k` largest values along the last `axes` axes, largest first.

    Of equal values, the one with the smaller index comes first. The op reads one value per cycle.
    It emits the indices of a vector after its last value.

    Attributes:
        k: Number of indices; at most the number of values.
        axes: Trailing axes over which values are sorted.
    """

    kind: ClassVar[str] = "topk"

    k: int
    axes: int = 1

    def _count(self, x: Tensor) -> int:
        """Return the number of values that are sorted."""
        return math.prod(x.shape[-self.axes :])

    def infer(self, *x: Tensor) -> Tensor:
        count = self._count(x[0])
        if not 1 <= self.k <= count:
            raise ValueError(f"k={self.k} must be from 1 to {count}, the number of values")
        return Tensor((*x[0].shape[: -self.axes], self.k), Ints(0, max(count - 1, 1)))

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(*x[0].shape[: x[0].ndim - self.axes], -1).astype(np.int64)
        order: Array = np.argsort(-values, axis=-1, kind="stable")
        return order[..., : self.k]

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return 1, 1

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self._count(x[0]) * (self._count(x[0]) + self.k)

    def timing(self, *x: Tensor) -> Steps:
        count = self._count(x[0])
        reading = np.arange(self.interval(*x)) % (count + self.k) < count
        return Steps(reading, ~reading, latency=1)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "K": self.k,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "COUNT": self._count(x[0]),
            "INDEX_BITS": self.infer(*x).ints.bits,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        bits, index = x[0].ints.bits, self.infer(*x).ints.bits
        # The first entry is replaced or kept; each other entry may also take the place of the one
        # before.
        keep, move = family.coefficient("topk.keep", 1.2, 0.8), family.coefficient("topk.move", 2.3, 1.35)
        moves = keep + move * (self.k - 1)
        counter = state_bits(self._count(x[0]) + self.k)
        return Cost(
            lut=self.k * comparison(family, bits + 1) + moves * (bits + index + 1) + counter / 2,
            ff=self.k * (bits + index + 1) + counter + index + 1,
        )

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(3), (Tensor((2, 10), Ints(-3, 3)),)
        yield cls(1, axes=2), (Tensor((3, 2, 4), Ints(0, 7)),)
        yield cls(4), (Tensor((4,), Ints(-8, 8, step=2)),)
