"""The op that gives values another shape or meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnn2hw.ir.op import Op
from bnn2hw.ir.parts import Array
from bnn2hw.ir.ranges import Ranges
from bnn2hw.ir.types import Tensor


@dataclass(frozen=True, eq=False)
class View(Op):
    """The same values in the same order, with another shape or real meaning. It needs no hardware.

    Attributes:
        shape: Shape of a sample.
        scale: Real value of a step of 1 (see `Tensor`); None to keep the scale of the input.
        offset: Real value of 0 (see `Tensor`); None to keep the offset of the input.
    """

    shape: tuple[int, ...]
    scale: float | tuple[float, ...] | None = None
    offset: float | tuple[float, ...] | None = None

    def infer(self, *x: Tensor) -> Tensor:
        """Return the type of the input in the other shape."""
        if math.prod(self.shape) != x[0].size:
            raise ValueError(
                f"shape {self.shape} holds {math.prod(self.shape)} values, but the input has {x[0].size}"
            )
        channels = self.shape[-1]
        scale = _repeated(x[0].scale, channels) if self.scale is None else self.scale
        offset = _repeated(x[0].offset, channels) if self.offset is None else self.offset
        return Tensor(self.shape, x[0].type, scale, offset)

    def golden(self, *x: Array) -> Array:
        """Return the same values in the other shape."""
        return x[0].reshape(x[0].shape[0], *self.shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        """Return the ranges of the input, for the output's channels."""
        return given[0].over(y.channels)


def _repeated(by_channel: float | tuple[float, ...], channels: int) -> float | tuple[float, ...]:
    """Return scales or offsets for another number of channels.

    Raises:
        ValueError: Neither number divides the other, or the longer sequence is not periodic.
    """
    if not isinstance(by_channel, tuple) or len(by_channel) == channels:
        return by_channel
    period = by_channel[:channels]
    longer = max(channels, len(by_channel))
    if longer % len(period) or period * (len(by_channel) // len(period)) != by_channel:
        raise ValueError(f"scales of {len(by_channel)} channels do not fit {channels} channels")
    return period * (channels // len(period))
