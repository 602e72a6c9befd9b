"""Plans for counting bits with compressors, in families whose LUTs have two outputs and a carry chain.

A bit of column c counts 2^c. Level 1 adds the lanes in chains of full adders. Each level above
replaces bits by fewer ones of the same sum, until the columns hold no more than an accumulator adds
at once: three bits in column 0 and two in every other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

Heights = tuple[int, ...]
"""Bits of each column."""

CHAIN, LONG_CHAIN, WIDE = 4, 8, 64
"""Full adders of a chain of level 1, whose parity passes through all of them in one cycle, and those
of the longer chains for this many lanes and more."""

BEAM = 12
"""Heights that a search keeps; with more, plans are hardly better."""

FLIP_FLOP = 0.12
"""Price of a flip-flop in LUTs: a slice has twice as many, but every bit needs one at each level."""


LATE = 10.0
"""Price of a bit too many for the levels that are left."""


@dataclass(frozen=True, order=True)
class Part:
    """An adder of a level: a full adder, or a compressor of two LUTs and a part of a carry chain.

    Attributes:
        column: Column of its lowest output.
        ones: Bits of this column that it takes.
        twos: Bits of the next column that it takes.
    """

    column: int
    ones: int
    twos: int = 0

    @property
    def outputs(self) -> int:
        """Bits of the sum, one in each column from its own on."""
        return (self.ones + 2 * self.twos).bit_length()

    @property
    def luts(self) -> int:
        """LUTs of the adder."""
        return self.outputs - 1

    def makes(self, columns: int) -> range:
        """Return the columns of its outputs.

        Args:
            columns: Columns that the whole sum has; a higher bit is always 0.
        """
        return range(self.column, min(self.column + self.outputs, columns))


SHAPES = ((7, 0), (6, 0), (5, 1), (3, 2), (3, 0))
"""Bits of its own column and of the next one that a part can take."""


@dataclass(frozen=True)
class Wire:
    """Neighbouring bits of a column between two levels.

    Attributes:
        level: Level that makes the bits.
        column: Their column.
        first: Number of the first bit.
        count: Number of bits.
    """

    level: int
    column: int
    first: int
    count: int = 1

    def __str__(self) -> str:
        last = f"{self.first + self.count - 1}:" if self.count > 1 else ""
        return f"level{self.level}_column{self.column}[{last}{self.first}]"


@dataclass(frozen=True)
class Placed:
    """A part with its wires.

    Attributes:
        part: The part.
        name: Name of the instance, which says its column.
        takes: Bits of its own column, and of the next one if it takes any.
        makes: Its outputs, the lowest first, without those that are always 0.
    """

    part: Part
    name: str
    takes: tuple[Wire, ...]
    makes: tuple[Wire, ...]


@dataclass(frozen=True)
class Chain:
    """A chain of level 1.

    Attributes:
        first: Its first lane.
        count: Its lanes.
        odd: Output of column 0.
        carries: Outputs of column 1, one for two lanes.
    """

    first: int
    count: int
    odd: Wire
    carries: Wire

    def lanes(self, name: str, spare: int) -> str:
        """Return its bits of an input; a chain of an odd number of lanes gets one more.

        Args:
            name: Name of the input.
            spare: Value of that bit.
        """
        bits = f"{name}[{self.first + self.count - 1}:{self.first}]"
        return f"{{1'b{spare}, {bits}}}" if self.count % 2 else bits


@dataclass(frozen=True)
class Level:
    """A level of a plan as it is printed.

    Attributes:
        number: Its number; the chains are level 1.
        placed: Its parts.
        kept: Bits that it only holds: those that it makes, and those of the level below.
    """

    number: int
    placed: tuple[Placed, ...]
    kept: tuple[tuple[Wire, Wire], ...]


@dataclass(frozen=True, order=True)
class Plan:
    """How the lanes of a neuron are counted.

    Attributes:
        lanes: Number of lanes.
        parts: The parts of each level above level 1.
    """

    lanes: int
    parts: tuple[tuple[Part, ...], ...] = ()

    @property
    def levels(self) -> int:
        """Number of levels, each of which has a register."""
        return 1 + len(self.parts)

    @property
    def columns(self) -> int:
        """Bits of the number of lanes."""
        return self.lanes.bit_length()

    @property
    def chains(self) -> list[int]:
        """Full adders of each chain of level 1."""
        return _chains(self.lanes)

    @cached_property
    def heights(self) -> list[Heights]:
        """Bits of each column behind each level."""
        found = [_first(self.lanes)]
        for parts in self.parts:
            left, made = _apply(found[-1], parts)
            found.append(tuple(a + b for a, b in zip(left, made, strict=True)))
        return found

    @property
    def luts(self) -> int:
        """LUTs of all levels."""
        return sum(self.chains) + sum(part.luts for parts in self.parts for part in parts)

    @property
    def ffs(self) -> int:
        """Flip-flops of all levels."""
        return sum(map(sum, self.heights))

    @property
    def drawn(self) -> Iterator[Level]:
        """The levels above level 1, with the wires of their parts."""
        for number, parts in enumerate(self.parts, 2):
            yield _drawn(number, self.heights[number - 2], self.heights[number - 1], parts)

    @property
    def drawn_chains(self) -> Iterator[Chain]:
        """The chains of level 1, with their wires."""
        first = 0
        for n, length in enumerate(self.chains):
            lanes = min(2 * length, self.lanes - 2 * first)
            yield Chain(2 * first, lanes, Wire(1, 0, n), Wire(1, 1, first, length))
            first += length

    def row(self, n: int) -> list[str]:
        """Return the bits of a row behind the last level, the highest first.

        Args:
            n: 0 or 1.
        """
        return [self._last(c, n) for c in reversed(range(self.columns))]

    @property
    def extra(self) -> str:
        """The third bit of column 0."""
        return self._last(0, 2)

    def _last(self, column: int, n: int) -> str:
        return str(Wire(self.levels, column, n)) if self.heights[-1][column] > n else "1'b0"


def _drawn(number: int, below: Heights, heights: Heights, parts: Sequence[Part]) -> Level:
    used, made = [0] * len(below), [0] * len(below)

    def take(column: int, count: int) -> Wire:
        used[column] += count
        return Wire(number - 1, column, used[column] - count, count)

    def make(column: int) -> Wire:
        made[column] += 1
        return Wire(number, column, made[column] - 1)

    placed = []
    for n, part in enumerate(parts):
        takes = (take(part.column, part.ones), *([take(part.column + 1, part.twos)] if part.twos else []))
        makes = tuple(make(column) for column in part.makes(len(below)))
        placed.append(Placed(part, f"level{number}_column{part.column}_part{n}", takes, makes))
    rest = [(c, h - made[c]) for c, h in enumerate(heights) if h > made[c]]
    kept = [(Wire(number, c, made[c], n), Wire(number - 1, c, used[c], n)) for c, n in rest]
    return Level(number, tuple(placed), tuple(kept))


def _chains(lanes: int) -> list[int]:
    """Return the full adders of each chain of level 1; each takes two lanes."""
    pairs, length = -(-lanes // 2), LONG_CHAIN if lanes >= WIDE else CHAIN
    return [min(length, pairs - first) for first in range(0, pairs, length)]


def _first(lanes: int) -> Heights:
    """Return the bits behind level 1: a carry of each full adder, and a parity of each chain."""
    chains = _chains(lanes)
    return len(chains), sum(chains), *(0 for _ in range(lanes.bit_length() - 2))


def _apply(heights: Heights, parts: Iterable[Part]) -> tuple[Heights, Heights]:
    """Return the bits that parts leave, and those that they make."""
    left, made = list(heights), [0] * len(heights)
    for part in parts:
        left[part.column] -= part.ones
        if part.twos:
            left[part.column + 1] -= part.twos
        for column in part.makes(len(made)):
            made[column] += 1
    return tuple(left), tuple(made)


def _excess(heights: Iterable[int]) -> int:
    """Return the bits that are more than an accumulator adds."""
    return sum(max(height - (2 if column else 3), 0) for column, height in enumerate(heights))


@dataclass(frozen=True)
class _Found:
    """Parts that were chosen up to a point of a search, and what they cost."""

    cost: float = 0.0
    parts: tuple[tuple[Part, ...], ...] = ()


def _choices(column: int, left: Heights) -> Iterator[tuple[Part, ...]]:
    """Yield what may add the bits of a column in one level: whole compressors first, then any part."""
    most, rest = divmod(left[column], 7)
    whole = (Part(column, 7),) * most
    above = left[column + 1] if column + 1 < len(left) else 0
    yield whole
    for ones, twos in SHAPES:
        if ones <= rest and twos <= above:
            yield (*whole, Part(column, ones, twos))
            if (ones, twos) == (3, 0) and rest >= 6:
                yield (*whole, Part(column, 3), Part(column, 3))


State = tuple[Heights, Heights]


def _level(heights: Heights, most: int) -> dict[Heights, tuple[Part, ...]]:
    """Return what one level can make of the bits of each column, with the parts that make it.

    Args:
        heights: The bits.
        most: Bits of a column that the levels above reduce in time.
    """
    states: dict[State, tuple[Part, ...]] = {(heights, (0,) * len(heights)): ()}
    for column in range(len(heights)):
        found: dict[State, tuple[Part, ...]] = {}
        for (left, made), parts in states.items():
            for more in _choices(column, left):
                rest, new = _apply(left, more)
                state = rest, tuple(a + b for a, b in zip(made, new, strict=True))
                _keep(found, state, (*parts, *more), _luts)
        done = column + 1
        states = _best(found, lambda state, parts: _luts(parts) + _outlook(_sums(state), most, done))
    return {_sums(state): parts for state, parts in states.items()}


def _sums(state: State) -> Heights:
    """Return the bits that a level leaves or makes."""
    return tuple(a + b for a, b in zip(*state, strict=True))


def _luts(parts: Iterable[Part]) -> int:
    return sum(part.luts for part in parts)


def _outlook(heights: Heights, most: int, done: int) -> float:
    """Return the price of what the levels above must do with some bits.

    Args:
        heights: The bits.
        most: Bits of a column that the levels above reduce in time.
        done: Columns whose bits are complete.
    """
    late = sum(max(height - most, 0) for height in heights[:done])
    return 0.55 * _excess(heights) + FLIP_FLOP * sum(heights) + LATE * late


@cache
def _reach(levels: int) -> int:
    """Return the bits of each column that some levels reduce to two."""
    if levels == 0:
        return 2
    height, goal = 3, _reach(levels - 1)
    while 3 * ((height + 1) // 7) + (height + 1) % 7 <= goal:
        height += 1
    return height


def _keep(found: dict[K, V], key: K, value: V, cost: Callable[[V], float]) -> None:
    if key not in found or cost(value) < cost(found[key]):
        found[key] = value


def _best(found: dict[K, V], price: Callable[[K, V], float]) -> dict[K, V]:
    return dict(sorted(found.items(), key=lambda item: price(*item))[:BEAM])


@cache
def plan(lanes: int) -> Plan:
    """Return the cheapest plan that was found; it has no more levels than a tree of three-lane nodes.

    Args:
        lanes: Number of lanes, at least 3.
    """
    states = {_first(lanes): _Found()}
    for left in reversed(range((lanes - 1).bit_length() - 1)):
        done = [found for heights, found in states.items() if _excess(heights) == 0]
        if done:
            return Plan(lanes, min(done, key=lambda found: found.cost).parts)
        states = _next(states, _reach(max(left - 1, 0)))
    raise ValueError(f"no plan counts {lanes} lanes")


def _next(states: dict[Heights, _Found], most: int) -> dict[Heights, _Found]:
    """Return the states one level further.

    Args:
        states: The states.
        most: Bits of a column that the levels above reduce in time.
    """
    found: dict[Heights, _Found] = {}
    for heights, before in states.items():
        for after, parts in _level(heights, most).items():
            cost = before.cost + _luts(parts) + FLIP_FLOP * sum(after)
            _keep(found, after, _Found(cost, (*before.parts, parts)), lambda f: f.cost)
    return _best(found, lambda heights, f: f.cost + _outlook(heights, most, len(heights)))
