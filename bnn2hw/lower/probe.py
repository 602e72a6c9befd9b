"""Ask the layers themselves what they make of each integer that an edge can carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Tensor
from bnn2hw.ops.real import Flatten, MaxPool, Pointwise, RealOp, Reshape, Softmax

LEVELS = 256
"""Values that the output of a quantizer takes at most."""

PARTS = 32
"""Levels of a quantizer of which only a few occur lie at most so many steps apart where they are closest."""

CHUNK = 2**22
"""Numbers that are put through the layers at once."""

ENUMERATED = 2**23
"""Integers times channels up to which every single one is asked for."""


NOISE = 2.0**-20
"""What float32 rounding in a layer may make of a value, as a share of it."""


class NotPointwise(Exception):  # noqa: N818  (no error of the user's: it says which way lowering cannot go)
    """What was asked for as a function of single values is none."""


@dataclass(frozen=True)
class Chain:
    """Layers behind an edge that carries integers, as one function of each integer and its channel.

    Attributes:
        ops: functions of single values, poolings (which are passed over) and reshapes.
        tensor: the edge that carries the integers.
        shape: of the edge in the model.
        low: the smallest integer that occurs, by channel.
        high: the largest.
        sign: by channel, ±1: what the edge's real meaning is multiplied with.
    """

    ops: tuple[RealOp, ...]
    tensor: Tensor
    shape: tuple[int, ...]
    low: Array
    high: Array
    sign: Array | float = 1.0

    @cached_property
    def flat(self) -> bool:
        """Whether a function behind a Flatten differs between features, so that channels are not enough."""
        flattened = False
        for op in self.ops:
            flattened |= isinstance(op, Flatten)
            if flattened and isinstance(op, Pointwise) and not op.uniform:
                return True
        return False

    @property
    def features(self) -> int:
        """Functions that must be told apart."""
        return self.tensor.size if self.flat else self.tensor.channels

    @property
    def ints(self) -> Ints:
        """The integers that are put in."""
        return self.tensor.ints

    @property
    def enumerable(self) -> bool:
        """Whether all integers can be asked for."""
        return self.features * self.ints.count <= ENUMERATED

    def __call__(self, integers: Array, shift: float = 0.0) -> Array:
        """Evaluate the layers.

        Args:
            integers: of the edge, shape (n, features) or (n, 1).
            shift: added to the real values, to see whether an error of that size would matter.

        Returns:
            float32, shape (n, features).

        Raises:
            FloatingPointError: a layer gives NaN.
            NotPointwise: an op is no function of single values.
        """
        step = max(1, CHUNK // self.features)
        parts = [self._evaluate(integers[i : i + step], shift) for i in range(0, len(integers), step)]
        values = np.concatenate(parts)
        if np.isnan(values).any():
            raise FloatingPointError("NaN")
        return values

    def _evaluate(self, integers: Array, shift: float) -> Array:
        inner = self.shape if self.flat else (*(1,) * (len(self.shape) - 1), self.tensor.channels)
        whole = np.broadcast_to(integers, (len(integers), self.features)).reshape(-1, *inner)
        x = self._through((self.tensor.real(whole) * self.sign + shift).astype(np.float32), self.ops)
        return x.reshape(len(x), -1)

    def _through(self, x: Array, ops: Sequence[RealOp]) -> Array:
        for op in ops:
            if isinstance(op, Reshape):
                shape = op.shape if self.flat else (*(1,) * (len(op.shape) - 1), self.tensor.channels)
                x = x.reshape(len(x), *shape)
            elif isinstance(op, Softmax):
                raise NotPointwise("softmax is no function of single values")
            elif not isinstance(op, MaxPool):
                x = op.apply(x)
        return x

    def rounding(self) -> Array:
        """By feature, how far results move at most where a value between layers is off by a share NOISE of it."""
        x = replace(self, ops=())(self.samples(257))
        x = x.reshape(
            -1, *(self.shape if self.flat else (*(1,) * (len(self.shape) - 1), self.tensor.channels))
        )
        stages = [x]
        for op in self.ops:
            stages.append(self._through(stages[-1], [op]))
        ends = stages[-1].reshape(len(x), -1).astype(np.float64)
        worst = np.zeros(self.features)
        for i, stage in enumerate(stages):
            moved = self._through(stage * np.float32(1 + NOISE), self.ops[i:]).reshape(ends.shape)
            worst = np.maximum(worst, np.abs(moved - ends).max(0))
        return worst

    def all(self, shift: float = 0.0) -> Array:
        """Results for all integers, shape (count, features)."""
        return self(self.ints.values()[:, None], shift)

    def steps(self, count: int) -> Array:
        """Integers, spread evenly over those that occur, as steps from the type's lowest, shape (count + 3, features).

        Those around 0 are among them: functions may have a value there that they have nowhere else.
        """
        repeats = self.features // self.tensor.channels
        low, high = (np.tile((v - self.ints.lo) // self.ints.step, repeats) for v in (self.low, self.high))
        shares = np.linspace(0, 1, count)[:, None]
        even = low + np.rint((high - low) * shares).astype(np.int64)
        zero = np.rint(
            -np.asarray(self.tensor.offset, np.float64) / np.asarray(self.tensor.scale, np.float64)
        )
        zero = np.tile(np.broadcast_to(zero, (self.tensor.channels,)), repeats)
        around = (np.clip(zero, -(2.0**62), 2.0**62).astype(np.int64) - self.ints.lo) // self.ints.step
        found: Array = np.sort(
            np.concatenate([even, np.clip(around + np.array([[-1], [0], [1]]), low, high)]), 0
        )
        return found

    def samples(self, count: int) -> Array:
        """The same integers themselves."""
        return self.ints.lo + self.ints.step * self.steps(count)

    def until(self, op: RealOp) -> Chain:
        """The part of the chain that lies before an op."""
        return replace(self, ops=self.ops[: self.ops.index(op)])

    def within(self, low: Array, high: Array) -> Chain:
        """The chain over the integers from the first to the last whose results may lie in a range.

        Args:
            low: smallest result, by channel or one for all.
            high: largest result, likewise.
        """
        if self.flat:
            return self
        chain = self
        for _ in range(64):
            ints, values = chain.samples(257), chain(chain.samples(257)).astype(np.float64)
            touches = (np.minimum(values[:-1], values[1:]) <= high) & (
                np.maximum(values[:-1], values[1:]) >= low
            )
            any_, last = touches.any(0), len(touches) - np.argmax(touches[::-1], 0)
            lows = np.where(any_, np.take_along_axis(ints, np.argmax(touches, 0)[None], 0)[0], chain.low)
            highs = np.where(any_, np.take_along_axis(ints, last[None], 0)[0], chain.high)
            closer = np.any(highs - lows < 0.9 * (chain.high - chain.low))
            chain = replace(chain, low=lows, high=highs)
            if not closer:
                break
        return chain

    def direction(self) -> Array:
        """By feature: +1 where results never fall over the integers, −1 where they never rise, else 0."""
        values = self.all() if self.enumerable else self(self.samples(4097))
        return direction(values)


def direction(values: Array) -> Array:
    """By column: +1 where values never fall (constant ones too), −1 where they never rise, else 0."""
    steps = np.diff(values, axis=0)
    return np.where((steps >= 0).all(0), 1, np.where((steps <= 0).all(0), -1, 0))


@dataclass(frozen=True)
class UniformLevels:
    """Evenly spaced real numbers as integers: real = v · scale + offset."""

    type: Ints
    scale: float
    offset: float

    def index(self, values: Array) -> Array:
        """Real values to the integers that stand for them."""
        steps = np.rint((values.astype(np.float64) - self.offset) / self.scale)
        return steps.astype(np.int64)


def uniform_levels(values: Array) -> UniformLevels | None:
    """The lattice on which values lie, or None where they are too many or not evenly spaced."""
    distinct = np.unique(values).astype(np.float64)
    if distinct.size > LEVELS or not np.isfinite(distinct).all():
        return None
    if distinct.size <= 2 and np.unique(np.abs(distinct)).size == 1 and distinct[0] != 0:
        return UniformLevels(BIPOLAR, float(abs(distinct[0])), 0.0)
    if distinct.size == 1:
        return UniformLevels(Ints(0, 1), 1.0, float(distinct[0]))
    least = float(np.diff(distinct).min())
    # Levels that do not occur may leave no two neighbours: then the step is a part of the least distance.
    for part in range(1, PARTS + 1):
        steps = (distinct - distinct[0]) * part / least
        if steps[-1] > LEVELS:
            return None
        if np.abs(steps - np.rint(steps)).max() <= (1e-4 if part == 1 else 2e-5):
            break
    else:
        return None
    scale = float((distinct[-1] - distinct[0]) / np.rint(steps[-1]))
    first = distinct[0] / scale
    if abs(first - np.rint(first)) < 1e-4:
        lo = int(np.rint(first))
        return UniformLevels(Ints(lo, lo + int(np.rint(steps[-1]))), scale, 0.0)
    return UniformLevels(Ints(0, int(np.rint(steps[-1]))), scale, float(distinct[0]))


def cuts(levels: Array, domain: Ints, out: Ints) -> Array:
    """Thresholds of rising levels: for each step of `out` the first integer of `domain` that reaches it.

    Args:
        levels: integers of `out`, shape (domain.count, channels), never falling along the first axis.
        domain: the integers that are compared.
        out: the integers that come out.

    Returns:
        Shape (channels, out.count − 1); `domain.hi + domain.step` where a level is never reached.
    """
    steps = (levels - out.lo) // out.step
    firsts = np.stack([(steps < k).sum(0) for k in range(1, out.count)], axis=1)
    return domain.lo + domain.step * firsts


@dataclass(frozen=True)
class Breakpoints:
    """Where a function of few values changes, found by bisection: by feature, the first integers of each value.

    Attributes:
        at: by feature, rising integers; the first is the domain's lowest.
        values: by feature, the values from there on.
    """

    at: Sequence[Array]
    values: Sequence[Array]

    @property
    def distinct(self) -> Array:
        """All values that occur."""
        return np.unique(np.concatenate(self.values))

    @property
    def direction(self) -> Array:
        """As `direction` gives it."""
        return np.array([int(direction(v[:, None])[0]) for v in self.values])

    def cuts(self, grid: UniformLevels, domain: Ints) -> Array:
        """As `cuts` gives them, for rising functions, and of the mirrored levels for falling ones."""
        out = grid.type
        never = domain.hi + domain.step
        rows = np.full((len(self.at), out.count - 1), never, np.int64)
        for row, at, values, way in zip(rows, self.at, self.values, self.direction, strict=True):
            steps = (grid.index(values) - out.lo) // out.step
            steps = out.count - 1 - steps if way < 0 else steps
            for first, level in zip(at[::-1], steps[::-1], strict=True):
                row[:level] = first
        return rows


def breakpoints(chain: Chain, shift: float = 0.0) -> Breakpoints | None:
    """Find the few changes of a function over too many integers to ask for all.

    Each stretch whose ends differ is halved until its ends are neighbours, so that all changes of a function that only
    rises or only falls are found; whether it does is seen at the samples.

    Returns:
        None where the function neither rises nor falls, or has more than LEVELS values.
    """
    ints, features = chain.ints, chain.features
    grid = chain.steps(1025)
    known = chain(ints.lo + ints.step * grid, shift)
    if np.any(direction(known) == 0):
        return None
    channel, start = np.nonzero(known[:-1].T != known[1:].T)
    low, high = grid[start, channel], grid[start + 1, channel]
    low_value, high_value = known[start, channel], known[start + 1, channel]
    ends = [[(0, known[0, c])] for c in range(features)]
    while channel.size:
        if np.bincount(channel, minlength=features).max() > LEVELS:
            return None
        close = high - low == 1
        for c, t, v in zip(channel[close], high[close], high_value[close], strict=True):
            ends[c].append((t, v))
        channel, low, high = channel[~close], low[~close], high[~close]
        low_value, high_value = low_value[~close], high_value[~close]
        middle = (low + high) // 2
        value = scattered(chain, channel, middle, shift)
        left, right = value != low_value, value != high_value
        channel = np.concatenate([channel[left], channel[right]])
        low, high = np.concatenate([low[left], middle[right]]), np.concatenate([middle[left], high[right]])
        low_value, high_value = (
            np.concatenate([low_value[left], value[right]]),
            np.concatenate([value[left], high_value[right]]),
        )
    rows = [sorted(e) for e in ends]
    at = [ints.lo + ints.step * np.array([t for t, _ in r], np.int64) for r in rows]
    return Breakpoints(at, [np.array([v for _, v in r], np.float32) for r in rows])


def scattered(chain: Chain, channel: Array, steps: Array, shift: float = 0.0) -> Array:
    """The function at single integers (as steps from the lowest) of single features."""
    if not channel.size:
        return np.zeros(0, np.float32)
    order = np.argsort(channel, kind="stable")
    counts = np.bincount(channel, minlength=chain.features)
    place = np.arange(channel.size) - np.repeat(np.cumsum(counts) - counts, counts)
    matrix = np.zeros((int(counts.max()), chain.features), np.int64)
    matrix[place, channel[order]] = steps[order]
    values = chain(chain.ints.lo + chain.ints.step * matrix, shift)
    found = np.empty(channel.size, np.float32)
    found[order] = values[place, channel[order]]
    return found


SCORE_BITS = (8, 40)
"""Bits that scores get at least, whatever their order needs, and at most."""


def scores(values: Array, bits: int | None = None) -> tuple[Array, int, bool]:
    """Real scores as integers, with the fewest fraction bits that keep every order and every tie.

    Args:
        values: the scores.
        bits: of the integers, where they are to fill so many.

    Returns:
        round(values · 2^f), f, and whether all orders and ties are kept.
    """
    distinct = np.unique(values).astype(np.float64)
    top = max(float(np.abs(distinct).max()), 2.0**-100)
    least, most = SCORE_BITS if bits is None else (bits, bits)
    first, last = (b - 2 - math.floor(math.log2(top)) for b in (least, most))
    for fraction in range(first, last + 1):
        kept = bool(np.all(np.diff(np.rint(distinct * 2.0**fraction)) > 0))
        if kept:
            break
    return np.rint(values.astype(np.float64) * 2.0**fraction).astype(np.int64), fraction, kept
