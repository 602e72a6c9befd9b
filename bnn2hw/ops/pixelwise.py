"""Ops that treat every vector alike, so that copies of one may work on neighbouring vectors side by side."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import Cost, HardwareOp, Steps, Tensor
from bnn2hw.ops.channels import channels
from bnn2hw.ops.memories import divisors


@dataclass(frozen=True, eq=False)
class Pixelwise(HardwareOp):
    """An op of which several copies may stand side by side, each with its vector of every beat.

    Copies that take a whole vector per beat hold the same constants and move together. Which row a vector lies in is
    nothing to them, so a beat may hold the end of one row and the beginning of the next.

    Attributes:
        pixels: vectors per beat; more than one only where each is whole, and where nothing is loadable.
    """

    pixels: int = field(default=1, kw_only=True)

    @property
    def copies(self) -> int:
        return self.pixels

    @abstractmethod
    def whole(self, *x: Tensor) -> bool:
        """Whether a beat of one copy is a whole vector, in and out."""

    @abstractmethod
    def around(self, *x: Tensor) -> tuple[int, ...]:
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
        vectors = math.prod(self.around(*x))
        if self.pixels < 1 or vectors % self.pixels:
            raise ValueError(f"pixels={self.pixels} must divide the {vectors} pixels of a frame")
        if self.pixels > 1 and (self.writable or not self.whole(*x)):
            raise ValueError(
                f"pixels={self.pixels} needs whole pixels in a beat, and constants that are not loadable"
            )

    def side_by_side(self, *x: Tensor) -> Iterator[Self]:
        """This op with each larger number of vectors per beat, up to a row of them."""
        around = self.around(*x)
        if around and not self.writable and self.whole(*x):
            for pixels in divisors(math.prod(around)):
                if 1 < pixels <= around[-1]:
                    yield replace(self, pixels=pixels)


class Elementwise(Pixelwise):
    """An op that makes one value of each, with constants by channel.

    Attributes:
        axes: trailing axes of the input that count channels.
        pe: channels per beat; divides the number of channels.
        stages: registers from its input to its output.
    """

    axes: int
    pe: int
    stages: ClassVar[int]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Channels that have constants of their own; 1 where all share them."""

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.pe * self.pixels, self.pe * self.pixels

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.pe * self.pixels)

    def whole(self, *x: Tensor) -> bool:
        return self.pe == channels(x[0], self.rows, self.axes)

    def around(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=self.stages)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        count = channels(x[0], self.rows, self.axes)
        for pe in divisors(count):
            folding: dict[str, Any] = {"pe": pe, "pixels": 1}  # fields of the op, not of this class
            folded = replace(self, **folding)
            yield folded
        yield from folded.side_by_side(*x)
