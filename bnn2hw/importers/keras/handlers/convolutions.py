"""Convolutions over one, two or three axes.

A convolution over one axis is one over two axes with a single row. A transposed convolution is a
convolution of an image with gaps. The kernel of a grouped convolution has zeros between the groups.
"""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.handlers.windows import as_row, border, padded, valid_convolution
from bnn2hw.importers.keras.weights import bias_and_activation, dyadic_levels, kernel, quantized
from bnn2hw.importers.windows import Windows, ungrouped
from bnn2hw.ir import Array


@handles("QuantConv1D", "Conv1D", "QConv1D", "QuantConv2D", "Conv2D", "QConv2D", "QuantConv3D", "Conv3D")
def convolution(call: Call) -> str:
    """Read a convolution as a border and a convolution without padding."""
    if not call.channels_last(call.layer.data_format):
        return call.edge
    return bias_and_activation(call, convolved(call, quantized(call, call.edge), kernel(call.layer)))


def convolved(call: Call, edge: str, weights: Array, *, dyadic: bool = False) -> str:
    """Append the border and the product of a convolution, and return its output edge.

    Args:
        call: The call of the layer.
        edge: Edge that it reads.
        weights: Its kernel, as it uses it.
        dyadic: True if the weights are numbers in binary fixed point.
    """
    layer = call.layer
    weights = ungrouped(weights, layer.groups)
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if len(call.shape) == 2:
        weights, stride, dilation = weights[None], (1, *stride), (1, *dilation)
    windows = Windows(weights.shape[: len(stride)], stride, dilation)
    edge = padded(call, call.image(edge), windows)
    levels = dyadic_levels(weights) if dyadic else None
    return as_row(call, valid_convolution(call, call.name, edge, weights, windows, levels))


@handles("QuantConv2DTranspose", "Conv2DTranspose", "Conv1DTranspose", "Conv3DTranspose", "QConv2DTranspose")
def transposed_convolution(call: Call) -> str:
    """Read a transposed convolution as one with the mirrored kernel over an image with gaps.

    It is the gradient of a convolution over an image of the output's shape, and cuts off the padding
    that this convolution would have.
    """
    layer = call.layer
    if not call.channels_last(layer.data_format):
        return call.edge
    edge = call.image(quantized(call, call.edge))
    weights = kernel(layer)
    weights = weights[None] if weights.ndim == 3 else weights
    rank = weights.ndim - 2
    weights = np.flip(weights, tuple(range(rank))).swapaxes(-1, -2).copy()
    size, stride, dilation = (
        weights.shape[:-2],
        (1, *layer.strides)[-rank:],
        (1, *layer.dilation_rate)[-rank:],
    )
    image = (1, *call.shape)[-rank - 1 : -1]
    forward = Windows(size, stride, dilation)
    cut = forward.same(image) if layer.padding == "same" else [(0, 0)] * rank
    sides = []
    for n, s, extent, out, (left, _) in zip(
        call.shape_of(edge), stride, forward.extent, image, cut, strict=False
    ):
        sides.append((extent - 1 - left, out - (n - 1) * s - 1 + left))
    edge = border(call, f"{call.name}.pad", edge, sides, 0.0, stride)
    edge = valid_convolution(call, call.name, edge, weights, Windows(size, (1,) * rank, dilation))
    return bias_and_activation(call, as_row(call, edge))


@handles("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(call: Call) -> str:
    """Read a border of zeros."""
    if not call.channels_last(getattr(call.layer, "data_format", None)):
        return call.edge
    padding = call.layer.padding
    sides = [(0, 0), padding] if isinstance(padding[0], int) else padding
    edge = border(call, call.name, call.image(call.edge), [tuple(side) for side in sides], 0.0)
    return call.reshape(f"{call.name}.row", call.shape, edge)
