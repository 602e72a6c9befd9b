"""The choice of Yosys among the memories of a family: how `memory_libmap` counts what each one costs.

A memory is cut into rows of words and put into blocks. The cost of a block, the multiplexers that select a row of what
is read and the enables of the rows add up; the memory with the lowest cost is taken, the first one of equals.
Source: passes/memory/memory_libmap.cc of Yosys 0.70.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from bnn2hw.targets.families import Family, LutRam

READ_BIT = ENABLE = 0.5
"""Cost of a bit of each further row that is read, and of the write enable of a row."""

OWN_PORT = 2
"""Cost of a read port that is not also the write port."""


@dataclass(frozen=True)
class Blocks:
    """Blocks that hold a memory.

    Attributes:
        rows: Rows of words among which the address selects.
        count: Blocks; those of a pair count as two.
        cost: The cost by Yosys's count.
    """

    rows: int
    count: int
    cost: float


@lru_cache(2**16)
def block_rams(family: Family, words: int, bits: int, readers: int = 1, *, written: bool = False) -> Blocks:
    """Return the block RAMs that Yosys takes for a memory.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
        readers: Read ports: 1 or 2. The widest shape has one.
        written: True if the memory has a write port. The rows of a ROM may share a block; of a RAM, the bytes that
            are written together may.
    """
    found = []
    for (depth, width), each, count in _block_shapes(family, readers):
        byte = min(family.bram_byte, width) if written else 1
        blocks = math.ceil(math.ceil(words / depth) * math.ceil(bits / byte) * byte / width)
        cost = each * blocks + _selection(words, bits, depth, readers, written=written)
        found.append(Blocks(math.ceil(words / depth), count * blocks, cost))
    return min(found, key=lambda b: b.cost)


def _block_shapes(family: Family, readers: int) -> Iterator[tuple[tuple[int, int], float, int]]:
    """Yield shapes of a block or of a pair, each with its cost and the number of blocks."""
    shapes = family.bram_shapes
    pairs = [(2 * depth, width) for depth, width in shapes] + [(shapes[-1][0], 2 * shapes[-1][1])]
    for shape in shapes[: -1 if readers > 1 else None]:
        yield shape, family.bram_weight, 1
    for shape in pairs[: -1 if readers > 1 else None] if family.bram_pair_weight else ():
        yield shape, family.bram_pair_weight, 2


def _selection(words: int, bits: int, depth: int, readers: int, *, written: bool) -> float:
    """Return the cost of what selects a row."""
    rows = math.ceil(words / depth)
    return READ_BIT * (rows - 1) * bits * readers + (ENABLE * rows if written and rows > 1 else 0)


@dataclass(frozen=True)
class LutRams:
    """LUT RAMs that hold a memory.

    Attributes:
        rows: Rows of words among which the address selects.
        luts: LUTs, without those that select a row.
        cost: The cost by Yosys's count.
        shared: True if the port that writes also reads.
    """

    rows: int
    luts: int
    cost: float
    shared: bool


@lru_cache(2**16)
def lut_rams(family: Family, words: int, bits: int, ports: int) -> LutRams | None:
    """Return the LUT RAMs that Yosys takes for a memory; None if the family has none.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
        ports: 1 if the memory is read at the address at which it is written, else 2.
    """
    able = [kind for kind in family.lutrams.values() if kind.ports >= ports]
    found = [_lut_rams(kind, shape, words, bits) for kind in able for shape in kind.shapes]
    return min(found, key=lambda r: r.cost, default=None)


def _lut_rams(kind: LutRam, shape: tuple[int, int, int, int], words: int, bits: int) -> LutRams:
    depth, width, cell_bits, cell_luts = shape
    rows = math.ceil(words / depth)
    cost = (kind.weight - kind.scaled) * rows * math.ceil(bits / width) + kind.scaled * rows * bits / width
    cost += _selection(words, bits, depth, 1, written=True) - (OWN_PORT if kind.ports == 1 else 0)
    return LutRams(rows, rows * math.ceil(bits / cell_bits) * cell_luts, cost, kind.ports == 1)
