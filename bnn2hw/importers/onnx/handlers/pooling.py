"""Poolings over windows and over whole images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

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
from bnn2hw.importers.onnx.selection import channels_of
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
    sides = sides_of(call, found, over)
    if call.op.attributes.get("ceil_mode"):
        sides = _reaching(found, over, sides)
    if call.op.kind != "AveragePool":
        return _maxima(call, found, over, sides)
    if any(map(any, sides)):
        return _partial_means(call, found, over, sides)
    return _means(call, found, over)


def _partial_means(call: Call, found: Image, over: Windows, sides: list[Sides]) -> Value:
    """Means over windows that reach beyond the image: sums, and a factor where they count fewer pixels."""
    stated = sides_of(call, found, over)
    counted = np.ones(found.shape[:-1])
    if call.op.attributes.get("count_include_pad"):
        counted = np.pad(counted, stated, constant_values=1)
        rest = [(a - c, b - d) for (a, b), (c, d) in zip(sides, stated, strict=True)]
        counted = np.pad(counted, rest)
    else:
        counted = np.pad(counted, sides)
    inside = _views(counted, over, (0, 1)).sum((-2, -1))
    value = _means(call, border(call, found, sides, 0.0), over)
    area = math.prod(over.size)
    if np.all(inside == area):
        return value
    axes = [axis for axis in range(1, len(value.shape)) if axis != found.axis]
    factors = np.ones(len(value.shape), int).tolist()
    for axis, length in zip(axes, inside.shape[-len(axes) :], strict=True):
        factors[axis] = length
    wide = (area / inside).astype(np.float32).reshape(factors)
    return call.pointwise(np.multiply, value, [wide], part="factors")


def _poolable(call: Call, found: Image) -> bool:
    if found.rank == 2:
        return True
    call.problem("pooling over three axes", "pooling over rows and columns", "pool each axis by itself")
    return False


def _reaching(found: Image, over: Windows, sides: list[Sides]) -> list[Sides]:
    """Sides by which the last windows, which begin in the image, are whole."""
    wider = []
    for n, (a, b), k, s in zip(found.shape, sides, over.extent, over.stride, strict=False):
        count = -(-(n + a + b - k) // s) + 1
        count -= (count - 1) * s >= n + a
        wider.append((a, max((count - 1) * s + k - n - a, 0)))
    return wider


def _maxima(call: Call, found: Image, over: Windows, sides: Sequence[Sides]) -> Value:
    def apply(x: Array) -> Array:
        x = np.pad(x.astype(np.float32), ((0, 0), *sides, (0, 0)), constant_values=-np.inf)
        largest: Array = _views(x, over, (1, 2)).max((-2, -1))
        return largest

    return _pooled(call, real.MaxPool, apply, found, over, sides)


def _views(x: Array, over: Windows, axes: tuple[int, int]) -> Array:
    """The windows over two axes, whose own two axes come last."""
    view = np.lib.stride_tricks.sliding_window_view(x, over.extent, axis=axes)
    starts = tuple(slice(None, None, s) for s in over.stride)
    found: Array = view[(*(slice(None),) * axes[0], *starts)]
    return found[..., :: over.dilation[0], :: over.dilation[1]]


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
    size, stride, dilation = ((v[0], v[1]) for v in (over.size, over.stride, over.dilation))
    op = kind(fn, (*grid, found.shape[-1]), size, stride, sides[0], sides[1], dilation)
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


@handles("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")
def reduction(call: Call) -> Value:
    """Read means, extremes and sums over rows, columns, or all pixels of an image."""
    value, rank = call.value, len(call.value.shape)
    stated = call.setting("axes", 1)
    axes = sorted(int(a) % rank for a in np.ravel(stated)) if stated is not None else list(range(rank))  # type: ignore[call-overload]
    channels, pixels = channels_of(value, *axes, among=(1, *range(rank - 1, 1, -1)))
    if pixels is None or rank not in (3, 4) or 0 in axes or (not axes):
        return call.problem(f"axes {axes} of {rank}", "the axes of the pixels", "use GlobalAveragePool")
    edge = call.draft.reshape(call.name, value.edge, pixels.shape)
    edge = edge if rank == 4 else call.draft.reshape(call.name, edge, (1, *pixels.shape))
    found = Image(edge, call.draft.shapes[edge], pixels.channels, channels, rank == 3)
    others = [axis for axis in range(1, rank) if axis != channels]
    size = found.whole([value.shape[a] if a in axes else 1 for a in others], 1)
    made = _reduced(call, found, Windows(size, size, (1, 1)))
    keep = call.op.attributes.get("keepdims", 1)
    return made if keep else Value(made.edge, made.order.squeeze(tuple(axes)))


def _reduced(call: Call, found: Image, over: Windows) -> Value:
    if call.op.kind == "ReduceMean":
        return _means(call, found, over)
    if call.op.kind == "ReduceSum":
        return _sums(call, found, over)
    if call.op.kind == "ReduceMax":
        return _maxima(call, found, over, [(0, 0), (0, 0)])
    turned = result(call, found, found.edge)
    step = call.step_of(found.edge)
    negative = call.pointwise(np.negative, turned, part="negative", step=step)
    edge = call.draft.reshape(call.name, negative.edge, found.shape)
    largest = _maxima(call, replace(found, edge=edge), over, [(0, 0), (0, 0)])
    return call.pointwise(np.negative, largest, part="least", step=step)


def _sums(call: Call, found: Image, over: Windows) -> Value:
    """Sums over windows that lie side by side, as a convolution with ones."""
    (height, width), channels = over.size, found.shape[-1]
    shape = (found.shape[0] // height, found.shape[1] // width, channels)

    def apply(x: Array) -> Array:
        apart = x.astype(np.float32).reshape(len(x), shape[0], height, shape[1], width, channels)
        total: Array = apart.sum((2, 4))
        return total

    op = real.DepthwiseConvolution(
        apply, shape, np.ones((height, width, channels), np.float32), (height, width), (1, 1)
    )
    return result(call, found, call.add(op, found.edge))
