"""Max pooling, over windows that do not overlap or that a sliding window emits."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Memory, Param, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.abreast import abreast, check_pixels
from bnn2hw.ops.base.costs import comparison, load_cost, lutram_cost, rom_luts, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.targets.families import Family

MERGED = 3
"""Values that are compared in one cycle; parallel_pool.sv.j2 has the same number."""


@dataclass(frozen=True, eq=False)
class Pooling(HardwareOp):
    """Return the largest value of each window, or the smallest in channels with `minimum`.

    A minimum appears when lowering moves a falling function f in front of the pooling, since max
    f(x) = f(min x) over a window. On one bit, maximum and minimum are OR and AND. Rows and columns
    that do not fill a window are dropped, as with padding "valid".

    The last three axes of the input are an image; axes before them count images. If `windowed`, the
    last axis instead holds a window as `SlidingWindow` emits it (positions × channels), and the
    other axes stay as they are.

    Attributes:
        minimum: Booleans of shape (channels,), true where the smallest value is taken.
        size: Height and width of a window, which is also its stride.
        windowed: True if the input already consists of windows. They may have overlapped in the
            image.
    """

    minimum: Array
    size: tuple[int, int] = (2, 2)
    windowed: bool = False

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return int(self.minimum.size)

    @property
    def _window(self) -> tuple[int, int]:
        """Height and width of a window in the stream; windows of a windowed input are rows."""
        return (1, math.prod(self.size)) if self.windowed else self.size

    def _image(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return height and width of an image in the stream."""
        return self._window if self.windowed else (shape[-3], shape[-2])

    def infer(self, *x: Tensor) -> Tensor:
        shape = x[0].shape
        if self.windowed:
            return x[0].as_shape(*shape[:-1], self.channels)
        rows, columns = shape[-3] // self.size[0], shape[-2] // self.size[1]
        if not rows or not columns:
            raise ValueError(f"a window of {self.size} does not fit into an image of {shape}")
        return x[0].as_shape(*shape[:-3], rows, columns, self.channels)

    def _shaped(self, shape: tuple[int, ...]) -> bool:
        """Return True if an input has the axes and the channels of an image, or of windows."""
        width = self.channels * math.prod(self.size) if self.windowed else self.channels
        return len(shape) >= (1 if self.windowed else 3) and shape[-1] == width

    def _windows_only(self, shape: tuple[int, ...]) -> bool:
        """Return True if an input is a sequence of windows: those of a sliding window, or rows of one window each."""
        return self.windowed or (self.size[0] == 1 and shape[-2] == self.size[1])

    def golden(self, *x: Array) -> Array:
        out = self.infer(Tensor(x[0].shape[1:])).shape
        (height, width), size = self._image(x[0].shape), self._window
        rows, columns = height // size[0], width // size[1]
        images = x[0].reshape(-1, height, width, self.channels)
        cut = images[:, : rows * size[0], : columns * size[1]]
        windows = cut.reshape(-1, rows, size[0], columns, size[1], self.channels)
        taps = [windows[:, :, row, :, column] for row in range(size[0]) for column in range(size[1])]
        largest: Array = functools.reduce(np.maximum, taps)
        pooled = (
            np.where(self.minimum, functools.reduce(np.minimum, taps), largest)
            if self.minimum.any()
            else largest
        )
        return pooled.reshape(x[0].shape[0], *out)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return given[0].over(y.channels)

    def folded_like(self, other: StreamOp) -> StreamOp:
        if type(self) is type(other) or not isinstance(other, Pooling):
            return super().folded_like(other)
        knobs = {knob: getattr(other, knob) for knob in other.knobs}
        return type(other)(self.minimum, self.size, self.windowed, **knobs)

    def at_once(self, *x: Tensor) -> Iterator[Pooling]:
        """List the foldings that take whole windows in each beat, if the input consists of windows.

        Args:
            x: Type of the input.
        """
        shape = x[0].shape
        if self._windows_only(shape):
            outer = x[0].as_shape(*shape[: -1 if self.windowed else -2], 1)
            size = math.prod(self.size) * self.channels
            for pixels in (1, *abreast(outer)):
                yield ParallelPool(self.minimum, self.size, self.windowed, size, pixels)


