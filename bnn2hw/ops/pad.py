"""Padding: a border around an image, and gaps between its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Param, Ranges, Steps, Tensor
from bnn2hw.ir.types import narrow
from bnn2hw.ops.base.costs import rom_luts, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Pad(HardwareOp):
    """Insert rows and columns of a constant around an image, and optionally between its pixels.

    The last three axes of the input are an image; axes before them count images. A value outside of
    the input's type widens the type. For example, zeros around ±1 make the stream ternary, which is
    exact.

    Attributes:
        rows: Rows added above and below.
        columns: Columns added to the left and to the right.
        value: Integer that is inserted: one for all channels, or one for each.
        gaps: Distance in rows and in columns from one pixel of the image to the next. With 2, one
            `value` lies between neighbors.
        lanes: Channels per beat of each pixel; must divide the number of channels.
        pixels: Pixels per beat; must divide the columns of the input and of the output. More than
            one only with all channels and without gaps.
    """

    kind: ClassVar[str] = "pad"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    rows: tuple[int, int]
    columns: tuple[int, int]
    value: int | tuple[int, ...] = 0
    gaps: tuple[int, int] = (1, 1)
    lanes: int = 1
    pixels: int = 1

    def _border(self, channels: int) -> Array:
        """Return the inserted value of each channel."""
        return np.broadcast_to(np.asarray(self.value, np.int64), channels)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of the output."""
        return (
            sum(self.rows) + (height - 1) * self.gaps[0] + 1,
            sum(self.columns) + (width - 1) * self.gaps[1] + 1,
        )

    def _pixels(self, height: int, width: int) -> tuple[slice, slice]:
        """Return the rows and columns of the output that hold the image."""
        top, left = self.rows[0], self.columns[0]
        return (
            slice(top, top + (height - 1) * self.gaps[0] + 1, self.gaps[0]),
            slice(left, left + (width - 1) * self.gaps[1] + 1, self.gaps[1]),
        )

    def infer(self, *x: Tensor) -> Tensor:
        if len(x[0].shape) < 3 or x[0].channels % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide the channels of an image, not {x[0].shape}")
        if isinstance(self.value, tuple) and len(self.value) != x[0].channels:
            raise ValueError(f"has {len(self.value)} values to insert for {x[0].channels} channels")
        if min(self.gaps) < 1 or min(*self.rows, *self.columns) < 0:
            raise ValueError(
                f"rows {self.rows} and columns {self.columns} must be at least 0, gaps {self.gaps} at least 1"
            )
        if self.pixels > 1 and not self._abreast(x[0]):
            raise ValueError(
                f"pixels={self.pixels} must divide the {x[0].shape[-2]} columns and the "
                f"{sum(self.columns)} around them, with all channels and without gaps"
            )
        ints, border = x[0].ints, self._border(x[0].channels)
        if not ints.contains(border):
            lo, hi = min(ints.lo, int(border.min())), max(ints.hi, int(border.max()))
            ints = Ints(lo, hi, 1 if np.any((border - ints.lo) % ints.step) else ints.step)
        *images, height, width, channels = x[0].shape
        return replace(x[0].as_shape(*images, *self._size(height, width), channels), type=ints)

    def _abreast(self, x: Tensor) -> bool:
        """Return True if a beat may hold that many pixels."""
        divides = x.shape[-2] % self.pixels == 0 and sum(self.columns) % self.pixels == 0
        return divides and self.lanes == x.channels and self.gaps == (1, 1)

    def _beats(self, x: Tensor) -> tuple[int, tuple[int, int]]:
        """Return the columns of the input, and those left and right of it, in beats.

        If the left border is not a whole number of beats, the rest of each input beat moves to the
        next output beat.
        """
        left = self.columns[0] // self.pixels
        return x.shape[-2] // self.pixels, (left, sum(self.columns) // self.pixels - left)

    def golden(self, *x: Array) -> Array:
        n, *images, height, width, channels = x[0].shape
        border = self._border(channels)
        kind = np.promote_types(x[0].dtype, narrow(border.min(), border.max()))
        out = np.broadcast_to(border, (n, *images, *self._size(height, width), channels)).astype(kind)
        out[..., *self._pixels(height, width), :] = x[0]
        return out

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        border = np.asarray(self.value)
        return Ranges(np.minimum(given[0].lo, border), np.maximum(given[0].hi, border))

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self.lanes * self.pixels

    def interval(self, *x: Tensor) -> int:
        return self.infer(*x).size // (self.lanes * self.pixels)

    def timing(self, *x: Tensor) -> Steps:
        *images, height, _, channels = x[0].shape
        width, columns = self._beats(x[0])
        in_beats = replace(self, columns=columns)
        inside = np.zeros(in_beats._size(height, width), bool)
        inside[in_beats._pixels(height, width)] = True
        reads = np.repeat(inside.reshape(-1), channels // self.lanes)
        # The border waits for its frame: the op takes the first beat at the first step, and each
        # other beat one read earlier than it is needed.
        if not reads[0]:
            last = np.flatnonzero(reads)[-1]
            reads[0], reads[last] = True, False
        reads = np.tile(reads, math.prod(images))
        return Steps(reads, np.ones(reads.size, bool), latency=1)

    def inner_bits(self, *x: Tensor) -> int:
        return x[0].channels // self.lanes  # a bit of the border of a lane, by fold

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        before, after = x[0].ints, self.infer(*x).ints
        *_, height, _, channels = x[0].shape
        width, (left, right) = self._beats(x[0])
        one, two = after.encode(np.array([before.lo, before.lo + before.step])).tolist()
        border = self._border(channels if np.ptp(self._border(channels)) else self.lanes)
        codes = after.encode(border)[:, None] >> np.arange(after.bits) & 1
        return {
            "LANES": self.lanes,
            "PIXELS": self.pixels,
            "SHIFT": self.columns[0] % self.pixels,
            "IN_BITS": before.bits,
            "IN_SIGNED": int(before.signed),
            "OUT_BITS": after.bits,
            "FIRST": one - before.first_code if before.step == 1 else one,
            "STEP": two - one,
            "FOLDS": channels // self.lanes,
            "HEIGHT": height,
            "WIDTH": width,
            "TOP": self.rows[0],
            "BOTTOM": self.rows[1],
            "LEFT": left,
            "RIGHT": right,
            "GAP_HEIGHT": self.gaps[0],
            "GAP_WIDTH": self.gaps[1],
            "BORDERS": border.size // self.lanes,
            "BORDER": codes.reshape(-1).astype(bool),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        out, lanes = self.infer(*x), self.lanes * self.pixels
        bits = lanes * out.ints.bits
        *_, rows, columns, channels = out.shape
        folds = channels // self.lanes
        position = state_bits(rows) + state_bits(columns // self.pixels) + sum(map(state_bits, self.gaps))
        held = lanes * x[0].ints.bits if self.rows[0] or self.columns[0] >= self.pixels else 0
        held += self.columns[0] % self.pixels * self.lanes * x[0].ints.bits
        # A constant border is the reset value of the output register. Codes that change take LUTs.
        converted = lanes * out.ints.bits if out.ints != x[0].ints and x[0].ints.step > 1 else 0
        if x[0].ints == BIPOLAR and converted:
            # A sign stays one bit per lane; one bit per pixel, which its lanes share, marks the
            # border.
            converted, bits = lanes, lanes + self.pixels
        border = bits * rom_luts(family, folds) if np.ptp(self._border(channels)) and folds > 1 else 0
        counters = position + state_bits(folds) + 3
        return Cost(
            lut=family.coefficient("pad.position", 3.4, 2.2) * position + converted + border + 4,
            ff=bits + held + counters,
        )

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(x[0].channels):
            yield replace(self, lanes=lanes, pixels=1)
        wide = (replace(self, lanes=x[0].channels, pixels=p) for p in divisors(x[0].shape[-2]) if p > 1)
        yield from (pad for pad in wide if pad._abreast(x[0]))

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls((1, 1), (1, 1), lanes=2), (Tensor((3, 4, 4), BIPOLAR),)
        yield cls((0, 2), (1, 0), -1, (1, 2), lanes=1), (Tensor((2, 3, 2), BIPOLAR),)
        yield cls((2, 0), (0, 3), 7, lanes=3), (Tensor((3, 3, 3), Ints(-8, 7)),)
        yield cls((0, 1), (0, 1), 0, lanes=1), (Tensor((3, 2, 1), Ints(0, 3)),)
        dot = Ints(-4, 4, step=2)
        yield cls((1, 0), (0, 1), (-6, 4, 0, 2), (2, 2), lanes=2), (Tensor((2, 2, 3, 4), dot),)
        yield cls((0, 1), (0, 0), (-3, 1, 7), (3, 1), lanes=3), (Tensor((2, 2, 3), dot),)
        yield cls((1, 1), (1, 1), -1, (2, 3), lanes=2), (Tensor((2, 3, 1, 2, 2), Ints(0, 3)),)
        yield cls((1, 1), (1, 1), 0, lanes=3, pixels=2), (Tensor((2, 3, 4, 3), BIPOLAR),)
        yield cls((0, 1), (3, 1), (-1, 2), lanes=2, pixels=2), (Tensor((3, 4, 2), Ints(-1, 2)),)
        yield cls((1, 0), (4, 0), 9, lanes=1, pixels=4), (Tensor((2, 4, 1), Ints(0, 9)),)
        yield cls((0, 0), (2, 1), 0, lanes=2, pixels=3), (Tensor((2, 6, 2), BIPOLAR),)
        yield cls((0, 0), (0, 0), (0, 3), (2, 2), lanes=1), (Tensor((2, 3, 2), BIPOLAR),)
