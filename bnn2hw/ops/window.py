"""Sliding windows over an image: the line buffer in front of a convolution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Buffered, Cost, HardwareOp, Ints, Tensor
from bnn2hw.ops.memories import by_lut, divisors, ram_cost, state_bits


@dataclass(frozen=True, eq=False)
class Window(HardwareOp):
    """Every window of an image as one vector, in the order (kernel row, kernel column, channel).

    The memory holds `2 · kernel rows` image rows in a ring: while the windows of a frame's last rows are read, the
    next frame's first rows are already written, so frames follow each other without a gap. Writing and
    reading are independent but for the count of beats that lie in the ring.

    Attributes:
        kernel: rows and columns of a window.
        stride: rows and columns from one window to the next.
        simd: channels per beat; divides the number of channels.
    """

    kind: ClassVar[str] = "window"

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    simd: int = 1

    def _grid(self, x: Tensor) -> tuple[int, int]:
        rows = (x.shape[0] - self.kernel[0]) // self.stride[0] + 1
        columns = (x.shape[1] - self.kernel[1]) // self.stride[1] + 1
        return rows, columns

    def infer(self, *x: Tensor) -> Tensor:
        if len(x[0].shape) != 3 or x[0].channels % self.simd:
            raise ValueError(f"simd={self.simd} must divide the channels of an image, not {x[0].shape}")
        rows, columns = self._grid(x[0])
        if rows < 1 or columns < 1:
            raise ValueError(f"a window of {self.kernel} does not fit into {x[0].shape}")
        return x[0].as_shape(rows, columns, math.prod(self.kernel) * x[0].channels)

    def golden(self, *x: Array) -> Array:
        view = np.lib.stride_tricks.sliding_window_view(x[0], self.kernel, axis=(1, 2))
        view = view[:, :: self.stride[0], :: self.stride[1]].transpose(0, 1, 2, 4, 5, 3)
        return view.reshape(*view.shape[:3], -1)

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.simd, self.simd

    def _ring_rows(self) -> int:
        return 2 * self.kernel[0]

    def timing(self, *x: Tensor) -> Buffered:
        height, width, channels = x[0].shape
        rows, columns = self._grid(x[0])
        folds = channels // self.simd
        row = width * folds
        kept_rows = (rows - 1) * self.stride[0] + self.kernel[0]
        r, c, kr, kc, f = np.indices((rows, columns, *self.kernel, folds))
        need = (r * self.stride[0] + kr) * row + (c * self.stride[1] + kc) * folds + f + 1
        per_row = need.size // rows
        frees = [((i + 1) * per_row - 1, (i + 1) * self.stride[0] * row) for i in range(rows - 1)]
        return Buffered(
            store=np.arange(height * row) < kept_rows * row,
            need=need.reshape(-1),
            frees=(*frees, (need.size - 1, kept_rows * row)),
            capacity=self._ring_rows() * row,
            latency=3,
            release=2,
        )

    def interval(self, *x: Tensor) -> int:
        return max(x[0].size, self.infer(*x).size) // self.simd

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        height, width, channels = x[0].shape
        rows, columns = self._grid(x[0])
        return {
            "BEAT_BITS": self.simd * x[0].ints.bits,
            "FOLDS": channels // self.simd,
            "HEIGHT": height,
            "WIDTH": width,
            "KERNEL_HEIGHT": self.kernel[0],
            "KERNEL_WIDTH": self.kernel[1],
            "STRIDE_HEIGHT": self.stride[0],
            "STRIDE_WIDTH": self.stride[1],
            "OUT_HEIGHT": rows,
            "OUT_WIDTH": columns,
            "RING_ROWS": self._ring_rows(),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        row = x[0].shape[1] * (x[0].channels // self.simd)
        words, bits = self._ring_rows() * row, self.simd * x[0].ints.bits
        address = state_bits(words)
        count = state_bits(words + self.stride[0] * row + 1) + 1
        # The start of a row is a multiple of its length: as many low bits of it are no logic as that has zeros.
        fixed = state_bits(row & -row)
        out_rows, out_columns = self._grid(x[0])
        states = (
            x[0].shape[0] * row,
            self.kernel[1] * row // x[0].shape[1],
            self.kernel[0],
            out_columns,
            out_rows,
        )
        control = 7 * address + 3 * count + sum(map(state_bits, states)) - 5 * fixed
        logic = Cost(
            lut=by_lut(family, 3.4, 1.8) * control - by_lut(family, 88, 30),
            ff=5 * address + 2 * count + sum(map(state_bits, states)) + 5 + bits - fixed,
        )
        return logic + ram_cost(family, words, bits)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for simd in divisors(x[0].channels):
            yield replace(self, simd=simd)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls((3, 3), simd=2), (Tensor((5, 6, 4), BIPOLAR),)
        yield cls((2, 3), (2, 1), simd=1), (Tensor((7, 5, 2), Ints(0, 255)),)
        yield cls((3, 2), (1, 2), simd=3), (Tensor((4, 7, 3), Ints(-1, 1)),)
        yield cls((1, 1), (3, 3), simd=1), (Tensor((8, 8, 1), Ints(0, 3)),)
        yield cls((4, 4), simd=2), (Tensor((4, 4, 2), BIPOLAR),)
