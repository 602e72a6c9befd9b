"""Convolutions over one, two or three axes.

A convolution over one axis is one over two axes with a single row. A transposed convolution is a
convolution of an image with gaps. The kernel of a grouped convolution has zeros between the groups.
"""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.handlers.windows import Windows, as_row, border, padded, valid_convolution
from bnn2hw.importers.keras.weights import bias_and_activation, kernel, quantized
from bnn2hw.ir import Array


@handles("QuantConv1D", "Conv1D", "QuantConv2D", "Conv2D", "QuantConv3D", "Conv3D")
def convolution(call: Call) -> str:
    """Read a convolution as a border and a convolution without padding."""
    layer, row = call.layer, len(call.shape) == 2
    if not call.channels_last(layer.data_format):
        return call.edge
    edge = quantized(call, call.edge)
    weights = _ungrouped(kernel(layer), layer.groups)
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if row:
        weights, stride, dilation = weights[None], (1, *stride), (1, *dilation)
    windows = Windows(weights.shape[: len(stride)], stride, dilation)
    edge = padded(call, call.image(edge), windows)
    edge = valid_convolution(call, call.name, edge, weights, windows)
    return bias_and_activation(call, as_row(call, edge))


def _ungrouped(weights: Array, groups: int) -> Array:
    """Return a grouped kernel as one that reads all channels, with zeros for those of other groups.

    Args:
        weights: Kernel of shape (*sizes, channels / groups, filters).
        groups: Number of groups.
    """
    if groups == 1:
        return weights
    inputs, outputs = weights.shape[-2], weights.shape[-1] // groups
    whole = np.zeros((*weights.shape[:-2], inputs * groups, weights.shape[-1]), weights.dtype)
    for g in range(groups):
        own = slice(g * outputs, (g + 1) * outputs)
        whole[..., g * inputs : (g + 1) * inputs, own] = weights[..., own]
    return whole


@handles("QuantConv2DTranspose", "Conv2DTranspose")
def transposed_convolution(call: Call) -> str:
    """Read a transposed convolution as one with the mirrored kernel over an image with gaps."""
    layer = call.layer
    found = {
        "output_padding": (layer.output_padding, None, "leave output_padding out"),
        "dilation_rate": (tuple(layer.dilation_rate), (1, 1), "use dilation_rate=1"),
    }
    formed, supported = call.channels_last(layer.data_format), call.supports(found)
    if not (formed and supported):
        return call.edge
    edge = quantized(call, call.edge)
    weights = np.flip(kernel(layer), (0, 1)).transpose(0, 1, 3, 2).copy()
    stride = tuple(layer.strides)
    sides = []
    for k, s in zip(weights.shape[:2], stride, strict=True):
        cut = max(k - s, 0) // 2 if layer.padding == "same" else 0
        left = k - 1 - cut
        sides.append((left, s + k - 2 - left if layer.padding == "same" else max(k, s) - 1))
    edge = border(call, f"{call.name}.pad", edge, sides, 0.0, stride)
    windows = Windows(weights.shape[:2], (1, 1), (1, 1))
    return bias_and_activation(call, valid_convolution(call, call.name, edge, weights, windows))


@handles("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(call: Call) -> str:
    """Read a border of zeros."""
    if not call.channels_last(getattr(call.layer, "data_format", None)):
        return call.edge
    padding = call.layer.padding
    sides = [(0, 0), padding] if isinstance(padding[0], int) else padding
    edge = border(call, call.name, call.image(call.edge), [tuple(side) for side in sides], 0.0)
    return call.reshape(f"{call.name}.row", call.shape, edge)
