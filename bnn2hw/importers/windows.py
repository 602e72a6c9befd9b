"""The windows and grouped kernels of convolutions and pools, which all importers share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.ops.real import Sides


@dataclass(frozen=True)
class Windows:
    """Windows of a convolution or pooling, along the axes of an image.

    Attributes:
        size: Values of a window along each axis.
        stride: Distance between windows along each axis.
        dilation: Distance between the values of a window along each axis.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> list[int]:
        """Pixels that a window spans along each axis."""
        return [(k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True)]

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the number of windows in an image along each axis.

        Raises:
            ValueError: No window fits into the image.
        """
        if any(n < extent for n, extent in zip(shape, self.extent, strict=False)):
            raise ValueError(f"windows of {self.extent} on an image of {tuple(shape[: len(self.extent)])}")
        axes = zip(shape, self.extent, self.stride, strict=False)
        return tuple((n - extent) // stride + 1 for n, extent, stride in axes)

    def same(self, shape: Sequence[int], *, lower: bool = False) -> list[Sides]:
        """Return the border by which there is a window for each stride (padding 'same').

        Args:
            shape: Shape of the image.
            lower: True if the larger half of an odd border is in front of the image.
        """
        axes = zip(shape, self.stride, self.extent, strict=False)
        totals = [max((math.ceil(n / s) - 1) * s + extent - n, 0) for n, s, extent in axes]
        return [(t - t // 2, t // 2) if lower else (t // 2, t - t // 2) for t in totals]


def ungrouped(kernel: Array, groups: int, fill: float | Array = 0) -> Array:
    """Return a grouped kernel as one that reads all channels.

    Args:
        kernel: Kernel of shape (*sizes, channels / groups, filters).
        groups: Number of groups.
        fill: Value at the channels of other groups: a number, or one for each filter.
    """
    if groups == 1:
        return kernel
    *sizes, inputs, filters = kernel.shape
    outputs = filters // groups
    whole = np.empty((*sizes, inputs * groups, filters), kernel.dtype)
    whole[...] = fill
    for g in range(groups):
        own = slice(g * outputs, (g + 1) * outputs)
        whole[..., g * inputs : (g + 1) * inputs, own] = kernel[..., own]
    return whole
