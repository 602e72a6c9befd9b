"""Follow a curved function of single values with many short lines, or with a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.fixed_point import Requirement, fixed_step, spanning
from bnn2hw.lower.kernels import UNIT_ROUNDOFF
from bnn2hw.lower.levels import uniform_levels
from bnn2hw.lower.probe import Chain
from bnn2hw.lower.zones import Curve, Zone
from bnn2hw.ops.affine import MOST
from bnn2hw.ops.interpolation import FINE, Interpolation
from bnn2hw.ops.real import Pointwise
from bnn2hw.ops.table import Table

TABLE_BITS = 14
"""Input bits of a table that follows a curve. Such a table can be worth two more output bits at
most."""

FLAT_BITS = TABLE_BITS + 2
"""Bits of the range of a curve's results within which a table takes its ends for constant."""

TRUE_BITS = 20, 24
"""Bits of the range of a curve's results to which the lines are true: the fewest, which are tried last,
and the most."""

SPARE = 4
"""Bits of the input that lines need not follow."""

LINES = 13
"""Binary logarithm of the largest number of lines."""

ZONE_BITS = 26
"""Most bits of a zone that needs few lines: the integers of 16 zones fit the largest output of an affine op."""

MANTISSA = 24
"""Bits of a float32 number."""

SINGLE_BITS = 29
"""Bits of the largest result where one step serves groups of unequal ranges."""

SHORT = 16
"""Binary logarithm of the number of stretches so short that a curve is straight there but for rounding."""

ROUNDINGS = 16
"""Roundings of float32 within a function at most, of numbers up to 1 or to its largest result."""

Ends = Sequence[float]
"""Borders of zones, ascending."""

PROBES = 17
"""Inputs per line at which the curve is evaluated."""


def fixed_input(low: float, high: float, bits: int) -> tuple[float, Ints]:
    """Return the step with which a range fits some bits, and the integers that represent it."""
    ends = np.array([low]), np.array([high])
    step = fixed_step(*ends, bits)
    return float(step[0]), spanning(*ends, step)


def words(op: Interpolation | Table) -> str:
    """Describe the op that follows a curve."""
    what = f"{op.segments} lines" if isinstance(op, Interpolation) else "a table"
    return f"{what} of {op.domain.bits} bits in"


def table(values: Array, domain: Ints, requirement: Requirement, bits: int) -> Table:
    """Return a table of a function's values.

    Args:
        values: Real values of shape (channels or 1, domain.count).
        domain: Integers that the table takes.
        requirement: What the reader of the output needs.
        bits: Bits of the output, unless the values are few and evenly spaced, or the requirement
            sets the scale.
    """
    grid = uniform_levels(values)
    if grid is not None:
        return Table(grid.index(values), domain, grid.type, grid.scale, grid.offset)
    step = requirement.scale
    if not isinstance(step, float):
        step, _ = fixed_input(float(values.min()), float(values.max()), bits)
    levels = np.rint(values.astype(np.float64) / step).astype(np.int64)
    return Table(levels, domain, _spanned(levels), step)


@dataclass(frozen=True)
class Tables:
    """Tables of a curve for several groups of channels, one behind the other.

    Attributes:
        op: The op, with a step of 1 for the results.
        zones: The zone of each group, with its integers in place.
        steps: Real value of a step of the results, by group.
    """

    op: Table
    zones: list[list[Zone]]
    steps: list[float]


def stacked_tables(curve: Curve, groups: list[list[Zone]], requirement: Requirement, bits: int) -> Tables:
    """Return a table of a function's values for each group of channels.

    Args:
        curve: The function, the same for all channels.
        groups: The zone of each group.
        requirement: What the reader of the output needs.
        bits: Bits of the output, unless the requirement sets the scale.
    """
    places, count = [], 0
    for [zone] in groups:
        places.append([replace(zone, shift=count - zone.ints.lo)])
        count += zone.ints.count
    rows = [curve(zone.ints.values() * zone.step) for [zone] in groups]
    ends = [(float(values.min()), float(values.max())) for values in rows]
    steps = _steps(requirement, ends, bits, bits)
    levels = [np.rint(values / step).astype(np.int64) for values, step in zip(rows, steps, strict=True)]
    entries = np.concatenate(levels)[None]
    return Tables(Table(entries, Ints(0, count - 1), _spanned(entries)), places, steps)


@dataclass(frozen=True)
class Lines:
    """Lines that follow a curve.

    Attributes:
        op: The op, with a step of 1 for the results.
        zones: The zones with their integers in place, by group.
        steps: Real value of a step of the results, by group.
    """

    op: Interpolation
    zones: list[list[Zone]]
    steps: list[float]


