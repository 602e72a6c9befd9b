"""Passes over graphs in real form."""

from __future__ import annotations

from dataclasses import replace

from bnn2hw.ir import Graph, Node
from bnn2hw.ops.real import Flatten, Pointwise


def hoist_uniform(graph: Graph) -> Graph:
    """Move functions that are the same for all channels in front of a Flatten.

    A BatchNorm in front of a Flatten and a quantizer behind it then follow each other, and become
    thresholds per channel rather than per feature.
    """
    before = None
    while graph is not before:
        before = graph
        for place in range(1, len(graph.nodes)):
            graph = _swapped(graph, place)
    return graph


def _swapped(graph: Graph, place: int) -> Graph:
    """The graph with a function in front of its Flatten, if these are the nodes at a place.

    Readers of the function then read the Flatten.
    """
    flatten, function = graph.nodes[place - 1 : place + 1]
    op = function.op
    if not isinstance(op, Pointwise) or not op.uniform or not _reads_alone(graph, flatten, function):
        return graph
    shape = graph.types[flatten.inputs[0]].shape
    raised = replace(function, op=replace(op, shape=shape), inputs=flatten.inputs)
    behind = replace(flatten, inputs=(function.name,))
    rest = [
        replace(n, inputs=tuple(flatten.name if i == function.name else i for i in n.inputs))
        for n in graph.nodes[place + 1 :]
    ]
    outputs = tuple(flatten.name if o == function.name else o for o in graph.outputs)
    return Graph((*graph.nodes[: place - 1], raised, behind, *rest), outputs)


def _reads_alone(graph: Graph, flatten: Node, function: Node) -> bool:
    """True if a node is a Flatten that nothing but a function reads."""
    return (
        isinstance(flatten.op, Flatten)
        and function.inputs == (flatten.name,)
        and len(graph.consumers[flatten.name]) == 1
        and flatten.name not in graph.outputs
    )
