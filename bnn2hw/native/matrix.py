"""Matrix-vector units as kernel calls, with their windows and thresholds. Units of signs are in `signs.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Node, Tensor, View
from bnn2hw.native.compiler import SPREAD, Compiler, Numbers, fits, packed, words
from bnn2hw.native.program import ARRAYS, SIZES, element
from bnn2hw.native.registry import handles, op_of
from bnn2hw.ops import Depthwise, Mac, ParallelDepthwise, Threshold
from bnn2hw.ops.depthwise import WindowSums
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.sliding_window import Windows

LANES = 64
"""Neurons to whose multiple rows of weights are padded: they fill every vector, and whole words of bits."""

MOST_INPUTS = 2**16
"""Words or channels of a window whose places in the image are listed; larger windows are copied first."""

ROW = 128
"""Bytes of weights of a block of neurons, which follow each other in memory; for units of numbers."""

LANE = 4
"""Bytes of a lane: in one step, products of as many inputs as fill it are summed."""

PLANE = 16
"""Neurons whose lanes of a part of their weights follow each other, where weights have two parts."""

LOW_BITS = 12
"""Bits of the low part of such weights."""

SUMS = {"i16": 2**15 - 2, "f32": 2**24 - 1, "f64": 2**53 - 1}
"""Element types in which sums and thresholds are exact, with the largest absolute value of a partial sum."""


@dataclass(frozen=True)
class Input:
    """The image that a matrix-vector unit reads, and the windows over it.

    Attributes:
        edge: The edge that holds the image, or the vectors themselves.
        window: C++ expression of the geometry, in elements of the layout, from that of the offsets.
        offsets: Where the elements of a vector are, counted from its first one.
        positions: Places of one vector, each with `channels` values.
        channels: Values of a place.
        synapses: Values of a tap of the window.
    """

    edge: str
    window: Callable[[str], str]
    offsets: Array
    positions: int
    channels: int
    synapses: int

    def geometry(self, c: Compiler) -> str:
        """C++ expression of the windows."""
        return self.window(c.offsets(self.offsets))


def vectors(c: Compiler, node: Node, axes: int, *, in_bits: bool, zeros_are_skipped: bool) -> Input:
    """Find the image and the windows behind the vectors that a unit reads.

    Args:
        c: The compiler.
        node: The unit.
        axes: Last axes of the input that make a vector.
        in_bits: True if elements are bytes of bits, as `spread` lays them out, and False for values.
        zeros_are_skipped: True if the unit can leave out true zeros around an image.
    """
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
        x, op = c.type(source), made.op
        unit = _unit(x.channels, in_bits)
        if math.prod(x.shape[:-3]) == 1 and math.prod(op.kernel) * unit <= MOST_INPUTS:
            pad = border.op if skipped and isinstance(border.op, Pad) else None
            return Input(
                source,
                lambda offsets: c.window(op, x, unit, pad, offsets),
                window_offsets(op, x, unit),
                math.prod(op.kernel),
                x.channels,
                x.channels,
            )
    x = c.type(edge)
    inner, channels = math.prod(x.shape[-axes:-1]), x.channels
    outer = math.prod(x.shape[:-axes])
    unit = inner * _unit(channels, in_bits)
    values = ", ".join(map(str, (outer, 1, unit, 1, 1, 1, 1, 1, 1, 0, 0, outer, 1)))
    return Input(
        edge,
        lambda offsets: f"Window{{{values}, {offsets}}}",
        np.arange(unit),
        inner,
        channels,
        inner * channels,
    )


def _unit(channels: int, in_bits: bool) -> int:
    """Elements of a place."""
    return SPREAD * words(channels) if in_bits else channels


def window_offsets(op: Windows, x: Tensor, unit: int) -> Array:
    """Return the places of the elements of a window, counted from the first one.

    Args:
        op: The sliding window.
        x: The image.
        unit: Elements of a place.
    """
    rows, columns = (np.arange(k) * d for k, d in zip(op.kernel, op.dilation, strict=True))
    places = np.add.outer(rows * x.shape[-2], columns)
    offsets: Array = np.add.outer(places * unit, np.arange(unit)).ravel()
    return offsets


def _only_zeros(op: Pad) -> bool:
    return not np.any(op.value) and op.gaps == (1, 1)


@dataclass(frozen=True)
class Fired:
    """A threshold behind a unit that its kernel takes along.

    Attributes:
        edge: The edge behind the threshold.
        thresholds: One integer per neuron.
        falls: One boolean per neuron.
    """

    edge: str
    thresholds: Array
    falls: Array


def fused_threshold(c: Compiler, node: Node, neurons: int) -> Fired | None:
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
    return Fired(reader.name, thresholds, np.broadcast_to(falls, neurons))


def blocked(weights: Array, size: int) -> Array:
    """Weights (rows, neurons) by blocks of neurons: (neurons / size, rows, size)."""
    return weights.reshape(len(weights), -1, size).transpose(1, 0, 2)


def needs_sums(c: Compiler, edge: str | None, fired: Fired | None) -> bool:
    """True if a unit's sums leave its kernel."""
    return edge is not None and (fired is None or edge in c.keep)


