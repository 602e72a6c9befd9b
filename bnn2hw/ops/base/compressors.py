"""Counting bits with compressors, in families whose LUTs have two outputs and a carry chain.

A bit of column c counts 2^c. Where two words are compared, level 1 adds the lanes that agree in
chains of full adders. Each level above
replaces bits by fewer ones of the same sum, until the columns hold no more than an accumulator adds
at once: three bits in column 0 and two in every other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Heights = tuple[int, ...]
"""Bits of each column."""

CHAIN, LONG_CHAIN, WIDE = 4, 8, 64
"""Full adders of a chain of level 1, whose parity passes through all of them in one cycle, and those
of the longer chains for this many lanes and more."""

TABLE = 5
"""Bits of a compressor that its tables can invert."""


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


@dataclass(frozen=True)
class Wire:
    """Neighboring bits of a column between two levels.

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
    """A way to count the lanes of a neuron.

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
        return chains(self.lanes)

    @cached_property
    def heights(self) -> list[Heights]:
        """Bits of each column behind each level."""
        return _heights(first_bits(self.lanes), self.parts)

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

    @property
    def has_extra(self) -> bool:
        """True if column 0 has a third bit."""
        return self.heights[-1][0] > 2

    def _last(self, column: int, n: int) -> str:
        return str(Wire(self.levels, column, n)) if self.heights[-1][column] > n else "1'b0"


@dataclass(frozen=True, order=True)
class BitPlan(Plan):
    """A way to count single bits: all levels are compressors, and the bits themselves are level 0."""

    @property
    def levels(self) -> int:
        """Number of levels, each of which has a register."""
        return len(self.parts)

    @property
    def chains(self) -> list[int]:
        """There are no chains."""
        return []

    @cached_property
    def heights(self) -> list[Heights]:
        """Bits of each column before the first level, and behind each level."""
        return _heights(bits_alone(self.lanes), self.parts)

    @property
    def ffs(self) -> int:
        """Flip-flops of all levels."""
        return sum(map(sum, self.heights[1:]))

    @property
    def drawn(self) -> Iterator[Level]:
        """The levels, with the wires of their parts."""
        for number, parts in enumerate(self.parts, 1):
            yield _drawn(number, self.heights[number - 1], self.heights[number], parts)

    @cached_property
    def inverts(self) -> list[bool]:
        """For each bit, True if the tables of the first level absorb its inversion."""
        free = [True] * self.lanes
        last = 0
        for part in self.parts[0]:
            free[last + TABLE : last + part.ones] = [False] * max(part.ones - TABLE, 0)
            last += part.ones
        free[last:] = [False] * (self.lanes - last)
        return free

    @property
    def adds(self) -> int:
        """LUTs of the adder of the two rows: one for each column that has more than a bit."""
        return sum(height > 1 for height in self.heights[-1])


def _heights(first: Heights, levels: Iterable[Iterable[Part]]) -> list[Heights]:
    """Return the bits of each column before the first level, and behind each level."""
    found = [first]
    for parts in levels:
        left, made = apply(found[-1], parts)
        found.append(tuple(a + b for a, b in zip(left, made, strict=True)))
    return found


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


def chains(lanes: int) -> list[int]:
    """Return the full adders of each chain of level 1; each takes two lanes.

    Args:
        lanes: Number of lanes.
    """
    pairs, length = -(-lanes // 2), LONG_CHAIN if lanes >= WIDE else CHAIN
    return [min(length, pairs - first) for first in range(0, pairs, length)]


def first_bits(lanes: int) -> Heights:
    """Return the bits behind level 1: a carry of each full adder, and a parity of each chain.

    Args:
        lanes: Number of lanes.
    """
    lengths = chains(lanes)
    return len(lengths), sum(lengths), *(0 for _ in range(lanes.bit_length() - 2))


def bits_alone(lanes: int) -> Heights:
    """Return some bits of column 0, with empty columns for their count.

    Args:
        lanes: Number of bits.
    """
    return lanes, *(0 for _ in range(lanes.bit_length() - 1))


def apply(heights: Heights, parts: Iterable[Part]) -> tuple[Heights, Heights]:
    """Return the bits that parts leave, and those that they make.

    Args:
        heights: Bits of each column.
        parts: Parts that take some of them.
    """
    left, made = list(heights), [0] * len(heights)
    for part in parts:
        left[part.column] -= part.ones
        if part.twos:
            left[part.column + 1] -= part.twos
        for column in part.makes(len(made)):
            made[column] += 1
    return tuple(left), tuple(made)
