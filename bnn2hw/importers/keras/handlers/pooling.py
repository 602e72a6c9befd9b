"""Poolings over windows and over whole images."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.handlers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides

NONE: list[Sides] = [(0, 0), (0, 0)]
"""No border."""


@handles("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
def max_pooling(call: Call) -> str:
    """Read maxima over windows."""
    return _pooling(call, real.MaxPool)


@handles("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(call: Call) -> str:
    """Read means over windows."""
    return _pooling(call, real.AveragePool)


@handles("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max_pooling(call: Call) -> str:
    """Read maxima over whole images."""
    return _global(call, real.MaxPool)


@handles("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
def global_average_pooling(call: Call) -> str:
    """Read means over whole images."""
    return _global(call, real.AveragePool)


def _poolable(call: Call, remedy: str) -> bool:
    """Return true for rows and images with their channels last, and note a problem otherwise."""
    if len(call.before) == 4:
        call.problem("pooling over three axes", "pooling over rows and columns", remedy)
        return False
    return call.channels_last(call.layer.data_format)


def _pooling(call: Call, kind: type[real.Pool]) -> str:
    layer = call.layer
    if not _poolable(call, "pool each axis by itself"):
        return call.edge
    size, stride = ((1, *pair)[-2:] for pair in (tuple(layer.pool_size), tuple(layer.strides)))
    windows = Windows(size, stride, (1, 1))
    edge = call.image(call.edge)
    shape = call.shape_of(edge)[:2]
    sides = windows.same_padding(shape) if layer.padding == "same" else NONE
    if kind is real.AveragePool and any(map(any, sides)):
        call.problem(
            f"padding='same' with windows of {size} and strides {stride}, which do not fill {shape}",
            "means over windows inside of the image",
            "use padding='valid' or sizes that fit",
        )
        return call.edge
    return call.reshape(f"{call.name}.row", call.shape, _add(call, kind, edge, windows, sides))


def _global(call: Call, kind: type[real.Pool]) -> str:
    if not _poolable(call, "reshape the volume"):
        return call.edge
    edge = call.image(call.edge)
    size = call.shape_of(edge)[:2]
    edge = _add(call, kind, edge, Windows(size, size, (1, 1)), NONE)
    return call.reshape(f"{call.name}.vector", call.shape, edge)


def _add(call: Call, kind: type[real.Pool], edge: str, windows: Windows, sides: list[Sides]) -> str:
    """Append a pooling and return its output edge."""
    before = call.shape_of(edge)
    grid = windows.grid([n + sum(s) for n, s in zip(before, sides, strict=False)])
    (height, width), (rows, columns) = windows.size, windows.stride
    mean = kind is real.AveragePool

    def apply(x: Array) -> Array:
        x = np.pad(x.astype(np.float32), ((0, 0), *sides, (0, 0)), constant_values=-np.inf)
        view = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))
        taps = view[:, ::rows, ::columns]
        pooled: Array = taps.mean((-2, -1), dtype=np.float32) if mean else taps.max((-2, -1))
        return pooled

    op = kind(apply, (*grid, before[-1]), (height, width), (rows, columns), sides[0], sides[1])
    return call.add(call.name, op, edge)