def interpolation(
    op: Pointwise, domain: Ints, scale: float, requirement: Requirement, bits: int
) -> Interpolation | None:
    """Return lines that follow a function over one zone, or None if it is too curved or has jumps.

    Args:
        op: The function, the same for all channels.
        domain: Integers that the lines take.
        scale: Real value of a step of these integers.
        requirement: What the reader of the output needs.
        bits: Bits of the output, unless the requirement sets the scale or the tolerance is coarser.

    Raises:
        FloatingPointError: The function returns NaN.
    """
    zone = Zone(scale, domain, domain.lo * scale, domain.hi * scale)
    chain = _chain(op, zone)
    ends = _range([chain])
    for true in _true_bits(bits):
        step = _step(requirement, ends, bits, true)
        for low_bits in range(domain.bits - 4, max(domain.bits - LINES, 1) - 1, -1):
            made = _lines(chain, low_bits, step, (ends[1] - ends[0]) * 2.0**-true)
            if made is not None:
                return replace(_joined([made], [[zone]], low_bits).op, scale=step)
    return None


def lines(op: Pointwise, groups: Sequence[Ends], requirement: Requirement, bits: int) -> Lines | None:
    """Return lines that follow a function in zones, or None if it is too curved or has jumps.

    Each zone has as many lines as it needs. All lines have equally many integers, so zones with many lines
    have more integers than others.

    Args:
        op: The function, the same for all channels.
        groups: By group of channels, the borders of its zones. Results of a group have one step.
        requirement: What the reader of the output needs.
        bits: Bits of each zone and of the output, unless the requirement sets the scale or the tolerance is coarser.

    Raises:
        FloatingPointError: The function returns NaN.
    """
    coarse = [[Zone.over(*pair, min(bits, ZONE_BITS)) for pair in pairwise(ends)] for ends in groups]
    ranges = [_range([_chain(op, zone) for zone in group]) for group in coarse]
    noise = [max(_noise(_chain(op, zone)) for zone in group) for group in coarse]
    for true in _true_bits(bits):
        steps = _steps(requirement, ranges, bits, true)
        slack = [max((high - low) * 2.0**-true, own) for (low, high), own in zip(ranges, noise, strict=True)]
        needs = [
            [_lines_needed(op, zone, step, off) for zone in group]
            for group, step, off in zip(coarse, steps, slack, strict=True)
        ]
        if all(need for row in needs for need in row):
            return _fine(op, groups, [[need or 0 for need in row] for row in needs], steps, slack, bits)
    return None


def _noise(chain: Chain) -> float:
    """The float32 rounding within a function: its distance from a line over stretches too short to bend."""
    width = max((chain.ints.hi - chain.ints.lo) >> SHORT, 1)
    starts = chain.ints.lo + (chain.ints.hi - chain.ints.lo - width) * np.arange(PROBES) // PROBES
    at = starts[:, None] + np.rint(width * np.linspace(0, 1, PROBES)).astype(np.int64)
    values = chain(at.reshape(-1, 1)).reshape(at.shape).astype(np.float64)
    chord = values[:, :1] + (values[:, -1:] - values[:, :1]) * np.linspace(0, 1, PROBES)
    rounding = ROUNDINGS * UNIT_ROUNDOFF * max(float(np.abs(values).max()), 1.0)
    return min(4 * float(np.abs(values - chord).max()), rounding)  # a jump is no rounding


def _lines_needed(op: Pointwise, zone: Zone, step: float, slack: float) -> int | None:
    """Binary logarithm of the number of lines that follow a function in a zone; None if there are too many."""
    chain = _chain(op, zone)
    for count in range(1, min(LINES, zone.ints.bits - 1) + 1):
        if _lines(chain, zone.ints.bits - count, step, slack) is not None:
            return count
    return None


def _fine(
    op: Pointwise,
    groups: Sequence[Ends],
    needs: list[list[int]],
    steps: list[float],
    slack: list[float],
    bits: int,
) -> Lines | None:
    """Lines in zones, all of which have stretches of equally many integers."""
    bits = min(bits, ZONE_BITS)
    flat = [need for row in needs for need in row]
    low_bits = bits - 1
    while sum(2 ** max(bits, need + low_bits) for need in flat) > MOST / 2:
        low_bits -= 1
        if not low_bits:
            return None
    zones = [
        [Zone.over(*pair, max(bits, need + low_bits)) for pair, need in zip(pairwise(ends), row, strict=True)]
        for ends, row in zip(groups, needs, strict=True)
    ]
    made = [
        _lines(_chain(op, zone), low_bits, step, 1.5 * off)  # the stretches begin at other inputs
        for group, step, off in zip(zones, steps, slack, strict=True)
        for zone in group
    ]
    found = [m for m in made if m is not None]
    if len(found) < len(made) or sum(len(bases) for bases, _ in found) > 2 ** (LINES + 1):
        return None
    joined = _joined(found, zones, low_bits)
    return replace(joined, steps=steps)


