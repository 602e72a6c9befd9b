"""Measure on data how far the hardware is from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw import golden
from bnn2hw.ir import Array, Graph, Tensor

DECISIONS = 256
"""Largest number of integers of an edge whose values are decisions of a quantizer."""

AT_ONCE = 2**26
"""Values on all edges that are computed at once; about a gigabyte."""


@dataclass(frozen=True)
class Deviation:
    """The difference between an edge of the hardware and the model's own layers.

    It includes what earlier layers rounded.

    Attributes:
        edge: Edge of the hardware form.
        different: Number of values that differ by more than half a step of the edge's integers. If
            these integers are decisions of a quantizer, these decisions changed.
        values: Number of values that were compared.
        largest: Largest difference, in the model's own unit.
        mean: Mean difference, in the same unit.
        size: Mean absolute value in the model, in the same unit.
        frames: Number of frames that were compared.
        changed: Number of these frames in which any decision of the network changed.
        steady: Largest difference in the other frames, in the model's own unit.
    """

    edge: str
    different: int
    values: int
    largest: float
    mean: float
    size: float
    frames: int = 0
    changed: int = 0
    steady: float = 0.0

    @property
    def share(self) -> float:
        """The mean difference as a share of the mean size; 0 if nothing differs."""
        return self.mean / self.size if self.size else float(self.mean > 0)


def measure(
    real: Graph, lowered: Graph, streamed: Graph, matches: Mapping[str, str], arrays: Mapping[str, Array]
) -> list[Deviation]:
    """Compare a design with the model that it was made from, a few frames at a time.

    Args:
        real: The model as the importer read it, before any pass.
        lowered: The model in hardware form.
        streamed: The design: `lowered` after all further passes.
        matches: By edge of `lowered`, the edge of `real` whose values it carries.
        arrays: Integers by input, of shape (frames, *input shape).

    Returns:
        A deviation for each edge of `lowered` that carries the values of an edge of `real`.
    """
    size = sum(tensor.size for graph in (real, streamed) for tensor in graph.types.values())
    step = max(1, AT_ONCE // size)
    parts = [
        _measure(real, lowered, streamed, matches, {n: a[i : i + step] for n, a in arrays.items()})
        for i in range(0, golden.frames(arrays), step)
    ]
    return [_joined(edge) for edge in zip(*parts, strict=True)]


def _measure(
    real: Graph, lowered: Graph, streamed: Graph, matches: Mapping[str, str], arrays: Mapping[str, Array]
) -> list[Deviation]:
    """Do what `measure` does, with all frames at once."""
    types = lowered.types
    ours = _values(lowered, streamed, arrays)
    theirs = golden.run(real, {n: types[n].real(a).astype(np.float32) for n, a in arrays.items()})
    pairs = {
        edge: (types[edge], ours[edge], theirs[node].astype(np.float64))
        for edge, node in matches.items()
        if edge in types
    }
    decisions = [_different(*pair) for pair in pairs.values() if pair[0].ints.count <= DECISIONS]
    changed = np.zeros(golden.frames(arrays), bool)
    for different in decisions:
        changed |= different.reshape(len(changed), -1).any(1)
    return [_compared(edge, *pair, changed) for edge, pair in pairs.items()]


def _joined(parts: Sequence[Deviation]) -> Deviation:
    """Return the deviation of an edge over several parts of the frames."""
    values = [part.values for part in parts]
    return Deviation(
        parts[0].edge,
        sum(part.different for part in parts),
        sum(values),
        max(part.largest for part in parts),
        float(np.average([part.mean for part in parts], weights=values)),
        float(np.average([part.size for part in parts], weights=values)),
        sum(part.frames for part in parts),
        sum(part.changed for part in parts),
        max(part.steady for part in parts),
    )


def _values(lowered: Graph, streamed: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The values on each edge of the hardware form, from the design if it has that edge."""
    design = golden.run(streamed, arrays)
    values: dict[str, Array] = {}
    for node in lowered:
        same = streamed.types.get(node.name) == lowered.types[node.name]
        values[node.name] = design[node.name] if same else node.op.golden(*(values[i] for i in node.inputs))
    return values


def _off(tensor: Tensor, ours: Array, theirs: Array) -> Array:
    """The differences in the model's own unit; 0 where the model has no finite value."""
    finite = np.isfinite(theirs)
    off: Array = np.abs(tensor.real(ours).reshape(theirs.shape) - np.where(finite, theirs, 0.0))
    return np.where(finite, off, 0.0)


def _different(tensor: Tensor, ours: Array, theirs: Array) -> Array:
    """True where values differ by more than half a step, and by more than float32 rounding."""
    half = np.broadcast_to(np.abs(np.asarray(tensor.scale)) / 2, tensor.shape).reshape(theirs.shape[1:])
    found: Array = _off(tensor, ours, theirs) > half + 1e-5 * np.abs(theirs)
    return found


def _compared(edge: str, tensor: Tensor, ours: Array, theirs: Array, changed: Array) -> Deviation:
    off = _off(tensor, ours, theirs)
    different = int(_different(tensor, ours, theirs).sum())
    size = float(np.abs(theirs[np.isfinite(theirs)]).mean()) if np.isfinite(theirs).any() else 0.0
    steady = float(off[~changed].max(initial=0.0))
    frames = len(changed), int(changed.sum())
    return Deviation(edge, different, off.size, float(off.max()), float(off.mean()), size, *frames, steady)
