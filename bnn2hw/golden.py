"""The reference interpreter: what a graph computes, exactly, in any of its forms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Array, Graph, Node
from bnn2hw.ops.source import Source


def run(graph: Graph, x: Array) -> Mapping[str, Array]:
    """The values on every edge for a batch of inputs.

    Args:
        graph: any graph with one source.
        x: shape (batch, *input shape), in the unit of the graph's source: its integers where it has a type.

    Returns:
        An array of shape (batch, *edge shape) for each node name.

    Raises:
        InputError: x does not fit the source, or is not of its type.
    """
    source = check(graph, x)
    edges: dict[str, Array] = {source.name: x}
    for node in graph:
        if node is not source:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
    return edges


def outputs(graph: Graph, x: Array) -> Array:
    """The values on the graph's output, without keeping the edges on the way."""
    source = check(graph, x)
    edges: dict[str, Array] = {source.name: x}
    uses = {name: len(nodes) for name, nodes in graph.consumers.items()}
    for node in graph:
        if node is not source:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
        for i in node.inputs:
            uses[i] -= 1
            if not uses[i] and i not in graph.outputs:
                del edges[i]
    return edges[graph.outputs[0]]


def check(graph: Graph, x: Array) -> Node:
    """The source of the graph, once x is known to fit it."""
    source = next(n for n in graph if isinstance(n.op, Source))
    expected = graph.types[source.name]
    if x.shape[1:] != expected.shape:
        raise InputError(
            f"the input has shape {x.shape}, expected (batch, {', '.join(map(str, expected.shape))})"
        )
    if expected.type is not None and not np.issubdtype(x.dtype, np.integer):
        raise InputError(f"the input has dtype {x.dtype}, expected integers {expected.type}")
    if expected.type is not None and not expected.type.contains(x):
        raise InputError(f"the input holds values outside of {expected.type} (from {x.min()} to {x.max()})")
    return source