@dataclass(frozen=True, eq=False)
class Pool(Pooling):
    """Compare the values of a window one after the other with the best one so far.

    Attributes:
        lanes: Channels per beat of each pixel; must divide the number of channels.
        loadable: True if `minimum` can be written at run time.
        pixels: Pixels per beat: one or several whole windows of a row. More than one only with all
            channels.
    """

    kind: ClassVar[str] = "pool"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    lanes: int = 1
    loadable: bool = False
    pixels: int = 1

    def loading(self, *x: Tensor) -> Self:
        return replace(self, loadable=True, pixels=1)

    def loads(self, *x: Tensor) -> Mapping[str, Memory]:
        minima = self.minimum.reshape(-1, self.lanes).astype(np.int64)
        return {"MINIMUM": Memory(minima, 1)} if self.loadable else {}

    def infer(self, *x: Tensor) -> Tensor:
        shape, channels = x[0].shape, self.channels
        if not self._shaped(shape) or channels % self.lanes:
            raise ValueError(
                f"needs an image of {channels} channels, of which lanes={self.lanes} is a divisor, not {shape}"
            )
        if not self.windowed and self.pixels > 1 and not self._abreast(shape):
            raise ValueError(
                f"pixels={self.pixels} must divide the {shape[-2]} pixels of a row and be a multiple of the window's "
                f"{self.size[1]} columns; it needs all channels in a beat and directions that are not loadable"
            )
        return super().infer(*x)

    def _abreast(self, shape: tuple[int, ...]) -> bool:
        """Return True if a beat may hold that many pixels."""
        divides = shape[-2] % self.pixels == 0 and self.pixels % self.size[1] == 0
        return divides and self.lanes == self.channels and not self.windowed and not self.loadable

    @property
    def _merged(self) -> int:
        """Pixels of a beat that belong to one window."""
        return self.size[1] if self.pixels > 1 else 1

    @property
    def _values_out(self) -> int:
        """Values per beat of the output."""
        return self.lanes * self.pixels // self._merged

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self._values_out

    def inner_bits(self, *x: Tensor) -> int:
        return self.channels // self.lanes if self.minimum.any() else 0  # the directions of a lane

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.lanes * self.pixels)

    def _beats(self, x: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return height and width of an image and of a window; widths in beats of all channels."""
        (height, width), size = self._image(x.shape), self._window
        return (height, width // self.pixels), (size[0], 1 if self.pixels > 1 else size[1])

    def timing(self, *x: Tensor) -> Steps:
        (height, width), size = self._beats(x[0])
        images = x[0].size // (height * width * self.pixels * self.channels)

        def last(length: int, size: int) -> Array:
            ends: Array = np.arange(length) % size == size - 1
            return ends

        grid = last(height, size[0])[:, None] & last(width, size[1])[None, :]
        writes = np.tile(np.repeat(grid.reshape(-1), self.channels // self.lanes), images)
        return Steps(np.ones(writes.size, bool), writes, latency=1)

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        (height, width), size = self._beats(x[0])
        return {
            "LANES": self.lanes,
            "WINDOWS": self._values_out // self.lanes,
            "MERGED": self._merged,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "CHANNELS": self.channels,
            "HEIGHT": height,
            "WIDTH": width,
            "POOL_HEIGHT": size[0],
            "POOL_WIDTH": size[1],
            "MINIMUM": self.minimum,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        (height, width), size = self._beats(x[0])
        rows, columns = height // size[0], width // size[1]
        folds, lanes, bits = self.channels // self.lanes, self._values_out, x[0].ints.bits
        states = (folds, width + 1, height, rows + 1, columns + 1, *size)
        counters = sum(map(state_bits, states)) + 1
        one_bit = family.coefficient("pool.one_bit", 0, 0)
        compare = lanes * comparison(family, bits + 1) if bits > 1 else one_bit
        select = lanes * (family.coefficient("pool.select", 0.6, 0.95) * (bits + family.by_lut(1, 0)))
        # A lane may take the maximum in some folds and the minimum in others.
        minima = self.minimum.reshape(folds, self.lanes)
        select += np.count_nonzero(np.any(minima != minima[0], axis=0)) * family.by_lut(
            rom_luts(family, folds), 0
        )
        merges = self._merged if bits > 1 else 1  # the bits of neighbors fit into one LUT
        logic = Cost(
            lut=merges * (compare + select) + family.coefficient("pool.counter", 2.1, 1.5) * counters,
            ff=lanes * bits + counters,
        )
        if self.loadable:
            logic += lutram_cost(family, folds, self.lanes) + load_cost(family, folds, self.lanes)
        return logic + lutram_cost(family, columns * folds, lanes * bits, ports=1)

    def foldings(self, *x: Tensor) -> Iterator[Pooling]:
        for lanes in divisors(self.channels):
            yield replace(self, lanes=lanes, pixels=1)
        if not self.windowed:
            wide = (replace(self, lanes=self.channels, pixels=p) for p in divisors(x[0].shape[-2]) if p > 1)
            yield from (pool for pool in wide if pool._abreast(x[0].shape))
        if not self.loadable:
            yield from self.at_once(*x)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        mixed = np.array([False, True, True, False])
        yield cls(mixed, lanes=2), (Tensor((5, 4, 4), BIPOLAR),)
        yield cls(mixed, (3, 2), lanes=4), (Tensor((6, 5, 4), Ints(-3, 3)),)
        yield cls(np.array([True]), (1, 3), lanes=1), (Tensor((2, 7, 1), Ints(0, 9)),)
        yield cls(mixed, (2, 2), lanes=2), (Tensor((2, 3, 4, 5, 4), Ints(-3, 3)),)
        yield cls(mixed, (3, 2), windowed=True, lanes=2), (Tensor((2, 3, 24), Ints(0, 9)),)
        yield cls(mixed[1:], (2, 2), windowed=True, lanes=3), (Tensor((12,), BIPOLAR),)
        yield cls(mixed, (2, 2), lanes=4, pixels=4), (Tensor((5, 8, 4), BIPOLAR),)
        yield cls(mixed[1:], (3, 3), lanes=3, pixels=3), (Tensor((2, 3, 6, 3), Ints(-3, 3)),)
        yield cls(mixed[1:], (2, 1), lanes=3, pixels=2), (Tensor((5, 4, 3), Ints(0, 9)),)
        yield cls(mixed, lanes=2, loadable=True), (Tensor((5, 4, 4), BIPOLAR),)


@dataclass(frozen=True, eq=False)
class ParallelPool(Pooling):
    """Compare all values of a window at once. The input must consist of windows.

    Attributes:
        lanes: Values of a window.
        pixels: Windows per beat; must divide the windows of a frame.
    """

    kind: ClassVar[str] = "parallel_pool"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    lanes: int = 1
    pixels: int = 1

    @property
    def _taps(self) -> int:
        """Pixels of a window."""
        return math.prod(self.size)

    def infer(self, *x: Tensor) -> Tensor:
        shape = x[0].shape
        if (
            not self._shaped(shape)
            or not self._windows_only(shape)
            or self.lanes != self._taps * self.channels
        ):
            raise ValueError(
                f"needs windows of {self._taps} pixels with {self.channels} channels, all of which "
                f"lanes={self.lanes} must hold, not {shape}"
            )
        made = super().infer(*x)
        check_pixels(self.pixels, made)
        return made

    def foldings(self, *x: Tensor) -> Iterator[Pooling]:
        return Pool(self.minimum, self.size, self.windowed).foldings(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self.channels * self.pixels

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.lanes * self.pixels)

    def _stages(self, x: Tensor) -> int:
        """Return the registers from the input to the output: one for bits, else one for each level of comparisons."""
        stages, values = 1, -(-self._taps // MERGED)
        while x.ints.bits > 1 and values > 1:
            stages, values = stages + 1, -(-values // MERGED)
        return stages

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=self._stages(x[0]))

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {
            "LANES": self.channels,
            "TAPS": self._taps,
            "WINDOWS": self.pixels,
            "BITS": x[0].ints.bits,
            "SIGNED": int(x[0].ints.signed),
            "MINIMUM": self.minimum,
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        bits, values, registers = x[0].ints.bits, self._taps, 0
        if bits == 1:
            luts = math.ceil((values - 1) / (family.lut_inputs - 1))
            each = Cost(lut=family.by_lut(1.0, 1.45) * luts, ff=1)  # large LUTs are spent to save levels
        else:
            for _ in range(self._stages(x[0])):
                values = -(-values // MERGED)
                registers += values
            compare = family.coefficient("parallel_pool.compare", 2.2, 1.45) * bits + family.by_lut(0, 2.7)
            if bits == 2:  # no carry chain
                compare = family.by_lut(2.5, 1.0)
            elif bits == 3:  # a large LUT compares two numbers
                compare = family.coefficient("parallel_pool.three_bits", compare, 3.2)
            each = Cost(lut=compare * (self._taps - 1), ff=registers * bits)
        return each * (self.channels * self.pixels) + Cost(lut=3, ff=self._stages(x[0]))

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        mixed = np.array([False, True, True, False])
        yield cls(mixed, (3, 3), True, 36, 2), (Tensor((2, 4, 36), BIPOLAR),)
        yield cls(mixed[:2], (3, 2), True, 12, 3), (Tensor((3, 12), Ints(-3, 9, step=3)),)
        yield cls(mixed[1:3], (3, 3), True, 18), (Tensor((2, 3, 18), Ints(-3, 3)),)
        yield cls(mixed, (1, 2), False, 8, 3), (Tensor((6, 2, 4), Ints(0, 9)),)
        yield cls(mixed[:2], (2, 1), True, 4), (Tensor((5, 4), Ints(-1, 0)),)
        yield cls(mixed[:1], (4, 4), True, 16, 2), (Tensor((4, 16), Ints(-8, 7)),)
