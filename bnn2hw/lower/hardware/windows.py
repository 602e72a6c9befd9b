"""Lower windowed ops that treat each channel by itself: depthwise convolution, average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array, Node
from bnn2hw.lower import kernels
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.hardware.matrices import rounded_kernel
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.requantize import pooled
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.ops.depthwise import Depthwise
from bnn2hw.ops.real import AveragePool, DepthwiseConvolution
from bnn2hw.ops.sliding_window import SlidingWindow


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of each channel over windows.

    Attributes:
        weights: Integers of shape (height * width, channels).
        scale: Scale of the weights.
        window: The windows.
    """

    weights: Array
    scale: Meaning
    window: SlidingWindow


@lowers(DepthwiseConvolution)
def depthwise(lowering: Lowering, node: Node, op: DepthwiseConvolution, before: list[Pending]) -> Pending:
    """Lower a convolution of each channel with its own kernel."""
    edge = lowering.integers(node, before[0], lowering.bounded(node))
    flat = op.kernel.reshape(-1, op.kernel.shape[-1])
    exact = kernels.stated(op.levels) or kernels.integer_kernel(flat)
    bits = 0 if exact else lowering.kernel_bits(node, edge, len(flat))
    integers, scale = exact or kernels.rounded_columns(flat, bits)
    height, width = op.kernel.shape[:2]
    sums = _Sums(integers, scale, SlidingWindow((height, width), op.stride, dilation=op.dilation))
    off = np.abs(integers * np.asarray(scale) - flat).sum(0) * lowering.b.largest(edge)
    lowering.b.rounds(node.name, off)
    made = _summed(lowering, node, edge, sums)
    if exact is None:
        lowering.b.mark(node.layer, rounded_kernel(bits, float(off.max())))
    return made


@lowers(AveragePool)
def average(lowering: Lowering, node: Node, op: AveragePool, before: list[Pending]) -> Pending:
    """Lower means over windows: sums of the integers, with a smaller scale."""
    edge = lowering.integers(node, pooled(lowering.work, before[0]), lowering.bounded(node))
    count = math.prod(op.size)
    ones = np.ones((count, op.shape[-1]), np.int64)
    window = SlidingWindow(op.size, op.stride, op.dilation)
    return _summed(lowering, node, edge, _Sums(ones, 1.0 / count, window))


def _summed(lowering: Lowering, node: Node, edge: str, sums: _Sums) -> Pending:
    """Append sums. A window that covers the whole image needs no line buffer."""
    b, x = lowering.b, lowering.b.types[edge]
    domain = kernels.domain(x)
    if sums.window.kernel == x.shape[:2]:
        made = b.add(node.name, Depthwise(sums.weights, sums.scale, axes=3, domain=domain), edge)
    else:
        window = b.add(node.name, sums.window, edge, part="window")
        made = b.add(node.name, Depthwise(sums.weights, sums.scale, domain=domain), window)
    weights = float(np.abs(sums.weights).sum(0).max())
    gain = weights * float(np.max(np.abs(np.asarray(sums.scale))))
    exact = kernels.exact_in_float32(weights, sums.scale, x)
    own = 0.0 if exact else kernels.gamma(len(sums.weights)) * gain * kernels.largest_value(x)
    return lowering.finished(node, made, own + gain * b.error(edge))
