"""The binary matrix-vector unit: XNOR, popcount, accumulate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Tensor
from bnn2hw.ops.matvec import MatVec
from bnn2hw.ops.memories import adder


TERNARY = Ints(-1, 1)


@dataclass(frozen=True, eq=False)
class Xnor(MatVec):
    """±1 inputs times ±1 weights; the output is the dot product, coded as the number of agreeing signs.

    Inputs of −1, 0 and +1 are signs of which some do not count, as zero padding leaves them; then any
    dot product may come out, and it is coded as itself.
    """

    kind: ClassVar[str] = "xnor"

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].ints not in (BIPOLAR, TERNARY):
            raise ValueError(f"takes ±1 or {TERNARY}, not {x[0].ints}")
        dot = Ints(-self.mw, self.mw, x[0].ints.step)
        return Tensor((*self.outer(x[0]), self.mh), dot, self.meaning(x[0]))

    def dot(self, x: Array) -> Array:
        if self.mw < 2**24:  # every partial sum is an integer that float32 holds exactly
            vectors = x.reshape(-1, self.mw).astype(np.float32)
            return (vectors @ self.weights.astype(np.float32)).astype(np.int32)
        return super().dot(x)

    @property
    def count_bits(self) -> int:
        """Width of the count of all lanes but one; the tree that counts them has a level less."""
        return max((self.simd - 1).bit_length(), 1)

    def pipeline(self, x: Tensor) -> int:
        return 2 + self.count_bits + 2 * (x.ints == TERNARY) + (self.synapse_folds > 1)

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {**super().params(*x), "MASKED": int(x[0].ints == TERNARY)}

    def weight_codes(self) -> Array:
        return (self.weights > 0).astype(np.int64)

    def cost(self, family: Family, *x: Tensor) -> Cost:
        return Cost(lut=self.simd * self.pe * 1.5) + self.around_cost(family, x[0])

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(1)

        def weights(mw: int, mh: int) -> Array:
            return rng.choice(np.array([-1, 1], np.int8), (mw, mh))

        yield cls(weights(12, 6), pe=2, simd=3), (Tensor((2, 2, 12), BIPOLAR),)
        yield cls(weights(8, 4), scale=0.5, pe=4, simd=8), (Tensor((5, 8), BIPOLAR),)
        yield cls(weights(28, 3), axes=2, pe=3, simd=14), (Tensor((2, 14), BIPOLAR),)
        yield cls(weights(65, 4), pe=1, simd=65), (Tensor((65,), BIPOLAR),)
        yield cls(weights(1, 2), pe=1, simd=1), (Tensor((3, 1), BIPOLAR),)
        yield cls(weights(72, 4), pe=2, simd=36), (Tensor((2, 72), BIPOLAR),)
        yield cls(weights(18, 6), pe=2, simd=9), (Tensor((4, 18), TERNARY),)
        yield cls(weights(40, 2), pe=2, simd=20), (Tensor((2, 40), TERNARY),)
        yield cls(weights(12, 4), axes=2, pe=4, simd=4), (Tensor((3, 2, 6), TERNARY),)
        yield cls(weights(1, 2), pe=2, simd=1), (Tensor((3, 1), TERNARY),)
