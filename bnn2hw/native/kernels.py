"""One handler per kind of op: it appends the kernel calls that compute the op."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Node, Tensor, View
from bnn2hw.native.compiler import Compiler, Numbers, packed, places, words
from bnn2hw.native.program import SIZES, element
from bnn2hw.ops import (
    Add,
    Affine,
    Argmax,
    Concat,
    Depthwise,
    Interpolation,
    Mac,
    Multiply,
    Pool,
    Quantize,
    Table,
    Threshold,
    TopK,
    Unrolled,
    Xnor,
)
from bnn2hw.ops.interpolation import FINE
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.sliding_window import Windows

T = TypeVar("T")

Handler = Callable[[Compiler, Node], None]

LANES = 32
"""Neurons to whose multiple rows of weights are padded: those of a word, which fill every vector."""

MOST_INPUTS = 2**16
"""Words or channels of a window whose places in the image are listed; larger windows are copied first."""

SUMS = {"i16": 2**15 - 2, "f32": 2**24 - 1, "f64": 2**53 - 1}
"""Element types in which sums and thresholds are exact, with the largest absolute value of a partial sum."""


NUMPY = {"i16": np.int16, "i32": np.int32, "f32": np.float32, "f64": np.float64, "i64": np.int64}
"""NumPy types of sums and thresholds, by element type."""


def handles(kind: type) -> Callable[[Handler], Handler]:
    """Register a handler for a kind of op."""

    def register(handler: Handler) -> Handler:
        HANDLERS[kind.kind] = handler  # type: ignore[attr-defined]
        return handler

    return register


HANDLERS: dict[str, Handler] = {}


@dataclass(frozen=True)
class _Input:
    """The image that a matrix-vector unit reads, and the windows over it.

    Attributes:
        edge: The edge that holds the image, or the vectors themselves.
        window: C++ expression of the geometry, in words or in channels.
        positions: Places of one vector, each with `channels` values.
        channels: Values of a place.
        synapses: Values of a tap of the window.
    """

    edge: str
    window: str
    positions: int
    channels: int
    synapses: int


def _vectors(c: Compiler, node: Node, axes: int, *, in_words: bool, zeros_are_skipped: bool) -> _Input:
    """Find the image and the windows behind the vectors that a unit reads."""
    [edge] = node.inputs
    made = c.graph[edge]
    while isinstance(made.op, View) and c.type(made.inputs[0]).channels == c.type(edge).channels:
        made = c.graph[made.inputs[0]]
    if axes == 1 and isinstance(made.op, Windows):
        [source] = made.inputs
        border = c.graph[source]
        skipped = isinstance(border.op, Pad) and zeros_are_skipped and _only_zeros(border.op)
        if skipped:
            [source] = border.inputs
        x = c.type(source)
        unit = words(x.channels) if in_words else x.channels
        if math.prod(x.shape[:-3]) == 1 and math.prod(made.op.kernel) * unit <= MOST_INPUTS:
            pad = border.op if skipped and isinstance(border.op, Pad) else None
            geometry = c.window(made.op, x, unit, pad, c.offsets(made.op, x, unit))
            return _Input(source, geometry, math.prod(made.op.kernel), x.channels, x.channels)
    x = c.type(edge)
    inner, channels = math.prod(x.shape[-axes:-1]), x.channels
    outer = math.prod(x.shape[:-axes])
    unit = inner * (words(channels) if in_words else channels)
    values = (outer, 1, unit, 1, 1, 1, 1, 1, 1, 0, 0, outer, 1, "nullptr")
    return _Input(edge, f"Window{{{', '.join(map(str, values))}}}", inner, channels, inner * channels)


def _only_zeros(op: Pad) -> bool:
    return not np.any(op.value) and op.gaps == (1, 1)


@dataclass(frozen=True)
class _Fired:
    """A threshold behind a unit that its kernel takes along.

    Attributes:
        edge: The edge behind the threshold.
        thresholds: One integer per neuron.
        falls: One boolean per neuron.
    """

    edge: str
    thresholds: Array
    falls: Array


def _fused(c: Compiler, node: Node, neurons: int) -> _Fired | None:
    """The threshold that alone reads a unit's sums, if it gives ±1 by neuron."""
    readers, edge = c.graph.readers[node.name], node.name
    if len(readers) != 1 or any(c.graph.wire(o) == edge for o in c.graph.outputs):
        return None
    [(reader, _)] = readers
    op = reader.op
    seen = c.type(reader.inputs[0]).shape[-1:] == (neurons,)
    if (
        not isinstance(op, Threshold)
        or op.type != BIPOLAR
        or not seen
        or op.thresholds.shape[0] not in (1, neurons)
    ):
        return None
    thresholds = np.broadcast_to(op.thresholds[:, 0], neurons).astype(np.int64)
    falls = np.zeros(1, bool) if op.falls is None else op.falls
    return _Fired(reader.name, thresholds, np.broadcast_to(falls, neurons))


