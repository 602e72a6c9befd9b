"""Evaluate the layers themselves at the integers that an edge can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.levels import LEVELS, UniformLevels, direction
from bnn2hw.ops.real import Flatten, MaxPool, Pointwise, RealOp, Reshape, Softmax

CHUNK = 2**22
"""Numbers that pass through the layers at once."""

ENUMERATED = 2**23
"""Largest number of integers times channels for which every integer is evaluated."""

NOISE = 2.0**-20
"""Share of a value by which float32 rounding within a layer may move it."""


class NotPointwise(Exception):  # noqa: N818  (not an error for users: lowering catches it and tries something else)
    """Layers are not a function of single values."""


class Unfit(Exception):  # noqa: N818  (not an error for users: lowering makes a `Problem` of it)
    """A stream does not fit an op: its numbers are too wide, for example."""


@dataclass(frozen=True)
class Chain:
    """The layers behind an edge of integers, as one function of each integer and its channel.

    Attributes:
        ops: Functions of single values, poolings (which are passed over) and changes of shape.
        tensor: Type of the edge.
        shape: Shape of the edge in the model.
        low: Smallest integer that occurs, by channel.
        high: Largest integer that occurs, by channel.
        sign: Factor of the edge's real meaning: ±1, for all channels or of shape (channels,).
    """

    ops: tuple[RealOp, ...]
    tensor: Tensor
    shape: tuple[int, ...]
    low: Array
    high: Array
    sign: Array | float = 1.0

    @cached_property
    def by_position(self) -> bool:
        """True if a function behind a Flatten differs between positions, not just channels."""
        flattened = False
        for op in self.ops:
            flattened |= isinstance(op, Flatten)
            if flattened and isinstance(op, Pointwise) and not op.uniform:
                return True
        return False

    @property
    def features(self) -> int:
        """Number of functions that may differ: one per channel, or per value if `by_position`."""
        return self.tensor.size if self.by_position else self.tensor.channels

    @property
    def ints(self) -> Ints:
        """The integers of the edge."""
        return self.tensor.ints

    @property
    def enumerable(self) -> bool:
        """True if the function can be evaluated at every integer."""
        return self.features * self.ints.count <= ENUMERATED

    def __call__(self, integers: Array, shift: float = 0.0) -> Array:
        """Evaluate the layers.

        Args:
            integers: Integers of the edge, of shape (n, features) or (n, 1).
            shift: Added to their real values, to see if an error of that size changes results.

        Returns:
            float32 of shape (n, features).

        Raises:
            FloatingPointError: A layer returns NaN.
            NotPointwise: An op is not a function of single values.
        """
        step = max(1, CHUNK // self.features)
        parts = [self._evaluate(integers[i : i + step], shift) for i in range(0, len(integers), step)]
        values = np.concatenate(parts)
        if np.isnan(values).any():
            raise FloatingPointError("NaN")
        return values

    def _evaluate(self, integers: Array, shift: float) -> Array:
        whole = np.broadcast_to(integers, (len(integers), self.features)).reshape(
            -1, *self._shape(self.shape)
        )
        x = self._through((self.tensor.real(whole) * self.sign + shift).astype(np.float32), self.ops)
        return x.reshape(len(x), -1)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of the model, with a single position unless functions differ by position."""
        return shape if self.by_position else (*(1,) * (len(shape) - 1), self.tensor.channels)

    def _through(self, x: Array, ops: Sequence[RealOp]) -> Array:
        for op in ops:
            if isinstance(op, Reshape):
                x = x.reshape(len(x), *self._shape(op.shape))
            elif isinstance(op, Softmax):
                raise NotPointwise("softmax is no function of single values")
            elif not isinstance(op, MaxPool):
                x = op.apply(x)
        return x

    def without_number(self, integers: Array) -> tuple[int, float, float] | None:
        """Find the op that makes a result NaN or infinite.

        Args:
            integers: Integers of the edge, of shape (n, features) or (n, 1).

        Returns:
            The place of the op in `ops`, the number that it reads and what it returns; None if all
            results are numbers.

        Raises:
            NotPointwise: An op is not a function of single values.
        """
        stages = [replace(self, ops=())(integers)]
        for op in self.ops:
            x = self._through(stages[-1].reshape(-1, *self._shape(self.shape)), [op])
            stages.append(x.reshape(stages[0].shape))
        wrong = np.argwhere(~np.isfinite(stages[-1]))
        if not wrong.size:
            return None
        values = [float(stage[tuple(wrong[0])]) for stage in stages]
        at = next(i for i, value in enumerate(values) if not np.isfinite(value))
        return (at - 1, values[at - 1], values[at]) if at else None

    def rounding(self) -> Array:
        """Return the effect of rounding within layers on the results, by feature.

        It is the largest change of a result if a value between layers is off by a share of `NOISE`.
        """
        x = replace(self, ops=())(self.samples(257)).reshape(-1, *self._shape(self.shape))
        stages = [x]
        for op in self.ops:
            stages.append(self._through(stages[-1], [op]))
        ends = stages[-1].reshape(len(x), -1).astype(np.float64)
        worst = np.zeros(self.features)
        for i, stage in enumerate(stages):
            other = self._through(stage * np.float32(1 + NOISE), self.ops[i:]).reshape(ends.shape)
            worst = np.maximum(worst, np.abs(other - ends).max(0))
        return worst

    def all(self, shift: float = 0.0) -> Array:
        """Return the results at all integers, of shape (count, features)."""
        return self(self.ints.values()[:, None], shift)

    def steps(self, count: int) -> Array:
        """Return integers that are spread evenly over those that occur.

        The integers around the real value 0 are among them: a function may have a value there that
        it has nowhere else.

        Returns:
            Steps from the type's lowest integer, of shape (count + 3, features), ascending.
        """
        repeats = self.features // self.tensor.channels
        low, high = (np.tile((v - self.ints.lo) // self.ints.step, repeats) for v in (self.low, self.high))
        shares = np.linspace(0, 1, count)[:, None]
        even = low + np.rint((high - low) * shares).astype(np.int64)
        zero = np.rint(
            -np.asarray(self.tensor.offset, np.float64) / np.asarray(self.tensor.scale, np.float64)
        )
        zero = np.tile(np.broadcast_to(zero, (self.tensor.channels,)), repeats)
        nearby = (np.clip(zero, -(2.0**62), 2.0**62).astype(np.int64) - self.ints.lo) // self.ints.step
        found: Array = np.sort(
            np.concatenate([even, np.clip(nearby + np.array([[-1], [0], [1]]), low, high)]), 0
        )
        return found

    def samples(self, count: int) -> Array:
        """Return the integers that `steps` counts."""
        return self.ints.lo + self.ints.step * self.steps(count)

    def until(self, op: RealOp) -> Chain:
        """Return the part of the chain in front of an op."""
        return replace(self, ops=self.ops[: self.ops.index(op)])

    def within(self, low: Array, high: Array) -> Chain:
        """Return the chain over those integers only whose result may be in a range.

        Args:
            low: Smallest result, by channel or for all.
            high: Largest result, by channel or for all.
        """
        if self.by_position:
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
            narrower = np.any(highs - lows < 0.9 * (chain.high - chain.low))
            chain = replace(chain, low=lows, high=highs)
            if not narrower:
                break
        return chain

    def direction(self) -> Array:
        """Return +1 for features that never fall, -1 for others that never rise, else 0."""
        values = self.all() if self.enumerable else self(self.samples(4097))
        return direction(values)


@dataclass(frozen=True)
class Breakpoints:
    """Integers at which a function of few values changes.

    Attributes:
        at: By feature, the first integer of each value, ascending. The first one is the lowest of
            the domain.
        values: By feature, the values.
    """

    at: Sequence[Array]
    values: Sequence[Array]

    @property
    def distinct(self) -> Array:
        """All values that occur, ascending."""
        return np.unique(np.concatenate(self.values))

    @property
    def direction(self) -> Array:
        """The direction of each feature, as `levels.direction` returns it."""
        return np.array([int(direction(v[:, None])[0]) for v in self.values])

    def cuts(self, grid: UniformLevels, domain: Ints) -> Array:
        """Return thresholds as `levels.cuts` does.

        Falling functions get the thresholds of the mirrored levels.

        Args:
            grid: Levels of the function.
            domain: Integers that are compared.
        """
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
    """Find the changes of a function over too many integers to evaluate all.

    Each stretch between samples whose ends differ is halved until its ends are neighbors. This
    finds all changes of a function that only rises or only falls. The samples show whether it does.

    Args:
        chain: The function.
        shift: Added to the real values.

    Returns:
        The changes; None if the function neither only rises nor only falls, or has more than
        `LEVELS` values.
    """
    ints, features = chain.ints, chain.features
    grid = chain.steps(1025)
    known = chain(ints.lo + ints.step * grid, shift)
    if np.any(direction(known) == 0):
        return None
    # Samples may repeat an integer, and a layer may round it otherwise in another place of the batch.
    changes = (known[:-1] != known[1:]) & (grid[:-1] < grid[1:])
    channel, start = np.nonzero(changes.T)
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
        middle = low + (high - low) // 2
        value = at_single_integers(chain, channel, middle, shift)
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


def at_single_integers(chain: Chain, channel: Array, steps: Array, shift: float = 0.0) -> Array:
    """Evaluate a function at one integer of one feature each.

    Args:
        chain: The function.
        channel: Features, of shape (n,).
        steps: Integers as steps from the type's lowest, of shape (n,).
        shift: Added to the real values.

    Returns:
        float32 of shape (n,).
    """
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
