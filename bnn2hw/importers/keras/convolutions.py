"""What convolutions become in real form: a border, and a valid convolution of two or three axes.

One axis is two with a single row; a transposed convolution is one whose image has gaps; groups are a kernel with zeros;
a separable convolution is a depthwise and a pointwise one.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.reader import Call, Handler, Layer, array
from bnn2hw.importers.keras.weights import after, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides

CHANNELS_LAST = ("channels_last", "use data_format='channels_last'")


def _convolution(call: Call) -> str:
    layer, rank = call.layer, len(call.shape) - 1
    if not call.options({"data_format": (layer.data_format, *CHANNELS_LAST)}):
        return call.edge
    edge = quantized(call, "input_quantizer", call.edge)
    weights = _ungrouped(kernel(layer), layer.groups)
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if rank == 1:
        weights, stride, dilation = weights[None], (1, *stride), (1, *dilation)
    edge = _image(call, edge)
    edge = _padded(call, edge, weights.shape[: len(stride)], stride, dilation, layer.padding)
    edge = _convolve(call, call.name, edge, weights, stride, dilation)
    edge = call.reshape(f"{call.name}.row", call.shape, edge) if rank == 1 else edge
    return after(call, edge)


def _image(call: Call, edge: str) -> str:
    """A row as an image of one row."""
    shape = call.reader.shapes[edge]
    return call.reshape(f"{call.name}.image", (1, *shape), edge) if len(shape) == 2 else edge


def _ungrouped(weights: Array, groups: int) -> Array:
    """A grouped kernel (*sizes, in / groups, out) as one that sees all inputs, with zeros where a group does not."""
    if groups == 1:
        return weights
    inputs, outputs = weights.shape[-2], weights.shape[-1] // groups
    whole = np.zeros((*weights.shape[:-2], inputs * groups, weights.shape[-1]), weights.dtype)
    for g in range(groups):
        own = slice(g * outputs, (g + 1) * outputs)
        whole[..., g * inputs : (g + 1) * inputs, own] = weights[..., own]
    return whole


def _convolve(
    call: Call, name: str, edge: str, weights: Array, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> str:
    """A valid convolution."""
    tensor = keras.ops.convert_to_tensor(weights)
    before, rank = call.reader.shapes[edge], len(stride)
    reach = [(k - 1) * d + 1 for k, d in zip(weights.shape[:rank], dilation, strict=True)]
    sizes = [(n - r) // s + 1 for n, r, s in zip(before[:rank], reach, stride, strict=True)]

    def apply(x: Array) -> Array:
        return array(
            keras.ops.conv(
                keras.ops.convert_to_tensor(x.astype(np.float32)),
                tensor,
                strides=stride,
                padding="valid",
                data_format="channels_last",
                dilation_rate=dilation,
            )
        )

    shape = (*sizes, weights.shape[-1])
    return call.add(name, real.Convolution(apply, shape, weights, stride, dilation), edge)


def _padded(
    call: Call,
    edge: str,
    sizes: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: str,
) -> str:
    """The border of a padding, TensorFlow's way: where it is odd, the larger half comes after the image."""
    reach = [(k - 1) * d for k, d in zip(sizes, dilation, strict=True)]
    if padding == "valid":
        return edge
    if padding == "causal":
        sides = [(0, 0)] * (len(reach) - 1) + [(reach[-1], 0)]
    else:
        shape = call.reader.shapes[edge][: len(sizes)]
        totals = [
            max((math.ceil(n / s) - 1) * s + r + 1 - n, 0)
            for n, s, r in zip(shape, stride, reach, strict=True)
        ]
        sides = [(t // 2, t - t // 2) for t in totals]
    value = float(getattr(call.layer, "pad_values", 0.0))
    return border(call, f"{call.name}.pad", edge, sides, value)


def border(
    call: Call, name: str, edge: str, sides: list[Sides], value: float, gaps: tuple[int, ...] | None = None
) -> str:
    """Append a border, where there is one."""
    apart = gaps or (1,) * len(sides)
    if not any(map(any, sides)) and set(apart) == {1}:
        return edge
    before = call.reader.shapes[edge]
    stuffed = [(n - 1) * g + 1 for n, g in zip(before, apart, strict=False)]
    shape = (*(n + sum(s) for n, s in zip(stuffed, sides, strict=True)), before[-1])

    def apply(x: Array) -> Array:
        y = np.full((len(x), *shape), value, np.float32)
        at = tuple(slice(b, b + n, g) for (b, _), n, g in zip(sides, stuffed, apart, strict=True))
        y[(slice(None), *at)] = x
        return y

    return call.add(name, real.Border(apply, shape, tuple(sides), value, apart), edge)


def _zero_padding(call: Call) -> str:
    form = getattr(call.layer, "data_format", None) or "channels_last"
    if not call.options({"data_format": (form, *CHANNELS_LAST)}):
        return call.edge
    padding = call.layer.padding
    rows = isinstance(padding[0], int)
    sides = [tuple(padding)] if rows else [tuple(side) for side in padding]
    edge = _image(call, call.edge)
    edge = border(call, call.name, edge, [*([(0, 0)] if rows else []), *sides], 0.0)
    return call.reshape(f"{call.name}.row", call.shape, edge)


def _transposed(call: Call) -> str:
    layer: Layer = call.layer
    found = {
        "data_format": (layer.data_format, *CHANNELS_LAST),
        "output_padding": (layer.output_padding, None, "leave output_padding out"),
        "dilation_rate": (tuple(layer.dilation_rate), (1, 1), "use dilation_rate=1"),
    }
    if not call.options(found):
        return call.edge
    edge = quantized(call, "input_quantizer", call.edge)
    weights = np.flip(kernel(layer), (0, 1)).transpose(0, 1, 3, 2).copy()
    stride = tuple(layer.strides)
    sides = []
    for k, s in zip(weights.shape[:2], stride, strict=True):
        cut = max(k - s, 0) // 2 if layer.padding == "same" else 0
        left = k - 1 - cut
        sides.append((left, s + k - 2 - left if layer.padding == "same" else max(k, s) - 1))
    edge = border(call, f"{call.name}.pad", edge, sides, 0.0, stride)
    return after(call, _convolve(call, call.name, edge, weights, (1, 1), (1, 1)))


def _depthwise(call: Call) -> str:
    edge = quantized(call, "input_quantizer", call.edge)
    return after(call, _row(call, _by_channel(call, call.name, edge, "kernel")))


def _by_channel(call: Call, name: str, edge: str, attribute: str) -> str:
    """The depthwise part of a layer: a unit of its own kind where each channel has one kernel, else a dense kernel."""
    layer = call.layer
    if not call.options({"data_format": (layer.data_format, *CHANNELS_LAST)}):
        return edge
    weights = kernel(layer, attribute, "depthwise_quantizer")
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if weights.ndim == 3:
        weights, stride, dilation = weights[None], (1, *stride)[-2:], (1, *dilation)[-2:]
    edge = _image(call, edge)
    edge = _padded(call, edge, weights.shape[:2], stride, dilation, layer.padding)
    channels, multiplier = weights.shape[2:]
    if multiplier > 1:
        return _convolve(call, name, edge, _block_diagonal(weights), stride, dilation)
    tensor = keras.ops.convert_to_tensor(weights)
    before = call.reader.shapes[edge]
    reach = [(k - 1) * d + 1 for k, d in zip(weights.shape[:2], dilation, strict=True)]
    sizes = [(n - r) // s + 1 for n, r, s in zip(before[:2], reach, stride, strict=True)]

    def apply(x: Array) -> Array:
        return _depthwise_valid(x, tensor, weights, stride, dilation)

    op = real.DepthwiseConvolution(
        apply,
        (*sizes, channels),
        weights[..., 0],
        (stride[0], stride[1]),
        (dilation[0], dilation[1]),
    )
    return call.add(name, op, edge)


def _depthwise_valid(x: Array, tensor: Any, weights: Array, stride: Any, dilation: Any) -> Array:
    """As Keras computes it where it can: TensorFlow takes equal strides only."""
    if stride[0] == stride[1]:
        return array(
            keras.ops.depthwise_conv(
                keras.ops.convert_to_tensor(x.astype(np.float32)),
                tensor,
                strides=stride,
                padding="valid",
                data_format="channels_last",
                dilation_rate=dilation,
            )
        )
    reach = [(k - 1) * d + 1 for k, d in zip(weights.shape[:2], dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x.astype(np.float32), reach, axis=(1, 2))
    taps = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    total: Array = np.einsum("nhwcij,ijc->nhwc", taps, weights[..., 0])
    return total


def _block_diagonal(weights: Array) -> Array:
    """A depthwise kernel (height, width, channels, multiplier) as one that sees all channels, mostly zeros."""
    height, width, channels, multiplier = weights.shape
    whole = np.zeros((height, width, channels, channels * multiplier), weights.dtype)
    for c in range(channels):
        whole[:, :, c, c * multiplier : (c + 1) * multiplier] = weights[:, :, c]
    return whole


def _separable(call: Call) -> str:
    edge = quantized(call, "input_quantizer", call.edge)
    edge = _by_channel(call, f"{call.name}.depthwise", edge, "depthwise_kernel")
    weights = kernel(call.layer, "pointwise_kernel", "pointwise_quantizer")
    weights = weights[None] if weights.ndim == 3 else weights
    return after(call, _row(call, _convolve(call, call.name, edge, weights, (1, 1), (1, 1))))


def _row(call: Call, edge: str) -> str:
    """An image of one row as the row that the layer gives."""
    return call.reshape(f"{call.name}.row", call.shape, edge) if len(call.shape) == 2 else edge


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        ("QuantConv1D", "Conv1D", "QuantConv2D", "Conv2D", "QuantConv3D", "Conv3D"), _convolution
    ),
    **dict.fromkeys(("QuantDepthwiseConv2D", "DepthwiseConv2D", "DepthwiseConv1D"), _depthwise),
    **dict.fromkeys(
        ("QuantSeparableConv1D", "QuantSeparableConv2D", "SeparableConv1D", "SeparableConv2D"), _separable
    ),
    **dict.fromkeys(("QuantConv2DTranspose", "Conv2DTranspose"), _transposed),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"), _zero_padding),
}
