"""Ops that treat every vector alike, so that copies of one may work on neighbouring vectors side by side."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Beats, Cost, HardwareOp, Ranges, Steps, Tensor
from bnn2hw.ops.base.channels import channels
from bnn2hw.ops.base.costs import check_folds, divisors, fold_sizes, worthwhile
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Pixelwise(HardwareOp):
    """An op of which several copies may stand side by side, each with its vector of every beat.

    Copies that take a whole vector per beat hold the same constants and move together. Which row a vector lies in is
    nothing to them, so a beat may hold the end of one row and the beginning of the next.

    Attributes:
        pixels: vectors per beat; more than one only where each is whole, and where nothing is loadable.
    """

    knobs: ClassVar[tuple[str, ...]] = ("pixels",)

    pixels: int = field(default=1, kw_only=True)

    @property
    def copies(self) -> int:
        return self.pixels

    @abstractmethod
    def whole(self, *x: Tensor) -> bool:
        """Whether a beat of one copy is a whole vector, in and out."""

    @abstractmethod
    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        """The axes that count vectors."""

    @abstractmethod
    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        """Predicted resources of one copy."""

    def cost(self, family: Family, *x: Tensor) -> Cost:
        return self.cost_of_one(family, *x) * self.pixels

    def check_pixels(self, *x: Tensor) -> None:
        """Refuse more vectors per beat than there can be.

        Raises:
            ValueError: `pixels` does not divide the vectors, or one is not whole.
        """
        vectors = math.prod(self.vector_axes(*x))
        if self.pixels < 1 or vectors % self.pixels:
            raise ValueError(f"pixels={self.pixels} must divide the {vectors} pixels of a frame")
        if self.pixels > 1 and (self.writable or not self.whole(*x)):
            raise ValueError(
                f"pixels={self.pixels} needs whole pixels in a beat, and constants that are not loadable"
            )

    def side_by_side(self, *x: Tensor) -> Iterator[Self]:
        """This op with each larger number of vectors per beat, up to a row of them."""
        vector_axes = self.vector_axes(*x)
        if vector_axes and not self.writable and self.whole(*x):
            for pixels in divisors(math.prod(vector_axes)):
                if 1 < pixels <= vector_axes[-1]:
                    yield replace(self, pixels=pixels)


class Elementwise(Pixelwise):
    """An op that makes one value of each, with constants by channel.

    Attributes:
        axes: trailing axes of the input that count channels.
        pe: channels per beat; the fewest for their number of beats.
        stages: registers from its input to its output.
    """

    knobs: ClassVar[tuple[str, ...]] = ("pe", "pixels")
    one_to_one: ClassVar[bool] = True

    axes: int
    pe: int
    stages: ClassVar[int]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Channels that have constants of their own; 1 where all share them."""

    @property
    def folds(self) -> int:
        """Beats until the same constants are used again."""
        return 1 if self.rows == 1 else -(-self.rows // self.pe)

    def pads_with_zero(self, x: Tensor) -> bool:
        """Whether constants of its own let padding be code 0; otherwise it is anything."""
        return False

    def in_folds(self, rows: Array) -> Array:
        """What each row has, for the lanes of each fold; shape (folds, pe, …). In padding, the last row's."""
        if self.rows == 1:
            return np.repeat(rows, self.pe, axis=0)[None]
        missing = np.repeat(rows[-1:], self.folds * self.pe - self.rows, axis=0)
        return np.concatenate([rows, missing]).reshape(self.folds, self.pe, *rows.shape[1:])

    def at_points(self, points: Array, y: Tensor) -> Ranges:
        """Return the ranges of the output over some points of the input.

        Args:
            points: Integers of shape (points, channels).
            y: Type of the output.
        """
        whole = np.broadcast_to(
            points.reshape(len(points), *(1,) * (self.axes - 1), y.channels),
            (len(points), *y.shape[-self.axes :]),
        )
        return Ranges.spanning(self.golden(whole.astype(np.int64)).reshape(-1, y.channels))

    def check_folding(self, *x: Tensor) -> int:
        """The number of channels.

        Raises:
            ValueError: there are fewer channels than rows or more, or lanes or pixels do not fit them.
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
            folding: dict[str, Any] = {"pe": pe, "pixels": 1}  # fields of the op, not of this class
            folded = replace(self, **folding)
            yield folded
        yield from folded.side_by_side(*x)
