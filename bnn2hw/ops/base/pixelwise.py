"""Base classes of ops that treat all vectors in the same way and can have parallel copies."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Beats, Cost, HardwareOp, Part, Ranges, Steps, Tensor
from bnn2hw.ops.base import parts
from bnn2hw.ops.base.channels import channels
from bnn2hw.ops.base.folds import check_folds, divisors, fold_sizes, worthwhile
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Pixelwise(HardwareOp):
    """An op that can have several copies, each of which takes one vector of a beat.

    All copies have the same constants and advance together. Each takes a whole vector per beat. A
    copy need not know the row of its vector, so a beat may hold the end of one row and the start of
    the next.

    Attributes:
        pixels: Vectors per beat, and so the number of copies; must divide the vectors of a frame.
            More than one only if each takes a whole vector per beat and nothing is loadable.
    """

    knobs: ClassVar[tuple[str, ...]] = ("pixels",)

    pixels: int = field(default=1, kw_only=True)

    @property
    def copies(self) -> int:
        return self.pixels

    def lane_bits(self, *x: Tensor) -> int:
        """Return the bits of one of the `pe` lanes in the widest word inside of the module; 0 if beats are wider.

        Args:
            x: Types of the inputs.
        """
        return 0

    @abstractmethod
    def whole(self, *x: Tensor) -> bool:
        """Return True if one copy takes and emits a whole vector per beat.

        Args:
            x: Types of the inputs.
        """

    @abstractmethod
    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        """Return the sizes of the axes that count vectors.

        Args:
            x: Types of the inputs.
        """

    @abstractmethod
    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        """Return the predicted resources of one copy.

        Args:
            family: Device family.
            x: Types of the inputs.
        """

    def cost(self, family: Family, *x: Tensor) -> Cost:
        return self.cost_of_one(family, *x) * self.pixels

    def check_pixels(self, *x: Tensor) -> None:
        """Check that `pixels` is legal.

        Args:
            x: Types of the inputs.

        Raises:
            ValueError: `pixels` does not divide the vectors of a frame, or several are not allowed.
        """
        vectors = math.prod(self.vector_axes(*x))
        if self.pixels < 1 or vectors % self.pixels:
            raise ValueError(f"pixels={self.pixels} must divide the {vectors} pixels of a frame")
        if self.pixels > 1 and (self.writable or not self.whole(*x)):
            raise ValueError(
                f"pixels={self.pixels} needs whole pixels in a beat and constants that are not loadable; "
                "use pixels=1, or all channels of a pixel per beat"
            )

    def side_by_side(self, *x: Tensor) -> Iterator[Self]:
        """List this op with each legal `pixels` above 1, up to a row of vectors per beat.

        Args:
            x: Types of the inputs.
        """
        vector_axes = self.vector_axes(*x)
        if vector_axes and not self.writable and self.whole(*x):
            for pixels in divisors(math.prod(vector_axes)):
                if 1 < pixels <= vector_axes[-1]:
                    yield replace(self, pixels=pixels)


class Elementwise(Pixelwise):
    """An op that maps each value to one value, with constants per channel.

    Attributes:
        axes: Trailing axes of the input that count channels.
        pe: Channels computed in parallel (lanes of the stream). The last beat of a vector may be
            padded, but no smaller `pe` may take as few beats.
        stages: Registers from the input to the output.
    """

    knobs: ClassVar[tuple[str, ...]] = ("pe", "pixels")
    one_to_one: ClassVar[bool] = True

    axes: int
    pe: int
    stages: ClassVar[int]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows of constants: one per channel, or 1 if all channels share them."""

    @property
    def folds(self) -> int:
        """Number of beats after which the same constants are used again."""
        return 1 if self.rows == 1 else -(-self.rows // self.pe)

    def pads_with_zero(self, x: Tensor) -> bool:
        """Return True if padded output lanes are guaranteed to carry code 0.

        Args:
            x: Type of the input.
        """
        return False

    def in_folds(self, rows: Array) -> Array:
        """Deal constants to the lanes of each fold; padded lanes get those of the last row.

        Args:
            rows: Constants of shape (rows, …).

        Returns:
            Constants of shape (folds, pe, …).
        """
        if self.rows == 1:
            return np.repeat(rows, self.pe, axis=0)[None]
        missing = np.repeat(rows[-1:], self.folds * self.pe - self.rows, axis=0)
        return np.concatenate([rows, missing]).reshape(self.folds, self.pe, *rows.shape[1:])

    def at_points(self, points: Array, y: Tensor) -> Ranges:
        """Return the ranges of the output for some values of the input.

        Args:
            points: Integers of shape (points, channels).
            y: Type of the output.
        """
        whole = np.broadcast_to(
            points.reshape(len(points), *(1,) * (self.axes - 1), y.channels),
            (len(points), *y.shape[-self.axes :]),
        )
        return Ranges.spanning(self.golden(whole.astype(np.int64)).reshape(-1, y.channels))

    def printed_parts(self, *x: Tensor) -> tuple[Part, ...]:
        bits = self.lane_bits(*x)
        if not parts.needed(self.pe, bits):
            return ()
        memories = self.loads(*x) or self.memories(*x)
        params = {name: value for name, value in self.params(*x).items() if name not in memories}
        return parts.split(self.pe, bits, params, memories, reads_all=False)

    def inner_bits(self, *x: Tensor) -> int:
        return self.lane_bits(*x)

    def check_folding(self, *x: Tensor) -> int:
        """Check the folding, and return the number of channels.

        Args:
            x: Types of the inputs.

        Raises:
            ValueError: The rows of constants, `pe` or `pixels` do not fit the channels.
        """
        count = channels(x[0], self.rows, self.axes)
        check_folds("pe", self.pe, count, "channels")
        self.check_pixels(*x)
        return count

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.pe * self.pixels, self.pe * self.pixels

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        if self.pixels > 1:
            return super().beats(*x)
        count = channels(x[0], self.rows, self.axes)
        return Beats.of(self.pe, count), Beats.of(self.pe, count, zeros=self.pads_with_zero(x[0]))

    def interval(self, *x: Tensor) -> int:
        return self.beats(*x)[0].count(x[0].size)

    def whole(self, *x: Tensor) -> bool:
        return self.pe == channels(x[0], self.rows, self.axes)

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=self.stages)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        return self._folded(worthwhile(channels(x[0], self.rows, self.axes)), *x)

    def allowed(self, *x: Tensor) -> Iterator[Self]:
        return self._folded(fold_sizes(channels(x[0], self.rows, self.axes)), *x)

    def _folded(self, pes: Iterable[int], *x: Tensor) -> Iterator[Self]:
        for pe in pes:
            folding: dict[str, Any] = {"pe": pe, "pixels": 1}  # `pe` is a field of the subclasses
            folded = replace(self, **folding)
            yield folded
        yield from folded.side_by_side(*x)
