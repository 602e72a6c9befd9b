"""What poolings and upsamplings become in real form."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.importers.keras.convolutions import CHANNELS_LAST, border
from bnn2hw.importers.keras.reader import Call, Handler
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides


def _image(call: Call) -> str:
    return (
        call.reshape(f"{call.name}.image", (1, *call.before), call.edge)
        if len(call.before) == 2
        else call.edge
    )


def _max_pooling(call: Call) -> str:
    return _pooling(call, real.MaxPool)


def _average_pooling(call: Call) -> str:
    return _pooling(call, real.AveragePool)


def _pooling(call: Call, kind: type[real.Pool]) -> str:
    layer = call.layer
    if len(call.before) == 4:
        call.problem("pooling over three axes", "pooling over rows and columns", "pool each axis by itself")
        return call.edge
    if not call.options({"data_format": (layer.data_format, *CHANNELS_LAST)}):
        return call.edge
    size, stride = ((1, *pair)[-2:] for pair in (tuple(layer.pool_size), tuple(layer.strides)))
    edge = _image(call)
    shape = call.reader.shapes[edge][:2]
    sides: list[Sides] = [(0, 0), (0, 0)]
    if layer.padding == "same":
        totals = [
            max((math.ceil(n / s) - 1) * s + k - n, 0) for n, s, k in zip(shape, stride, size, strict=True)
        ]
        sides = [(t // 2, t - t // 2) for t in totals]
    if kind is real.AveragePool and any(map(any, sides)):
        call.problem(
            f"padding='same' where windows of {size}, {stride} apart, do not fill {shape}",
            "means over whole windows",
            "use padding='valid' or sizes that fit",
        )
        return call.edge
    edge = _pool(call, kind, edge, (size[0], size[1]), (stride[0], stride[1]), sides)
    return call.reshape(f"{call.name}.row", call.shape, edge)


def _pool(
    call: Call, kind: type[real.Pool], edge: str, size: Sides, stride: Sides, sides: list[Sides]
) -> str:
    before = call.reader.shapes[edge]
    padded = [n + sum(s) for n, s in zip(before, sides, strict=False)]
    grid = [(n - k) // s + 1 for n, k, s in zip(padded, size, stride, strict=True)]
    mean = kind is real.AveragePool

    def apply(x: Array) -> Array:
        x = np.pad(x.astype(np.float32), ((0, 0), *sides, (0, 0)), constant_values=-np.inf)
        view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, :: stride[0], :: stride[1]]
        pooled: Array = view.mean((-2, -1), dtype=np.float32) if mean else view.max((-2, -1))
        return pooled

    op = kind(apply, (*grid, before[-1]), size, stride, sides[0], sides[1])
    return call.add(call.name, op, edge)


def _global(kind: type[real.Pool]) -> Handler:
    def handler(call: Call) -> str:
        if len(call.before) == 4:
            call.problem("pooling over three axes", "pooling over rows and columns", "reshape the volume")
            return call.edge
        if not call.options({"data_format": (call.layer.data_format, *CHANNELS_LAST)}):
            return call.edge
        edge = _image(call)
        height, width, _ = call.reader.shapes[edge]
        edge = _pool(call, kind, edge, (height, width), (height, width), [(0, 0), (0, 0)])
        return call.reshape(f"{call.name}.vector", call.shape, edge)

    return handler


def _upsampling(call: Call) -> str:
    """Nearest neighbours: gaps of zeros between the pixels, and a depthwise kernel of ones over them."""
    layer = call.layer
    if getattr(layer, "interpolation", "nearest") != "nearest":
        call.problem(f"interpolation={layer.interpolation!r}", "interpolation='nearest'", "use nearest")
        return call.edge
    form = getattr(layer, "data_format", None) or "channels_last"
    if not call.options({"data_format": (form, *CHANNELS_LAST)}):
        return call.edge
    size = layer.size
    factors = (1, size) if isinstance(size, int) else tuple(size)
    edge = _image(call)
    sides: list[Sides] = [(f - 1, f - 1) for f in factors]
    edge = border(call, f"{call.name}.gaps", edge, sides, 0.0, factors)
    before = call.reader.shapes[edge]
    shape = (before[0] - factors[0] + 1, before[1] - factors[1] + 1, before[2])
    ones = np.ones((*factors, before[2]), np.float32)

    def apply(x: Array) -> Array:
        return (
            x[:, factors[0] - 1 :: factors[0], factors[1] - 1 :: factors[1]]
            .repeat(factors[0], 1)
            .repeat(factors[1], 2)
        )

    op = real.DepthwiseConvolution(apply, shape, ones, (1, 1), (1, 1))
    return call.reshape(f"{call.name}.row", call.shape, call.add(call.name, op, edge))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "MaxPooling3D"), _max_pooling),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D", "AveragePooling3D"), _average_pooling),
    **dict.fromkeys(
        ("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"), _global(real.MaxPool)
    ),
    **dict.fromkeys(
        ("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
        _global(real.AveragePool),
    ),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), _upsampling),
}
