"""Max pooling over windows that do not overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Param, Steps, Tensor
from bnn2hw.ops.memories import by_lut, comparison, divisors, lutram_cost, state_bits


@dataclass(frozen=True, eq=False)
class Pool(HardwareOp):
    """The largest value of each window, or the smallest in channels where a falling function was moved before it.

    max f(x) over a window equals f(min x) where f falls, so a threshold with a negative slope moved in front of
    the pooling turns the maximum into a minimum. On one bit these are OR and AND.
    Rows and columns that fill no window are dropped, as with padding "valid".

    Attributes:
        minimum: booleans of shape (channels,): where the smallest is taken.
        size: height and width of a window, and its stride.
        simd: channels per beat; divides the number of channels.
    """

    kind: ClassVar[str] = "pool"

    minimum: Array
    size: tuple[int, int] = (2, 2)
    simd: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if len(x[0].shape) != 3 or x[0].channels != self.minimum.size or x[0].channels % self.simd:
            raise ValueError(f"simd={self.simd} and {self.minimum.size} channels do not fit {x[0].shape}")
        rows, columns = x[0].shape[0] // self.size[0], x[0].shape[1] // self.size[1]
        if not rows or not columns:
            raise ValueError(f"a window of {self.size} does not fit into {x[0].shape}")
        return x[0].as_shape(rows, columns, x[0].channels)

    def golden(self, *x: Array) -> Array:
        n, height, width, channels = x[0].shape
        rows, columns = height // self.size[0], width // self.size[1]
        cut = x[0][:, : rows * self.size[0], : columns * self.size[1]]
        windows = cut.reshape(n, rows, self.size[0], columns, self.size[1], channels)
        pooled: Array = np.where(self.minimum, windows.min((2, 4)), windows.max((2, 4)))
        return pooled

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.simd, self.simd

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.simd

    def timing(self, *x: Tensor) -> Steps:
        height, width, channels = x[0].shape
        rows, columns, _ = self.infer(*x).shape

        def last(length: int, size: int, count: int) -> Array:
            at = np.arange(length)
            ends: Array = (at % size == size - 1) & (at < count * size)
            return ends

        grid = last(height, self.size[0], rows)[:, None] & last(width, self.size[1], columns)[None, :]
        writes = np.repeat(grid.reshape(-1), channels // self.simd)
        return Steps(np.ones(writes.size, bool), writes, latency=1)

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {
            "SIMD": self.simd,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "CHANNELS": x[0].channels,
            "HEIGHT": x[0].shape[0],
            "WIDTH": x[0].shape[1],
            "POOL_HEIGHT": self.size[0],
            "POOL_WIDTH": self.size[1],
            "MINIMUM": self.minimum,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        height, width, channels = x[0].shape
        rows, columns, _ = self.infer(*x).shape
        folds, bits = channels // self.simd, x[0].ints.bits
        states = (folds, width + 1, height, rows + 1, columns + 1, *self.size)
        counters = sum(map(state_bits, states)) + 1
        compare = self.simd * comparison(family, bits + 1) if bits > 1 else 0
        logic = Cost(
            lut=compare
            + self.simd * by_lut(family, 0.6 * (bits + 1), 0.95 * bits)
            + by_lut(family, 2.1, 1.5) * counters,
            ff=self.simd * bits + counters,
        )
        return logic + lutram_cost(family, columns * folds, self.simd * bits, ports=1)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for simd in divisors(x[0].channels):
            yield replace(self, simd=simd)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        mixed = np.array([False, True, True, False])
        yield cls(mixed, simd=2), (Tensor((5, 4, 4), BIPOLAR),)
        yield cls(mixed, (3, 2), simd=4), (Tensor((6, 5, 4), Ints(-3, 3)),)
        yield cls(np.array([True]), (1, 3), simd=1), (Tensor((2, 7, 1), Ints(0, 9)),)
