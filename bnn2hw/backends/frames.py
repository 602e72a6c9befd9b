"""Frames with which a design checks itself: noise whose results differ."""

from __future__ import annotations

import numpy as np

from bnn2hw import golden
from bnn2hw.ir import Array, Graph, Tensor

MOST_VALUES = 2**24
"""Values of streams that may be computed in search of frames with distinct results."""


def distinct(graph: Graph, count: int) -> golden.Batch:
    """Return frames of noise whose results differ as far as possible.

    Noise often has one class, so patterns of several sizes are tried, as long as the work on them is
    small.

    Args:
        graph: The graph, in hardware or streamed form.
        count: Number of frames.
    """
    rng = np.random.default_rng(0)
    size = sum(tensor.size for tensor in graph.types.values())
    tried = int(np.clip(MOST_VALUES // size, count, 64 * count))
    x = {n.name: _noise(rng, graph.types[n.name], tried) for n in graph.sources}
    results = golden.by_name(graph.outputs, golden.outputs(graph, golden.batch(x)), "output")
    rows = np.concatenate([np.asarray(results[n]).reshape(tried, -1) for n in graph.outputs], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    order = [*sorted(first), *(i for i in range(tried) if i not in set(first))]
    return golden.batch({name: values[order[:count]] for name, values in x.items()})


def _noise(rng: np.random.Generator, tensor: Tensor, count: int) -> Array:
    """Return frames of noise: the first of all values, others of two values in patches of some size."""
    values = tensor.ints.values()
    frames: list[Array] = [rng.choice(values, tensor.shape)]
    while len(frames) < count:
        frame = rng.choice(values[[0, -1]], tensor.shape)
        for axis, length in enumerate(tensor.shape):
            patch = int(rng.integers(1, 1 + max(1, length // 2)))
            frame = frame.take(np.arange(length) // patch, axis)
        frames.append(frame)
    return np.stack(frames[:count])
