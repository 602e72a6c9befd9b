"""Real values as integers: evenly spaced levels, and thresholds between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints

LEVELS = 256
"""Largest number of values that count as the levels of a quantizer."""

PARTS = 32
"""If some levels never occur, the smallest gap between those that do spans at most this many
steps."""

ROUNDING = 2.0**-21
"""Share of the largest value by which float32 rounding may move a level."""


@dataclass(frozen=True)
class UniformLevels:
    """Evenly spaced real numbers as integers: real = v * scale + offset.

    Attributes:
        type: The integers.
        scale: Real value of a step.
        offset: Real value of the integer 0.
    """

    type: Ints
    scale: float
    offset: float

    @property
    def largest(self) -> float:
        """Largest absolute level."""
        return max(abs(self.offset + self.scale * end) for end in (self.type.lo, self.type.hi))

    def index(self, values: Array) -> Array:
        """Return the integers of real values."""
        steps = np.rint((values.astype(np.float64) - self.offset) / self.scale)
        return steps.astype(np.int64)


def uniform_levels(values: Array, rounding: float = ROUNDING) -> UniformLevels | None:
    """Return the levels of some values, or None if they are too many or not evenly spaced.

    Args:
        values: The values.
        rounding: Largest distance of a value from its level, as a share of the largest value.
    """
    distinct = np.unique(values).astype(np.float64)
    if distinct.size > LEVELS or not np.isfinite(distinct).all():
        return None
    if distinct.size <= 2 and np.unique(np.abs(distinct)).size == 1 and distinct[0] != 0:
        return UniformLevels(BIPOLAR, float(abs(distinct[0])), 0.0)
    if distinct.size == 1:
        return UniformLevels(Ints(0, 1), 1.0, float(distinct[0]))
    slack = rounding * float(np.abs(distinct).max())
    last = _steps_to_the_last(distinct, slack)
    if last is None:
        return None
    scale = float((distinct[-1] - distinct[0]) / last)
    lo = int(np.rint(distinct[0] / scale))
    if abs(lo * scale - distinct[0]) <= slack:
        return UniformLevels(Ints(lo, lo + last), scale, 0.0)
    return UniformLevels(Ints(0, last), scale, float(distinct[0]))


def stated_levels(values: Array, step: float | None) -> UniformLevels | None:
    """Return the levels of values that are whole multiples of a step, or else as `uniform_levels` does.

    Levels that never occur, and the rounding of the values, then change neither step nor integers.

    Args:
        values: The values.
        step: The step that the model states; None if it states none.
    """
    if step is None or not np.isfinite(values).all():
        return uniform_levels(values)
    multiples = np.unique(values).astype(np.float64) / step
    whole = np.rint(multiples).astype(np.int64)
    lo, hi = int(whole[0]), int(whole[-1])
    if np.abs(multiples - whole).max() > 1e-3 or hi - lo > LEVELS:
        return uniform_levels(values)
    if whole.size == 2 and lo == -hi:
        return UniformLevels(BIPOLAR, hi * step, 0.0)
    return UniformLevels(Ints(lo, max(hi, lo + 1)), step, 0.0)


def _steps_to_the_last(distinct: Array, slack: float) -> int | None:
    """Number of steps from the first value to the last one.

    If some levels never occur, no two values may be neighbors. Then the step is a part of the
    smallest gap.
    """
    above = distinct - distinct[0]
    least = float(np.diff(distinct).min())
    for part in range(1, PARTS + 1):
        last = int(np.rint(above[-1] * part / least))
        if last > LEVELS:
            return None
        scale = above[-1] / last
        if np.abs(np.rint(above / scale) * scale - above).max() <= slack:
            return last
    return None


def direction(values: Array) -> Array:
    """Return +1 for columns that never fall, -1 for others that never rise, else 0."""
    steps = np.diff(values, axis=0)
    return np.where((steps >= 0).all(0), 1, np.where((steps <= 0).all(0), -1, 0))


def cuts(levels: Array, domain: Ints, out: Ints) -> Array:
    """Return the thresholds of rising levels.

    The threshold of a step of `out` is the first integer of `domain` that reaches it.

    Args:
        levels: Integers of `out` of shape (domain.count, channels), never falling along the first
            axis.
        domain: Integers that are compared.
        out: Integers of the output.

    Returns:
        Integers of shape (channels, out.count - 1); `domain.hi + domain.step` where a level is
        never reached.
    """
    steps = (levels - out.lo) // out.step
    wanted = np.arange(1, out.count)
    firsts = np.stack([np.searchsorted(column, wanted) for column in np.ascontiguousarray(steps.T)])
    return domain.lo + domain.step * firsts