def _neurons(
    c: Compiler, edge: str | None, count: int, padded: int, fired: _Fired | None, kind: str = "i32"
) -> tuple[str, frozenset[int]]:
    """C++ expression of where a unit's results go, and the buffers that it uses."""
    uses: frozenset[int] = frozenset()
    sums, bits, thresholds, falls = "{nullptr, Type::i32}", "nullptr", "nullptr", "nullptr"
    if edge is not None and (fired is None or edge in c.keep):
        numbers = c.make_numbers(edge)
        sums, uses = str(numbers), uses | numbers.uses
    if fired is not None:
        made = c.make_bits(fired.edge)
        c.done.add(fired.edge)
        bits, uses = str(made), uses | made.uses
        row = np.zeros(padded, NUMPY[kind])
        row[:count] = fired.thresholds
        thresholds = c.constants.add(row, kind)
        falls = c.constants.add(packed(fired.falls), "u32")
    return f"Neurons{{{count}, {padded}, {sums}, {bits}, {thresholds}, {falls}}}", uses


def _signs(weights: Array, positions: int, channels: int, padded: int) -> Array:
    """±1 weights (MW, MH) as words of shape (words of a vector, padded neurons)."""
    mh = weights.shape[1]
    signs = (weights > 0).T.reshape(mh, positions, channels)
    rows = packed(signs).reshape(mh, -1).T
    made = np.zeros((rows.shape[0], padded), np.uint32)
    made[:, :mh] = rows
    return made


def _xnor(c: Compiler, node: Node, op: Xnor, sums: str | None, fired: _Fired | None) -> None:
    """Append a unit of signs times signs, whose sums are the edge `sums` where they are one."""
    [edge] = node.inputs
    x = _vectors(c, node, op.axes, in_words=True, zeros_are_skipped=c.type(edge).ints != BIPOLAR)
    padded = op.mh + -op.mh % LANES
    weights = c.constants.add(_signs(op.weights, x.positions, x.channels, padded), "u32")
    to, uses = _neurons(c, sums, op.mh, padded, fired)
    if c.has_bits(x.edge):
        c.step("xnor", c.bits(x.edge), "n", x.window, x.synapses, weights, to, uses=uses)
    else:
        c.step("xnor_masked", c.bits_of_signs(x.edge), c.mask(x.edge), "n", x.window, weights, to, uses=uses)


@handles(Xnor)
def xnor(c: Compiler, node: Node) -> None:
    """Signs times signs."""
    op = _op(node, Xnor)
    _xnor(c, node, op, node.name, _fused(c, node, op.mh))


@handles(Unrolled)
def unrolled(c: Compiler, node: Node) -> None:
    """The matrix of the unit, whatever sums its neurons share in hardware."""
    op = _op(node, Unrolled)
    if op.thresholds is None:
        _xnor(c, node, op.folded, node.name, _fused(c, node, op.folded.mh))
        return
    falls = np.zeros(len(op.thresholds), bool) if op.falls is None else op.falls
    _xnor(c, node, op.folded, None, _Fired(node.name, op.thresholds.astype(np.int64), falls))


