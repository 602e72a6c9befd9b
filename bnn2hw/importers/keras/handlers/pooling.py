"""Poolings over windows and over whole images."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.handlers.windows import border
from bnn2hw.importers.windows import Windows
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


def _pooling(call: Call, kind: type[real.Pool]) -> str:
    layer = call.layer
    if not call.channels_last(layer.data_format):
        return call.edge
    same = layer.padding == "same"
    size, stride = tuple(layer.pool_size), tuple(layer.strides)
    if len(size) == 3:
        return _volume(call, kind, size, stride, same=same)
    windows = Windows((1, *size)[-2:], (1, *stride)[-2:], (1, 1))
    pooled = _plane(call, kind, call.name, call.image(call.edge), windows, same=same)
    return call.reshape(f"{call.name}.row", call.shape, pooled)


def _volume(
    call: Call, kind: type[real.Pool], size: tuple[int, ...], stride: tuple[int, ...], *, same: bool
) -> str:
    """Pool the planes, columns and rows of a volume one after the other, each as an axis of an image."""
    depth, height, width, channels = call.before
    edge = call.reshape(f"{call.name}.planes", (depth, height * width, channels), call.edge)
    windows = Windows((size[0], 1), (stride[0], 1), (1, 1))
    edge = _plane(call, kind, f"{call.name}.depth", edge, windows, same=same)
    depth = call.shape_of(edge)[0]
    edge = call.reshape(f"{call.name}.lines", (depth * height, width, channels), edge)
    windows = Windows((1, size[2]), (1, stride[2]), (1, 1))
    edge = _plane(call, kind, f"{call.name}.columns", edge, windows, same=same)
    width = call.shape_of(edge)[1]
    edge = call.reshape(f"{call.name}.rows", (depth, height, width * channels), edge)
    windows = Windows((1, size[1]), (1, stride[1]), (1, 1))
    edge = _plane(call, kind, call.name, edge, windows, same=same)
    return call.reshape(f"{call.name}.volume", call.shape, edge)


def _plane(call: Call, kind: type[real.Pool], name: str, edge: str, windows: Windows, *, same: bool) -> str:
    """Append a pooling of an image, and return its output edge."""
    shape = call.shape_of(edge)[:2]
    if windows.size == windows.stride == (1, 1):
        return edge
    sides = windows.same(shape) if same else NONE
    if kind is real.MaxPool or not any(map(any, sides)):
        return _add(call, kind, name, edge, windows, sides)
    return _partial_means(call, name, edge, windows, sides)


def _partial_means(call: Call, name: str, edge: str, windows: Windows, sides: list[Sides]) -> str:
    """Append means over windows that reach beyond the image: sums, and a factor for each position."""
    area = math.prod(windows.size)
    ones = np.pad(np.ones(call.shape_of(edge)[:2]), sides)
    view = np.lib.stride_tricks.sliding_window_view(ones, windows.size)
    inside = view[:: windows.stride[0], :: windows.stride[1]].sum((-2, -1))
    edge = border(call, f"{name}.border", edge, sides, 0.0)
    edge = _add(call, real.AveragePool, f"{name}.whole", edge, windows, NONE)
    shape = call.shape_of(edge)
    factors = np.repeat(area / inside.reshape(-1), shape[-1]).astype(np.float32)
    flat = call.reshape(f"{name}.flat", (math.prod(shape),), edge)
    scaled = call.pointwise(f"{name}.factors", lambda x: x * factors, flat, uniform=False)
    return call.reshape(f"{name}.image", shape, scaled)


def _global(call: Call, kind: type[real.Pool]) -> str:
    if not call.channels_last(call.layer.data_format):
        return call.edge
    edge = call.image(call.edge)
    shape = call.shape_of(edge)
    if len(shape) == 4:
        edge = call.reshape(f"{call.name}.planes", (shape[0] * shape[1], *shape[2:]), edge)
    size = call.shape_of(edge)[:2]
    edge = _add(call, kind, call.name, edge, Windows(size, size, (1, 1)), NONE)
    return call.reshape(f"{call.name}.vector", call.shape, edge)


def _add(
    call: Call, kind: type[real.Pool], name: str, edge: str, windows: Windows, sides: list[Sides]
) -> str:
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
    return call.add(name, op, edge)
