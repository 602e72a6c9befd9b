"""Hold a model that was read against the model itself, as a whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnn2hw import golden
from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.importers.imported import Imported
from bnn2hw.ir import Array, Graph
from bnn2hw.ops.real import Pointwise

FRAMES = 8
"""Random frames on which a model is compared if there are no calibration data."""

VALUES = 2**25
"""Values on all edges that are computed for the comparison; larger networks get fewer frames."""

LEVELS = 16
"""Largest number of values of a function that counts as a decision."""

CONTINUOUS = 1e-3
"""Largest difference of a model without decisions, as a share of its largest output."""

DECIDED = 0.25
"""The same for a model with decisions, of which float32 rounding may tip some, in half of its
frames."""


def random_frames(graph: Graph, real: Graph) -> dict[str, Array]:
    """Return seeded random integers for each input.

    Args:
        graph: The model in hardware form, whose sources say which integers can come.
        real: The model in real form.
    """
    size = sum(tensor.size for tensor in real.types.values())
    count = max(1, min(FRAMES, VALUES // size))
    rng = np.random.default_rng(0)
    frames = {}
    for node in graph.sources:
        tensor = graph.types[node.name]
        steps = rng.integers(0, tensor.ints.count, (count, *tensor.shape))
        frames[node.name] = tensor.ints.lo + tensor.ints.step * steps
    return frames


def check(imported: Imported, inside: Mapping[str, Array], outside: Mapping[str, Array]) -> None:
    """Refuse a model that does not compute what its layers compute one by one.

    Args:
        imported: The model in real form.
        inside: Real inputs of that form by source, of shape (frames, *shape).
        outside: The same inputs as the model itself takes them.

    Raises:
        UnsupportedError: Outputs differ by more than float32 rounding explains.
    """
    if imported.model is None:
        return
    values = golden.run(imported.graph, inside)
    limit = DECIDED if _decides(imported.graph, values) else CONTINUOUS
    problems = []
    for name, theirs in imported.model(outside).items():
        off = float(np.median(_differences(values[name], theirs)))
        if off > limit:
            problems.append(
                Problem(
                    imported.graph[name].layer,
                    f"the model as a whole returns other values here than its layers one by one: they differ "
                    f"by {off:.0%} of the largest",
                    "models that call their layers as their graph says",
                    "replace nested models that have a call of their own by Sequential or functional ones",
                )
            )
    if problems:
        raise UnsupportedError(problems)


def _decides(graph: Graph, values: Mapping[str, Array]) -> bool:
    """True if a function takes few values: rounding in front of it may then change any output."""
    functions = (n.name for n in graph if isinstance(n.op, Pointwise))
    return any(np.unique(values[name]).size <= LEVELS for name in functions)


def _differences(ours: Array, theirs: Array) -> Array:
    """The largest difference of each frame, as a share of the largest value of all frames."""
    ours, theirs = (a.reshape(len(a), -1).astype(np.float64) for a in (ours, theirs))
    both = np.isfinite(ours) & np.isfinite(theirs)
    off = np.where(both, np.abs(np.where(both, ours, 0) - np.where(both, theirs, 0)), 0.0)
    largest = float(np.abs(np.where(both, theirs, 0)).max(initial=0.0))
    found: Array = off.max(1, initial=0.0) / max(largest, 1e-30)
    return found
