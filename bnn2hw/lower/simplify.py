"""Passes over graphs in real form."""

from __future__ import annotations

from dataclasses import replace

from bnn2hw.ir import Graph, Node
from bnn2hw.ops.real import Flatten, Pointwise


def hoist_uniform(graph: Graph) -> Graph:
    """Move functions that are the same for all channels in front of a Flatten.

    So the BatchNorm before a Flatten and the quantizer behind it stand side by side, and become
    thresholds per channel rather than per feature.
    """
    nodes = list(graph.nodes)
    moved = True
    while moved:
        moved = False
        for i in range(1, len(nodes)):
            flat, point = nodes[i - 1], nodes[i]
            if _can_swap(graph, flat, point):
                nodes[i - 1 : i + 1] = _swapped(graph, flat, point)
                graph = Graph(tuple(_renamed(nodes, flat, point)), graph.outputs)
                nodes, moved = list(graph.nodes), True
    return graph


def _can_swap(graph: Graph, flat: Node, point: Node) -> bool:
    return (
        isinstance(flat.op, Flatten)
        and isinstance(point.op, Pointwise)
        and point.op.uniform
        and point.inputs == (flat.name,)
        and len(graph.consumers[flat.name]) == 1
    )


def _swapped(graph: Graph, flat: Node, point: Node) -> list[Node]:
    before = graph.types[flat.inputs[0]].shape
    op = point.op
    if not isinstance(op, Pointwise):
        raise TypeError(f"'{point.name}' is no function of single values")
    raised = replace(point, op=replace(op, shape=before), inputs=flat.inputs)
    return [raised, replace(flat, inputs=(point.name,))]


def _renamed(nodes: list[Node], flat: Node, point: Node) -> list[Node]:
    """Readers of the function now read the Flatten behind it."""
    return [
        n
        if n.name == flat.name
        else replace(n, inputs=tuple(flat.name if i == point.name else i for i in n.inputs))
        for n in nodes
    ]
