"""The reference interpreter: what a graph computes, exactly, in any of its forms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Array, Graph, Tensor

Batch = Array | Mapping[str, Array]
"""What enters or leaves a graph: an array where there is one edge, arrays by the names of the edges where there
are several."""


def run(graph: Graph, x: Batch) -> Mapping[str, Array]:
    """The values on every edge for a batch of inputs.

    Args:
        graph: any graph.
        x: shape (batch, *input shape), in the unit of the graph's source: its integers where it has a type.
            Where there are several sources, such arrays by their names.

    Returns:
        An array of shape (batch, *edge shape) for each node name.

    Raises:
        InputError: x does not fit the sources, or is not of their types.
    """
    edges = check(graph, x)
    for node in graph:
        if node.name not in edges:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
    return edges


def outputs(graph: Graph, x: Batch) -> Batch:
    """The values on the graph's outputs, without keeping the edges on the way.

    Returns:
        An array where the graph has one output, else arrays by the names of the outputs.
    """
    edges = check(graph, x)
    uses = {name: len(nodes) for name, nodes in graph.consumers.items()}
    for node in graph:
        if node.name not in edges:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
        for i in set(node.inputs):
            uses[i] -= 1
            if not uses[i] and i not in graph.outputs:
                del edges[i]
    return batch({name: edges[name] for name in graph.outputs})


def batch(arrays: Mapping[str, Array]) -> Batch:
    """Arrays by name as users see them: one alone needs no name."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def by_name(names: tuple[str, ...], x: Batch, what: str = "input") -> dict[str, Array]:
    """The array of each name.

    Args:
        names: of the edges.
        x: their values; one array is enough where there is one name.
        what: an edge is called in messages.

    Raises:
        InputError: x names other edges, or is one array where several are needed.
    """
    if isinstance(x, Mapping):
        if set(x) != set(names):
            raise InputError(f"arrays are given for {_list(x)}, expected the {what}s {_list(names)}")
        return {name: x[name] for name in names}
    if len(names) != 1:
        raise InputError(f"one array is given for {len(names)} {what}s; give a dict with {_list(names)}")
    return {names[0]: x}


def _list(names: Mapping[str, Array] | tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def frames(x: Batch) -> int:
    """How many samples a batch holds."""
    return len(next(iter(x.values())) if isinstance(x, Mapping) else x)


def part(x: Batch, frames: slice) -> Batch:
    """Some samples of a batch."""
    return {name: a[frames] for name, a in x.items()} if isinstance(x, Mapping) else x[frames]


def check(graph: Graph, x: Batch) -> dict[str, Array]:
    """The values of each source, once they are known to fit it."""
    sources = tuple(n.name for n in graph.sources)
    arrays = by_name(sources, x)
    for name, values in arrays.items():
        _check(graph.types[name], values, "the input" if len(sources) == 1 else f"the input '{name}'")
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
        raise InputError(f"the inputs hold different numbers of frames: {each}")
    return arrays


def _check(expected: Tensor, x: Array, what: str) -> None:
    if x.shape[1:] != expected.shape:
        raise InputError(
            f"{what} has shape {x.shape}, expected (batch, {', '.join(map(str, expected.shape))})"
        )
    if expected.type is not None and not np.issubdtype(x.dtype, np.integer):
        raise InputError(f"{what} has dtype {x.dtype}, expected integers {expected.type}")
    if expected.type is not None and not expected.type.contains(x):
        raise InputError(f"{what} holds values outside of {expected.type} (from {x.min()} to {x.max()})")
