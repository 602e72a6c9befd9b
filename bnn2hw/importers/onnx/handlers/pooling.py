"""Poolings over windows and over whole images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.images import (
    Image,
    border,
    image,
    on_images,
    result,
    sides_of,
    windowed,
    windows,
)
from bnn2hw.importers.onnx.values import Value
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides


@handles("MaxPool", "AveragePool", "MaxPoolNHWC")
def pooling(call: Call) -> Value:
    """Read maxima or means over windows."""
    found = image(call)
    if found is None or not _poolable(call, found):
        return call.value
    over = windows(call, found, call.op.attributes["kernel_shape"])
    if set(over.dilation) != {1}:
        return call.problem(f"dilations={over.dilation}", "windows without gaps", "leave dilations out")
    sides = sides_of(call, found, over)
    if call.op.attributes.get("ceil_mode"):
        sides = _reaching(found, over, sides)
    if call.op.kind == "MaxPool":
        return _maxima(call, found, over, sides)
    if any(map(any, sides)):
        wider = call.op.attributes.get("ceil_mode") and sides != sides_of(call, found, over)
        if wider or not call.op.attributes.get("count_include_pad"):
            return call.problem(
                "means over windows that reach beyond the image and count its pixels only",
                "means over windows inside of the image, or count_include_pad=1",
                "set count_include_pad, or use sizes that fit",
            )
        found = border(call, found, sides, 0.0)
    return _means(call, found, over)


def _poolable(call: Call, found: Image) -> bool:
    if found.rank == 2:
        return True
    call.problem("pooling over three axes", "pooling over rows and columns", "pool each axis by itself")
    return False


def _reaching(found: Image, over: Windows, sides: list[Sides]) -> list[Sides]:
    """Sides by which the last windows, which begin in the image, are whole."""
    wider = []
    for n, (a, b), k, s in zip(found.shape, sides, over.size, over.stride, strict=False):
        count = -(-(n + a + b - k) // s) + 1
        count -= (count - 1) * s >= n + a
        wider.append((a, max((count - 1) * s + k - n - a, 0)))
    return wider


def _maxima(call: Call, found: Image, over: Windows, sides: Sequence[Sides]) -> Value:
    def apply(x: Array) -> Array:
        x = np.pad(x.astype(np.float32), ((0, 0), *sides, (0, 0)), constant_values=-np.inf)
        view = np.lib.stride_tricks.sliding_window_view(x, over.size, axis=(1, 2))
        largest: Array = view[:, :: over.stride[0], :: over.stride[1]].max((-2, -1))
        return largest

    return _pooled(call, real.MaxPool, apply, found, over, sides)


def _means(call: Call, found: Image, over: Windows) -> Value:
    fn = on_images(windowed(call, "AveragePool", over), {})
    return _pooled(call, real.AveragePool, fn, found, over, [(0, 0), (0, 0)])


def _pooled(
    call: Call,
    kind: type[real.Pool],
    fn: Callable[[Array], Array],
    found: Image,
    over: Windows,
    sides: Sequence[Sides],
) -> Value:
    grid = over.grid([n + sum(s) for n, s in zip(found.shape, sides, strict=False)])
    size, stride = ((v[0], v[1]) for v in (over.size, over.stride))
    op = kind(fn, (*grid, found.shape[-1]), size, stride, sides[0], sides[1])
    return result(call, found, call.add(op, found.edge))


@handles("GlobalAveragePool")
def global_average_pooling(call: Call) -> Value:
    """Read means over whole images."""
    found = image(call)
    if found is None or not _poolable(call, found):
        return call.value
    return _means(call, found, _whole(found))


@handles("GlobalMaxPool")
def global_max_pooling(call: Call) -> Value:
    """Read maxima over whole images."""
    found = image(call)
    if found is None or not _poolable(call, found):
        return call.value
    return _maxima(call, found, _whole(found), [(0, 0), (0, 0)])


def _whole(found: Image) -> Windows:
    size = found.shape[:2]
    return Windows(size, size, (1, 1))


@handles("ReduceMean")
def reduce_mean(call: Call) -> Value:
    """Read means over all pixels of an image, which is a global average pooling."""
    rank = len(call.value.shape)
    stated = call.setting("axes", 1)
    axes = sorted(int(a) % rank for a in np.ravel(stated)) if stated is not None else list(range(rank))  # type: ignore[call-overload]
    if axes != list(range(2, rank)) or rank < 3:
        return call.problem(f"axes {axes} of {rank}", "the axes of the pixels", "use GlobalAveragePool")
    value = global_average_pooling(call)
    if call.op.attributes.get("keepdims", 1) or len(value.shape) != rank:
        return value
    return Value(value.edge, value.order.reshape(value.shape[:2]))
