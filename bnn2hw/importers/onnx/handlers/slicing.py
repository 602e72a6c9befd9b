"""Slices, splits and single indices: outputs that are some of the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnn2hw.importers.onnx.calls import FIXED, Call, handles
from bnn2hw.importers.onnx.values import Grid, Value, grid, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real

EVEN = "indices of channels, and of positions in rising order at equal distances"


@handles("Slice")
def sliced(call: Call) -> Value:
    """Read the selection of ranges of axes."""
    stated = [call.setting(name, i) for i, name in ((1, "starts"), (2, "ends"))]
    if any(s is None for s in stated):
        return call.problem("bounds that are computed at run time", FIXED, "export fixed bounds")
    starts, ends = ([int(n) for n in np.ravel(s)] for s in stated)  # type: ignore[call-overload]
    rank = len(call.value.shape)
    axes = _whole(call.setting("axes", 3, range(len(starts))))
    steps = _whole(call.setting("steps", 4, [1] * len(starts)))
    value = call.value
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        kept = np.arange(value.shape[axis])[slice(start, _end(end, step), step)]
        value = take(call, value, axis % rank, kept)
    return value


def _end(end: int, step: int) -> int | None:
    """The end of a slice; None for one before the first element, which counts from the back in Python."""
    return None if step < 0 and end < -(2**31) + 2 else end


def _whole(numbers: object) -> list[int]:
    return [int(n) for n in np.ravel(numbers)]  # type: ignore[call-overload]


@handles("Split")
def split(call: Call) -> Value:
    """Read the parts of a value along an axis, each as an output."""
    value, count = call.value, len(call.op.outputs)
    axis = int(call.op.attributes.get("axis", 0)) % len(value.shape)
    length = value.shape[axis]
    stated = call.setting("split", 1)
    each = -(-length // count)
    sizes = _whole(stated) if stated is not None else [*[each] * (count - 1), length - each * (count - 1)]
    ends = np.cumsum(sizes)
    parts = [
        take(call, value, axis, np.arange(end - size, end), part=f"{i}")
        for i, (end, size) in enumerate(zip(ends, sizes, strict=True))
    ]
    call.draft.values.update((n, p) for n, p in zip(call.op.outputs, parts, strict=True) if n)
    return parts[0]


@handles("Gather")
def gather(call: Call) -> Value:
    """Read the selection of constant indices along an axis."""
    indices = call.constant(1, "indices")
    if indices is None or 0 not in call.positions:
        return call.problem("indices that depend on the input", FIXED, "use constant indices")
    value = call.value
    axis = int(call.op.attributes.get("axis", 0)) % len(value.shape)
    if indices.ndim > 1:
        return call.problem(f"indices of shape {indices.shape}", "one index or a list", "reshape afterwards")
    made = take(call, value, axis, np.ravel(indices).astype(np.int64) % value.shape[axis])
    return made if indices.ndim else Value(made.edge, made.order.squeeze(axis))


def take(call: Call, value: Value, axis: int, kept: Array, part: str = "") -> Value:
    """Append the selection of some indices of an axis, and return its output.

    Args:
        call: The node.
        value: What it reads.
        axis: The axis in the model.
        kept: The indices.
        part: Appended to the name.
    """
    if np.array_equal(kept, np.arange(value.shape[axis])):
        return value
    if axis == 0 or not len(kept) or value.windows is not None:
        return call.problem(f"{len(kept)} indices of axis {axis}", "axes of a frame", "leave the batch whole")
    found = grid(value, axis)
    if found is not None:
        return _channels(call, value, axis, found, kept, part)
    return _positions(call, value, axis, kept, part)


def _channels(call: Call, value: Value, axis: int, found: Grid, kept: Array, part: str) -> Value:
    """Select channels by a kernel with a single 1 for each."""
    edge = call.draft.reshape(call.name, value.edge, found.shape)
    places = found.channels[kept]
    chosen = np.eye(len(found.channels), dtype=np.float32)[:, places]

    def apply(x: Array) -> Array:
        return x[..., places].astype(np.float32)

    made = call.add(real.Dense(apply, (*found.positions, len(kept)), chosen), edge, part=part)
    return Value(made, ordered(Grid(found.positions, np.arange(len(kept))), axis))


def with_zeros(call: Call, value: Value, axis: int, sides: tuple[int, int]) -> Value:
    """Append channels of zeros before and after those of a value.

    Args:
        call: The node.
        value: What it reads.
        axis: The axis of the channels in the model.
        sides: Number of channels that are added before and after.
    """
    found, (before, after) = grid(value, axis), sides
    if found is None or not any(sides):
        return value
    edge, count = call.draft.reshape(call.name, value.edge, found.shape), len(found.channels)
    kernel = np.pad(np.eye(count, dtype=np.float32)[:, found.channels], ((0, 0), (before, after)))

    def apply(x: Array) -> Array:
        wide = [(0, 0)] * (x.ndim - 1) + [(before, after)]
        return np.pad(x[..., found.channels].astype(np.float32), wide)

    shape = (*found.positions, before + count + after)
    made = call.add(real.Dense(apply, shape, kernel), edge, part="channels")
    return Value(made, ordered(Grid(found.positions, np.arange(shape[-1])), axis))


def in_order(call: Call, value: Value) -> Value:
    """Append the channels of a value in the model's order, if that is all that differs from its stream."""
    axis, found = channels_of(value)
    return (
        value
        if found is None
        else _channels(call, value, axis, found, np.arange(len(found.channels)), "order")
    )


def _positions(call: Call, value: Value, axis: int, kept: Array, part: str) -> Value:
    """Select positions by a window with a single 1, moved along an axis that stands for all others."""
    last, found = channels_of(value, axis)
    steps = set(np.diff(kept)) or {1}
    if found is None or len(steps) > 1 or min(steps) < 1:
        return call.problem(
            f"the indices {list(kept)} of axis {axis} of {value.shape}", EVEN, "use such indices"
        )
    [step], place = steps, [a for a in range(1, len(value.shape)) if a != last].index(axis)
    before, length, behind = (
        math.prod(found.positions[:place]),
        found.positions[place],
        math.prod(found.shape[place + 1 :]),
    )
    edge = call.draft.reshape(call.name, value.edge, (before, length, behind))
    kernel = np.zeros((1, length - (len(kept) - 1) * int(step), behind), np.float32)
    kernel[0, kept[0]] = 1

    def apply(x: Array) -> Array:
        return x[:, :, kept].astype(np.float32)

    op = real.DepthwiseConvolution(apply, (before, len(kept), behind), kernel, (1, int(step)), (1, 1))
    positions = (*found.positions[:place], len(kept), *found.positions[place + 1 :])
    made = call.draft.reshape(call.name, call.add(op, edge, part=part), (*positions, len(found.channels)))
    return Value(made, ordered(Grid(positions, found.channels), last))


def channels_of(value: Value, *others: int, among: Sequence[int] = ()) -> tuple[int, Grid | None]:
    """Return an axis of a value that is the channels of its stream, and the value with it; None if there is none.

    Args:
        value: The value.
        *others: Axes of the model that are positions.
        among: Axes to choose from; empty for all.
    """
    for axis in among or range(1, len(value.shape)):
        found = None if axis in others else grid(value, axis)
        if found is not None:
            return axis, found
    return 0, None