def neurons_of(
    c: Compiler, edge: str | None, count: int, padded: int, fired: Fired | None, thresholds: str
) -> tuple[str, frozenset[int]]:
    """C++ expression of where a unit's results go, and the buffers that it uses.

    Args:
        c: The compiler.
        edge: The edge of the sums, or None if they are not one.
        count: Neurons.
        padded: Neurons in a row of weights.
        fired: The threshold that the kernel takes along.
        thresholds: C++ expression of the thresholds as the kernel reads them.
    """
    uses: frozenset[int] = frozenset()
    sums, bits, falls = "{nullptr, Type::i32}", "nullptr", "nullptr"
    if edge is not None and needs_sums(c, edge, fired):
        numbers = c.make_numbers(edge)
        sums, uses = str(numbers), uses | numbers.uses
    if fired is not None:
        made = c.make_bits(fired.edge)
        c.done.add(fired.edge)
        bits, uses = str(made), uses | made.uses
        falls = c.constants.add(packed(fired.falls), "u32")
    return f"Neurons{{{count}, {padded}, {sums}, {bits}, {thresholds}, {falls}}}", uses


def of_sums(c: Compiler, fired: Fired | None, padded: int, kind: str, parts: int = 1) -> str:
    """C++ expression of thresholds that are compared with sums.

    Args:
        c: The compiler.
        fired: The threshold, if there is one.
        padded: Neurons in a row of weights.
        kind: Element type of the sums.
        parts: The thresholds are in so many parts, between which the neurons take turns.
    """
    if fired is None:
        return "nullptr"
    return c.constants.add(_row(fired.thresholds, padded, ARRAYS[kind]).reshape(-1, parts).T, kind)


def _row(thresholds: Array, padded: int, kind: type[np.number]) -> Array:
    """Thresholds of sums of a type, clipped to it: one beyond the range of the sums is as good as any other."""
    row = np.zeros(padded, kind)
    ends = np.iinfo(kind) if issubclass(kind, np.integer) else None
    row[: len(thresholds)] = np.clip(thresholds, ends.min, ends.max) if ends else thresholds
    return row


@handles(Mac)
def mac(c: Compiler, node: Node) -> None:
    """Integers times integers: bytes in lanes of four, others in the element type that holds every partial sum."""
    op = op_of(node, Mac)
    products(c, node, op, node.name, fused_threshold(c, node, op.mh))


def products(c: Compiler, node: Node, op: Mac, sums: str | None, fired: Fired | None) -> None:
    """Append a unit of integers times integers.

    Args:
        c: The compiler.
        node: The node of the unit.
        op: The unit.
        sums: The edge of its sums, or None if they are not one.
        fired: The threshold that the kernel takes along.
    """
    [edge] = node.inputs
    ints = c.type(edge).ints
    coded = ints if op.domain is None else Ints(0, ints.count - 1)
    if not (_dot(c, node, op, coded, sums, fired) or _dot_words(c, node, op, coded, sums, fired)):
        _mac(c, node, op, coded, sums, fired)


def _dot(c: Compiler, node: Node, op: Mac, coded: Ints, sums: str | None, fired: Fired | None) -> bool:
    """Append a unit of bytes times signed bytes if the input and the weights are such; true if they are."""
    weight = max(-op.weight_type.lo, op.weight_type.hi)
    pair = 2 * coded.hi * weight
    if not (coded.lo >= 0 and coded.hi < 2**8 and weight < 2**7 and pair < 2**15 and op.mw * pair < 2**31):
        return False
    image = vectors(c, node, op.axes, in_bits=False, zeros_are_skipped=False)
    if image.offsets[-1] < LANE - 1:
        return False
    x = _codes(c, image.edge, op.domain, "u8")
    starts, taps = _lanes(image.offsets, LANE)
    padded = op.mh + -op.mh % LANES
    known = np.zeros((op.mw + 1, padded), np.int8)  # the last row belongs to no tap
    known[: op.mw, : op.mh] = op.weights
    weights = c.constants.add(known[taps].transpose(0, 2, 1).view(np.uint8), "u8")
    to, uses = neurons_of(c, sums, op.mh, padded, fired, of_sums(c, fired, padded, "i32"))
    chunk = (2**15 - 1) // max(pair, 1)
    window = image.window(c.constants.add(starts, "i32"))
    c.step("dot", x, "n", window, len(starts), chunk, weights, to, uses=uses)
    return True


