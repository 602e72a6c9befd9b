"""The index of the largest channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.memories import by_lut, comparison, divisors, state_bits


@dataclass(frozen=True, eq=False)
class Argmax(HardwareOp):
    """The first index of the largest value along the last axis, as numpy.argmax gives it.

    Attributes:
        simd: channels per beat; divides the number of channels.
    """

    kind: ClassVar[str] = "argmax"

    simd: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].channels % self.simd:
            raise ValueError(f"simd={self.simd} must divide {x[0].channels} channels")
        return Tensor((*x[0].shape[:-1], 1), Ints(0, x[0].channels - 1))

    def golden(self, *x: Array) -> Array:
        index: Array = np.argmax(x[0], axis=-1, keepdims=True)
        return index

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.simd, 1

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.simd

    def timing(self, *x: Tensor) -> Steps:
        folds = x[0].channels // self.simd
        beat = np.arange(self.interval(*x))
        return Steps(np.ones(beat.size, bool), beat % folds == folds - 1, latency=2)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "SIMD": self.simd,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "FOLDS": x[0].channels // self.simd,
            "INDEX_BITS": self.infer(*x).ints.bits,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        bits, index = x[0].ints.bits, self.infer(*x).ints.bits
        folds = x[0].channels // self.simd
        within, across = self.simd - 1, int(folds > 1)
        compare = (within + across) * comparison(family, bits + 1)
        # Where one beat is all, the largest value itself is not kept.
        select = within * index + (within - 1 + across) * bits
        keep = across * (by_lut(family, 0.8, 0.5) * (bits + index) + 7)
        counters = state_bits(folds) + across * index + 4
        return Cost(
            lut=compare + by_lut(family, 1.7, 1.0) * max(select, 0) + keep + 4,
            ff=2 * index + counters + 2 * bits * by_lut(family, 1, across),
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for simd in divisors(x[0].channels):
            yield replace(self, simd=simd)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(simd=1), (Tensor((10,), Ints(-3, 3)),)
        yield cls(simd=5), (Tensor((2, 10), Ints(0, 3)),)
        yield cls(simd=4), (Tensor((4,), Ints(-8, 8, step=2)),)