@handles(Mac)
def mac(c: Compiler, node: Node) -> None:
    """Integers times integers, in the element type that holds every partial sum."""
    op, [edge] = _op(node, Mac), node.inputs
    ints = c.type(edge).ints
    coded = ints if op.domain is None else Ints(0, ints.count - 1)
    kind = _sums(op, coded)
    image = _vectors(c, node, op.axes, in_words=False, zeros_are_skipped=op.domain is None)
    x = _codes(c, image.edge, op.domain, "pairs" if kind == "i16" else kind)
    padded = op.mh + -op.mh % LANES
    weights = np.zeros((op.mw, padded), NUMPY[kind])
    weights[:, : op.mh] = op.weights
    fired = _fused(c, node, op.mh)
    to, uses = _neurons(c, node.name, op.mh, padded, fired, kind)
    c.step("mac", x, "n", image.window, c.constants.add(weights, kind), to, uses=uses)


def _sums(op: Mac, x: Ints) -> str:
    """The element type for a unit's sums; for weights that may be loaded, that of any weights."""
    largest = max(-x.lo, x.hi)
    if op.loadable:
        reach = op.mw * largest * max(-op.weight_type.lo, op.weight_type.hi)
    else:
        reach = largest * int(np.abs(op.weights.astype(np.int64)).sum(0).max(initial=0))
    reach = max(reach, largest)
    return next((kind for kind, limit in SUMS.items() if reach <= limit), "i64")


def _codes(c: Compiler, edge: str, domain: Ints | None, kind: str) -> Numbers:
    """The values of an edge, or their wire codes where a unit multiplies these."""
    if domain is None:
        return c.numbers(edge, kind)
    tensor = c.type(edge)
    number = c.buffer(tensor.size * SIZES[kind])
    made = Numbers(f"at({number})", kind, number)
    c.step("coded", c.numbers(edge), c.count(tensor.size), domain.lo, domain.step, made)
    return made


@handles(Depthwise)
def depthwise(c: Compiler, node: Node) -> None:
    """Sums by channel over the positions of a window."""
    op, [edge] = _op(node, Depthwise), node.inputs
    domain = op.domain
    kind = element(c.type(edge).ints if domain is None else Ints(0, domain.count - 1))
    outer = c.type(edge).size // op.weights.size
    x, y = _codes(c, edge, domain, kind), c.make_numbers(node.name)
    weights = c.constants.add(op.weights.astype(np.int64), "i64")
    c.step("depthwise", x, "n", outer, op.positions, op.channels, weights, y)


def _channels(x: Tensor, axes: int, rows: int) -> str:
    """C++ expression of how constants are shared among channels."""
    count = math.prod(x.shape[-axes:])
    return f"Channels{{{x.size // count}, {count}, {rows}}}"


@handles(Threshold)
def threshold(c: Compiler, node: Node) -> None:
    """Count the thresholds that each value reaches."""
    op, [edge] = _op(node, Threshold), node.inputs
    x, rows = c.type(edge), op.thresholds.shape[0]
    falls = np.zeros(rows, bool) if op.falls is None else op.falls
    thresholds = op.thresholds.astype(np.int64)
    shared = _channels(x, op.axes, rows)
    if c.has_bits(node.name) and (op.axes == 1 or rows == 1):
        by_place = f"Channels{{{places(x.shape)}, {x.channels}, {rows}}}"
        args = c.constants.add(thresholds[:, 0], "i64"), c.constants.add(packed(falls), "u32")
        c.step("fire", c.numbers(edge), "n", by_place, *args, c.make_bits(node.name))
        return
    data = c.constants.add(thresholds.T, "i64"), c.constants.add(falls.astype(np.uint8), "u8")
    levels, y = thresholds.shape[1], c.make_numbers(node.name)
    c.step("threshold", c.numbers(edge), "n", shared, levels, *data, op.type.lo, op.type.step, y)


@handles(Affine)
def affine(c: Compiler, node: Node) -> None:
    """Scale, add and shift, by channel and segment."""
    op, [edge] = _op(node, Affine), node.inputs
    data = [c.constants.add(a.astype(np.int64), "i64") for a in (op.slopes, op.biases, op.cuts)]
    shared, y = _channels(c.type(edge), op.axes, op.rows), c.make_numbers(node.name)
    ends = op.type.lo, op.type.hi
    c.step("affine", c.numbers(edge), "n", shared, op.slopes.shape[1], *data, op.drop, op.shift, *ends, y)


