"""A border around an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.memories import by_lut, divisors, state_bits


@dataclass(frozen=True, eq=False)
class Pad(HardwareOp):
    """The image with rows and columns of one value around it.

    A border of true zeros around ±1 makes the stream ternary: a third value, not an approximation.

    Attributes:
        rows: rows above and below.
        columns: columns to the left and to the right.
        value: of the border; lies in the input's type, or is 0 around ±1.
        simd: channels per beat; divides the number of channels.
    """

    kind: ClassVar[str] = "pad"

    rows: tuple[int, int]
    columns: tuple[int, int]
    value: int = 0
    simd: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if len(x[0].shape) != 3 or x[0].channels % self.simd:
            raise ValueError(f"simd={self.simd} must divide the channels of an image, not {x[0].shape}")
        ternary = x[0].ints == BIPOLAR and self.value == 0
        if not ternary and not x[0].ints.contains(np.array([self.value])):
            raise ValueError(f"cannot pad {x[0].ints} with {self.value}")
        height, width = x[0].shape[0] + sum(self.rows), x[0].shape[1] + sum(self.columns)
        kind = Ints(-1, 1) if ternary else x[0].ints
        return replace(x[0].as_shape(height, width, x[0].channels), type=kind)

    def golden(self, *x: Array) -> Array:
        return np.pad(x[0], ((0, 0), self.rows, self.columns, (0, 0)), constant_values=self.value)

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.simd, self.simd

    def interval(self, *x: Tensor) -> int:
        return self.infer(*x).size // self.simd

    def timing(self, *x: Tensor) -> Steps:
        inside = np.zeros(self.infer(*x).shape[:2], bool)
        top, left = self.rows[0], self.columns[0]
        inside[top : top + x[0].shape[0], left : left + x[0].shape[1]] = True
        reads = np.repeat(inside.reshape(-1), x[0].channels // self.simd)
        if not reads[
            0
        ]:  # a border waits for its frame: the first beat is taken at once, each other one a beat early
            last = np.flatnonzero(reads)[-1]
            reads[0], reads[last] = True, False
        return Steps(reads, np.ones(reads.size, bool), latency=1)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        out = self.infer(*x)
        return {
            "SIMD": self.simd,
            "IN_BITS": x[0].ints.bits,
            "OUT_BITS": out.ints.bits,
            "TERNARY": int(out.ints != x[0].ints),
            "FOLDS": x[0].channels // self.simd,
            "HEIGHT": x[0].shape[0],
            "WIDTH": x[0].shape[1],
            "TOP": self.rows[0],
            "BOTTOM": self.rows[1],
            "LEFT": self.columns[0],
            "RIGHT": self.columns[1],
            "BORDER": int(out.ints.encode(np.array(self.value))) % 2**out.ints.bits,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        out, bits = self.infer(*x), self.simd * x[0].ints.bits
        position = state_bits(out.shape[0] + 1) + state_bits(out.shape[1] + 1)
        held = bits if self.rows[0] or self.columns[0] else 0
        # A border is the reset of the output's register, but for the third value beside the inverted sign.
        ternary = out.ints != x[0].ints
        counters = position + state_bits(x[0].channels // self.simd) + 3
        return Cost(
            lut=by_lut(family, 5.2, 3.6) * position + self.simd * ternary, ff=bits + ternary + held + counters
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for simd in divisors(x[0].channels):
            yield replace(self, simd=simd)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls((1, 1), (1, 1), simd=2), (Tensor((3, 4, 4), BIPOLAR),)
        yield cls((0, 2), (1, 0), -1, simd=1), (Tensor((2, 3, 2), BIPOLAR),)
        yield cls((2, 0), (0, 3), 7, simd=3), (Tensor((3, 3, 3), Ints(-8, 7)),)
        yield cls((0, 1), (0, 1), 0, simd=1), (Tensor((3, 2, 1), Ints(0, 3)),)
