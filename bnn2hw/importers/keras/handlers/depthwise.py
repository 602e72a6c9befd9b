"""Depthwise and separable convolutions, and upsampling, which is a depthwise convolution too."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.handlers.windows import as_row, border, padded, valid_convolution
from bnn2hw.importers.keras.weights import bias_and_activation, kernel, quantized
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides


@handles("QuantDepthwiseConv2D", "DepthwiseConv2D", "DepthwiseConv1D", "QDepthwiseConv2D")
def depthwise_convolution(call: Call) -> str:
    """Read a convolution of each channel with its own kernels."""
    edge = by_channel(call, call.name, quantized(call, call.edge), "kernel")
    return bias_and_activation(call, as_row(call, edge))


@handles(
    *("QuantSeparableConv1D", "QuantSeparableConv2D", "SeparableConv1D", "SeparableConv2D"),
    *("QSeparableConv1D", "QSeparableConv2D"),
)
def separable_convolution(call: Call) -> str:
    """Read a depthwise convolution and a convolution with a kernel of one pixel."""
    edge = quantized(call, call.edge)
    edge = by_channel(call, f"{call.name}.depthwise", edge, "depthwise_kernel")
    weights = kernel(call.layer, "pointwise_kernel", "pointwise_quantizer")
    weights = weights[None] if weights.ndim == 3 else weights
    edge = valid_convolution(call, call.name, edge, weights, Windows((1, 1), (1, 1), (1, 1)))
    return bias_and_activation(call, as_row(call, edge))


def by_channel(call: Call, name: str, edge: str, attribute: str) -> str:
    """Append the depthwise part of a layer.

    It is a depthwise op if each channel has one kernel, else a dense convolution.

    Args:
        call: The call of the layer.
        name: Name of the node.
        edge: Edge that it reads.
        attribute: Attribute of the layer that holds the kernel.
    """
    layer = call.layer
    if not call.channels_last(layer.data_format):
        return edge
    weights = kernel(layer, attribute, "depthwise_quantizer")
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if weights.ndim == 3:
        weights, stride, dilation = weights[None], (1, *stride)[-2:], (1, *dilation)[-2:]
    windows = Windows(weights.shape[:2], stride, dilation)
    edge = padded(call, call.image(edge), windows)
    channels, multiplier = weights.shape[2:]
    if multiplier > 1:
        return valid_convolution(call, name, edge, _block_diagonal(weights), windows)
    values = keras.ops.convert_to_tensor(weights)

    def apply(x: Array) -> Array:
        return _valid_depthwise(x, values, weights, windows)

    shape = (*windows.grid(call.shape_of(edge)), channels)
    op = real.DepthwiseConvolution(
        apply, shape, weights[..., 0], (stride[0], stride[1]), (dilation[0], dilation[1])
    )
    return call.add(name, op, edge)


def _valid_depthwise(x: Array, values: Any, weights: Array, windows: Windows) -> Array:
    """Compute a depthwise convolution with Keras.

    TensorFlow takes equal strides only, so NumPy computes others.
    """
    stride, dilation = windows.stride, windows.dilation
    if stride[0] == stride[1]:
        return array(
            keras.ops.depthwise_conv(
                tensor(x),
                values,
                strides=stride,
                padding="valid",
                data_format="channels_last",
                dilation_rate=dilation,
            )
        )
    view = np.lib.stride_tricks.sliding_window_view(x.astype(np.float32), windows.extent, axis=(1, 2))
    taps = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    total: Array = np.einsum("nhwcij,ijc->nhwc", taps, weights[..., 0])
    return total


def _block_diagonal(weights: Array) -> Array:
    """Return a depthwise kernel as one that reads all channels, most of them with zeros.

    Args:
        weights: Kernel of shape (height, width, channels, multiplier).
    """
    height, width, channels, multiplier = weights.shape
    whole = np.zeros((height, width, channels, channels * multiplier), weights.dtype)
    for c in range(channels):
        whole[:, :, c, c * multiplier : (c + 1) * multiplier] = weights[:, :, c]
    return whole


@handles("RepeatVector")
def repeat_vector(call: Call) -> str:
    """Read the repetition of a vector as that of the one pixel of a row."""
    edge = call.reshape(f"{call.name}.pixel", (1, 1, *call.before), call.edge)
    return call.reshape(f"{call.name}.row", call.shape, repeat(call, call.name, edge, 1, call.layer.n))


@handles("UpSampling3D")
def upsampling_of_volumes(call: Call) -> str:
    """Read nearest-neighbor upsampling over three axes: over the last two, then over the first."""
    if not call.channels_last(call.layer.data_format):
        return call.edge
    (depth, height, width, channels), size = call.before, tuple(call.layer.size)
    edge = call.reshape(f"{call.name}.rows", (depth * height, width, channels), call.edge)
    edge = repeat(call, f"{call.name}.images", edge, *size[1:])
    pixels = (depth, 1, height * size[1] * width * size[2] * channels)
    edge = call.reshape(f"{call.name}.images.flat", pixels, edge)
    return call.reshape(f"{call.name}.volume", call.shape, repeat(call, call.name, edge, size[0], 1))


@handles("UpSampling1D", "UpSampling2D")
def upsampling(call: Call) -> str:
    """Read nearest-neighbor upsampling as gaps between pixels and a depthwise kernel of ones."""
    layer = call.layer
    if getattr(layer, "interpolation", "nearest") != "nearest":
        call.problem(f"interpolation={layer.interpolation!r}", "interpolation='nearest'", "use nearest")
        return call.edge
    if not call.channels_last(getattr(layer, "data_format", None)):
        return call.edge
    rows, columns = (1, layer.size) if isinstance(layer.size, int) else tuple(layer.size)
    return call.reshape(
        f"{call.name}.row", call.shape, repeat(call, call.name, call.image(call.edge), rows, columns)
    )


def repeat(call: Call, name: str, edge: str, rows: int, columns: int) -> str:
    """Append a repetition of each pixel, and return its output edge.

    Args:
        call: The call of the layer.
        name: Name of the node.
        edge: An image.
        rows: Number of times that each row occurs.
        columns: Number of times that each column occurs.
    """
    sides: list[Sides] = [(rows - 1, rows - 1), (columns - 1, columns - 1)]
    edge = border(call, f"{name}.gaps", edge, sides, 0.0, (rows, columns))
    before = call.shape_of(edge)
    shape = (before[0] - rows + 1, before[1] - columns + 1, before[2])
    ones = np.ones((rows, columns, before[2]), np.float32)

    def apply(x: Array) -> Array:
        return x[:, rows - 1 :: rows, columns - 1 :: columns].repeat(rows, 1).repeat(columns, 2)

    op = real.DepthwiseConvolution(apply, shape, ones, (1, 1), (1, 1))
    return call.add(name, op, edge)
