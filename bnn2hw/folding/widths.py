"""The widest beats of a design: wider ones cost more than they save, and simulators refuse to compile them."""

from __future__ import annotations

from collections.abc import Sequence

from bnn2hw.errors import FoldingError
from bnn2hw.ir import Graph, Node, StreamOp

MOST_INSIDE = 4096
"""Bits of the widest beat between two ops."""

MOST_AT_PORTS = 8192
"""Bits of the widest beat of an input or output of the design."""


def fits(graph: Graph, node: Node, op: StreamOp) -> bool:
    """True if no beat of an op is too wide at its place in a graph.

    Args:
        graph: The graph.
        node: Node of the op.
        op: A folding of its op.
    """
    return all(bits <= most for bits, most in _widths(graph, node, op))


def narrow(graph: Graph, node: Node, ops: Sequence[StreamOp]) -> list[StreamOp]:
    """Return the foldings of a node whose beats are not too wide.

    Raises:
        FoldingError: There is none.
    """
    kept = [op for op in ops if fits(graph, node, op)]
    if kept:
        return kept
    bits, most = min(max(_widths(graph, node, op), key=lambda w: w[0] - w[1]) for op in ops)
    raise FoldingError(
        f"layer '{node.name}' has a beat of {bits:,} bits, and at most {most:,} are possible; "
        "fold it into more beats, or give the layer fewer values"
    )


def _widths(graph: Graph, node: Node, op: StreamOp) -> list[tuple[int, int]]:
    """Return the width of each beat of an op, in bits, and the most that it may be."""
    inputs = graph.inputs_of(node)
    taken, given = op.beats(*inputs)
    port = not node.inputs or node.name in {graph.wire(name) for name in graph.outputs}
    out = given.lanes * op.infer(*inputs).ints.bits, MOST_AT_PORTS if port else MOST_INSIDE
    return [*((taken.lanes * x.ints.bits, MOST_INSIDE) for x in inputs), out]
