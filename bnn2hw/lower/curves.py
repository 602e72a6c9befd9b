"""Follow a curved function of single values with lines or a table, as accurately as the range of each channel needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.ir import Array, Ints, Node, View
from bnn2hw.lower import zones
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import ANY, Requirement, affine
from bnn2hw.lower.fixed_values import SAMPLES, straight, stream_step, value_range
from bnn2hw.lower.interpolate import (
    FLAT_BITS,
    TABLE_BITS,
    TRUE_BITS,
    Lines,
    Tables,
    fixed_input,
    interpolation,
    lines,
    stacked_tables,
    table,
    words,
)
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.piecewise import active
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.lower.scores import RANGE_BITS
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.lower.zones import Group, Zone
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.gather import Gather
from bnn2hw.ops.interpolation import Interpolation
from bnn2hw.ops.real import Pointwise
from bnn2hw.ops.table import Table

FINER = 2
"""Bits that the results of a table have more than its input."""

MOST_TABLES = 4
"""Most tables of a curve. Channels in more groups than these share one, whose stated error is larger."""


@dataclass(frozen=True)
class _Curve:
    """A curved function, and its input and output.

    Attributes:
        op: The function.
        before: Its input.
        shape: Shape of its input in the model.
        low: Smallest input of each channel.
        high: Largest input of each channel.
        bits: Bits of input and output.
        wanted: Accuracy of each result, in bits of its range.
        requirement: What the reader of the output needs.
    """

    op: Pointwise
    before: Pending
    shape: tuple[int, ...]
    low: Array
    high: Array
    bits: int
    wanted: int
    requirement: Requirement

    def __call__(self, x: Array) -> Array:
        flat = np.broadcast_to(x.reshape(-1, 1), (x.size, self.shape[-1])).astype(np.float32)
        y = self.op.apply(flat.reshape(-1, *(1,) * (len(self.shape) - 1), self.shape[-1]))
        found: Array = y.reshape(x.size, -1)[:, 0].reshape(x.shape).astype(np.float64)
        return found

    @property
    def whole(self) -> tuple[float, float]:
        """The range of all channels."""
        return float(self.low.min()), float(self.high.max())

    @property
    def even(self) -> bool:
        """True if an error counts as much in one channel as in another."""
        same = self.requirement.single or isinstance(self.requirement.scale, float)
        return same and not self.requirement.own

    def active(self, ends: tuple[float, float], bits: int) -> tuple[float, float]:
        """The part of a range over which the function is not constant."""
        return active(self.op, self.shape, ends, 2.0 ** -max(FLAT_BITS, min(bits - 2, TRUE_BITS[1])))

    def groups(self, bits: int, true: int) -> list[Group]:
        """Return the channels that can share lines or a table of some bits, which is true to some bits."""
        wanted = min(self.wanted, true)
        spare = max(true - wanted, 1), max(bits - wanted, 1)
        low, high = (np.clip(ends, *self.active(self.whole, bits)) for ends in (self.low, self.high))
        return zones.groups(self, low, high, bits, spare, even=self.even)


def curve(work: Strategies, task: Task) -> Pending:
    """Bring the input of a curved function to fixed point, and follow it with lines or a table.

    Raises:
        FloatingPointError: A result is infinite.
        NotPointwise: The op that straight pieces do not follow is not a function of single values, or what it
            reads are joined inputs.
    """
    b, pending = work.builder, task.pending
    place = _curved(b, pending)
    node, before = pending.chain[place], pending.until(place)
    if not isinstance(node.op, Pointwise) or isinstance(b.maker(pending.edge).op, Gather):
        raise NotPointwise("no function of single values")
    low, high = value_range(b, before)
    if not np.isfinite([low, high]).all():
        raise FloatingPointError("infinite inputs")
    bits = task.bits or b.precision.of_stream(node.layer)
    wanted = b.precision.of_scores(node.layer) or min(bits, RANGE_BITS)
    requirement = task.requirement if place == len(pending.chain) - 1 else ANY
    known = _Curve(node.op, before, b.real.types[before.end].shape, low, high, bits, wanted, requirement)
    alone = not node.op.uniform or b.loads(node.layer)
    edge = _by_lines(b, known, node.name, alone=alone) or _by_table(b, known, node, alone=alone)
    return _followed(b, pending, place, edge)


def _followed(b: Builder, pending: Pending, place: int, edge: str) -> Pending:
    """Note how far an edge is from the curve, and return the layers behind it."""
    node, followed = pending.chain[place], pending.until(place + 1)
    op = next(n.op for n in b.nodes if n.name == edge)
    off = _farthest(b, followed, edge)
    if isinstance(op, Interpolation | Table):
        said = f"{words(op)}, {b.types[edge].ints.bits} bits out, off by at most {off.max():.2g} where tried"
        b.record_fidelity(followed, rounded=said)
    b.rounds(node.name, 2 * off + np.abs(np.asarray(b.types[edge].scale)))  # twice, for what was not tried
    b.match(edge, node.name)
    return Pending(edge, node.name, pending.chain[place + 1 :])


# ---- lines


def _by_lines(b: Builder, known: _Curve, name: str, *, alone: bool) -> str | None:
    """An edge of lines that follow a curve; None if it is too bent.

    Args:
        b: The hardware form.
        known: The curve.
        name: Its node.
        alone: True if all channels must share one zone.
    """
    if not known.op.uniform or known.bits <= TABLE_BITS:
        return None
    groups = [] if alone else known.groups(known.bits, TRUE_BITS[0])
    edge = _by_one(b, known, name) if len(groups) <= 1 else None
    if edge is None and groups:
        edge = _by_zones(b, known, name, groups)
    if edge is None and groups and known.wanted > RANGE_BITS:  # fewer groups need fewer lines
        fewer = replace(known, wanted=RANGE_BITS)
        edge = _by_zones(b, fewer, name, fewer.groups(known.bits, TRUE_BITS[0]))
    if edge is None and len(groups) > 1 and len(known.groups(TABLE_BITS, TABLE_BITS + FINER)) > MOST_TABLES:
        edge = _by_one(b, known, name)
    return edge


def _by_one(b: Builder, known: _Curve, name: str) -> str | None:
    """An edge of lines in one zone, which all channels share; None if there would be too many."""
    step, ints = fixed_input(*known.active(known.whole, known.bits), known.bits)
    op = interpolation(known.op, ints, step, known.requirement, known.bits)
    if op is None:
        return None
    before = fixed(b, known.before, (ints.lo * step, ints.hi * step), step, ints)
    return b.add(name, op, before, part=op.kind)


def _by_zones(b: Builder, known: _Curve, name: str, groups: Sequence[Group]) -> str | None:
    """An edge of lines in zones; None if there would be too many."""
    found = [_borders(known, group) for group in groups]
    borders = [ends for ends in found if ends is not None]
    made = lines(known.op, borders, known.requirement, known.bits) if len(borders) == len(groups) else None
    if made is None:
        return None
    return _behind(b, known, name, groups, made)


def _behind(
    b: Builder, known: _Curve, name: str, groups: Sequence[Group], made: Lines | Tables
) -> str | None:
    """An edge of lines or tables behind the integers that they take; None if these are too coarse."""
    edge = _placed(b, known, made.zones, groups, made.op.domain)
    if edge is None:
        return None
    steps = _by_channel(groups, made.steps, known.low.size)
    return b.add(name, replace(made.op, scale=uniform(steps)), edge, part=made.op.kind)


def _borders(known: _Curve, group: Group) -> list[float] | None:
    """Borders of zones in which lines follow a curve; None if there would be too many."""
    borders = list(known.active(group.ends, known.bits))
    while len(borders) <= zones.MOST + 1:
        if lines(known.op, [borders], known.requirement, known.bits) is not None:
            return borders
        borders = zones.cut(known, borders)
    return None


def _by_channel(groups: Sequence[Group], values: Sequence[float], count: int) -> Array:
    """Values of groups for each of their channels."""
    found = np.full(count, values[0], np.float64)
    for group, value in zip(groups, values, strict=False):
        found[group.channels] = value
    return found


def _placed(
    b: Builder, known: _Curve, rows: Sequence[Sequence[Zone]], groups: Sequence[Group], domain: Ints
) -> str | None:
    """Bring the layers in front of a curve to the integers of its zones; None if these are too coarse."""
    row = np.zeros(known.low.size, np.int64)
    for number, group in enumerate(groups):
        row[group.channels] = number
    by_channel = [rows[number] for number in row.tolist()]
    low = np.array([own[0].low for own in by_channel])
    high = np.array([own[-1].high for own in by_channel])
    step = np.array([min(zone.step for zone in own) for own in by_channel])
    chain = b.chain(known.before).within(low, high)
    pieces = straight(chain, step)
    if pieces is None:
        raise NotPointwise("curved before the curve")
    op, off = affine(chain, zones.placed(pieces, chain.ints, by_channel), np.ones(row.size), domain)
    if np.any(off > [min(zone.margin for zone in own) for own in by_channel]):
        return None
    return b.add(known.before.end, op, known.before.edge, part="zones")


def fixed(b: Builder, pending: Pending, ends: tuple[float, float], step: float, ints: Ints) -> str:
    """Bring the layers in front of a curve to fixed point, with one step for all channels.

    Args:
        b: The hardware form.
        pending: The layers.
        ends: The range over which they must be followed.
        step: The step.
        ints: The integers that the curve takes.

    Raises:
        NotPointwise: The layers are curved themselves.
    """
    chain = b.chain(pending).within(*map(np.array, ends))
    pieces = straight(chain, np.array(step))
    if pieces is None:
        raise NotPointwise("curved before the curve")
    op, _ = affine(chain, pieces, np.full(len(pieces.error), step), ints)
    return b.add(pending.end, op, pending.edge, part="fixed")


# ---- tables


def _by_table(b: Builder, known: _Curve, node: Node, *, alone: bool) -> str:
    """An edge of a table with the values of a curve."""
    bits = min(known.bits, TABLE_BITS)
    groups = [] if alone else known.groups(bits, bits + FINER)
    if 1 < len(groups) <= MOST_TABLES:
        own = [[Zone.over(*known.active(group.ends, bits), bits)] for group in groups]
        made = stacked_tables(known, own, known.requirement, bits + FINER)
        stacked = _behind(b, known, node.name, groups, made)
        if stacked is not None:
            return stacked
    if known.bits <= TABLE_BITS:
        ends = known.active(known.whole, known.bits)
    else:
        ends = active(known.op, known.shape, known.whole, 2.0**-FLAT_BITS)
    step, ints = fixed_input(*ends, bits)
    edge = fixed(b, known.before, ends, step, ints)
    values = b.chain(Pending(edge, known.before.end, (node,))).all().T
    op = table(values[:1] if known.op.uniform else values, ints, known.requirement, bits + FINER)
    return b.add(node.name, op, edge, part="table")


# ---- what was made


def _farthest(b: Builder, pending: Pending, edge: str) -> Array:
    """The largest distance of an edge from the layers that it stands for, at samples, by feature."""
    chain = b.chain(pending).within(*b.expected_range(pending))
    integers = chain.samples(SAMPLES)
    found = b.types[edge].real(_along(b, edge, pending.edge, integers))
    off: Array = np.abs(found - chain(integers)).max(0)
    return off


def _along(b: Builder, edge: str, start: str, integers: Array) -> Array:
    """The integers of an edge for those of another one, from which ops of one input lead to it."""
    if edge == start:
        return integers
    node = next(n for n in b.nodes if n.name == edge)
    before = _along(b, node.inputs[0], start, integers)
    return before if isinstance(node.op, View) else node.op.golden(before)


def _curved(b: Builder, pending: Pending) -> int:
    """Index of the first op of a chain that straight pieces do not follow."""
    for i, node in enumerate(pending.chain):
        part = pending.until(i + 1)
        if not isinstance(node.op, Pointwise):
            continue
        chain = b.chain(part).within(*b.expected_range(part))
        if straight(chain, stream_step(b, part)) is None:
            return i
    return len(pending.chain) - 1
