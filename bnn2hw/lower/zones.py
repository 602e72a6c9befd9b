"""Zones of the input of a curve, each with its own step.

Lines over evenly spaced inputs are only as accurate as the widest range allows. Zones help if the ranges of channels
differ much, or if a curve bends in a small part of a wide range. The integers of a zone follow those of the zone
before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bnn2hw.ir import Array, Ints
from bnn2hw.lower.piecewise import Pieces

Curve = Callable[[Array], Array]
"""A function of real numbers, float64 arrays of any shape."""

POINTS = 257
"""Inputs at which a curve is looked at to choose its zones."""

CUTS = 64
"""Parts of a zone between which it may be cut in two."""

MARGIN = 2.0**-8
"""Share of its range by which a zone is wider at each end."""

MOST = 6
"""Most zones of one channel."""


@dataclass(frozen=True)
class Zone:
    """A stretch of the input: its integers count `step` from 0 on.

    Attributes:
        step: Real value of a step.
        ints: The integers. Those beyond `low` and `high` are a margin for rounding in front of the curve, which
            must not lead to another zone.
        low: Smallest input.
        high: Largest input.
        shift: Added to the integers to place them behind those of other zones.
    """

    step: float
    ints: Ints
    low: float
    high: float
    shift: int = 0

    @staticmethod
    def over(low: float, high: float, bits: int) -> Zone:
        """Return the zone in which a range and its margins fit some bits."""
        least = max(abs(low), abs(high), 2.0**-64) * 2.0**-20
        low, high = (low, high) if high - low > least else (low - least, high + least)  # of a constant input
        room = (high - low) * MARGIN
        step = (high - low + 2 * room) / (2.0**bits - 3)
        ints = Ints(int(np.floor((low - room) / step)), int(np.ceil((high + room) / step)))
        return Zone(step, ints, low, high)

    @property
    def domain(self) -> Ints:
        """The integers in their place."""
        return Ints(self.ints.lo + self.shift, self.ints.hi + self.shift)

    @property
    def margin(self) -> float:
        """Integers between an end of the range and an end of the zone."""
        return min(self.low / self.step - self.ints.lo, self.ints.hi - self.high / self.step)

    def place(self, x: float) -> float:
        """Return the integer of an input, not rounded."""
        return x / self.step + self.shift


@dataclass(frozen=True)
class Group:
    """Channels that are followed together.

    Attributes:
        channels: Numbers of the channels.
        ends: Range of their inputs.
    """

    channels: Array
    ends: tuple[float, float]


def groups(
    curve: Curve, low: Array, high: Array, bits: int, spare: tuple[int, int], *, even: bool
) -> list[Group]:
    """Return the channels that can be followed together, each true to its own range.

    Args:
        curve: The function.
        low: Smallest input of each channel.
        high: Largest input.
        bits: Bits of the input.
        spare: Bits by which the range of the results, and steps of the input, may be coarser than a channel needs.
        even: True if only the range of all channels together counts.

    Raises:
        FloatingPointError: A result is infinite or NaN.
    """
    x = low + (high - low) * np.linspace(0, 1, POINTS)[:, None]
    y = curve(x)
    if not np.isfinite(y).all():
        raise FloatingPointError("infinite results")
    least, most = y.min(0), y.max(0)
    size = np.full(low.shape, most.max() - least.min()) if even else most - least
    rise = np.abs(np.diff(y, axis=0)).max(0) / np.maximum((high - low) / (POINTS - 1), 1e-300)
    size = np.where(size > 0, size, size.max())  # channels that are constant need no zone of their own
    allowed = np.maximum(2.0 ** spare[1] * size, 2 * (high - low) * rise)
    found: list[list[int]] = []
    for channel in np.argsort(-size, kind="stable").tolist():
        for group in found:
            both = [*group, channel]
            width = high[both].max() - low[both].min()
            together = most[both].max() - least[both].min()
            if np.all(together <= 2.0 ** spare[0] * size[both]) and np.all(
                width * rise[both] <= allowed[both]
            ):
                group.append(channel)
                break
        else:
            found.append([channel])
    return [Group(np.array(g), (float(low[g].min()), float(high[g].max()))) for g in found]


def cut(curve: Curve, ends: Sequence[float]) -> list[float]:
    """Return the borders of zones with one zone more: the most bent one is cut where that helps most.

    Args:
        curve: The function.
        ends: Borders of the zones, ascending.
    """
    bent = [_bend(curve, a, b) for a, b in pairwise(ends)]
    worst = int(np.argmax(bent))
    a, b = ends[worst], ends[worst + 1]
    borders = (a + (b - a) * np.arange(1, CUTS) / CUTS).tolist()
    best = min(borders, key=lambda t: max(_bend(curve, a, t), _bend(curve, t, b)))
    return sorted([*ends, best])


def _bend(curve: Curve, low: float, high: float) -> float:
    """A number in proportion to that of the lines which follow a curve between two inputs."""
    y = curve(np.linspace(low, high, POINTS))
    return float(np.sqrt(np.abs(np.diff(y, 2)).max()) * (POINTS - 1))


def placed(pieces: Pieces, ints: Ints, rows: Sequence[Sequence[Zone]]) -> Pieces:
    """Return pieces that lead to the integers of zones instead of to their real inputs.

    Inputs beyond the zones of their channel become the integer at the nearer end.

    Args:
        pieces: Straight pieces that give the input of the curve.
        ints: Integers for which they do.
        rows: Zones of each channel, ascending.
    """
    lines = [_row(pieces, channel, ints, zones) for channel, zones in enumerate(rows)]
    most = max(map(len, lines))
    padded = np.array([[*row, *[row[-1]] * (most - len(row))] for row in lines], np.float64)
    cuts = padded[:, 1:, 0].astype(np.int64)
    for row, line in zip(cuts, lines, strict=True):
        row[len(line) - 1 :] = ints.hi + ints.step
    nothing = np.zeros(len(lines))
    return Pieces(padded[..., 1], padded[..., 2], cuts, nothing, nothing, nothing)


def _row(pieces: Pieces, channel: int, ints: Ints, zones: Sequence[Zone]) -> list[tuple[int, float, float]]:
    """First integer, slope and bias of each piece of a channel."""
    starts = [ints.lo, *pieces.cuts[channel].tolist(), ints.hi + ints.step]
    found: list[tuple[int, float, float]] = []
    borders = [zones[0].low, *(zone.high for zone in zones)]
    for k, (first, end) in enumerate(pairwise(starts)):
        slope, bias = float(pieces.slopes[channel, k]), float(pieces.biases[channel, k])
        inner = {c for b in borders if slope for c in [_first_beyond(slope, bias, b)] if first < c < end}
        bounds = [first, *sorted(inner), end]
        for start, stop in pairwise(bounds):
            if start >= stop:
                continue
            line = _line(slope, bias, slope * ((start + stop - 1) / 2) + bias, borders, zones)
            if not found or line != found[-1][1:]:
                found.append((start, *line))
    return found


def _first_beyond(slope: float, bias: float, border: float) -> int:
    """The first integer on the other side of a border."""
    at = (border - bias) / slope
    if not abs(at) < 2.0**62:
        return -(2**62)
    return int(np.ceil(at)) if slope > 0 else int(np.floor(at)) + 1


def _line(
    slope: float, bias: float, x: float, borders: Sequence[float], zones: Sequence[Zone]
) -> tuple[float, float]:
    """The line to the integers of the zone that holds an input."""
    if x <= borders[0]:
        return 0.0, zones[0].place(borders[0])
    if x >= borders[-1]:
        return 0.0, zones[-1].place(borders[-1])
    zone = zones[int(np.searchsorted(borders[1:], x))]
    return slope / zone.step, zone.place(bias)
