"""Handlers of ops that compute value by value, and of images."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.ir import Array, Ints, Node, Tensor
from bnn2hw.native.compiler import Compiler, fits, packed, places, words
from bnn2hw.native.program import SIZES, TYPES
from bnn2hw.native.registry import handles, op_of
from bnn2hw.ops import (
    Add,
    Affine,
    Argmax,
    Concat,
    Interpolation,
    Multiply,
    ParallelConcat,
    ParallelMultiply,
    ParallelPool,
    Pool,
    Quantize,
    Table,
    Threshold,
    TopK,
)
from bnn2hw.ops.interpolation import FINE
from bnn2hw.ops.pool import Pooling
from bnn2hw.ops.sliding_window import Windows

TABLE_LEVELS = 4
"""Thresholds from which on a table is faster."""

TABLE_ENTRIES = 2**14
"""Entries of such a table at most, of all channels."""


SPAN = 256
"""Values that kernels take at a time: constants of fewer channels are repeated, for several places at a time."""


def _channels(x: Tensor, axes: int, rows: int) -> tuple[str, int]:
    """C++ expression of how constants are shared among channels, and how often the constants stand in a row."""
    count = math.prod(x.shape[-axes:])
    places = x.size // count
    times = 1 if rows == 1 else max(t for t in range(1, max(SPAN // count, 1) + 1) if places % t == 0)
    return f"Channels{{{places // times}, {count * times}, {rows * times}}}", times


@handles(Threshold)
def threshold(c: Compiler, node: Node) -> None:
    """Count the thresholds that each value reaches."""
    op, [edge] = op_of(node, Threshold), node.inputs
    x, rows = c.type(edge), op.thresholds.shape[0]
    falls = np.zeros(rows, bool) if op.falls is None else op.falls
    thresholds = op.thresholds.astype(np.int64)
    shared, times = _channels(x, op.axes, rows)
    if c.has_bits(node.name) and (op.axes == 1 or rows == 1):
        by_place = f"Channels{{{places(x.shape)}, {x.channels}, {rows}}}"
        values = c.numbers(edge)
        kind = "i32" if fits(thresholds) and SIZES[values.element] <= SIZES["i32"] else "i64"
        args = (
            f"{{{c.constants.add(thresholds[:, 0], kind)}, Type::{kind}}}",
            c.constants.add(packed(falls), "u32"),
        )
        c.step("fire", values, "n", by_place, *args, c.make_bits(node.name))
        return
    levels = thresholds.shape[1]
    if levels >= TABLE_LEVELS and x.ints.count * rows <= TABLE_ENTRIES:
        counted = _counted(op, x.ints.values(), thresholds, falls)
        _look_up(c, node, shared, times, x.ints, counted)
        return
    rising = np.tile(thresholds, (times, 1)).T, np.tile(falls, times)
    data = c.constants.add(rising[0], "i64"), c.constants.add(rising[1], "u8")
    y = c.make_numbers(node.name)
    c.step("threshold", c.numbers(edge), "n", shared, levels, *data, op.type.lo, op.type.step, y)


def _counted(op: Threshold, values: Array, thresholds: Array, falls: Array) -> Array:
    """The results of thresholds by row, for each of some values: shape (rows, values)."""
    reached = np.stack([np.searchsorted(np.sort(row), values, side="right") for row in thresholds])
    counts = np.where(falls[:, None], thresholds.shape[1] - reached, reached)
    made: Array = op.type.lo + op.type.step * counts
    return made.astype(np.int64)


@handles(Affine)
def affine(c: Compiler, node: Node) -> None:
    """Scale, add and shift, by channel and segment."""
    op, [edge] = op_of(node, Affine), node.inputs
    (shared, times), y = _channels(c.type(edge), op.axes, op.rows), c.make_numbers(node.name)
    rows = (np.tile(a, (times, 1)).T for a in (op.slopes, op.biases, op.cuts))
    data = [c.constants.add(a, "i64") for a in rows]
    ints = c.type(edge).ints
    narrow = fits(op.slopes) and fits(np.array([ints.lo >> op.drop, ints.hi >> op.drop]))
    ends = op.type.lo, op.type.hi
    pieces = op.slopes.shape[1], *data, op.drop, op.shift, narrow
    c.step("affine", c.numbers(edge), "n", shared, *pieces, *ends, y)


@handles(Quantize)
def quantize(c: Compiler, node: Node) -> None:
    """Drop low bits, and wrap or clamp the rest."""
    op, [edge] = op_of(node, Quantize), node.inputs
    (shared, times), y = _channels(c.type(edge), op.axes, op.rows), c.make_numbers(node.name)
    data = [c.constants.add(np.tile(a, times), "i64") for a in op.constants()]
    c.step("quantize", c.numbers(edge), "n", shared, *data, op.wraps, op.shift, y)


@handles(Table)
def table(c: Compiler, node: Node) -> None:
    """Look each value up."""
    op, [edge] = op_of(node, Table), node.inputs
    shared, times = _channels(c.type(edge), op.axes, op.rows)
    _look_up(c, node, shared, times, op.domain, op.table)


def _look_up(c: Compiler, node: Node, shared: str, times: int, domain: Ints, values: Array) -> None:
    """Append a table, and what else happens to its values alike.

    Args:
        c: The compiler.
        node: The node whose values are looked up.
        shared: C++ expression of how rows are shared among channels.
        times: How often the rows stand in a row.
        domain: The integers that are looked up.
        values: What they become, shape (rows, integers).
    """
    [edge], made = node.inputs, node.name
    while (reader := _only_reader(c, made)) and isinstance(reader.op, Affine) and reader.op.rows == 1:
        values = reader.op.golden(values)
        made = reader.name
        c.done.add(made)
    x = c.numbers(edge)
    differences = np.array([domain.lo, domain.hi, domain.hi - domain.lo])
    narrow = x.element in TYPES and SIZES[x.element] <= SIZES["i32"] and fits(differences) and fits(values)
    kind = "i32" if narrow else "i64"
    data = c.constants.add(np.tile(values, (times, 1)), kind)
    entries = domain.lo, domain.step, values.shape[1], f"{{{data}, Type::{kind}}}"
    c.step("table", x, "n", shared, *entries, c.make_numbers(made))


def _only_reader(c: Compiler, edge: str) -> Node | None:
    """The node that alone reads an edge, unless the edge leaves the network too."""
    readers = c.graph.readers[edge]
    leaves = edge in c.keep or any(c.graph.wire(o) == edge for o in c.graph.outputs)
    return readers[0][0] if len(readers) == 1 and not leaves else None


@handles(Interpolation)
def interpolation(c: Compiler, node: Node) -> None:
    """Follow lines between the entries of a table."""
    op, [edge] = op_of(node, Interpolation), node.inputs
    data = [c.constants.add(a, "i64") for a in (op.bases, op.slopes)]
    x, y = c.numbers(edge), c.make_numbers(node.name)
    c.step("interpolation", x, c.count(c.type(edge).size), op.low, op.first, FINE, *data, y)


@handles(Pool)
@handles(ParallelPool)
def pool(c: Compiler, node: Node) -> None:
    """The largest or smallest value of each window."""
    op, [edge] = op_of(node, Pooling), node.inputs  # type: ignore[type-abstract]
    x = c.type(edge)
    height, width = op.size if op.windowed else x.shape[-3:-1]
    images = c.count(x.size // (height * width * op.channels))
    minimum = np.broadcast_to(op.minimum, op.channels)
    if c.has_bits(edge) and not op.windowed and not c.is_only_numbers(edge):
        data = c.constants.add(packed(minimum), "u32")
        args = height, width, words(op.channels), *op.size, data
        c.step("pool_bits", c.bits(edge), images, *args, c.make_bits(node.name))
        return
    data = c.constants.add(minimum, "u8")
    source = c.graph[edge]
    if op.windowed and isinstance(source.op, Windows) and source.op.kernel == op.size:
        [image] = source.inputs
        geometry, images = c.window(source.op, c.type(image)), c.images(image, 3)
        c.step("pool", c.numbers(image), images, geometry, data, c.make_numbers(node.name))
        return
    values = (
        height,
        width,
        op.channels,
        *op.size,
        *op.size,
        1,
        1,
        0,
        0,
        height // op.size[0],
        width // op.size[1],
    )
    geometry = f"Window{{{', '.join(map(str, values))}, nullptr}}"
    c.step("pool", c.numbers(edge), images, geometry, data, c.make_numbers(node.name))


@handles(Add)
def add(c: Compiler, node: Node) -> None:
    """The second input is added to the last channels of the first."""
    op, (a, b) = op_of(node, Add), node.inputs
    x = c.type(a)
    args = c.count(places(x.shape)), x.channels, op.first
    c.step("add", c.numbers(a), c.numbers(b), *args, c.make_numbers(node.name))


@handles(Multiply)
@handles(ParallelMultiply)
def multiply(c: Compiler, node: Node) -> None:
    """Products of two inputs, of which the second may be one vector for a whole image."""
    a, b = node.inputs
    x, y = c.type(a), c.type(b)
    args = "n", places(x.shape), x.channels, y.shape != x.shape
    c.step("multiply", c.numbers(a), c.numbers(b), *args, c.make_numbers(node.name))


@handles(Concat)
@handles(ParallelConcat)
def concat(c: Compiler, node: Node) -> None:
    """The channels of the first input, then those of the second."""
    a, b = node.inputs
    x, y = c.type(a), c.type(b)
    same = x.ints == y.ints == c.type(node.name).ints
    count = c.count(places(x.shape))
    if same and c.has_bits(a) and x.channels % 32 == 0:
        sizes = words(x.channels), words(y.channels)
        c.step("concat_bits", c.bits(a), sizes[0], c.bits(b), sizes[1], count, c.make_bits(node.name))
        return
    c.step("concat", c.numbers(a), x.channels, c.numbers(b), y.channels, count, c.make_numbers(node.name))


@handles(Argmax)
def argmax(c: Compiler, node: Node) -> None:
    """The index of the largest value."""
    _largest(c, node, op_of(node, Argmax).axes, 1)


@handles(TopK)
def topk(c: Compiler, node: Node) -> None:
    """The indices of the k largest values."""
    op = op_of(node, TopK)
    _largest(c, node, op.axes, op.k)


def _largest(c: Compiler, node: Node, axes: int, k: int) -> None:
    [edge] = node.inputs
    x = c.type(edge)
    values = math.prod(x.shape[-axes:])
    c.step("largest", c.numbers(edge), c.count(x.size // values), values, k, c.make_numbers(node.name))