def _true_bits(bits: int) -> range:
    """Bits of the range of the results to which lines may be true, the most first."""
    return range(max(TRUE_BITS[0], min(bits - SPARE, TRUE_BITS[1])), TRUE_BITS[0] - 1, -1)


def _steps(
    requirement: Requirement, ranges: Sequence[tuple[float, float]], bits: int, true: int
) -> list[float]:
    """The steps of the results of each group; the finest one if all must have the same."""
    steps = [_step(requirement, ends, bits, true) for ends in ranges]
    if not requirement.single:
        return steps
    largest = max(abs(end) for ends in ranges for end in ends)
    return [max(min(steps), largest / 2.0**SINGLE_BITS)] * len(steps)


def _step(requirement: Requirement, ends: tuple[float, float], bits: int, true: int) -> float:
    """The real value of a step of results that are true to some bits of a range."""
    if isinstance(requirement.scale, float):
        return requirement.scale
    low, high = ends
    largest = max(abs(low), abs(high))
    bits = min(bits, true + FINE)
    if low * high > 0 and largest > high - low > 0:  # the range is small beside its values
        bits = min(bits + int(np.log2(largest / (high - low))), MANTISSA)
    return fixed_input(low, high, bits)[0]


def _chain(op: Pointwise, zone: Zone) -> Chain:
    ends = np.array([[zone.ints.lo], [zone.ints.hi]], np.int64)
    return Chain((op,), Tensor((1,), zone.ints, zone.step), (1,), ends[0], ends[1])


def _range(chains: Sequence[Chain]) -> tuple[float, float]:
    """The smallest and the largest result of a group."""
    sampled = np.concatenate([chain(chain.samples(1025)) for chain in chains]).astype(np.float64)
    return float(sampled.min()), float(sampled.max())


def _joined(made: Sequence[tuple[Array, Array]], groups: list[list[Zone]], low_bits: int) -> Lines:
    """The lines of all zones in one op."""
    count = groups[0][0].ints.lo >> low_bits if len(made) == 1 else 0
    places: list[list[Zone]] = []
    for group in groups:
        places.append([])
        for zone in group:
            start = zone.ints.lo >> low_bits
            places[-1].append(replace(zone, shift=(count - start) << low_bits))
            count += (zone.ints.hi >> low_bits) - start + 1
    domain = Ints(places[0][0].domain.lo, places[-1][-1].domain.hi)
    bases, slopes = (np.concatenate(part) for part in zip(*made, strict=True))
    starts, begin, end = _stretches(domain, low_bits)
    within = np.concatenate([begin, end], 1) - starts
    results = (bases[:, None] << low_bits) + slopes[:, None] * within
    out = _spanned(results >> (low_bits + FINE))
    return Lines(Interpolation(bases, slopes, low_bits, domain, out), places, [])


def _stretches(ints: Ints, low_bits: int) -> tuple[Array, Array, Array]:
    """Starts of stretches of 2^low_bits integers, and their first and last integers that occur."""
    starts = np.arange(ints.lo >> low_bits, (ints.hi >> low_bits) + 1, dtype=np.int64)[:, None] << low_bits
    return starts, np.maximum(starts, ints.lo), np.minimum(starts + 2**low_bits - 1, ints.hi)


def _lines(chain: Chain, low_bits: int, step: float, tolerance: float) -> tuple[Array, Array] | None:
    """Bases and slopes of lines over stretches of 2^low_bits integers each.

    Returns:
        The constants; None if a line is off by more than the tolerance.
    """
    starts, begin, end = _stretches(chain.ints, low_bits)
    at = begin + np.rint((end - begin) * np.linspace(0, 1, PROBES)).astype(np.int64)
    values = chain(at.reshape(-1, 1)).reshape(at.shape).astype(np.float64) / step
    slopes = (values[:, -1:] - values[:, :1]) / np.maximum(at[:, -1:] - at[:, :1], 1)
    rest = values - slopes * (at - starts)
    middle, half = (rest.max(1) + rest.min(1)) / 2, (rest.max(1) - rest.min(1)) / 2
    if not half.max() * step <= tolerance:
        return None
    bases = np.rint(middle * 2**FINE).astype(np.int64) + 2 ** (FINE - 1)
    return bases, np.rint(slopes[:, 0] * 2.0 ** (low_bits + FINE)).astype(np.int64)


def _spanned(values: Array) -> Ints:
    return Ints(min(int(values.min()), 0), max(int(values.max()), 1))
