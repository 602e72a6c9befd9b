"""Reduce the layers between two units to thresholds, tables or fixed point.

See docs/decisions/0007.
"""

from __future__ import annotations

from bnn2hw.ir import View
from bnn2hw.lower import binary_point, curves, few_values, fixed_values, pooling
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.lower.strategy import Strategies, Strategy, Task

STRATEGIES: tuple[Strategy, ...] = (
    fixed_values.refuse_softmax,
    fixed_values.multiply_to_integers,
    pooling.pool_before_single_positions,
    binary_point.binary_point,
    few_values.few_values,
    few_values.stated_values,
    pooling.pool,
    fixed_values.settle_before_flatten,
    fixed_values.keep_integers,
    binary_point.on_grid,
    fixed_values.straight_pieces,
    curves.curve,
)
"""The first strategy that applies is taken. The cheapest hardware comes first."""


def strategies(builder: Builder) -> Strategies:
    """Return the strategies over a builder."""
    return Strategies(builder, STRATEGIES)


def requantize(work: Strategies, task: Task) -> str | None:
    """Return an edge of integers for a task, in the shape that the model has there.

    Returns:
        The name of an edge; None if a layer is not a function of single values, or returns NaN.
    """
    b, requirement = work.builder, task.requirement
    shape = b.real.types[task.pending.end].shape
    try:
        edge = work.integers(task)
    except (FloatingPointError, NotPointwise):
        return None
    edge = b.view(edge, shape)
    if requirement.scale is not None and b.types[edge].scale != requirement.scale:
        # The scales agree but for the last place of a float. Both inputs of a sum must have exactly
        # the same scale.
        edge = b.add(edge, View(shape, requirement.scale), edge, part="scale")
    return edge


def pooled(work: Strategies, pending: Pending) -> Pending:
    """Return an edge with its max poolings done, as far as that is possible."""
    try:
        return pooling.pool_all(work, pending)
    except (FloatingPointError, NotPointwise):
        return pending
