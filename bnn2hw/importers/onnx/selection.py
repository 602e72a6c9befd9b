"""Select, repeat and join values along an axis: outputs that are some of the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnn2hw.importers.moves import MOVED
from bnn2hw.importers.onnx.calls import Call
from bnn2hw.importers.onnx.values import Grid, Value, grid, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real

RUNS = 4
"""Ranges of positions up to which each is selected by itself, and all are concatenated."""

EVEN = f"indices of channels, up to {RUNS} ranges of positions, and any positions among {MOVED} values"


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
    if channels_of(value)[1] is None:
        value = call.with_last(value, axis)
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
    """Append what moves a value into the model's order: its channels, or the values of a small frame."""
    axis, found = channels_of(value)
    if found is None:
        return call.with_last(value, min(1, len(value.shape) - 1))
    return _channels(call, value, axis, found, np.arange(len(found.channels)), "order")


def _positions(call: Call, value: Value, axis: int, kept: Array, part: str) -> Value:
    """Select positions: range by range where there are few, else by a matrix over this axis and those behind it."""
    last, found = channels_of(value, axis)
    if found is None:
        return _uneven(call, value, axis, kept)
    ranges = _ranges(kept)
    if len(ranges) <= RUNS:
        parts = [_range(call, value, axis, r, part) for r in ranges]
        return by_positions(call, parts, axis, last)
    place = _place(value, axis, last)
    behind = math.prod(found.shape[place + 1 :])
    if max(found.positions[place], len(kept)) * behind > MOVED:
        return _uneven(call, value, axis, kept)
    places = (kept[:, None] * behind + np.arange(behind)).ravel()
    positions = (*found.positions[:place], len(kept), *found.positions[place + 1 :])
    shape = (*positions, len(found.channels))
    edge = call.chosen(value.edge, found.positions[place] * behind, places, shape, part or "order")
    return Value(edge, ordered(Grid(positions, found.channels), last))


def _uneven(call: Call, value: Value, axis: int, kept: Array) -> Value:
    found = f"the indices {kept.tolist()} of axis {axis} of {value.shape}"
    return call.problem(found, EVEN, "use such indices")


def _ranges(kept: Array) -> list[Array]:
    """Indices as ranges that rise in equal steps, one behind the other."""
    found, start = [], 0
    while start < len(kept):
        steps = np.diff(kept[start:])
        even = steps[:1] > 0
        count = int(np.argmin(np.append(steps == steps[0], False))) if even.all() and steps.size else 0
        found.append(kept[start : start + count + 1])
        start += count + 1
    return found


def _place(value: Value, axis: int, last: int) -> int:
    """The place of an axis among those of the positions."""
    return [a for a in range(1, len(value.shape)) if a != last].index(axis)


def _range(call: Call, value: Value, axis: int, kept: Array, part: str) -> Value:
    """Select a range by a window with a single 1, moved along an axis that stands for all others."""
    last, found = channels_of(value, axis)
    if found is None or len(kept) == value.shape[axis]:
        return value
    step = int(kept[1] - kept[0]) if len(kept) > 1 else 1
    place = _place(value, axis, last)
    before, length, behind = (
        math.prod(found.positions[:place]),
        found.positions[place],
        math.prod(found.shape[place + 1 :]),
    )
    edge = call.draft.reshape(call.name, value.edge, (before, length, behind))
    kernel = np.zeros((1, length - (len(kept) - 1) * step, behind), np.float32)
    kernel[0, kept[0]] = 1

    def apply(x: Array) -> Array:
        return x[:, :, kept].astype(np.float32)

    op = real.DepthwiseConvolution(apply, (before, len(kept), behind), kernel, (1, step), (1, 1))
    positions = (*found.positions[:place], len(kept), *found.positions[place + 1 :])
    made = call.draft.reshape(call.name, call.add(op, edge, part=part), (*positions, len(found.channels)))
    return Value(made, ordered(Grid(positions, found.channels), last))


def by_positions(call: Call, values: Sequence[Value], axis: int, last: int) -> Value:
    """Concatenate values along an axis of their positions.

    Args:
        call: The node.
        values: What it reads, all with their channels in one order.
        axis: The axis in the model along which they are concatenated.
        last: The axis of the channels.
    """
    known = [g for g in (grid(v, last) for v in values) if g is not None]
    place = _place(values[0], axis, last)
    edge, shape = call.draft.reshape(call.name, values[0].edge, known[0].shape), [*known[0].shape]

    def apply(x: Array, y: Array) -> Array:
        return np.concatenate([x, y], 1 + place)

    for i, (value, other) in enumerate(zip(values[1:], known[1:], strict=True)):
        right = call.draft.reshape(call.name, value.edge, other.shape)
        shape[place] += other.shape[place]
        part = "" if i == len(values) - 2 else str(i)
        edge = call.add(real.Concatenation(apply, tuple(shape), place), edge, right, part=part)
    return Value(edge, ordered(Grid(tuple(shape[:-1]), known[0].channels), last))


def repeated(
    call: Call, value: Value, axes: Sequence[int], shape: Sequence[int], part: str = "repeat"
) -> Value:
    """Append the repetition of a value along axes in which its length is 1.

    Args:
        call: The node.
        value: The value.
        axes: Axes that may be repeated.
        shape: Shape of the result.
        part: Appended to the name.
    """
    for axis in axes:
        if value.shape[axis] == 1 < shape[axis]:
            value = take(call, value, axis, np.zeros(shape[axis], np.int64), part=f"{part}{axis}")
    return value


def in_order_of(call: Call, value: Value, other: Value) -> Value:
    """Return a value whose values come in the order of another one, moved by a matrix if need be.

    Args:
        call: The node.
        value: The value.
        other: Another one of its shape.
    """
    if np.array_equal(value.order, other.order) or value.order.size > MOVED:
        return value
    places = np.empty(value.order.size, np.int64)
    places[other.order.ravel()] = value.order.ravel()
    edge = call.chosen(value.edge, value.order.size, places, call.draft.shapes[other.edge])
    return Value(edge, other.order)


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
