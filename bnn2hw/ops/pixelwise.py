"""Ops that treat every vector alike, so that copies of one may work on neighbouring vectors side by side."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from bnn2hw.boards import Family
from bnn2hw.ir import Cost, HardwareOp, Tensor
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
