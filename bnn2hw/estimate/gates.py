"""Find the ops that run free: those between a gate and a FIFO that has room for every beat the gate lets in.

The field `gated` of a FIFO says that the ops before it run free, back to the FIFO or the input of the
design that the first of them reads. They have no handshakes between them: a beat moves on in every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.ir import Graph, View, hardware_nodes
from bnn2hw.ops.fifo import Fifo


@dataclass(frozen=True)
class Gate:
    """The gate of ops that run free.

    Attributes:
        ops: Nodes of the ops, the first one behind the gate.
        exit: Node of the FIFO behind the last one.
        credits: Beats that are between the gate and the output of the FIFO at most: those that it holds.
    """

    ops: tuple[str, ...]
    exit: str
    credits: int

    @property
    def entry(self) -> str:
        """Node of the op behind the gate."""
        return self.ops[0]

    @property
    def last(self) -> str:
        """Node of the op before the FIFO."""
        return self.ops[-1]


def of(graph: Graph) -> list[Gate]:
    """Return the gates of a streamed graph, in topological order.

    A gated FIFO that reads another FIFO or an input of the design needs no gate: no op is before it.
    """
    found = []
    for node, op in hardware_nodes(graph):
        if isinstance(op, Fifo) and op.gated:
            ops = _before(graph, node.inputs[0])
            if ops:
                found.append(Gate(ops, node.name, op.depth))
    return found


def _before(graph: Graph, edge: str) -> tuple[str, ...]:
    """Return the ops that lead to an edge without a FIFO, the first one first."""
    ops: list[str] = []
    while (node := graph[edge]).inputs and not isinstance(node.op, Fifo):
        if not isinstance(node.op, View):
            ops.insert(0, node.name)
        edge = node.inputs[0]
    return tuple(ops)