@handles(Quantize)
def quantize(c: Compiler, node: Node) -> None:
    """Drop low bits, and wrap or clamp the rest."""
    op, [edge] = _op(node, Quantize), node.inputs
    data = [c.constants.add(a.astype(np.int64), "i64") for a in op.constants()]
    shared, y = _channels(c.type(edge), op.axes, op.rows), c.make_numbers(node.name)
    c.step("quantize", c.numbers(edge), "n", shared, *data, op.wraps, op.shift, y)


@handles(Table)
def table(c: Compiler, node: Node) -> None:
    """Look each value up."""
    op, [edge] = _op(node, Table), node.inputs
    values = c.constants.add(op.table.astype(np.int64), "i64")
    shared, y = _channels(c.type(edge), op.axes, op.rows), c.make_numbers(node.name)
    domain = op.domain.lo, op.domain.step, op.table.shape[1]
    c.step("table", c.numbers(edge), "n", shared, *domain, values, y)


@handles(Interpolation)
def interpolation(c: Compiler, node: Node) -> None:
    """Follow lines between the entries of a table."""
    op, [edge] = _op(node, Interpolation), node.inputs
    data = [c.constants.add(a.astype(np.int64), "i64") for a in (op.bases, op.slopes)]
    x, y = c.numbers(edge), c.make_numbers(node.name)
    c.step("interpolation", x, c.count(c.type(edge).size), op.low, op.first, FINE, *data, y)


@handles(Pool)
def pool(c: Compiler, node: Node) -> None:
    """The largest or smallest value of each window."""
    op, [edge] = _op(node, Pool), node.inputs
    x = c.type(edge)
    height, width = op.size if op.windowed else x.shape[-3:-1]
    images = c.count(x.size // (height * width * op.channels))
    minimum = np.broadcast_to(op.minimum, op.channels)
    if c.has_bits(edge) and not op.windowed and not c.is_only_numbers(edge):
        data = c.constants.add(packed(minimum), "u32")
        args = height, width, words(op.channels), *op.size, data
        c.step("pool_bits", c.bits(edge), images, *args, c.make_bits(node.name))
        return
    data = c.constants.add(minimum.astype(np.uint8), "u8")
    args = height, width, op.channels, *op.size, data
    c.step("pool", c.numbers(edge), images, *args, c.make_numbers(node.name))


@handles(Add)
def add(c: Compiler, node: Node) -> None:
    """The second input is added to the last channels of the first."""
    op, (a, b) = _op(node, Add), node.inputs
    x = c.type(a)
    args = c.count(places(x.shape)), x.channels, op.first
    c.step("add", c.numbers(a), c.numbers(b), *args, c.make_numbers(node.name))


@handles(Multiply)
def multiply(c: Compiler, node: Node) -> None:
    """Products of two inputs, of which the second may be one vector for a whole image."""
    a, b = node.inputs
    x, y = c.type(a), c.type(b)
    args = "n", places(x.shape), x.channels, y.shape != x.shape
    c.step("multiply", c.numbers(a), c.numbers(b), *args, c.make_numbers(node.name))


@handles(Concat)
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
    _largest(c, node, _op(node, Argmax).axes, 1)


@handles(TopK)
def topk(c: Compiler, node: Node) -> None:
    """The indices of the k largest values."""
    op = _op(node, TopK)
    _largest(c, node, op.axes, op.k)


def _largest(c: Compiler, node: Node, axes: int, k: int) -> None:
    [edge] = node.inputs
    x = c.type(edge)
    values = math.prod(x.shape[-axes:])
    c.step("largest", c.numbers(edge), c.count(x.size // values), values, k, c.make_numbers(node.name))


def _op(node: Node, kind: type[T]) -> T:
    """The op of a node, which is of a kind."""
    if not isinstance(node.op, kind):
        raise TypeError(f"node '{node.name}' is no {kind.__name__}")
    return node.op
