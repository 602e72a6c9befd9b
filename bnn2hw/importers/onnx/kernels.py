"""Kernels in the layout of the real form, with the integers that they were quantized to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnn2hw.importers import windows
from bnn2hw.importers.onnx.constants import Constant
from bnn2hw.ir import Array
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.real import Levels


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel whose last axis counts its outputs.

    Attributes:
        values: float32 values.
        integers: The integers of its quantizer, of the same shape; None if there is none.
        scales: Real values of the steps of these integers, of the same shape.
    """

    values: Array
    integers: Array | None
    scales: Array | None

    @property
    def levels(self) -> Levels | None:
        """The integers and a scale for each output; None if scales differ within an output."""
        if self.integers is None or self.scales is None:
            return None
        by_output = self.scales.reshape(-1, self.scales.shape[-1])
        if np.any(by_output != by_output[0]):
            return None
        return Levels(self.integers.astype(np.int64), uniform(by_output[0].astype(np.float64)))

    def map(self, fn: Callable[[Array], Array]) -> Kernel:
        """Return the kernel with a function applied that moves its values or adds zeros."""
        integers, scales = (None if a is None else fn(a) for a in (self.integers, self.scales))
        return Kernel(fn(self.values), integers, scales)

    def times(self, factor: float) -> Kernel:
        """Return the kernel times a positive number, which changes the scales of its integers only."""
        if factor == 1:
            return self
        scales = None if self.scales is None else self.scales * np.float32(factor)
        return Kernel(self.values * np.float32(factor), self.integers, scales)

    def negated(self) -> Kernel:
        """Return the kernel with the opposite signs."""
        return Kernel(-self.values, None if self.integers is None else -self.integers, self.scales)


def of(constant: Constant) -> Kernel:
    """Return a constant as a kernel."""
    return Kernel(constant.values.astype(np.float32), constant.integers, constant.scales)


def ungrouped(kernel: Kernel, groups: int) -> Kernel:
    """Return a grouped kernel as one that reads all channels, with zeros for those of other groups.

    Args:
        kernel: Kernel of shape (*sizes, channels / groups, filters).
        groups: Number of groups.
    """
    values = windows.ungrouped(kernel.values, groups)
    if kernel.integers is None or kernel.scales is None:
        return Kernel(values, None, None)
    # The zeros of other groups have the scale of their output.
    first = kernel.scales[(0,) * (kernel.scales.ndim - 1)]
    scales = windows.ungrouped(kernel.scales, groups, first)
    return Kernel(values, windows.ungrouped(kernel.integers, groups), scales)
