"""The reference interpreter: compute exactly what a graph means, in any of its forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.ops.source import numbers

AT_ONCE = 2**20
"""Values of the widest edge that are computed at once; about what a processor's cache holds."""

Batch = Array | Mapping[str, Array]
"""Values that enter or leave a graph: an array of shape (frames, *shape) for one edge, arrays by
name for several."""


def run(graph: Graph, x: Batch) -> Mapping[str, Array]:
    """Return the values on every edge for a batch of inputs.

    Args:
        graph: A graph in any form.
        x: Values of the source, of shape (frames, *input shape): integers of its type, or real
            numbers in the real form. Such arrays by name if there are several sources.

    Returns:
        An array of shape (frames, *edge shape) by name of the edge. Integers have the dtype in which
        their op computes, often a narrow one; `wide` makes them safe to compute with.

    Raises:
        InputError: x does not have the shapes or the types of the sources.
    """
    edges = check(graph, x)
    for node in graph:
        if node.name not in edges:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
    return edges


def outputs(graph: Graph, x: Batch) -> Batch:
    """Return the values on the outputs of a graph.

    A few frames are computed at a time, and other edges are dropped as soon as all their readers
    have run, so memory does not grow with the batch.

    Args:
        graph: A graph in any form.
        x: Values of the sources, as for `run`.

    Returns:
        An array if the graph has one output, else arrays by name of the output; integers as int64.

    Raises:
        InputError: x does not have the shapes or the types of the sources.
    """
    edges = check(graph, x)
    step = max(1, AT_ONCE // max(t.size for t in graph.types.values()))
    starts = range(0, frames(edges), step)
    parts = [_outputs(graph, {name: a[i : i + step] for name, a in edges.items()}) for i in starts]
    return batch({name: wide(np.concatenate([part[name] for part in parts])) for name in graph.outputs})


def _outputs(graph: Graph, edges: dict[str, Array]) -> dict[str, Array]:
    """Return the outputs for some frames of the sources."""
    uses = {name: len(nodes) for name, nodes in graph.consumers.items()}
    for node in graph:
        if node.name not in edges:
            edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
        for i in set(node.inputs):
            uses[i] -= 1
            if not uses[i] and i not in graph.outputs:
                del edges[i]
    return edges


def wide(values: Array) -> Array:
    """Return integers as int64, in which no sum of a few of them overflows; real numbers as they are."""
    return values.astype(np.int64) if np.issubdtype(values.dtype, np.integer) else values


def batch(arrays: Mapping[str, Array]) -> Batch:
    """Return arrays by name in the form that users see: a single array needs no name."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def by_name(names: tuple[str, ...], x: Batch, what: str = "input") -> dict[str, Array]:
    """Return a batch as arrays by name.

    Args:
        names: Names of the edges.
        x: Their values. One array suffices for one name; a list has one array for each, in order.
        what: Word for an edge in messages.

    Raises:
        InputError: x names other edges, or is one array for several edges.
    """
    if isinstance(x, Mapping):
        if set(x) != set(names):
            raise InputError(f"arrays are given for {_list(x)}, expected the {what}s {_list(names)}")
        return {name: x[name] for name in names}
    several: Any = x
    if len(names) > 1 and isinstance(several, list | tuple) and len(several) == len(names):
        return dict(zip(names, several, strict=True))
    if len(names) != 1:
        raise InputError(f"one array is given for {len(names)} {what}s; give a dict with {_list(names)}")
    return {names[0]: x}


def _list(names: Mapping[str, Array] | tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def with_channels(x: Array, shape: tuple[int, ...]) -> Array:
    """Return images of a shape; grey images may come without the axis of their one channel."""
    return x[..., None] if (*x.shape[1:], 1) == shape else x


def frames(x: Batch) -> int:
    """Return the number of frames in a batch."""
    return len(next(iter(x.values())) if isinstance(x, Mapping) else x)


def part(x: Batch, frames: slice) -> Batch:
    """Return some frames of a batch."""
    return {name: a[frames] for name, a in x.items()} if isinstance(x, Mapping) else x[frames]


def check(graph: Graph, x: Batch) -> dict[str, Array]:
    """Return the values of each source by name.

    Args:
        graph: A graph in any form.
        x: Values of the sources, as for `run`.

    Raises:
        InputError: x does not have the shapes or the types of the sources, or holds no frames.
    """
    sources = tuple(n.name for n in graph.sources)
    arrays = by_name(sources, x)
    for name in sources:
        what = "the input" if len(sources) == 1 else f"the input '{name}'"
        arrays[name] = numbers(arrays[name], what)
        expected = graph.types[name]
        _check(expected, arrays[name], what)
        if expected.type is not None:
            arrays[name] = arrays[name].astype(expected.type.dtype, copy=False)
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
    if not len(x):
        raise InputError(f"there are no frames: {what} holds none")
    if expected.type is not None and not np.issubdtype(x.dtype, np.integer):
        raise InputError(f"{what} has dtype {x.dtype}, expected integers {expected.type}")
    if expected.type is not None and not expected.type.contains(x):
        raise InputError(f"{what} holds values outside of {expected.type} (from {x.min()} to {x.max()})")
