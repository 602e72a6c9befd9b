"""Curved functions of single values as many short lines, or as tables."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.fixed_point import Requirement, fixed_step, kind_of
from bnn2hw.lower.probe import Chain, uniform_levels
from bnn2hw.ops.interpolation import FINE, Interpolation
from bnn2hw.ops.real import Pointwise
from bnn2hw.ops.table import Table

TABLE_BITS = 14
"""Bits of the input of a table that stands for a curve; two more are all that its output can be worth."""

NEAR = 2.0**-20
"""How near lines come to a curve, as a share of the range of its results."""

STRETCHES = 13
"""Logarithm of the most lines."""

PROBES = 17
"""Inputs of each stretch at which the curve is looked at."""


def gridded(low: float, high: float, bits: int) -> tuple[float, Ints]:
    """The step with which a range fits into so many bits, and the integers that it becomes."""
    ends = np.array([low]), np.array([high])
    step = fixed_step(*ends, bits)
    return float(step[0]), kind_of(*ends, step)


def worded(op: Interpolation | Table) -> str:
    """What stands for a curve, in words."""
    what = f"{op.segments} lines" if isinstance(op, Interpolation) else "a table"
    return f"{what} of {op.domain.bits} bits in"


def tabled(rows: Array, domain: Ints, requirement: Requirement, bits: int) -> Table:
    """A function's values, shape (channels or 1, domain.count): of its quantizer where it has few, else fixed point."""
    grid = uniform_levels(rows)
    if grid is not None:
        return Table(grid.index(rows), domain, grid.type, grid.scale, grid.offset)
    step = requirement.scale
    if not isinstance(step, float):
        step, _ = gridded(float(rows.min()), float(rows.max()), bits)
    levels = np.rint(rows.astype(np.float64) / step).astype(np.int64)
    return Table(levels, domain, _spanned(levels), step)


def interpolated(
    op: Pointwise, domain: Ints, scale: float, requirement: Requirement, bits: int
) -> Interpolation | None:
    """Lines that follow a function that is the same for all channels; None where it is too crooked, or has jumps.

    Args:
        op: the function.
        domain: integers that come in.
        scale: of each of their steps.
        requirement: what the reader of the output needs.
        bits: of the output otherwise, where so many are worth it.

    Raises:
        FloatingPointError: the function gives NaN.
    """
    ends = np.array([[domain.lo], [domain.hi]], np.float64)
    chain = Chain(
        (op,), Tensor((1,), domain, scale), (1,), ends[0].astype(np.int64), ends[1].astype(np.int64)
    )
    seen = chain(chain.samples(1025)).astype(np.float64)
    low, high = float(seen.min()), float(seen.max())
    step = requirement.scale
    if not isinstance(step, float):
        step, _ = gridded(low, high, min(bits, round(-np.log2(NEAR)) + FINE))
    for within in range(domain.bits - 4, max(domain.bits - STRETCHES, 1) - 1, -1):
        made = _lines(chain, within, step, (high - low) * NEAR)
        if made is not None:
            return made
    return None


def _lines(chain: Chain, within: int, step: float, tolerance: float) -> Interpolation | None:
    domain = chain.ints
    first, last = domain.lo >> within, domain.hi >> within
    starts = np.arange(first, last + 1, dtype=np.int64)[:, None] << within
    begin, end = np.maximum(starts, domain.lo), np.minimum(starts + 2**within - 1, domain.hi)
    at = begin + np.rint((end - begin) * np.linspace(0, 1, PROBES)).astype(np.int64)
    values = chain(at.reshape(-1, 1)).reshape(at.shape).astype(np.float64) / step
    slopes = (values[:, -1:] - values[:, :1]) / np.maximum(at[:, -1:] - at[:, :1], 1)
    rest = values - slopes * (at - starts)
    middle, half = (rest.max(1) + rest.min(1)) / 2, (rest.max(1) - rest.min(1)) / 2
    if half.max() * step > tolerance:
        return None
    bases = np.rint(middle * 2**FINE).astype(np.int64) + 2 ** (FINE - 1)
    steep = np.rint(slopes[:, 0] * 2.0 ** (within + FINE)).astype(np.int64)
    results = (bases[:, None] << within) + steep[:, None] * (np.concatenate([begin, end], 1) - starts)
    kind = _spanned(results >> (within + FINE))
    return Interpolation(bases, steep, within, domain, kind, step)


def _spanned(values: Array) -> Ints:
    return Ints(min(int(values.min()), 0), max(int(values.max()), 1))
