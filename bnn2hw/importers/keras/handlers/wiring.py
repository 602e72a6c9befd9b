"""Cropping, slices and permutations: outputs that are some of the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.handlers.windows import valid_convolution
from bnn2hw.importers.moves import MOVED, selection
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(call: Call) -> str:
    """Read the removal of a border."""
    layer = call.layer
    if not call.channels_last(getattr(layer, "data_format", None)):
        return call.edge
    sides = [layer.cropping] if isinstance(layer.cropping[0], int) else layer.cropping
    kept = [range(before, n - after) for (before, after), n in zip(sides, call.before, strict=False)]
    return call.reshape(f"{call.name}.shape", call.shape, take(call, [*kept, range(call.before[-1])]))


@handles("CenterCrop")
def center_crop(call: Call) -> str:
    """Read the middle of an image that is at least as large."""
    layer = call.layer
    if not call.channels_last(layer.data_format):
        return call.edge
    starts = [(n - size) // 2 for n, size in zip(call.before, (layer.height, layer.width), strict=False)]
    if len(call.before) != 3 or min(starts) < 0:
        call.problem(
            f"a crop of {layer.height}x{layer.width} of {call.before}",
            "crops of larger images",
            "resize in advance",
        )
        return call.edge
    kept = [range(start, start + size) for start, size in zip(starts, call.shape, strict=False)]
    return take(call, [*kept, range(call.before[-1])])


@handles("GetItem")
def item(call: Call) -> str:
    """Read a slice with steps of at least 1."""
    arguments = call.node.arguments
    key = arguments.kwargs.get("key", arguments.args[-1])
    kept = _ranges(key if isinstance(key, tuple) else (key,), call.before)
    if kept is None:
        call.problem(f"the index {key}", "numbers and slices with positive steps, of all frames", "use those")
        return call.edge
    return call.reshape(f"{call.name}.shape", call.shape, take(call, kept))


def _ranges(key: tuple[Any, ...], shape: tuple[int, ...]) -> list[range] | None:
    """The indices that remain of each axis of a sample; None if the key is of another kind."""
    parts = [part for part in key if part is not None]  # None adds an axis, which the output's shape has
    if any(isinstance(part, EllipsisType) for part in parts):
        at = next(i for i, part in enumerate(parts) if isinstance(part, EllipsisType))
        parts[at : at + 1] = [slice(None)] * (len(shape) + 2 - len(parts))
    parts += [slice(None)] * (len(shape) + 1 - len(parts))
    if parts[0] != slice(None) or not all(isinstance(p, slice | int) for p in parts):
        return None
    kept = [
        range(n)[part] if isinstance(part, slice) else range(part % n, part % n + 1)
        for part, n in zip(parts[1:], shape, strict=True)
    ]
    return kept if all(r.step > 0 and len(r) for r in kept) else None


def take(call: Call, kept: list[range]) -> str:
    """Append the selection of some indices of each axis, and return its output edge.

    Positions are selected by a window with a single 1, channels by a kernel with a 1 per channel.

    Args:
        call: The call of the layer, whose first input is read.
        kept: Indices of each axis of a sample.
    """
    edge, shape = call.edge, call.before
    if any(len(r) != n for r, n in zip(kept[:-1], shape, strict=False)):
        edge = _positions(call, edge, kept[:-1])
    if len(kept[-1]) == shape[-1]:
        return edge
    chosen = np.eye(shape[-1], dtype=np.float32)[:, kept[-1]]

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(tensor(x), chosen))

    shape = (*call.shape_of(edge)[:-1], len(kept[-1]))
    return call.add(f"{call.name}.channels", real.Dense(apply, shape, chosen), edge)


def _positions(call: Call, edge: str, kept: list[range]) -> str:
    """Select positions of a row, an image or a volume."""
    edge = call.image(edge)
    shape = call.shape_of(edge)
    kept = [range(1), *kept] if len(kept) == 1 else kept
    size = tuple(n - (len(r) - 1) * r.step for r, n in zip(kept, shape, strict=False))
    stride, at = tuple(r.step for r in kept), tuple(r.start for r in kept)
    if len(kept) == 3:
        kernel = np.zeros((*size, shape[-1], shape[-1]), np.float32)
        kernel[at] = np.eye(shape[-1])
        return valid_convolution(call, call.name, edge, kernel, Windows(size, stride, (1, 1, 1)))
    kernel = np.zeros((*size, shape[-1]), np.float32)
    kernel[at] = 1
    (rows, columns), (top, left) = (tuple(map(len, kept)), at)

    def apply(x: Array) -> Array:
        return x[:, top :: stride[0], left :: stride[1]][:, :rows, :columns].astype(np.float32)

    op = real.DepthwiseConvolution(apply, (rows, columns, shape[-1]), kernel, (stride[0], stride[1]), (1, 1))
    return call.add(call.name, op, edge)


@handles("Permute")
def permute(call: Call) -> str:
    """Read another order of axes: a change of shape where it leaves the order of values, else a matrix."""
    return permuted(call, call.name, call.edge, [d - 1 for d in call.layer.dims])


def permuted(call: Call, name: str, edge: str, axes: Sequence[int]) -> str:
    """Append another order of axes, and return its output edge.

    Args:
        call: The call of the layer.
        name: Name of the node.
        edge: Edge that it reads.
        axes: For each axis of a sample of the output, the axis of the input.
    """
    before = call.shape_of(edge)
    shape, size = tuple(before[a] for a in axes), math.prod(before)
    places = np.arange(size).reshape(before).transpose(axes).reshape(-1)
    if np.all(np.diff(places) == 1):
        return call.reshape(name, shape, edge)
    if size > MOVED:
        call.problem(
            f"a permutation of {size} values",
            f"up to {MOVED} values",
            "train the model in the other order",
        )
        return edge
    flat = call.reshape(f"{name}.flat", (size,), edge)
    made = call.add(name, selection(places, size), flat)
    return call.reshape(f"{name}.shape", shape, made)
