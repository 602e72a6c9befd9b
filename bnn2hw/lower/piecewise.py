"""Follow a function of integers with a few straight pieces.

Bias, BatchNorm, relu, PReLU and clipping reduce to such pieces, in any combination.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array, Ints
from bnn2hw.lower.probe import Chain, at_single_integers
from bnn2hw.ops.real import Pointwise

SEGMENTS = 6
"""Largest number of straight pieces of a function."""

SAMPLES = 1025
"""Number of evenly spaced integers at which every function is evaluated. A narrower hump between
them is missed."""

STRETCHES = 2048
"""Number of bent stretches of one function from which on it counts as curved."""


@dataclass(frozen=True)
class Pieces:
    """Straight pieces by feature: slopes[k] * v + biases[k] for the integer v, from cuts[k - 1] on.

    Attributes:
        slopes: Real slopes of shape (features, segments).
        biases: Real biases of shape (features, segments).
        cuts: Integers at which the second and further pieces begin, of shape (features, segments -
            1).
        lowest: Smallest value of the function, of shape (features,).
        highest: Largest value of the function, of shape (features,).
        error: Largest difference from the function where it was evaluated, of shape (features,).
    """

    slopes: Array
    biases: Array
    cuts: Array
    lowest: Array
    highest: Array
    error: Array

    @property
    def straight(self) -> bool:
        """True if there is only one piece."""
        return int(self.cuts.shape[1]) == 0


@dataclass(frozen=True)
class _Points:
    """Points of functions: the feature, the integer as a step from the lowest, and the value."""

    feature: Array
    step: Array
    value: Array

    def where(self, chosen: Array) -> _Points:
        return _Points(self.feature[chosen], self.step[chosen], self.value[chosen])

    def and_(self, other: _Points) -> _Points:
        return _Points(
            np.concatenate([self.feature, other.feature]),
            np.concatenate([self.step, other.step]),
            np.concatenate([self.value, other.value]),
        )


def fit(chain: Chain, tolerance: Array) -> Pieces | None:
    """Return straight pieces that follow a function to within a tolerance, or None if it is curved.

    Stretches between sampled integers are halved until the function is straight on each. Then
    stretches are joined while one line stays within the tolerance of all their ends.

    Args:
        chain: The function.
        tolerance: Real tolerance, of shape (features,).
    """
    features, grid = chain.features, chain.steps(SAMPLES)
    known = chain(chain.ints.lo + chain.ints.step * grid).astype(np.float64)
    column, at = np.nonzero(_corners(grid, known, tolerance).T)
    points = _Points(column, grid[at, column], known[at, column])
    inner = np.flatnonzero(column[1:] == column[:-1])
    low, high = points.where(inner), points.where(inner + 1)
    total = np.bincount(low.feature, minlength=features)
    while low.feature.size:
        wide = high.step - low.step > 1
        low, high = low.where(wide), high.where(wide)
        if not low.feature.size:
            break
        middle, bent = _halved(chain, low, high, tolerance)
        points = points.and_(middle)
        total += np.bincount(low.feature[bent], minlength=features)
        if total.max() > STRETCHES:
            return None
        low, middle, high = low.where(bent), middle.where(bent), high.where(bent)
        low, high = low.and_(middle), middle.and_(high)
    return _joined(points, chain.ints, features, tolerance)


def bends(steps: Array, values: Array, tolerance: Array) -> bool:
    """True if a function has points that no line follows to within a tolerance.

    A line that does comes within the tolerance of both ends, and so of the line through the ends.

    Args:
        steps: Where it was evaluated, of shape (points, features), ascending.
        values: The values there.
        tolerance: Real tolerance, of shape (features,).
    """
    run = np.maximum(steps[-1] - steps[0], 1)
    line = values[0] + (values[-1] - values[0]) * ((steps - steps[0]) / run)
    return bool(np.any(np.abs(values - line) > 2.01 * tolerance))


def _halved(chain: Chain, low: _Points, high: _Points, tolerance: Array) -> tuple[_Points, Array]:
    """The middles of stretches, and whether the function bends on each of them."""
    feature = low.feature
    bent = np.zeros(feature.size, bool)
    middle = low
    for share in (0.293, 0.5):
        step = low.step + np.maximum(((high.step - low.step) * share).astype(np.int64), 1)
        value = at_single_integers(chain, feature, step).astype(np.float64)
        line = low.value + (high.value - low.value) * ((step - low.step) / (high.step - low.step))
        bent |= np.abs(value - line) > tolerance[feature] / 8
        middle = _Points(feature, step, value)
    return middle, bent


def _corners(grid: Array, known: Array, tolerance: Array) -> Array:
    """The samples that are kept: a few evenly spaced ones, and those where the function bends."""
    run = np.maximum(grid[2:] - grid[:-2], 1)
    line = known[:-2] + (known[2:] - known[:-2]) * ((grid[1:-1] - grid[:-2]) / run)
    kept = np.zeros(known.shape, bool)
    kept[:: SAMPLES // 16] = kept[-1] = True
    bent = np.abs(known[1:-1] - line) > tolerance / 8
    for part in (kept[:-2], kept[1:-1], kept[2:]):
        part |= bent
    return kept


Line = tuple[int, float, float]
"""The first step of a line, its slope, and its value there."""


def _joined(points: _Points, ints: Ints, features: int, tolerance: Array) -> Pieces | None:
    """Join stretches to lines; None if a feature needs too many."""
    points = points.where(np.lexsort((points.step, points.feature)))
    borders = np.searchsorted(points.feature, np.arange(features + 1))
    rows = []
    for feature in range(features):
        own = slice(borders[feature], borders[feature + 1])
        row = _lines(points.step[own], points.value[own], float(tolerance[feature]))
        if len(row) > SEGMENTS:
            return None
        rows.append(_straightened(row, points.step[own], points.value[own]))
    slopes, biases, cuts = _constants(rows, ints)
    at, c = ints.lo + ints.step * points.step, points.feature
    piece = (at[:, None] >= cuts[c]).sum(1)
    error = np.abs(slopes[c, piece] * at + biases[c, piece] - points.value)
    largest = np.zeros(features)
    np.maximum.at(largest, c, error)
    lowest, highest = np.full(features, np.inf), np.full(features, -np.inf)
    np.minimum.at(lowest, c, points.value)
    np.maximum.at(highest, c, points.value)
    return Pieces(slopes, biases, cuts, lowest, highest, largest)


def _constants(rows: list[list[Line]], ints: Ints) -> tuple[Array, Array, Array]:
    """Slopes, biases and cuts of the lines of each feature.

    A feature with fewer lines repeats its last one.
    """
    most = max(map(len, rows))
    never = ints.hi + ints.step
    slopes, biases = np.zeros((len(rows), most)), np.zeros((len(rows), most))
    cuts = np.full((len(rows), most - 1), never, np.int64)
    for c, row in enumerate(rows):
        for k in range(most):
            start, slope, level = row[min(k, len(row) - 1)]
            slopes[c, k] = slope / ints.step
            biases[c, k] = level - slope * start - slopes[c, k] * ints.lo
            if 0 < k < len(row):
                cuts[c, k - 1] = ints.lo + ints.step * start
    return slopes, biases, cuts


def _lines(steps: Array, values: Array, tolerance: float) -> list[Line]:
    """The fewest lines through consecutive points that a single pass finds."""
    lines: list[Line] = []
    start, steepest, flattest = 0, np.inf, -np.inf
    t, v = steps.tolist(), values.tolist()
    i = 1
    while i < len(t):
        run = t[i] - t[start]
        if run:
            high, low = (v[i] - v[start] + tolerance) / run, (v[i] - v[start] - tolerance) / run
            if low > steepest or high < flattest:
                lines.append((t[start], _slope(flattest, steepest), v[start]))
                # There is no integer between two neighbors: the next piece begins at the second of
                # them.
                start, steepest, flattest = (i if t[i] - t[i - 1] == 1 else i - 1), np.inf, -np.inf
                i = start + 1
                continue
            steepest, flattest = min(steepest, high), max(flattest, low)
        i += 1
    lines.append((t[start], _slope(flattest, steepest), v[start]))
    return lines


def _slope(flattest: float, steepest: float) -> float:
    return 0.0 if np.isinf(flattest) or np.isinf(steepest) else (flattest + steepest) / 2


def _straightened(lines: list[Line], steps: Array, values: Array) -> list[Line]:
    """The same lines through points well within them, up to where they cross.

    A point at the end of a line may belong to its neighbor and be off by up to the tolerance. The
    lines stay as they are if that is nearer.
    """
    starts = [start for start, _, _ in lines]
    better: list[Line] = []
    nearest = 0  # step of the last point that surely belongs to the line before
    for (start, slope, level), end in zip(lines, [*starts[1:], int(steps[-1])], strict=True):
        eighth = (end - start) / 8
        first = int(np.searchsorted(steps, start + eighth))
        last = int(np.searchsorted(steps, end - eighth, side="right")) - 1
        if last > first and steps[last] > steps[first]:
            slope = float(values[last] - values[first]) / float(steps[last] - steps[first])
            level = float(values[first]) - slope * float(steps[first] - start)
        if better:
            before, steep, height = better[-1]
            gap = level - height - steep * (start - before)
            crossing = start - (gap / (slope - steep) if slope != steep else 0.0)
            if nearest <= crossing <= steps[max(first, 0)]:
                begin = int(np.ceil(crossing))
                start, level = begin, level + slope * (begin - start)
        better.append((start, slope, level))
        nearest = int(steps[max(last, first)])
    return better if _distance(better, steps, values) < _distance(lines, steps, values) else lines


def _distance(lines: list[Line], steps: Array, values: Array) -> float:
    """Distance of the farthest point from its line."""
    starts, slopes, levels = (np.array(part, np.float64) for part in zip(*lines, strict=True))
    piece = np.maximum(np.searchsorted(starts, steps, side="right") - 1, 0)
    return float(np.abs(levels[piece] + slopes[piece] * (steps - starts[piece]) - values).max())


def active(
    op: Pointwise, shape: tuple[int, ...], ends: tuple[float, float], share: float
) -> tuple[float, float]:
    """Return the part of an input range over which a function is not constant.

    Args:
        op: The function.
        shape: Shape of its input.
        ends: The input range.
        share: Share of the range of results by which a function counts as constant.
    """
    low, high = ends
    channels = shape[-1]
    for _ in range(24):
        x = np.linspace(low, high, 513, dtype=np.float32)
        grid = np.broadcast_to(x[:, None], (x.size, channels)).reshape(-1, *(1,) * (len(shape) - 1), channels)
        y = op.apply(grid).reshape(x.size, -1).astype(np.float64)
        slack = (y.max() - y.min()) * share
        same_low = int(np.argmax((np.abs(y - y[0]) > slack).any(1)))
        same_high = int(np.argmax((np.abs(y - y[-1]) > slack).any(1)[::-1]))
        new_low = float(x[max(same_low - 1, 0)])
        new_high = float(x[x.size - 1 - max(same_high - 1, 0)])
        if new_high - new_low > 0.6 * (high - low) or new_low >= new_high:
            break
        low, high = new_low, new_high
    return low, high
