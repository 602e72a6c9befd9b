"""Real numbers as integers: steps, types, and the constants of straight pieces and tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.piecewise import SEGMENTS, Pieces
from bnn2hw.lower.probe import Chain, UniformLevels
from bnn2hw.ops.affine import MOST, Affine
from bnn2hw.ops.base.channels import Meaning, uniform


@dataclass(frozen=True)
class Requirement:
    """What the reader of an edge needs.

    Attributes:
        scale: of each integer step, where it must be a certain one.
        single: one scale and one offset for all channels.
        zero: that the integer 0 means 0.
        bits: that integers have at most.
    """

    scale: Meaning | None = None
    single: bool = False
    zero: bool = False
    bits: int = 62

    def met(self, tensor: Tensor) -> bool:
        """Whether an edge is as wished."""
        if tensor.ints.bits > self.bits or (self.zero and np.any(np.asarray(tensor.offset))):
            return False
        if self.single and (isinstance(tensor.scale, tuple) or isinstance(tensor.offset, tuple)):
            return False
        return self.scale is None or bool(
            np.allclose(np.asarray(tensor.scale), np.asarray(self.scale), rtol=1e-9, atol=0)
        )


ANY = Requirement()
"""Whatever is there."""


def fixed_step(low: Array, high: Array, bits: int) -> Array:
    """The steps with which values from low to high fit into signed integers; unsigned ones where none is negative."""
    if np.all(low >= 0):
        steps = high / (2**bits - 1)
    else:
        steps = np.maximum(-low / 2 ** (bits - 1), high / (2 ** (bits - 1) - 1))
    # A channel that is always 0 needs no step of its own.
    return np.where(steps > 0, steps, max(float(steps.max()), 1e-30))


def kind_of(low: Array, high: Array, step: Array) -> Ints:
    """The integers that values from low to high become."""
    low, high = np.minimum(low, high), np.maximum(low, high)
    # A step that just fits a range into its bits may do so but for the last place of a float.
    lowest, highest = float((low / step).min()) + 1e-6, float((high / step).max()) - 1e-6
    return Ints(min(int(np.floor(lowest)), 0), max(int(np.ceil(highest)), 1))


def meaning(tensor: Tensor, line: Pieces) -> Tensor:
    """What integers mean after a function that is a line in each channel; 0 stays 0 where only rounding moved it."""
    slopes, biases = line.slopes[:, 0], line.biases[:, 0]
    biases = np.where(np.abs(biases) < np.abs(slopes) * 2.0**-10, 0.0, biases)
    return replace(tensor, scale=uniform(slopes), offset=uniform(biases))


def whole(tensor: Tensor, *, single: bool) -> Affine | None:
    """Integers times a small number plus an integer, by channel or the same for all, so that 0 means 0.

    Exact where offset / scale is a fraction with a small denominator; None where it is not.
    """
    scales = np.broadcast_to(np.asarray(tensor.scale, np.float64), (tensor.channels,))
    offsets = np.broadcast_to(np.asarray(tensor.offset, np.float64), (tensor.channels,))
    ratios = offsets / scales
    factors = np.ones(tensor.channels, np.int64)
    for c, ratio in enumerate(ratios):
        small = (
            q for q in range(1, 129) if abs(ratio * q - np.rint(ratio * q)) <= 1e-6 * max(1.0, abs(ratio))
        )
        factors[c] = next(small, 0)
    if single:
        factors[:] = np.lcm.reduce(factors) if np.all(scales == scales[0]) else 0
    if not np.all((factors > 0) & (factors < 129)):
        return None
    shifts = np.rint(ratios * factors).astype(np.int64)
    ends = np.stack([tensor.ints.lo * factors + shifts, tensor.ints.hi * factors + shifts])
    if np.abs(ends).max() > MOST:
        return None
    kind = Ints(min(int(ends.min()), 0), max(int(ends.max()), 1))
    scale = scales / factors
    rows = shared(np.stack([factors, shifts], 1))
    return Affine(rows[:, :1], rows[:, 1:], np.zeros((len(rows), 0), np.int64), 0, kind, uniform(scale), 0.0)


def stairs(levels: Array, domain: Ints, grid: UniformLevels) -> Affine | None:
    """A function of few steps, up or down, as the number of the level it stands on; None where they are too many.

    Args:
        levels: integers of `grid`, shape (domain.count, channels).
        domain: the integers that come in.
        grid: what comes out.
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
    joined = shared(np.concatenate([biases, domain.lo + domain.step * firsts], 1))
    segments = begins.shape[1]
    biases, cuts = joined[:, :segments], joined[:, segments:]
    return Affine(np.zeros_like(biases), biases, cuts, 0, Ints(0, grid.type.count - 1))


def affine(chain: Chain, pieces: Pieces, step: Array, kind: Ints) -> tuple[Affine, float]:
    """Straight pieces in integers, with as many fraction bits as an eighth of a step asks for.

    Low bits of the input that move the output by less than an eighth of a step are dropped.

    Args:
        chain: the function, over the integers for which it is to be near.
        pieces: what follows it.
        step: by channel, of the output.
        kind: the output's integers.

    Returns:
        The op, and a bound of its error in real terms.
    """
    domain, slopes, biases = chain.ints, pieces.slopes / step[:, None], pieces.biases / step[:, None]
    farthest = max(abs(domain.lo), abs(domain.hi), 1)
    reach = max(int(np.abs(chain.low).max()), int(np.abs(chain.high).max()), 1)
    steepest = float(np.abs(slopes).max())
    drop = 0
    if domain.step == 1 and steepest > 0:
        drop = max(0, min(int(np.floor(-np.log2(8 * steepest))), domain.bits - 1))
    lost = (2**drop - 1) / 2  # of the input, on average
    biases, slopes = biases + slopes * lost, slopes * 2.0**drop
    reach, farthest = -(-reach >> drop) + 1, -(-farthest >> drop) + 1
    shift = int(np.ceil(np.log2(8 * reach)))
    # What golden and the test benches hold in 64 bits must not overflow there.
    largest = float((np.abs(slopes) * farthest + np.abs(biases)).max())
    shift = max(0, min(shift, 61 - int(np.ceil(np.log2(max(largest, 1.0))))))
    while shift > 0 and _exact(slopes, shift - 1) and _exact(biases, shift - 1):
        shift -= 1
    rounded = np.rint(slopes * 2.0**shift).astype(np.int64)
    half = 2 ** (shift - 1) if shift else 0
    offsets = np.rint(biases * 2.0**shift).astype(np.int64) + half
    rows = shared(np.concatenate([rounded, offsets, pieces.cuts], 1))
    segments = rounded.shape[1]
    first, second = rows[:, :segments], rows[:, segments : 2 * segments]
    op = Affine(first, second, rows[:, 2 * segments :], shift, kind, uniform(step), 0.0, drop=drop)
    tilt = np.abs(slopes - rounded * 2.0**-shift).max(1)
    error = pieces.error + np.abs(step) * (0.5 + reach * tilt + lost * 2.0**-drop * np.abs(slopes).max(1))
    return op, float(error.max())


def _exact(values: Array, shift: int) -> bool:
    scaled = values * 2.0**shift
    return bool(np.all(np.abs(scaled - np.rint(scaled)) < 1e-9))


def shared(rows: Array) -> Array:
    """One row for all channels, where they are equal."""
    return rows[:1].copy() if len(rows) > 1 and np.all(rows == rows[:1]) else rows
