"""Follow a curved function of single values with many short lines, or with a table."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.fixed_point import Requirement, fixed_step, spanning
from bnn2hw.lower.levels import uniform_levels
from bnn2hw.lower.probe import Chain
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


def interpolation(
    op: Pointwise, domain: Ints, scale: float, requirement: Requirement, bits: int
) -> Interpolation | None:
    """Return lines that follow a function, or None if it is too curved or has jumps.

    Args:
        op: The function, the same for all channels.
        domain: Integers that the lines take.
        scale: Real value of a step of these integers.
        requirement: What the reader of the output needs.
        bits: Bits of the output, unless the requirement sets the scale or the tolerance is coarser.

    Raises:
        FloatingPointError: The function returns NaN.
    """
    ends = np.array([[domain.lo], [domain.hi]], np.int64)
    chain = Chain((op,), Tensor((1,), domain, scale), (1,), ends[0], ends[1])
    sampled = chain(chain.samples(1025)).astype(np.float64)
    low, high = float(sampled.min()), float(sampled.max())
    for true in range(max(TRUE_BITS[0], min(bits - SPARE, TRUE_BITS[1])), TRUE_BITS[0] - 1, -1):
        step = requirement.scale
        if not isinstance(step, float):
            step, _ = fixed_input(low, high, min(bits, true + FINE))
        for position_bits in range(domain.bits - 4, max(domain.bits - LINES, 1) - 1, -1):
            made = _lines(chain, position_bits, step, (high - low) * 2.0**-true)
            if made is not None:
                return made
    return None


def _lines(chain: Chain, position_bits: int, step: float, tolerance: float) -> Interpolation | None:
    """Lines over stretches of 2^position_bits integers each.

    Returns:
        The op; None if a line is off by more than the tolerance.
    """
    domain = chain.ints
    first, last = domain.lo >> position_bits, domain.hi >> position_bits
    starts = np.arange(first, last + 1, dtype=np.int64)[:, None] << position_bits
    begin, end = np.maximum(starts, domain.lo), np.minimum(starts + 2**position_bits - 1, domain.hi)
    at = begin + np.rint((end - begin) * np.linspace(0, 1, PROBES)).astype(np.int64)
    values = chain(at.reshape(-1, 1)).reshape(at.shape).astype(np.float64) / step
    slopes = (values[:, -1:] - values[:, :1]) / np.maximum(at[:, -1:] - at[:, :1], 1)
    rest = values - slopes * (at - starts)
    middle, half = (rest.max(1) + rest.min(1)) / 2, (rest.max(1) - rest.min(1)) / 2
    if half.max() * step > tolerance:
        return None
    bases = np.rint(middle * 2**FINE).astype(np.int64) + 2 ** (FINE - 1)
    steep = np.rint(slopes[:, 0] * 2.0 ** (position_bits + FINE)).astype(np.int64)
    results = (bases[:, None] << position_bits) + steep[:, None] * (np.concatenate([begin, end], 1) - starts)
    out = _spanned(results >> (position_bits + FINE))
    return Interpolation(bases, steep, position_bits, domain, out, step)


def _spanned(values: Array) -> Ints:
    return Ints(min(int(values.min()), 0), max(int(values.max()), 1))
