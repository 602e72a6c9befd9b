"""Nodes that join branches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bnn2hw.importers.moves import MOVED
from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.selection import by_positions, channels_of, in_order_of, repeated
from bnn2hw.importers.onnx.values import Grid, Value, grid, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real

SUMS = (
    "sums, differences, products, extremes and comparisons of two values that NumPy broadcasts to one shape"
)

KINDS = ("Add", "Sub", "Mul", "Max", "Min")
"""Functions of two values."""


def joined(call: Call) -> Value:
    """Read a sum, a difference, a product or an extreme of two values."""
    if call.op.kind not in KINDS:
        return call.problem(
            "two values that both depend on the input",
            SUMS,
            "replace it by a sum, a product or an extreme",
        )
    first, second = call.several
    return pair(call, call.op.kind, first, second)


def pair(call: Call, kind: str, first: Value, second: Value, part: str = "") -> Value:
    """Append a function of two values and return its output.

    Args:
        call: The node.
        kind: One of `KINDS`.
        first: A value.
        second: Another one.
        part: Appended to the name.
    """
    alike = _in_one_shape(call, kind, first, second)
    if alike is None:
        return first
    first, second = alike
    if first.shape != second.shape:
        return _factors(call, first, second, part)
    second = in_order_of(call, second, first)
    if np.any(first.order != second.order):
        found = f"two values of {first.shape} in other orders"
        return call.problem(
            found, f"up to {MOVED} values, or values of one order", "leave out transpositions"
        )
    shape = call.draft.shapes[first.edge]
    other = call.draft.reshape(call.name, second.edge, shape)
    if kind == "Sub":
        step = call.step_of(other)
        other = call.pointwise(np.negative, Value(other, second.order), part="negative", step=step).edge
    least = kind == "Min"
    op: real.RealOp = real.Sum(np.add, shape)
    if kind == "Mul":
        op = real.Product(np.multiply, shape)
    elif kind in ("Max", "Min"):
        op = real.Extreme(np.minimum if least else np.maximum, shape, least)
    return Value(call.add(op, first.edge, other, part=part), first.order)


def _in_one_shape(call: Call, kind: str, first: Value, second: Value) -> tuple[Value, Value] | None:
    """Two values in one shape, or the factors of a product; None with a problem if they have none.

    Axes of length 1 are repeated where the other value is longer.
    """
    pairs = zip(first.shape, second.shape, strict=False)
    if len(first.shape) != len(second.shape) or any(a != b and 1 not in (a, b) for a, b in pairs):
        call.problem(f"values of {first.shape} and {second.shape}", SUMS, "reshape or repeat one")
        return None
    shape = np.broadcast_shapes(first.shape, second.shape)
    whole, part = (first, second) if first.shape == shape else (second, first)
    if whole.shape == shape != part.shape and _vector(part, shape):
        if kind == "Mul":
            return whole, part
        ones = call.pointwise(np.ones_like, whole, part="ones", step=1.0)
        wide = _factors(call, ones, part, "wide")
        return (whole, wide) if whole is first else (wide, whole)
    axes = range(len(shape) - 1, 0, -1)
    one, other = (repeated(call, v, axes, shape, f"repeat{i}.") for i, v in enumerate((first, second)))
    return one, other


def _vector(value: Value, shape: tuple[int, ...]) -> bool:
    """True if a value is repeated along all axes of a shape but one."""
    along = [axis for axis, n in enumerate(value.shape) if n > 1]
    return len(along) == 1 and len(shape) > 2 and math.prod(shape) > shape[along[0]]


def _factors(call: Call, image: Value, factor: Value, part: str = "") -> Value:
    """Append a product of an image and a factor for each index along one axis."""
    [axis] = (a for a, n in enumerate(factor.shape) if n > 1)
    found = call.on_grid(image, axis)
    if found is None:
        return image
    edge, pixels = found
    channels = len(pixels.channels)
    places = np.empty(channels, np.int64)
    places[pixels.channels] = factor.order.ravel()
    vector = call.draft.reshape(call.name, factor.edge, (channels,))
    if np.any(places != np.arange(channels)):
        vector = call.chosen(vector, channels, places, (channels,))

    def apply(x: Array, y: Array) -> Array:
        return x * y.reshape(len(y), *(1,) * (x.ndim - 2), -1)

    made = call.add(real.Product(apply, call.draft.shapes[edge]), edge, vector, part=part)
    return Value(made, ordered(pixels, axis))


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
    return by_positions(call, values, axis, last)


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


def _last_axis(x: Array, y: Array) -> Array:
    return np.concatenate([x, y], -1)


@handles("Sum")
def several(call: Call) -> Value:
    """Read a sum of values and constants, one after the other."""
    return in_turn(call, "Add", np.add)


def in_turn(call: Call, kind: str, fn: Callable[..., Array]) -> Value:
    """Append a function of all inputs, one after the other.

    Args:
        call: The node.
        kind: One of `KINDS` that has the same result in any order.
        fn: The same function of arrays.
    """
    values = call.several
    total = values[0]
    for i, value in enumerate(values[1:]):
        total = pair(call, kind, total, value, part=f"{i}")
    for i in range(len(call.op.inputs)):
        constant = call.known(i)
        if constant is not None:
            total = call.pointwise(fn, total, [constant.values.astype(np.float32)], part=f"constant{i}")
    return total


@handles("And", "Or", "Xor")
def logic(call: Call) -> Value:
    """Read a function of two values that are 0 or 1."""
    if len(call.positions) < 2:
        return call.problem("a constant", "two values that depend on the input", "fold the constant")
    first, second = call.several
    if call.op.kind == "Xor":
        return unequal(call, pair(call, "Sub", first, second, part="difference"))
    return pair(call, "Min" if call.op.kind == "And" else "Max", first, second)


def unequal(call: Call, difference: Value) -> Value:
    """Append 1 for every value other than 0, and 0 for the others."""
    return call.pointwise(lambda x: np.not_equal(x, 0).astype(np.float32), difference, step=1.0)


@handles("Where")
def where(call: Call) -> Value:
    """Read a choice: a function of single values, or the sum of two products with 0 and 1."""
    if len(call.positions) == 1:
        return _one_value(call)
    return pair(call, "Add", _chosen(call, 1), _chosen(call, 2))


def _one_value(call: Call) -> Value:
    """A choice in which two of the condition and the choices are constants."""
    [place] = call.positions
    known = [call.known(i) for i in range(3)]
    given = [np.asarray(c.values, np.float32) for c in known if c is not None]

    def choose(x: Array, *rest: Array) -> Array:
        parts = list(rest)
        parts.insert(place, x)
        found: Array = np.where(parts[0] != 0, parts[1], parts[2])
        return found

    return call.pointwise(choose, call.value, given)


def _chosen(call: Call, position: int) -> Value:
    """The choice at a position where the condition asks for it, and 0 elsewhere."""
    part, given = f"choice{position}", call.op.inputs
    condition, choice = call.known(0), call.known(position)

    def mask(x: Array) -> Array:
        found: Array = (x != 0) == (position == 1)
        return found.astype(np.float32)

    if condition is not None:
        value = call.draft.values[given[position]]
        step = call.step_of(value.edge)
        return call.pointwise(np.multiply, value, [mask(condition.values)], part=part, step=step)
    test = call.draft.values[given[0]]
    if choice is not None:
        constant = np.asarray(choice.values, np.float32)
        sizes = np.unique(np.abs(constant[constant != 0]))
        step = float(sizes[0]) if len(sizes) == 1 else None
        return call.pointwise(lambda x, c: mask(x) * c, test, [constant], part=part, step=step)
    ones = call.pointwise(mask, test, part=f"{part}.mask", step=1.0)
    return pair(call, "Mul", ones, call.draft.values[given[position]], part=part)
