"""Find the ranges of real-valued streams from calibration data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from bnn2hw import golden
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.ops.source import Input

BATCH = 64
"""Frames that are evaluated at once. The deviation from the model is measured on as many."""

UNSEEN = 1e4
"""For each value that calibration data show, this many values must fit the stream without being
clamped."""


def expected_ranges(
    real: Graph, wires: Mapping[str, Input], calibration: Mapping[str, Array]
) -> dict[str, tuple[Array, Array]]:
    """Return the smallest and largest value that each channel of an edge is expected to take.

    The tails of the observed values are assumed to be exponential. The range of n such values grows
    with log n, so the observed range is widened to what `UNSEEN` times as many values would reach.

    Args:
        real: A graph in real form.
        wires: Integers that arrive at each source and their real meaning.
        calibration: Integers on the wire, arrays of shape (frames, *input shape) by source; at least
            one frame.

    Returns:
        Two arrays of shape (channels,) by edge.
    """
    found: dict[str, tuple[Array, Array]] = {}
    count: Counter[str] = Counter()
    for x in batches(real, wires, calibration):
        for name, values in golden.run(real, x).items():
            flat = values.reshape(-1, values.shape[-1])
            low, high = found.get(name, (flat[0], flat[0]))
            found[name] = np.minimum(low, flat.min(0)), np.maximum(high, flat.max(0))
            count[name] += len(flat)
    return {name: _widened(low, high, count[name]) for name, (low, high) in found.items()}


def batches(
    real: Graph, wires: Mapping[str, Input], calibration: Mapping[str, Array]
) -> Iterator[dict[str, Array]]:
    """Yield the real values of calibration data, `BATCH` frames at a time.

    Args:
        real: A graph in real form.
        wires: Integers that arrive at each source and their real meaning.
        calibration: Integers on the wire, arrays of shape (frames, *input shape) by source.
    """
    sources = {n.name: wires[n.name].tensor(real.types[n.name].shape) for n in real.sources}
    for start in range(0, golden.frames(calibration), BATCH):
        yield {
            name: sources[name].real(a[start : start + BATCH]).astype(np.float32)
            for name, a in calibration.items()
        }


def _widened(low: Array, high: Array, count: int) -> tuple[Array, Array]:
    spare = (high - low) / 2 * math.log(UNSEEN) / math.log(max(count, 2))
    return low - spare, high + spare


def first_batch(calibration: Batch) -> Batch:
    """Return the first calibration frames.

    Args:
        calibration: An array of shape (frames, ...), or such arrays by name.
    """
    return golden.part(calibration, slice(BATCH))
