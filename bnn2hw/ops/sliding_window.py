"""Sliding windows over an image: the line buffer in front of a convolution, serial and parallel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Buffered, Cost, HardwareOp, Ints, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.costs import ram_cost, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Windows(HardwareOp):
    """Emit every window of an image as a vector, in the order (kernel row, kernel column, channel).

    The last three axes of the input are an image; axes before them count images.

    Attributes:
        kernel: Rows and columns of a window.
        stride: Distance in rows and in columns from one window to the next.
        dilation: Distance in rows and in columns from one tap of a window to the next.
        lanes: Values per beat of the output.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    lanes: int = 1

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns from the first tap of a window to the last, inclusive."""
        rows, columns = ((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    def _grid(self, x: Tensor) -> tuple[int, int]:
        rows = (x.shape[-3] - self.span[0]) // self.stride[0] + 1
        columns = (x.shape[-2] - self.span[1]) // self.stride[1] + 1
        return rows, columns

    def infer(self, *x: Tensor) -> Tensor:
        if len(x[0].shape) < 3:
            raise ValueError(f"needs an image (rows, columns, channels), not shape {x[0].shape}")
        rows, columns = self._grid(x[0])
        if rows < 1 or columns < 1:
            taps = "" if self.dilation == (1, 1) else f" taps {self.dilation} apart"
            raise ValueError(f"a window of {self.kernel}{taps} does not fit into an image of {x[0].shape}")
        return x[0].as_shape(*x[0].shape[:-3], rows, columns, self._taps * x[0].channels)

    @property
    def _taps(self) -> int:
        return math.prod(self.kernel)

    def golden(self, *x: Array) -> Array:
        images = x[0].reshape(-1, *x[0].shape[-3:])
        view = np.lib.stride_tricks.sliding_window_view(images, self.span, axis=(1, 2))
        view = view[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        view = view.transpose(0, 1, 2, 4, 5, 3)
        return view.reshape(*x[0].shape[:-3], *view.shape[1:3], -1)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return given[0].over(y.channels)

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {
            "HEIGHT": x[0].shape[-3],
            "WIDTH": x[0].shape[-2],
            "KERNEL_HEIGHT": self.kernel[0],
            "KERNEL_WIDTH": self.kernel[1],
            "STRIDE_HEIGHT": self.stride[0],
            "STRIDE_WIDTH": self.stride[1],
            "DILATION_HEIGHT": self.dilation[0],
            "DILATION_WIDTH": self.dilation[1],
        }

    def folded_like(self, other: StreamOp) -> StreamOp:
        if not isinstance(other, Windows):
            return self
        knobs = {knob: getattr(other, knob) for knob in other.knobs}
        return type(other)(self.kernel, self.stride, self.dilation, **knobs)

    def foldings(self, *x: Tensor) -> Iterator[Windows]:
        for lanes in divisors(x[0].channels):
            yield SlidingWindow(self.kernel, self.stride, self.dilation, lanes)
        size, (_, columns) = self._taps * x[0].channels, self._grid(x[0])
        for pixels in divisors(x[0].shape[-2]):
            # A beat of pixels may complete at most the windows of one beat.
            enough = (w for w in divisors(columns) if w * self.stride[1] >= pixels)
            windows = next(enough, 0)
            if windows and max(pixels, self._taps) > 1:
                yield ParallelWindow(self.kernel, self.stride, self.dilation, windows * size, pixels)


@dataclass(frozen=True, eq=False)
class SlidingWindow(Windows):
    """Emit a window in many beats. Each beat holds some or all channels of one tap.

    A ring memory holds twice the rows that a window spans. While the windows of the last rows of a
    frame are read, the first rows of the next frame are already written, so frames follow without a
    gap. Writer and reader share only the number of beats in the ring. `lanes` must divide the
    number of channels.
    """

    kind: ClassVar[str] = "sliding_window"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].channels % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide the channels of an image, not {x[0].shape}")
        return super().infer(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def _ring_rows(self, x: Tensor) -> int:
        """Return the rows of the ring: a window, and the rows that are written while it is read.

        Those are as many again, or enough for `release`. If windows skip rows and take longer than a
        row, they are those up to the next window.
        """
        folds, (_, columns) = x.channels // self.lanes, self._grid(x)
        row = x.shape[-2] * folds
        slow = columns * self._taps * folds > row
        return self.span[0] + max(self.span[0], -(-3 // row), self.stride[0] if slow else 0)

    def timing(self, *x: Tensor) -> Buffered:
        height, width, channels = x[0].shape[-3:]
        images = math.prod(x[0].shape[:-3])
        rows, columns = self._grid(x[0])
        folds = channels // self.lanes
        row = width * folds
        kept = ((rows - 1) * self.stride[0] + self.span[0]) * row
        r, c, kr, kc, f = np.ogrid[:rows, :columns, : self.kernel[0], : self.kernel[1], :folds]
        tap_row = r * self.stride[0] + kr * self.dilation[0]
        tap_column = c * self.stride[1] + kc * self.dilation[1]
        need = (tap_row * row + tap_column * folds + f + 1).reshape(-1)
        per_row = need.size // rows
        frees = [((i + 1) * per_row - 1, (i + 1) * self.stride[0] * row) for i in range(rows - 1)]
        frees.append((need.size - 1, kept))
        before = np.arange(images)[:, None]
        return Buffered(
            store=np.tile(np.arange(height * row) < kept, images),
            need=(before * kept + need).reshape(-1),
            frees=tuple((m * need.size + j, m * kept + n) for m in range(images) for j, n in frees),
            capacity=self._ring_rows(x[0]) * row,
            latency=3,
            release=2,
        )

    def interval(self, *x: Tensor) -> int:
        return max(x[0].size, self.infer(*x).size) // self.lanes

    def params(self, *x: Tensor) -> dict[str, int | str]:
        rows, columns = self._grid(x[0])
        return {
            "BEAT_BITS": self.lanes * x[0].ints.bits,
            "FOLDS": x[0].channels // self.lanes,
            **super().params(*x),
            "OUT_HEIGHT": rows,
            "OUT_WIDTH": columns,
            "RING_ROWS": self._ring_rows(x[0]),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        row = x[0].shape[-2] * (x[0].channels // self.lanes)
        words, bits = self._ring_rows(x[0]) * row, self.lanes * x[0].ints.bits
        address = state_bits(words)
        count = state_bits(words + self.stride[0] * row + 1) + 1
        # The start of a row is a multiple of its length. Its low bits are constant where the length
        # has zeros.
        fixed = state_bits(row & -row)
        out_rows, out_columns = self._grid(x[0])
        states = (
            x[0].shape[-3] * row,
            self.kernel[1] * row // x[0].shape[-2],
            x[0].channels // self.lanes if self.dilation[1] > 1 else 1,
            self.kernel[0],
            out_columns,
            out_rows,
        )
        control = 7 * address + 3 * count + sum(map(state_bits, states)) - 5 * fixed
        logic = Cost(
            lut=family.coefficient("sliding_window.control", 3.3, 1.5) * control
            - family.coefficient("sliding_window.saved", 76, 9.5),
            ff=5 * address + 2 * count + sum(map(state_bits, states)) + 5 + bits - fixed,
        )
        ring = ram_cost(family, words, bits)
        # Block RAMs of some families contain the output register.
        return logic + ring + Cost(ff=-bits if ring.bram and family.bram_registers else 0)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls((3, 3), lanes=2), (Tensor((5, 6, 4), BIPOLAR),)
        yield cls((2, 3), (2, 1), lanes=1), (Tensor((7, 5, 2), Ints(0, 255)),)
        yield cls((3, 2), (1, 2), lanes=3), (Tensor((4, 7, 3), Ints(-1, 1)),)
        yield cls((1, 1), (3, 3), lanes=1), (Tensor((8, 8, 1), Ints(0, 3)),)
        yield cls((1, 3), (2, 1), lanes=1), (Tensor((7, 5, 2), Ints(0, 3)),)
        yield cls((4, 4), lanes=2), (Tensor((4, 4, 2), BIPOLAR),)
        yield cls((3, 2), (1, 1), (2, 3), lanes=2), (Tensor((6, 7, 4), BIPOLAR),)
        yield cls((2, 3), (2, 1), (3, 2), lanes=3), (Tensor((2, 7, 6, 3), Ints(0, 255)),)
        yield cls((3, 3), (1, 2), lanes=1), (Tensor((2, 2, 4, 5, 2), Ints(0, 3)),)
        yield cls((1, 1), (3, 2), (2, 2), lanes=1), (Tensor((3, 4, 4, 2), Ints(0, 3)),)
        yield cls((1, 1), (1, 1), lanes=2), (Tensor((2, 2, 1, 1, 2), BIPOLAR),)


@dataclass(frozen=True, eq=False)
class ParallelWindow(Windows):
    """Emit one or several whole windows per beat, while one or several pixels arrive per beat.

    A memory holds the last rows, with one word per beat of a row. Registers hold the columns that
    the windows of a beat span, and the columns that arrived after them. The op emits a beat as soon
    as all of its windows are complete; at that time they start at one of a few positions in the
    registers.

    `lanes` is the size of a window times the windows per beat. The windows per beat must divide
    those of a row. A beat of pixels may complete at most the windows of one beat, which limits
    `pixels`.

    Attributes:
        pixels: Pixels per beat of the input; must divide its columns.
    """

    kind: ClassVar[str] = "parallel_window"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    pixels: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        y = super().infer(*x)
        columns, windows = x[0].shape[-2], y.shape[-2]
        if self.lanes < 1 or self.lanes % y.channels or windows % self._windows(x[0]):
            raise ValueError(
                f"lanes={self.lanes} must hold whole windows of {y.channels} values; their number must divide "
                f"the {windows} windows of a row"
            )
        if self.pixels < 1 or columns % self.pixels:
            raise ValueError(f"pixels={self.pixels} must divide the {columns} pixels of a row")
        if self.pixels > self._advance(x[0]):
            raise ValueError(
                f"pixels={self.pixels} per beat complete more than the {self._windows(x[0])} windows of a beat; "
                f"at most {self._advance(x[0])} are possible"
            )
        return y

    def _windows(self, x: Tensor) -> int:
        """Return the windows per beat."""
        return self.lanes // (self._taps * x.channels)

    def _advance(self, x: Tensor) -> int:
        """Return the columns from the windows of one beat to those of the next."""
        return self._windows(x) * self.stride[1]

    def _spanned(self, x: Tensor) -> int:
        """Return the columns that the windows of a beat span."""
        return self._advance(x) - self.stride[1] + self.span[1]

    def _positions(self, x: Tensor) -> tuple[int, int]:
        """Return the number of positions of a beat's windows, and their distance in columns."""
        grain = math.gcd(self.pixels, self._advance(x))
        return self.pixels // grain, grain

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.pixels * x[0].channels, self.lanes

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.pixels * x[0].channels)

    def timing(self, *x: Tensor) -> Steps:
        height, width, _ = x[0].shape[-3:]
        last = np.arange(height) - (self.span[0] - 1)
        rows = (last >= 0) & (last % self.stride[0] == 0)
        complete = np.arange(self._spanned(x[0]), width + 1, self._advance(x[0]))
        beats = np.isin(np.arange(width // self.pixels), -(-complete // self.pixels) - 1)
        writes = np.tile((rows[:, None] & beats).reshape(-1), math.prod(x[0].shape[:-3]))
        return Steps(np.ones(writes.size, bool), writes, latency=2)

    def inner_bits(self, *x: Tensor) -> int:
        grain = self._positions(x[0])[1]
        held = -(-self._spanned(x[0]) // grain) * grain + self.pixels - grain
        return max(held, self.pixels) * self.span[0] * x[0].channels * x[0].ints.bits

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {
            "PIXEL_BITS": x[0].channels * x[0].ints.bits,
            "PIXELS": self.pixels,
            "WINDOWS": self._windows(x[0]),
            "GRAIN": self._positions(x[0])[1],
            **super().params(*x),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        height, width, channels = x[0].shape[-3:]
        pixel, rows = channels * x[0].ints.bits, self.span[0]
        positions, grain = self._positions(x[0])
        spanned = self._spanned(x[0])
        held = -(-spanned // grain) * grain + self.pixels - grain
        counters = state_bits(height) + state_bits(width // self.pixels) + state_bits(self.stride[0])
        counters += state_bits(-(-max(spanned, self._advance(x[0])) // grain) + 1) + 2 * state_bits(positions)
        small = family.coefficient("parallel_window.select", 0.5, 0.5) * positions
        select = family.by_lut(small, max(1, (positions - 1) / 3)) * spanned * rows * pixel
        logic = Cost(
            lut=family.coefficient("parallel_window.counter", 1.7, 1.0) * counters
            + 6
            + select * (positions > 1),
            ff=counters + 2 + pixel * (rows * held + self.pixels),
        )
        if rows == 1:
            return logic
        memory = ram_cost(family, width // self.pixels, self.pixels * (rows - 1) * pixel)
        return logic + memory + Cost(ff=state_bits(width // self.pixels))

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls((3, 3), lanes=18), (Tensor((5, 6, 2), BIPOLAR),)
        yield cls((2, 3), (2, 1), lanes=30), (Tensor((2, 7, 5, 5), Ints(0, 255)),)
        yield cls((1, 3), (1, 2), (1, 2), lanes=9), (Tensor((2, 9, 3), Ints(-3, 4)),)
        yield cls((3, 2), (1, 1), (2, 3), lanes=12), (Tensor((6, 7, 2), BIPOLAR),)
        yield cls((3, 1), (2, 1), lanes=6), (Tensor((2, 6, 1, 2), Ints(0, 3)),)
        yield cls((2, 2), (3, 3), lanes=4), (Tensor((2, 2, 1), Ints(0, 3)),)
        yield cls((3, 3), lanes=36, pixels=2), (Tensor((5, 6, 2), BIPOLAR),)
        yield cls((3, 3), lanes=90, pixels=4), (Tensor((2, 4, 12, 2), Ints(0, 3)),)
        yield cls((2, 3), (1, 2), lanes=30, pixels=6), (Tensor((3, 12, 1), Ints(0, 255)),)
        yield cls((3, 2), (2, 3), (1, 2), lanes=12, pixels=3), (Tensor((2, 5, 9, 2), Ints(-1, 1)),)
        yield cls((2, 1), lanes=12, pixels=3), (Tensor((4, 3, 2), BIPOLAR),)
        yield cls((1, 1), (2, 2), lanes=3, pixels=2), (Tensor((3, 4, 3), BIPOLAR),)
