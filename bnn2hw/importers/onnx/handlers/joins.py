"""Nodes that join branches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.handlers.slicing import channels_of
from bnn2hw.importers.onnx.values import Grid, Value, grid, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real

SUMS = (
    "sums, products and extremes of values of one shape and one order, or a product with a factor per channel"
)


def joined(call: Call) -> Value:
    """Read a sum, a difference, a product or an extreme of two values."""
    first, second = call.several
    kind = call.op.kind
    if kind not in ("Add", "Sum", "Sub", "Mul", "Max", "Min"):
        return call.problem(
            "two values that both depend on the input",
            SUMS,
            "replace it by a sum, a product or an extreme",
        )
    if kind == "Mul" and first.shape != second.shape:
        return _factors(call, first, second)
    if first.shape != second.shape or np.any(first.order != second.order):
        return call.problem(
            f"values of {first.shape} and {second.shape}, or in other orders", SUMS, "reshape one"
        )
    shape = call.draft.shapes[first.edge]
    other = call.draft.reshape(call.name, second.edge, shape)
    if kind == "Mul":
        return Value(call.add(real.Product(np.multiply, shape), first.edge, other), first.order)
    if kind in ("Max", "Min"):
        least = kind == "Min"
        op = real.Extreme(np.minimum if least else np.maximum, shape, least)
        return Value(call.add(op, first.edge, other), first.order)
    if kind == "Sub":
        step = call.step_of(other)
        other = call.pointwise(np.negative, Value(other, second.order), part="negative", step=step).edge
    return added(call, first, Value(other, second.order))


def added(call: Call, first: Value, second: Value) -> Value:
    """Append the sum of two values of one shape and one order."""
    if first.shape != second.shape or np.any(first.order != second.order):
        return call.problem(
            f"values of {first.shape} and {second.shape}, or in other orders", SUMS, "reshape one"
        )
    shape = call.draft.shapes[first.edge]
    other = call.draft.reshape(call.name, second.edge, shape)
    return Value(call.add(real.Sum(np.add, shape), first.edge, other), first.order)


def _factors(call: Call, first: Value, second: Value) -> Value:
    """A product of an image and a factor for each of its channels."""
    image, factor = (first, second) if first.order.size >= second.order.size else (second, first)
    channels = image.shape[1] if len(image.shape) > 1 else 0
    found = call.on_grid(image, 1)
    if found is None:
        return call.value
    edge, pixels = found
    plain = factor.order.size == channels and np.array_equal(factor.order.ravel(), pixels.channels)
    if not plain or factor.shape != (1, channels, *(1,) * (len(image.shape) - 2)):
        return call.problem(f"a product of {first.shape} and {second.shape}", SUMS, "reshape one")
    vector = call.draft.reshape(call.name, factor.edge, (channels,))

    def apply(x: Array, y: Array) -> Array:
        return x * y.reshape(len(y), *(1,) * (x.ndim - 2), -1)

    made = call.add(real.Product(apply, call.draft.shapes[edge]), edge, vector)
    return Value(made, ordered(pixels, 1))


@handles("Concat")
def concatenate(call: Call) -> Value:
    """Read a concatenation along the channels."""
    values = call.several
    rank = len(values[0].shape)
    axis = int(call.op.attributes["axis"]) % rank
    known = [g for g in (grid(v, axis) for v in values) if g is not None]
    same = len({g.positions for g in known}) == 1
    if len(values) == len(call.op.inputs) and len(known) == len(values) and same:
        return _by_channels(call, values, known, axis)
    last, found = channels_of(values[0], axis)
    rest = [grid(v, last) for v in values]
    if len(values) < len(call.op.inputs) or found is None or not axis or not _alike(rest, found):
        return call.problem(
            f"a concatenation along axis {axis} of {[v.shape for v in values]}",
            "concatenations of values that depend on the input, of one order, along axes of a frame",
            "concatenate along another axis",
        )
    return _by_positions(call, values, [g for g in rest if g is not None], axis, last)


def _alike(grids: Sequence[Grid | None], first: Grid) -> bool:
    """True if all values have their channels in one order."""
    return all(g is not None and np.array_equal(g.channels, first.channels) for g in grids)


def _by_channels(call: Call, values: Sequence[Value], known: Sequence[Grid], axis: int) -> Value:
    edge = call.draft.reshape(call.name, values[0].edge, known[0].shape)
    channels = known[0].channels
    for i, (value, other) in enumerate(zip(values[1:], known[1:], strict=True)):
        right = call.draft.reshape(call.name, value.edge, other.shape)
        channels = np.concatenate([channels, len(channels) + other.channels])
        shape = (*other.positions, len(channels))
        part = "" if i == len(values) - 2 else str(i)
        edge = call.add(real.Concatenation(_last_axis, shape), edge, right, part=part)
    return Value(edge, ordered(Grid(known[0].positions, channels), axis))


def _by_positions(call: Call, values: Sequence[Value], known: Sequence[Grid], axis: int, last: int) -> Value:
    """Concatenate values along an axis of their positions.

    Args:
        call: The node.
        values: What it reads.
        known: The same with an axis as their channels.
        axis: The axis in the model along which they are concatenated.
        last: The axis of the channels.
    """
    place = [a for a in range(1, len(values[0].shape)) if a != last].index(axis)
    edge, shape = call.draft.reshape(call.name, values[0].edge, known[0].shape), [*known[0].shape]

    def apply(x: Array, y: Array) -> Array:
        return np.concatenate([x, y], 1 + place)

    for i, (value, other) in enumerate(zip(values[1:], known[1:], strict=True)):
        right = call.draft.reshape(call.name, value.edge, other.shape)
        shape[place] += other.shape[place]
        part = "" if i == len(values) - 2 else str(i)
        edge = call.add(real.Concatenation(apply, tuple(shape), place), edge, right, part=part)
    return Value(edge, ordered(Grid(tuple(shape[:-1]), known[0].channels), last))


def _last_axis(x: Array, y: Array) -> Array:
    return np.concatenate([x, y], -1)


@handles("Sum")
def several(call: Call) -> Value:
    """Read a sum of values, one after the other."""
    values = call.several
    if len(values) < len(call.op.inputs):
        return call.problem("a sum with constants", "sums of values", "use Add")
    total = values[0]
    for value in values[1:]:
        total = added(call, total, value)
    return total
