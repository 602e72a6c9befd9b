"""Scores as integers: in the order of Keras's scores for classes, as accurate as requested if they are the output.

See docs/decisions/0005.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bnn2hw.ir import Array, Ints
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_values import value_range
from bnn2hw.lower.kernels import UNIT_ROUNDOFF
from bnn2hw.lower.levels import ROUNDING, uniform_levels
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import Chain
from bnn2hw.ops.base.channels import Meaning, uniform

Use = Literal["values", "order"]
"""The design gives the values of the scores, or only what follows from their order."""

RANGE_BITS = 16
"""Scores take this many bits of the range of their output, unless the user says otherwise."""

FEWEST_BITS, MOST_BITS = 8, 40
"""Fewest and most bits of scores in a table."""

LOADED_BITS = 32
"""Bits of scores in tables that can be written at run time. They must hold the scores of other
weights too."""

FIXED_BITS = 24
"""Fewest bits of scores in fixed point, unless the user says otherwise."""

MOST_FIXED_BITS = 31
"""Most bits of scores in fixed point."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores as integers: real = entry * scale + offset.

    Attributes:
        entries: Integers of shape (count, features).
        type: Integers of the output.
        scale: Real value of a step, of all features or of each.
        offset: Real value of the integer 0.
        ordered: True if all orders and ties of the scores are kept.
    """

    entries: Array
    type: Ints
    scale: Meaning
    offset: float
    ordered: bool

    def distance(self, values: Array) -> Array:
        """Return how far the entries are from the scores, of the same shape."""
        off: Array = np.abs(self.entries * np.asarray(self.scale) + self.offset - values.astype(np.float64))
        return off


def table_of(values: Array, use: Use, bits: int | None, *, loadable: bool, apart: bool) -> ScoreTable:
    """Return scores as integers.

    Where only the order counts, the integers have the fewest fraction bits that keep it. Where the
    values are the output they also come as near to the scores as asked for.

    Args:
        values: The scores, of shape (count, features).
        use: What is wanted of the scores.
        bits: Bits that the user asks for; None for the default.
        loadable: True if the table must hold the scores of other weights too.
        apart: True if each feature may have its own step.

    Raises:
        FloatingPointError: A score is infinite.
    """
    if not np.isfinite(values).all():
        raise FloatingPointError("infinite scores")
    grid = uniform_levels(values)
    if grid is not None:
        return ScoreTable(grid.index(values), grid.type, grid.scale, grid.offset, ordered=True)
    top = max(float(np.abs(values).max()), 2.0**-100)
    whole = 2 + math.floor(math.log2(top))
    if loadable:
        full = Ints(-(2 ** (LOADED_BITS - 1)), 2 ** (LOADED_BITS - 1) - 1)
        return _rounded(values, LOADED_BITS - whole, full)
    first, last = FEWEST_BITS - whole, MOST_BITS - whole
    if use == "order":
        return _in_order(values, first, last)
    fractions = _fractions(steps(values.min(0), values.max(0), bits or RANGE_BITS))
    if fractions.max() > last and apart:
        return _by_feature(values, fractions)
    needed = min(int(fractions.max()), last)
    return _rounded(values, needed) if bits else _in_order(values, max(first, needed), last)


@dataclass(frozen=True)
class Straight:
    """Scores that are one rising line over the integers, with integers of their own added by feature.

    Attributes:
        table: The scores: entry = factor · integer + bias.
        factor: Factor of the integers.
        biases: Integers of shape (features,).
    """

    table: ScoreTable
    factor: int
    biases: Array

    @property
    def relabels(self) -> bool:
        """True if the integers stay as they are, and only their real meaning changes."""
        return self.factor == 1 and not np.any(self.biases)


FACTORS = (1, 2)
"""Factors of the integers that are tried; sums of ±1 that count ones have steps of 2."""


def straight(values: Array, ints: Ints) -> Straight | None:
    """Return scores as the integers themselves, if the scores are lines of one slope over them.

    Args:
        values: The scores at all integers, of shape (count, features).
        ints: The integers.

    Returns:
        The scores; None if they are no such lines, or the integers would have another order.
    """
    steps = len(values) - 1
    if not steps:
        return None
    wide = values.astype(np.float64)
    slack = ROUNDING * float(np.abs(wide).max())
    slope = float((wide[-1] - wide[0]).mean()) / (ints.hi - ints.lo)
    line = slope * ints.values()[:, None]
    offsets = (wide - line).mean(0)
    if slope <= 0 or np.abs(line + offsets - wide).max() > slack:
        return None
    for factor in FACTORS:
        least = float(offsets.min())
        biases = np.rint((offsets - least) * factor / slope).astype(np.int64)
        if np.abs(least + biases * slope / factor - offsets).max() > slack:
            continue
        entries = factor * ints.values()[:, None] + biases
        made = ScoreTable(entries, _spanned(entries), slope / factor, least, ordered=True)
        return Straight(made, factor, biases) if _same_order(entries, values) else None
    return None


def _same_order(entries: Array, values: Array) -> bool:
    """True if integers have the order and the ties of the scores."""
    order = np.argsort(entries, axis=None, kind="stable")
    rises, grows = np.diff(entries.ravel()[order]), np.diff(values.ravel()[order])
    return bool(np.all(np.sign(rises) == np.sign(grows)))


def steps(low: Array, high: Array, bits: int) -> Array:
    """Return the coarsest steps of scores that are as true as asked for, by feature.

    Args:
        low: Smallest score of each feature.
        high: Largest score.
        bits: Bits of the range; a step is never finer than float32 rounds the scores themselves.
    """
    largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    step = np.maximum((high.astype(np.float64) - low) / 2.0**bits, 2 * UNIT_ROUNDOFF * largest)
    return np.where(step > 0, step, np.inf)


def _fractions(step: Array) -> Array:
    """Fraction bits by feature; as few as possible for a score that is always 0."""
    found: Array = np.ceil(-np.log2(np.minimum(step, 2.0**100))).astype(np.int64)
    return found


def _rounded(values: Array, fraction: int, out: Ints | None = None) -> ScoreTable:
    entries = np.rint(values.astype(np.float64) * 2.0**fraction).astype(np.int64)
    distinct = np.unique(values).astype(np.float64)
    ordered = bool(np.all(np.diff(np.rint(distinct * 2.0**fraction)) > 0))
    return ScoreTable(entries, out or _spanned(entries), 2.0**-fraction, 0.0, ordered)


def _in_order(values: Array, first: int, last: int) -> ScoreTable:
    """Scores with the fewest fraction bits that keep every order and tie, or the first if none does."""
    tables = (_rounded(values, fraction) for fraction in range(first, last + 1))
    return next((t for t in tables if t.ordered), _rounded(values, first))


def _by_feature(values: Array, fractions: Array) -> ScoreTable:
    """Scores with a step for each feature, where one step for all would take too many bits."""
    entries = np.rint(values.astype(np.float64) * 2.0**fractions).astype(np.int64)
    return ScoreTable(entries, _spanned(entries), uniform(2.0**-fractions), 0.0, ordered=False)


def _spanned(entries: Array) -> Ints:
    return Ints(int(entries.min()), int(entries.max()))


def fixed_bits(b: Builder, pending: Pending, bits: int | None) -> tuple[int, bool]:
    """Return the bits of scores in fixed point, and true if one step serves all channels.

    Args:
        b: The hardware form.
        pending: The scores.
        bits: Bits that the user asks for; None for the default.

    Raises:
        FloatingPointError: A layer returns NaN, or a score is infinite.
        NotPointwise: A layer is not a function of single values.
    """
    low, high = value_range(b, pending)
    fewest = bits or FIXED_BITS
    finest = float(steps(low, high, bits or RANGE_BITS).min())
    largest = float(np.maximum(np.abs(low), np.abs(high)).max())
    if not np.isfinite(largest):
        raise FloatingPointError("infinite scores")
    if not np.isfinite(finest) or not largest:
        return fewest, True
    needed = max(fewest, 1 + math.ceil(math.log2(largest / finest)))
    return (needed, True) if needed <= MOST_FIXED_BITS else (fewest, False)


def note(b: Builder, pending: Pending, chain: Chain, table: ScoreTable, values: Array) -> None:
    """Note how far scores in a table are from Keras's.

    Args:
        b: The hardware form.
        pending: The scores.
        chain: The same as a function of the integers.
        table: The scores as integers.
        values: Keras's scores at all integers.
    """
    off, error = table.distance(values), b.error(pending.edge)
    if not error and np.all(off <= ROUNDING * np.abs(values).max(0)):
        b.record_fidelity(pending)
        return
    shifts = (-error, error) if error else ()
    sway = max((float(np.abs(chain.all(s) - values).max()) for s in shifts), default=0.0)
    largest = float(off.max()) + sway
    b.record_fidelity(pending, rounded=f"scores of {table.type.bits} bits, off by at most {largest:.2g}")
