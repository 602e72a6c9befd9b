"""The widest beats and words of a design: wider ones cost more than they save, and tools refuse to compile them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bnn2hw.errors import FoldingError
from bnn2hw.ir import Graph, HardwareOp, Node, StreamOp, Tensor
from bnn2hw.ops.base.folds import MOST_INSIDE as MOST_INSIDE
from bnn2hw.ops.lut import Lut

MOST_AT_PORTS = 8192
"""Bits of the widest beat of an input or output of the design."""


def narrow(graph: Graph, node: Node, ops: Sequence[StreamOp]) -> list[StreamOp]:
    """Return the foldings of a node whose beats and words are not too wide.

    Raises:
        FoldingError: There is none.
    """
    limits = _limits(graph, node)
    kept = [
        op for op in _whole(graph, node, ops) if all(bits <= most for bits, most, _ in _widths(limits, op))
    ]
    if kept:
        return kept
    bits, most, what = min(max(_widths(limits, op), key=lambda w: w[0] - w[1]) for op in ops)
    raise FoldingError(
        f"layer '{node.name}' has {what} of {bits:,} bits, and at most {most:,} are possible; "
        "fold it into more beats, or give the layer fewer values"
    )


def _whole(graph: Graph, node: Node, ops: Sequence[StreamOp]) -> Sequence[StreamOp]:
    """The foldings of a port; only those of whole vectors if its reader takes vectors too wide for a converter."""
    reader = graph.readers[node.name][0][0] if len(graph.readers[node.name]) == 1 else None
    if node.inputs or reader is None or not isinstance(reader.op, Lut):
        return ops
    taken = reader.op.beats(*graph.inputs_of(reader))[0]
    if taken.lanes * graph.types[node.name].ints.bits <= MOST_INSIDE:
        return ops
    return [op for op in ops if op.beats()[1] == taken] or ops


class _Limits(NamedTuple):
    """The streams around a node.

    Attributes:
        inputs: Types of its inputs.
        taken: Bits of a value of each input.
        given: Bits of a value of the output.
        most: Bits of the widest beat of the output.
        widest: Bits of the widest beat of an input.
    """

    inputs: tuple[Tensor, ...]
    taken: tuple[int, ...]
    given: int
    most: int
    widest: int


def _limits(graph: Graph, node: Node) -> _Limits:
    inputs = graph.inputs_of(node)
    port = not node.inputs or node.name in {graph.wire(name) for name in graph.outputs}
    most = MOST_AT_PORTS if port else MOST_INSIDE
    # Truth tables take whole vectors. Those that read a port need no FIFO or converter in front of them.
    at_port = isinstance(node.op, Lut) and not graph[graph.wire(node.inputs[0])].inputs
    widest = MOST_AT_PORTS if at_port else MOST_INSIDE
    return _Limits(inputs, tuple(x.ints.bits for x in inputs), graph.types[node.name].ints.bits, most, widest)


def _widths(limits: _Limits, op: StreamOp) -> list[tuple[int, int, str]]:
    """Return the bits of each beat and of the inside of a folding, with the most that they may be and a name."""
    given = op.beats(*limits.inputs)[1]
    taken = [op.input_beats(port, *limits.inputs).lanes * bits for port, bits in enumerate(limits.taken)]
    inputs = [(bits, limits.widest, "a beat") for bits in taken]
    inside = (
        [(op.inner_bits(*limits.inputs), MOST_INSIDE, "a signal inside")]
        if isinstance(op, HardwareOp)
        else []
    )
    return [*inputs, (given.lanes * limits.given, limits.most, "a beat"), *inside]
