"""From a graph in real form to one in hardware form, exactly."""

from __future__ import annotations

from collections.abc import Callable

from bnn2hw.ir import Graph
from bnn2hw.lower.simplify import hoist_uniform

PASSES: tuple[Callable[[Graph], Graph], ...] = (hoist_uniform,)
"""What is done to a graph in real form, in order; each leaves what it computes as it was."""


def simplify(graph: Graph) -> Graph:
    """Run all passes."""
    for transform in PASSES:
        graph = transform(graph)
    return graph
