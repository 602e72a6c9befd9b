"""The integer matrix-vector unit: multi-bit inputs, ±1 or multi-bit weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Tensor
from bnn2hw.ops.matvec import MatVec
from bnn2hw.ops.memories import DSP_FROM_BITS, adder, adder_tree


@dataclass(frozen=True, eq=False)
class Mac(MatVec):
    """Integer inputs times integer weights.

    The output's range is exact for the given weights. Its real meaning follows from the input's:
    x = s·v + o gives Σ w·x = s·Σ w·v + o·Σ w, so the offset differs by channel.
    """

    kind: ClassVar[str] = "mac"

    @property
    def weight_type(self) -> Ints:
        """±1 where the weights are, otherwise the smallest signed range that holds them."""
        if np.all(np.abs(self.weights) == 1):
            return BIPOLAR
        return Ints(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))

    def infer(self, *x: Tensor) -> Tensor:
        ints, w = x[0].ints, self.weights.astype(np.int64)
        if ints.step != 1:
            raise ValueError(f"takes integers in steps of 1, not {ints}")
        lo = int(np.minimum(w * ints.lo, w * ints.hi).sum(0).min())
        hi = int(np.maximum(w * ints.lo, w * ints.hi).sum(0).max())
        scale = self.meaning(x[0])
        sums = np.asarray(x[0].offset) * w.sum(0) * self.scale
        offset = tuple(float(v) for v in sums) if np.any(sums) else 0.0
        return Tensor((*self.outer(x[0]), self.mh), Ints(lo, hi), scale, offset)

    def pipeline(self, x: Tensor) -> int:
        return 4 + (self.simd - 1).bit_length()

    def weight_codes(self) -> Array:
        return self.weight_type.encode(self.weights)

    @property
    def weight_bits(self) -> int:
        return self.weight_type.bits

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {
            **super().params(*x),
            "X_BITS": x[0].ints.bits,
            "X_SIGNED": int(x[0].ints.signed),
            "W_BITS": self.weight_bits,
            "BIPOLAR": int(self.weight_type == BIPOLAR),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        width = x[0].ints.bits + self.weight_bits
        # Where weights are constants, neurons share equal products and equal sums of few of them.
        distinct = 2.0**self.weight_bits if self.synapse_folds * self.neuron_folds == 1 else math.inf
        tree = adder_tree(family, self.simd, width, distinct, self.pe)
        return self._products(family, x[0], distinct) + tree + self.around_cost(family, x[0])

    def _products(self, family: Family, x: Tensor, distinct: float) -> Cost:
        width = x.ints.bits + self.weight_bits
        registers = Cost(ff=self.simd * width * min(self.pe, distinct))
        if self.weight_type == BIPOLAR:
            # The negative of an input is made once for all neurons, and each selects by its weight.
            select = self.pe * width if distinct == math.inf else 0
            return registers + Cost(lut=self.simd * (adder(family, width) + select))
        if width < DSP_FROM_BITS:
            return registers + Cost(lut=self.simd * self.pe * width * self.weight_bits)
        # The blocks of the larger families hold the registers before and behind the multiplier.
        held = 2 * self.simd * x.ints.bits + self.simd * self.pe * self.weight_bits
        return Cost(dsp=self.simd * self.pe) + (registers if family.lut_inputs == 4 else Cost(ff=-held))

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(2)
        pixel = Ints(0, 255)
        signs = np.array([-1, 1], np.int8)
        yield cls(rng.choice(signs, (9, 4)), pe=4, simd=1), (Tensor((3, 9), pixel, 1 / 127.5, -1.0),)
        yield cls(rng.choice(signs, (6, 6)), pe=2, simd=3), (Tensor((2, 6), Ints(-1, 1)),)
        yield (
            cls(rng.integers(-3, 4, (10, 2)), scale=1 / 3, axes=2, pe=1, simd=10),
            (Tensor((2, 5), Ints(-7, 5)),),
        )
        yield cls(rng.integers(-8, 8, (4, 3)), pe=3, simd=2), (Tensor((2, 4), pixel),)
