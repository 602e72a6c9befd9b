"""Represent real numbers as integers: steps, types, constants of straight pieces and tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.levels import ROUNDING, UniformLevels
from bnn2hw.lower.piecewise import SEGMENTS, Pieces
from bnn2hw.lower.probe import Chain, Unfit
from bnn2hw.ops.affine import MOST, Affine
from bnn2hw.ops.base.channels import Meaning, uniform

WORTH = 4
"""Fraction bits that are worth two more pieces."""

LARGEST_FACTOR = 128
"""Largest integer by which integers are multiplied so that the integer 0 means 0."""


@dataclass(frozen=True)
class Requirement:
    """The requirement of an edge's reader.

    Attributes:
        scale: Real value of a step, by channel or for all, if it must be a certain one.
        single: True if all channels must have the same scale and offset.
        zero: True if the integer 0 must mean 0.
        bits: Largest number of bits.
        own: True if each channel must be true to its own range, even if all have the same step.
    """

    scale: Meaning | None = None
    single: bool = False
    zero: bool = False
    bits: int = 62
    own: bool = False

    def accepts(self, tensor: Tensor) -> bool:
        """True if an edge of this type meets the requirement."""
        if tensor.ints.bits > self.bits or (self.zero and np.any(np.asarray(tensor.offset))):
            return False
        if self.single and (isinstance(tensor.scale, tuple) or isinstance(tensor.offset, tuple)):
            return False
        if self.scale is None:
            return True
        count = max(np.size(tensor.scale), np.size(self.scale))
        if not (is_periodic(self.scale, np.size(tensor.scale)) or isinstance(self.scale, float)):
            return False
        return bool(
            np.allclose(repeated(tensor.scale, count), repeated(self.scale, count), rtol=1e-9, atol=0)
        )


def is_periodic(scale: Meaning, channels: int) -> bool:
    """True if scales are the same for each group of so many channels, as they are behind a Flatten."""
    values = np.atleast_1d(np.asarray(scale))
    return values.size == 1 or bool(
        values.size % channels == 0 and np.all(values.reshape(-1, channels) == values[:channels])
    )


def repeated(values: Meaning | Array, channels: int) -> Array:
    """Return values by channel for another number of channels, float64 of shape (channels,).

    Args:
        values: One value, or values whose number divides `channels` or that are periodic in it.
        channels: Number of channels.
    """
    return np.resize(np.asarray(values, np.float64), channels)


ANY = Requirement()
"""Every edge meets this requirement."""


def fixed_step(low: Array, high: Array, bits: int) -> Array:
    """Return the steps with which ranges fit integers of some bits.

    The integers are unsigned if no value is negative, else signed.

    Args:
        low: Smallest value of each channel.
        high: Largest value of each channel.
        bits: Bits of the integers.

    Raises:
        FloatingPointError: An end is NaN or infinite.
    """
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise FloatingPointError("a range without ends")
    if np.all(low >= 0):
        steps = high / min(2**bits - 1, MOST)
    else:
        steps = np.maximum(-low / min(2 ** (bits - 1), MOST), high / (2 ** (bits - 1) - 1))
    # A channel that is always 0 takes the step of the others.
    return np.where(steps > 0, steps, float(steps.max()) or 1.0)


def spanning(low: Array, high: Array, step: Array) -> Ints:
    """Return the type that holds all ranges as multiples of their steps.

    Args:
        low: One end of each channel's range.
        high: The other end.
        step: Step of each channel.
    """
    ends = np.stack([low / step, high / step])  # steps may be negative
    # A step that fits a range into its bits exactly may miss by the last place of a float.
    lowest, highest = float(ends.min()) + 1e-6, float(ends.max()) - 1e-6
    return Ints(min(int(np.floor(lowest)), 0), max(int(np.ceil(highest)), 1))


def rescaled(tensor: Tensor, line: Pieces) -> Tensor:
    """Return the type of an edge whose integers mean the results of one line per channel.

    An offset that is small enough to be a rounding error of float32 becomes 0.
    """
    slopes, biases = line.slopes[:, 0], line.biases[:, 0]
    largest = np.maximum(np.abs(line.lowest), np.abs(line.highest))
    biases = np.where(np.abs(biases) < largest * ROUNDING, 0.0, biases)
    return replace(tensor, scale=uniform(slopes), offset=uniform(biases))


def to_multiples(tensor: Tensor, *, single: bool) -> Affine | None:
    """Return an op after which the integer 0 means 0: a small factor and a summand per channel.

    Args:
        tensor: The integers.
        single: True if all channels must have the same scale afterwards.

    Returns:
        The op; None unless offset / scale is a fraction with a small denominator in every channel.
    """
    scales = np.broadcast_to(np.asarray(tensor.scale, np.float64), (tensor.channels,))
    offsets = np.broadcast_to(np.asarray(tensor.offset, np.float64), (tensor.channels,))
    unit = _common_unit(scales) if single else scales
    parts = (
        np.array([_denominator(ratio) for ratio in offsets / unit], np.int64) if np.all(unit) else np.zeros(1)
    )
    if single:
        parts = np.full(scales.shape, np.lcm.reduce(parts.astype(np.int64)))
    if not np.all((parts > 0) & (parts <= LARGEST_FACTOR)):
        return None
    factors = np.rint(scales / unit * parts).astype(np.int64)
    shifts = np.rint(offsets / unit * parts).astype(np.int64)
    ends = np.stack([tensor.ints.lo * factors + shifts, tensor.ints.hi * factors + shifts])
    if np.abs(ends).max() > MOST:
        return None
    out = Ints(min(int(ends.min()), 0), max(int(ends.max()), 1))
    rows = merge_equal_rows(np.stack([factors, shifts], 1))
    cuts = np.zeros((len(rows), 0), np.int64)
    return Affine(rows[:, :1], rows[:, 1:], cuts, 0, out, uniform(unit / parts), 0.0)


def _common_unit(scales: Array) -> Array:
    """Return the largest number of which all scales are whole multiples; 0 if they have none."""
    least = float(np.abs(scales).min())
    parts = np.lcm.reduce([_denominator(abs(s) / least, 1e-12) for s in np.unique(scales)])
    small = 0 < parts <= LARGEST_FACTOR and float(np.abs(scales).max()) / least * parts <= LARGEST_FACTOR
    return np.full(scales.shape, least / parts if small else 0.0)


def _denominator(ratio: float, rounding: float = 1e-6) -> int:
    """Smallest denominator of a ratio up to `LARGEST_FACTOR`; 0 if there is none.

    Args:
        ratio: The ratio.
        rounding: Share by which it may be off.
    """
    tolerance = rounding * max(1.0, abs(ratio))
    small = (q for q in range(1, LARGEST_FACTOR + 1) if abs(ratio * q - np.rint(ratio * q)) <= tolerance)
    return next(small, 0)


def staircase(levels: Array, domain: Ints, grid: UniformLevels) -> Affine | None:
    """Return an op that numbers the level on which each integer falls.

    Args:
        levels: Integers of `grid`, of shape (domain.count, channels).
        domain: Integers that the op takes.
        grid: Levels of the function.

    Returns:
        The op; None if a channel has too many steps.
    """
    rows, features = levels.shape
    numbers = ((levels - grid.type.lo) // grid.type.step).T
    at, channel = np.nonzero(np.diff(levels, axis=0))
    counts = np.bincount(channel, minlength=features)
    if counts.max(initial=0) >= SEGMENTS:
        return None
    order = np.lexsort((at, channel))
    place = np.arange(at.size) - np.repeat(np.cumsum(counts) - counts, counts)
    firsts = np.full((features, int(counts.max(initial=0))), rows, np.int64)
    firsts[channel[order], place] = at[order] + 1
    begins = np.concatenate([np.zeros((features, 1), np.int64), firsts], 1)
    biases = np.take_along_axis(numbers, np.minimum(begins, rows - 1), 1)
    joined = merge_equal_rows(np.concatenate([biases, domain.lo + domain.step * firsts], 1))
    segments = begins.shape[1]
    biases, cuts = joined[:, :segments], joined[:, segments:]
    return Affine(np.zeros_like(biases), biases, cuts, 0, Ints(0, grid.type.count - 1))


def affine(chain: Chain, pieces: Pieces, step: Array, out: Ints) -> tuple[Affine, Array]:
    """Return straight pieces in integers.

    The constants get as many fraction bits as an eighth of a step needs. Low bits of the input that
    move the output by less than an eighth of a step are dropped.

    Args:
        chain: The function, over the integers for which it must be followed.
        pieces: Straight pieces that follow it.
        step: Step of the output, by channel.
        out: Integers of the output.

    Returns:
        The op, and a bound of its error in real terms, by channel.

    Raises:
        Unfit: The function is too steep for the step.
    """
    domain = chain.ints
    lines = _Lines(pieces.slopes / step[:, None], pieces.biases / step[:, None], pieces.cuts)
    low, high = (np.tile(ends, chain.features // len(ends)) for ends in (chain.low, chain.high))
    steepest = float(np.abs(lines.slopes).max())
    drop = 0
    if domain.step == 1 and steepest > 0:
        drop = max(0, min(int(np.floor(-np.log2(8 * steepest))), domain.bits - 1))
    lost = (2**drop - 1) / 2  # of the input, on average
    farthest = np.array([max(abs(domain.lo), abs(domain.hi), 1)])
    reach = np.maximum(np.maximum(np.abs(low), np.abs(high)), 1)
    dropped, farthest, reach = lines.dropped(drop), _dropped(farthest, drop), _dropped(reach, drop)
    shift = _fraction_bits(dropped, reach, farthest)
    if shift < _wanted_bits(reach):
        ended = lines.ended(low, high, domain.step).dropped(drop)
        finer = _fraction_bits(ended, reach, reach)
        if finer >= shift + WORTH:
            dropped, shift = ended, finer
    slopes, biases, cuts = dropped.slopes, dropped.biases, dropped.cuts
    largest = max(float(np.abs(v).max()) for v in (slopes, biases)) * 2.0**shift
    if not largest < 2.0**62:
        raise Unfit(f"constants need {np.log2(largest):.0f} bits, but 62 are possible")
    rounded = np.rint(slopes * 2.0**shift).astype(np.int64)
    half = 2 ** (shift - 1) if shift else 0
    offsets = np.rint(biases * 2.0**shift).astype(np.int64) + half
    rows = merge_equal_rows(np.concatenate([rounded, offsets, cuts], 1))
    segments = rounded.shape[1]
    first, second = rows[:, :segments], rows[:, segments : 2 * segments]
    op = Affine(first, second, rows[:, 2 * segments :], shift, out, uniform(step), 0.0, drop=drop)
    tilt = np.abs(slopes - rounded * 2.0**-shift).max(1)
    moved = np.abs(biases - (offsets - half) * 2.0**-shift).max(1)
    rounding = 0.5 + reach * tilt + moved + lost * 2.0**-drop * np.abs(slopes).max(1)
    error = pieces.error + np.abs(step) * rounding
    return op, error


@dataclass(frozen=True)
class _Lines:
    """Straight pieces in steps of the output: slopes, biases and cuts, with a row for each channel."""

    slopes: Array
    biases: Array
    cuts: Array

    def dropped(self, drop: int) -> _Lines:
        """Return the pieces for an input without its low bits, half of which are lost on average."""
        return _Lines(self.slopes * 2.0**drop, self.biases + self.slopes * ((2**drop - 1) / 2), self.cuts)

    def ended(self, low: Array, high: Array, step: int) -> _Lines:
        """Return the pieces with constants beyond the integers that occur in each channel.

        Channels of one stream may have ranges that differ by far. A steep line of a channel with
        few integers would otherwise reach sums for the integers of the others.
        """
        cuts = np.clip(self.cuts, low[:, None], high[:, None] + step)
        ends = [low[:, None], high[:, None]]
        piece = [(end >= self.cuts).sum(1)[:, None] for end in ends]
        first, last = (
            np.take_along_axis(self.slopes, k, 1) * end + np.take_along_axis(self.biases, k, 1)
            for k, end in zip(piece, ends, strict=True)
        )
        flat = np.zeros_like(first)
        return _Lines(
            np.concatenate([flat, self.slopes, flat], 1),
            np.concatenate([first, self.biases, last], 1),
            np.concatenate([ends[0], cuts, ends[1] + step], 1),
        )


def _dropped(reach: Array, drop: int) -> Array:
    return reach if not drop else -(-reach >> drop) + 1


def _wanted_bits(reach: Array) -> int:
    """Fraction bits with which a slope is off by an eighth of a step at the end of its reach."""
    return int(np.ceil(np.log2(8 * float(reach.max()))))


def _fraction_bits(lines: _Lines, reach: Array, farthest: Array) -> int:
    """Fraction bits of the constants of straight pieces.

    Args:
        lines: Slopes and biases in steps of the output.
        reach: Largest absolute value of the integers for which the function must be followed, by
            channel.
        farthest: Largest absolute value of all integers that can come, by channel or for all.
    """
    slopes, biases = lines.slopes, lines.biases
    # Golden and the test benches compute in 64 bits, which must not overflow.
    largest = float((np.abs(slopes) * farthest[:, None] + np.abs(biases)).max())
    shift = max(0, min(_wanted_bits(reach), 61 - int(np.ceil(np.log2(max(largest, 1.0))))))
    while shift > 0 and _exact(slopes, shift - 1) and _exact(biases, shift - 1):
        shift -= 1
    return shift


def _exact(values: Array, shift: int) -> bool:
    scaled = values * 2.0**shift
    return bool(np.all(np.abs(scaled - np.rint(scaled)) < 1e-9))


def merge_equal_rows(rows: Array) -> Array:
    """Return one row for all channels if all rows are equal, else the rows."""
    return rows[:1].copy() if len(rows) > 1 and np.all(rows == rows[:1]) else rows
