"""Thresholds and tables, for layers with few values such as quantizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, View
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import merge_equal_rows, staircase
from bnn2hw.lower.levels import ROUNDING, UniformLevels, cuts, direction, stated_levels
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.pooling import add_pools, directions
from bnn2hw.lower.probe import Chain, breakpoints
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.gather import Gather
from bnn2hw.ops.real import Pointwise
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold

TABLE_ENTRIES = 2**16
"""Size of the largest table for a function of few values that neither rises nor falls."""


def few_values(work: Strategies, task: Task) -> Pending | None:
    """Reduce layers that take few, evenly spaced values to thresholds or a table.

    Functions that only rise or only fall become thresholds, others become tables.
    """
    b, pending = work.builder, task.pending
    if not pending.maps:
        return None
    chain = b.chain(pending)
    edge = _of_all_integers(b, pending, chain) if chain.enumerable else _by_bisection(b, pending, chain)
    return None if edge is None else Pending(b.view(edge, b.real.types[pending.end].shape), pending.end)


def stated_values(work: Strategies, task: Task) -> Pending | None:
    """Reduce the first layers to thresholds or a table, where those behind them have other values.

    These are the layers up to a quantizer. The joined inputs of a neuron are codes and no numbers, so that
    nothing else can follow them; there the layers are reduced as far as their values are few.
    """
    pending = task.pending
    joined = isinstance(work.builder.maker(pending.edge).op, Gather)
    places = [i for i, op in enumerate(pending.ops[:-1]) if joined or (isinstance(op, Pointwise) and op.step)]
    for place in reversed(places):
        made = few_values(work, Task(pending.until(place + 1)))
        if made is not None:
            return Pending(made.edge, made.start, pending.chain[place + 1 :], pending.target)
    return None


def _of_all_integers(b: Builder, pending: Pending, chain: Chain) -> str | None:
    """Thresholds or a table from the values of the layers at every integer.

    Returns:
        An edge; None if the values are too many.
    """
    values = chain.all()
    grid = stated_levels(values, pending.step)
    pools = None if grid is None else directions(pending, chain)
    if grid is None or pools is None:
        return None
    steps = None
    if np.all(direction(values) != 0):
        chain, values = _rising(b, pending, chain, values)
        pools = directions(pending, chain) or []
    elif merge_equal_rows(values.T).size > TABLE_ENTRIES and not isinstance(b.maker(pending.edge).op, Gather):
        steps = staircase(grid.index(values), chain.ints, grid)
        if steps is None:
            return None
    levels, domain = grid.index(values), chain.ints
    error = b.error(pending.edge)
    unsafe = any(bool(np.any(grid.index(chain.all(s)) != levels)) for s in ((-error, error) if error else ()))
    b.record_fidelity(pending, unsafe=unsafe)
    edge = _by_feature(b, pending, chain)
    b.rounds(pending.end, 2 * ROUNDING * grid.largest)
    if grid.type == domain and np.all(levels == domain.values()[:, None]):
        return _relabelled(b, pending, edge, grid, pools)
    shift = int(levels[0, 0]) - domain.lo
    if pending.step and domain.step == 1 and np.all(levels == domain.values()[:, None] + shift):
        moved = replace(grid, offset=grid.offset + shift * grid.scale)
        return _relabelled(b, pending, edge, moved, pools)
    way = direction(levels)
    if np.all(way != 0):
        rising = np.where(way < 0, grid.type.lo + grid.type.hi - levels, levels)
        return _thresholds(b, pending, edge, grid, cuts(rising, domain, grid.type), way < 0, pools)
    edge = add_pools(b, pending, edge, [w == -1 for w in pools])
    rows = merge_equal_rows(levels.T)
    if steps is not None:
        edge = b.add(pending.start, steps, edge, part="stairs")
        rows, domain = grid.type.values()[None], steps.type
    edge = b.add(pending.start, Table(rows, domain, grid.type, grid.scale, grid.offset), edge, part="table")
    b.match(edge, pending.end)
    return edge


def _by_bisection(b: Builder, pending: Pending, chain: Chain) -> str | None:
    """Thresholds over more integers than can be evaluated.

    Returns:
        An edge; None if the values are too many, or neither only rise nor only fall.
    """
    found = breakpoints(chain)
    grid = None if found is None else stated_levels(found.distinct, pending.step)
    pools = None if grid is None else directions(pending, chain)
    if found is None or grid is None or pools is None:
        return None
    error = b.error(pending.edge)
    thresholds = found.cuts(grid, chain.ints)
    unsafe = any(_changes(chain, s, grid, thresholds) for s in ((-error, error) if error else ()))
    edge = _by_feature(b, pending, chain)
    b.record_fidelity(pending, unsafe=unsafe)
    b.rounds(pending.end, 2 * ROUNDING * grid.largest)
    return _thresholds(b, pending, edge, grid, thresholds, found.direction < 0, pools)


def _changes(chain: Chain, shift: float, grid: UniformLevels, thresholds: Array) -> bool:
    """True if thresholds change when real values are shifted."""
    other = breakpoints(chain, shift)
    return other is None or not np.array_equal(other.cuts(grid, chain.ints), thresholds)


def _rising(b: Builder, pending: Pending, chain: Chain, values: Array) -> tuple[Chain, Array]:
    """Negate the weights of neurons whose function falls, if nothing else reads them."""
    falls = direction(values) == -1
    node = b.maker(pending.edge)
    if not falls.any() or chain.by_position or not isinstance(node.op, MatVec) or not b.unshared(pending):
        return chain, values
    if node.op.mh != falls.size or node.name in b.signs or b.is_read(node):
        return chain, values
    b.replace(node, node.op.negated(falls))
    b.matches.pop(node.name, None)
    b.signs[node.name] = pending.start, np.where(falls, -1.0, 1.0)
    chain = b.chain(pending)
    return chain, chain.all()


def _by_feature(b: Builder, pending: Pending, chain: Chain) -> str:
    """The edge with a channel for each function."""
    return b.view(pending.edge, (chain.tensor.size,)) if chain.by_position else pending.edge


def _relabelled(b: Builder, pending: Pending, edge: str, grid: UniformLevels, pools: Sequence[Array]) -> str:
    """The integers as they are, with another meaning."""
    tensor = b.types[edge]
    edge = add_pools(b, pending, edge, [w == -1 for w in pools])
    if (tensor.scale, tensor.offset) == (grid.scale, grid.offset):
        return edge
    view = View(b.types[edge].shape, grid.scale, grid.offset)
    return b.add(pending.start, view, edge, part="same")


def _thresholds(
    b: Builder,
    pending: Pending,
    edge: str,
    grid: UniformLevels,
    thresholds: Array,
    falls: Array,
    pools: Sequence[Array],
) -> str:
    """Append thresholds and the poolings behind them.

    Args:
        b: The hardware form.
        pending: The layers that the thresholds replace.
        edge: Edge that the thresholds read.
        grid: Values of the output.
        thresholds: Integers of shape (features, levels).
        falls: Features whose function falls: booleans of shape (features,).
        pools: For each pooling, whether the functions in front of it rise or fall.
    """
    rows = merge_equal_rows(np.concatenate([thresholds, falls[:, None]], 1))
    thresholds, falls = rows[:, :-1], rows[:, -1].astype(bool)
    op = Threshold(thresholds, grid.type, grid.scale, grid.offset, falls=falls if falls.any() else None)
    edge = b.add(pending.start, op, edge, part="threshold")
    edge = add_pools(b, pending, edge, [(w == -1) != falls for w in pools])
    b.match(edge, pending.end)
    return edge
