"""Functions of integers as a few straight pieces: what bias, BatchNorm, relu, PReLU and clipping come down to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array, Ints
from bnn2hw.lower.probe import Chain, scattered
from bnn2hw.ops.real import Pointwise

SEGMENTS = 6
"""Straight pieces that a function may have."""

SAMPLES = 1025
"""Integers, spread evenly, at which a function is looked at in any case: narrower humps are not seen."""

POINTS = 2048
"""Stretches of one function that are looked at before it is taken to be curved."""


@dataclass(frozen=True)
class Pieces:
    """By feature, straight pieces: from cut k − 1 on, slope[k] · v + bias[k] for the integer v.

    Attributes:
        slopes: shape (features, segments).
        biases: shape (features, segments).
        cuts: integers that begin the second and further pieces, shape (features, segments − 1).
        lowest: by feature, the smallest value; likewise `highest`.
        error: by feature, the largest difference from the function where it was looked at.
    """

    slopes: Array
    biases: Array
    cuts: Array
    lowest: Array
    highest: Array
    error: Array

    @property
    def straight(self) -> bool:
        """Whether one piece is all."""
        return int(self.cuts.shape[1]) == 0


def fit(chain: Chain, tolerance: Array) -> Pieces | None:
    """Straight pieces that follow a chain to within a tolerance, or None where it is curved.

    Stretches between sampled integers are halved until the function is straight on them; then they are put together
    while one line stays within the tolerance of all their ends.

    Args:
        chain: the function.
        tolerance: by feature, in real terms.
    """
    ints, features = chain.ints, chain.features
    grid = chain.steps(SAMPLES)
    known = chain(ints.lo + ints.step * grid).astype(np.float64)
    column, at = np.nonzero(_corners(grid, known, tolerance).T)
    steps, values = grid[at, column], known[at, column]
    points: list[tuple[Array, Array, Array]] = [(column, steps, values)]
    inner = np.flatnonzero(column[1:] == column[:-1])
    channel, low, high = column[inner], steps[inner], steps[inner + 1]
    low_value, high_value = values[inner], values[inner + 1]
    total = np.bincount(channel, minlength=features)
    while channel.size:
        wide = high - low > 1
        channel, low, high = channel[wide], low[wide], high[wide]
        low_value, high_value = low_value[wide], high_value[wide]
        if not channel.size:
            break
        bent = np.zeros(channel.size, bool)
        for share in (0.5, 0.293):
            probe = low + np.maximum(((high - low) * share).astype(np.int64), 1)
            value = scattered(chain, channel, probe).astype(np.float64)
            line = low_value + (high_value - low_value) * ((probe - low) / (high - low))
            bent |= np.abs(value - line) > tolerance[channel] / 8
            if share == 0.5:
                middle, middle_value = probe, value
        points.append((channel, middle, middle_value))
        total += np.bincount(channel[bent], minlength=features)
        if total.max() > POINTS:
            return None
        channel, low, middle, high = channel[bent], low[bent], middle[bent], high[bent]
        low_value, middle_value, high_value = low_value[bent], middle_value[bent], high_value[bent]
        channel = np.concatenate([channel, channel])
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        low_value, high_value = (
            np.concatenate([low_value, middle_value]),
            np.concatenate([middle_value, high_value]),
        )
    return _joined(points, ints, features, tolerance)


def _corners(grid: Array, known: Array, tolerance: Array) -> Array:
    """Which samples are wanted: some all along, and those at which the function bends."""
    run = np.maximum(grid[2:] - grid[:-2], 1)
    line = known[:-2] + (known[2:] - known[:-2]) * ((grid[1:-1] - grid[:-2]) / run)
    wanted = np.zeros(known.shape, bool)
    wanted[:: SAMPLES // 16] = wanted[-1] = True
    bent = np.abs(known[1:-1] - line) > tolerance / 8
    for part in (wanted[:-2], wanted[1:-1], wanted[2:]):
        part |= bent
    return wanted


def _joined(
    points: list[tuple[Array, Array, Array]], ints: Ints, features: int, tolerance: Array
) -> Pieces | None:
    channel, steps, values = (np.concatenate(part) for part in zip(*points, strict=True))
    order = np.lexsort((steps, channel))
    channel, steps, values = channel[order], steps[order], values[order]
    borders = np.searchsorted(channel, np.arange(features + 1))
    rows = []
    for c in range(features):
        own = slice(borders[c], borders[c + 1])
        row = _lines(steps[own], values[own], float(tolerance[c]))
        if len(row) > SEGMENTS:
            return None
        rows.append(_straightened(row, steps[own], values[own]))
    most = max(map(len, rows))
    never = ints.hi + ints.step
    slopes, biases = np.zeros((features, most)), np.zeros((features, most))
    cuts = np.full((features, most - 1), never, np.int64)
    for c, row in enumerate(rows):
        for k in range(most):
            start, slope, level = row[min(k, len(row) - 1)]
            slopes[c, k] = slope / ints.step
            biases[c, k] = level - slope * start - slopes[c, k] * ints.lo
            if 0 < k < len(row):
                cuts[c, k - 1] = ints.lo + ints.step * start
    at = ints.lo + ints.step * steps
    piece = (at[:, None] >= cuts[channel]).sum(1)
    error = np.abs(slopes[channel, piece] * at + biases[channel, piece] - values)
    largest = np.zeros(features)
    np.maximum.at(largest, channel, error)
    lowest, highest = np.full(features, np.inf), np.full(features, -np.inf)
    np.minimum.at(lowest, channel, values)
    np.maximum.at(highest, channel, values)
    return Pieces(slopes, biases, cuts, lowest, highest, largest)


Line = tuple[int, float, float]
"""The first step of a line, its slope, and its value there."""


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
                # Between two neighbours there is no integer: the next piece begins at the second of them.
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
    """The same lines through points well within them, up to where they cross, if that brings them nearer.

    Points at the ends of a line may lie on its neighbour, as far off as the tolerance lets them.
    """
    starts = [start for start, _, _ in lines]
    better: list[Line] = []
    nearest = 0  # step of the last point that the line before surely goes through
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
                moved = int(np.ceil(crossing))
                start, level = moved, level + slope * (moved - start)
        better.append((start, slope, level))
        nearest = int(steps[max(last, first)])
    return better if _distance(better, steps, values) < _distance(lines, steps, values) else lines


def _distance(lines: list[Line], steps: Array, values: Array) -> float:
    """How far the farthest point is from its line."""
    starts, slopes, levels = (np.array(part, np.float64) for part in zip(*lines, strict=True))
    piece = np.maximum(np.searchsorted(starts, steps, side="right") - 1, 0)
    return float(np.abs(levels[piece] + slopes[piece] * (steps - starts[piece]) - values).max())


def active(op: Pointwise, shape: tuple[int, ...], low: float, high: float) -> tuple[float, float]:
    """The part of the range of a function's input over which it is not constant, but for half a step.

    Args:
        op: the function.
        shape: of its input.
        low: where the range begins.
        high: where it ends.
    """
    channels = shape[-1]
    for _ in range(24):
        x = np.linspace(low, high, 513, dtype=np.float32)
        grid = np.broadcast_to(x[:, None], (x.size, channels)).reshape(-1, *(1,) * (len(shape) - 1), channels)
        y = op.apply(grid).reshape(x.size, -1).astype(np.float64)
        slack = (y.max() - y.min()) * 2.0**-16
        same_low = int(np.argmax((np.abs(y - y[0]) > slack).any(1)))
        same_high = int(np.argmax((np.abs(y - y[-1]) > slack).any(1)[::-1]))
        new_low = float(x[max(same_low - 1, 0)])
        new_high = float(x[x.size - 1 - max(same_high - 1, 0)])
        if new_high - new_low > 0.6 * (high - low) or new_low >= new_high:
            break
        low, high = new_low, new_high
    return low, high