def _dot_words(c: Compiler, node: Node, op: Mac, coded: Ints, sums: str | None, fired: Fired | None) -> bool:
    """Append a unit of 16-bit inputs times weights of up to 27 bits if its sums fit into 32; true if they do."""
    weight = max(-op.weight_type.lo, op.weight_type.hi)
    reach = _reach(op, coded)
    ends = np.array([coded.lo, coded.hi])
    if reach <= SUMS["i16"] or not (reach < 2**31 and fits(ends, 16) and weight < 2 ** (14 + LOW_BITS)):
        return False
    image = vectors(c, node, op.axes, in_bits=False, zeros_are_skipped=False)
    per_lane = LANE // SIZES["i16"]
    if image.offsets[-1] < per_lane - 1:
        return False
    x = _codes(c, image.edge, op.domain, "i16")
    starts, taps = _lanes(image.offsets, per_lane)
    padded = op.mh + -op.mh % LANES
    known = np.zeros((op.mw + 1, padded), np.int64)  # the last row belongs to no tap
    known[: op.mw, : op.mh] = op.weights
    high = (known + 2 ** (LOW_BITS - 1)) >> LOW_BITS
    parts = np.stack([known - (high << LOW_BITS), high]).astype(np.int16)[:, taps]
    by_plane = parts.reshape(2, len(starts), per_lane, -1, PLANE).transpose(1, 3, 0, 4, 2)
    weights = c.constants.add(np.ascontiguousarray(by_plane).view(np.uint8), "u8")
    to, uses = neurons_of(c, sums, op.mh, padded, fired, of_sums(c, fired, padded, "i32"))
    window = image.window(c.constants.add(starts, "i32"))
    c.step("dot_words", x, "n", window, len(starts), LOW_BITS, weights, to, uses=uses)
    return True


def _lanes(offsets: Array, size: int) -> tuple[Array, Array]:
    """Cover inputs by groups of some in a row, none of which goes beyond the last input.

    Args:
        offsets: Where the inputs are, in rising order; the last one is at `size` - 1 at least.
        size: Inputs of a group.

    Returns:
        Where each group begins, and the numbers of its inputs, shape (groups, size): -1 for those that are no inputs
        of ours, or in the group before.
    """
    starts: list[int] = []
    taps: list[list[int]] = []
    number = {int(at): i for i, at in enumerate(offsets)}
    for at in map(int, offsets):
        if starts and at < starts[-1] + size:
            continue
        free = starts[-1] + size if starts else 0
        starts.append(min(at, int(offsets[-1]) - size + 1))
        taps.append([number.get(k, -1) if k >= free else -1 for k in range(starts[-1], starts[-1] + size)])
    return np.array(starts), np.array(taps)


def _mac(c: Compiler, node: Node, op: Mac, coded: Ints, sums: str | None, fired: Fired | None) -> None:
    kind = _sums(op, coded)
    narrow = kind == "i64" and fits(np.array([coded.lo, coded.hi, op.weight_type.lo, op.weight_type.hi]))
    image = vectors(c, node, op.axes, in_bits=False, zeros_are_skipped=op.domain is None)
    x = _codes(c, image.edge, op.domain, "pairs" if kind == "i16" else "i32" if narrow else kind)
    padded = op.mh + -op.mh % LANES
    stored = "i32" if narrow else kind
    weights = np.zeros((op.mw, padded), ARRAYS[stored])
    weights[:, : op.mh] = op.weights
    to, uses = neurons_of(c, sums, op.mh, padded, fired, of_sums(c, fired, padded, kind))
    rows = c.constants.add(blocked(weights, ROW // SIZES[kind]), stored)
    c.step("mac", x, "n", image.geometry(c), rows, to, uses=uses)


def _sums(op: Mac, x: Ints) -> str:
    """The element type for a unit's sums."""
    reach = _reach(op, x)
    return next((kind for kind, limit in SUMS.items() if reach <= limit), "i64")


def _reach(op: Mac, x: Ints) -> int:
    """The largest absolute value of inputs and partial sums, for any weights where these may be loaded."""
    largest = max(-x.lo, x.hi)
    if op.loadable:
        reach = op.mw * largest * max(-op.weight_type.lo, op.weight_type.hi)
    else:
        reach = largest * int(np.abs(op.weights.astype(np.int64)).sum(0).max(initial=0))
    return max(reach, largest)


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
@handles(ParallelDepthwise)
def depthwise(c: Compiler, node: Node) -> None:
    """Sums by channel over the positions of a window."""
    op, [edge] = op_of(node, WindowSums), node.inputs  # type: ignore[type-abstract]
    domain = op.domain
    kind = element(c.type(edge).ints if domain is None else Ints(0, domain.count - 1))
    outer = c.type(edge).size // op.weights.size
    x, y = _codes(c, edge, domain, kind), c.make_numbers(node.name)
    weights = c.constants.add(op.weights, "i64")
    narrow = SIZES[kind] <= SIZES["i32"] and fits(op.weights)
    c.step("depthwise", x, "n", outer, op.positions, op.channels, weights, narrow, y)
