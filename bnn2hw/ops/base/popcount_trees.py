"""Counting bits with trees of adders, and the carry chains that the adders of a tree share.

A node of level 1 counts three lanes. A node of each level above adds two nodes of the level below
and takes one more lane as its carry. The generated popcount follows the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

CHAIN = 16
"""Half slices of a carry chain on ECP5: two tiles. Longer chains are slow and hard to place."""


def slices(halves: int) -> int:
    """Return the LUTs of a carry chain on ECP5, in whole slices of two.

    Args:
        halves: Half slices that the chain needs.
    """
    return halves + halves % 2


@dataclass(frozen=True)
class TreeLevel:
    """A level of a tree.

    Attributes:
        number: Its number, from 1.
        sums: Its adders.
        carry: Its first lane: of the first node of level 1, or of the first adder's carry.
        passes: True if it also hands on the last node of the level below.
    """

    number: int
    sums: int
    carry: int
    passes: bool

    @property
    def bits(self) -> int:
        """Bits of the level's numbers together."""
        return (self.sums + self.passes) * (self.number + 1)


@dataclass(frozen=True)
class Tree:
    """A popcount tree: nodes of three lanes, and above them adders that take a lane as carry.

    A full node of level l counts 2^(l + 1) - 1 lanes. At most one node of a level is not full.

    Attributes:
        lanes: Bits that the tree counts.
    """

    lanes: int

    @property
    def depth(self) -> int:
        """Levels of the tree, each of which has a register."""
        return max((self.lanes.bit_length()) - 1, 0)

    @cached_property
    def levels(self) -> tuple[TreeLevel, ...]:
        """The levels, from 1 on."""
        found: list[TreeLevel] = []
        full, rest, carry = 0, self.lanes, self.lanes
        for level in range(self.depth, 0, -1):
            capacity = 2 ** (level + 1) - 1
            full *= 2
            if rest > capacity:
                full, rest = full + 1, rest - 1 - capacity
            if rest == capacity:
                full, rest = full + 1, 0
            sums = full + (rest > capacity // 2 or (level == 1 and rest > 0))
            carry = carry - sums if level > 1 else 0
            found.append(TreeLevel(level, sums, carry, 0 < rest <= capacity // 2 and level > 1))
        return tuple(found[::-1])

    @property
    def counted_first(self) -> int:
        """Lanes that level 1 counts."""
        return self.levels[1].carry if self.depth > 1 else self.lanes

    @cached_property
    def delays(self) -> int:
        """Registers that delay lanes until their level."""
        return sum((level.number - 1) * level.sums for level in self.levels)

    @cached_property
    def ffs(self) -> int:
        """Flip-flops that hold the numbers of all levels."""
        return sum(level.sums * (level.number + 1) + level.passes * level.number for level in self.levels)


@dataclass(frozen=True)
class Adder:
    """An adder of a tree, in a carry chain.

    It takes a half slice for its carry and one for each bit of its terms; on level 1 one for its
    carry and one for its two other lanes.

    Attributes:
        tree: The tree.
        level: Its level.
        number: Its number in the level.
    """

    tree: Tree
    level: int
    number: int

    @property
    def halves(self) -> int:
        """Half slices, which is also the bits of its sum."""
        return self.level + 1

    def __str__(self) -> str:
        """Return its sum."""
        return f"level{self.level}[{self.halves * self.number}+:{self.halves}]"

    def operand(self, name: str) -> str:
        """Return what enters its half slices, the highest first.

        Args:
            name: Input of the chain: `a` and `b`, or `c` and `d`, which only level 1 has.
        """
        if self.level == 1:
            side, lane = {"a": ("a", 1), "b": ("b", 1), "c": ("a", 2), "d": ("b", 2)}[name]
            carry = self._lane(side, 3 * self.number) if name in "ab" else "1'b0"
            return f"{self._lane(side, 3 * self.number + lane)}, {carry}"
        if name in "cd":
            return f"{self.halves}'b0"
        side, child = name, 2 * self.number + (name == "b")
        below, own = self.tree.levels[self.level - 2 : self.level]
        known = child < below.sums + below.passes
        term = f"level{self.level - 1}[{self.level * child}+:{self.level}]" if known else f"{self.level}'b0"
        return f"{term}, {side}[{own.carry + self.number}]"

    def _lane(self, side: str, lane: int) -> str:
        """Return a lane of level 1; lanes beyond the last one are 0."""
        return f"{side}[{lane}]" if lane < self.tree.counted_first else "1'b0"


@dataclass(frozen=True)
class CarryChain:
    """Adders that share a carry chain.

    Attributes:
        adders: The adders, the lowest first.
    """

    adders: tuple[Adder, ...]

    @property
    def halves(self) -> int:
        """Half slices of the adders; the chain has one more, which reads the last carry."""
        return sum(adder.halves for adder in self.adders)

    @property
    def luts(self) -> int:
        """LUTs of the chain, in whole slices of two."""
        return slices(self.halves + 1)

    def mask(self, *, pairs: bool) -> str:
        """Return a bit for each half slice, the highest first.

        Args:
            pairs: True to mark those that add two lanes, False those that take the carry of an
                adder.
        """
        marks = [
            (adder.level == 1 and half == 1) if pairs else half == 0
            for adder in self.adders
            for half in range(adder.halves)
        ]
        return f"{len(marks)}'b" + "".join(str(int(mark)) for mark in reversed(marks))

    def operand(self, name: str) -> str:
        """Return what enters an input of the chain, the highest bit first."""
        return ", ".join(adder.operand(name) for adder in reversed(self.adders))

    @property
    def sums(self) -> str:
        """Return the sums, the highest bit first."""
        return ", ".join(map(str, reversed(self.adders)))


@dataclass(frozen=True, order=True)
class Chains:
    """The carry chains of the adders of a tree.

    Attributes:
        lanes: Lanes of the tree.
    """

    lanes: int

    @cached_property
    def tree(self) -> Tree:
        """The tree."""
        return Tree(self.lanes)

    @cached_property
    def drawn(self) -> tuple[CarryChain, ...]:
        """The chains, of as few slices as possible."""
        left = [iter(range(level.sums)) for level in self.tree.levels]
        return tuple(
            CarryChain(
                tuple(
                    Adder(self.tree, level, next(left[level - 1]))
                    for level, adders in enumerate(taken, 1)
                    for _ in range(adders)
                )
            )
            for taken in _packed(self.tree)
        )

    @cached_property
    def luts(self) -> int:
        """LUTs of all chains."""
        halves = (sum(n * (level + 1) for level, n in enumerate(taken, 1)) for taken in _packed(self.tree))
        return sum(slices(number + 1) for number in halves)


def _packed(tree: Tree) -> Iterator[tuple[int, ...]]:
    """Yield how many adders of each level each chain takes."""
    left = [level.sums for level in tree.levels]
    while any(left):
        room = max(CHAIN - 1, max(level + 1 for level, n in enumerate(left, 1) if n))
        taken = _fullest(tuple(min(n, room // (level + 1)) for level, n in enumerate(left, 1)), room)
        left = [n - t for n, t in zip(left, taken, strict=True)]
        yield taken


@cache
def _fullest(left: tuple[int, ...], room: int) -> tuple[int, ...]:
    """Return how many adders of each level fill a chain best.

    One half slice more reads the last carry, and slices have two: an even number wastes one. So
    adders of odd sizes are spared for other chains.

    Args:
        left: Adders of each level that may be taken.
        room: Half slices.
    """

    def value(taken: tuple[int, ...]) -> tuple[int, int, int]:
        halves = sum(n * (level + 1) for level, n in enumerate(taken, 1))
        return halves - (halves % 2 == 0), -sum(taken[1::2]), -sum(taken)

    return max((taken for taken in _choices(left, room) if any(taken)), key=value)


def _choices(left: tuple[int, ...], room: int) -> Iterator[tuple[int, ...]]:
    """Yield all numbers of adders of each level that fit."""
    if not left:
        yield ()
        return
    size = len(left) + 1  # of the highest level
    for number in range(min(left[-1], room // size) + 1):
        for lower in _choices(left[:-1], room - number * size):
            yield (*lower, number)
