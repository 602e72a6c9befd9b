"""The integers that can occur on an edge, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bnn2hw.ir.types import Tensor


@dataclass(frozen=True, eq=False)
class Ranges:
    """The range of each channel of an edge, which is often narrower than the type of all channels.

    Attributes:
        lo: Smallest integer of each channel: shape (channels,), as float64, which holds all of
            them.
        hi: Largest integer of each channel: the same shape and dtype.
    """

    lo: NDArray[np.float64]
    hi: NDArray[np.float64]

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Return the range of the type for every channel.

        Args:
            tensor: Type of the edge.
        """
        ones = np.ones(tensor.channels)
        return cls(ones * tensor.ints.lo, ones * tensor.ints.hi)

    @classmethod
    def spanning(cls, values: NDArray[Any]) -> Self:
        """Return the ranges from the smallest to the largest of some values.

        Args:
            values: Integers of shape (values, channels).
        """
        return cls(values.min(0).astype(np.float64), values.max(0).astype(np.float64))

    @property
    def ends(self) -> NDArray[np.float64]:
        """Both ends of each range, shape (2, channels)."""
        return np.stack([self.lo, self.hi])

    def over(self, channels: int) -> Self:
        """Return the ranges after the same values are dealt to another number of channels in order.

        More channels repeat the ranges. Of fewer channels, each gets all ranges whose channels fall
        on it; where neither number divides the other, all channels get the range of all values.

        Args:
            channels: Number of channels.
        """
        size = self.lo.size
        if channels % size == 0:
            return type(self)(np.tile(self.lo, channels // size), np.tile(self.hi, channels // size))
        if size % channels == 0:
            return type(self)(self.lo.reshape(-1, channels).min(0), self.hi.reshape(-1, channels).max(0))
        return type(self)(np.full(channels, self.lo.min()), np.full(channels, self.hi.max()))
