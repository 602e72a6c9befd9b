"""What memories cost: shared by the cost models of all ops that hold one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bnn2hw.boards import Family
from bnn2hw.ir import Cost

BRAM_FROM_BITS = 2048
"""Memories smaller than this go to distributed RAM or logic: a block RAM would be nearly empty."""


def divisors(n: int) -> Iterator[int]:
    """All divisors of n in rising order."""
    return (d for d in range(1, n + 1) if n % d == 0)


def counter_bits(states: int) -> int:
    """Width of a counter with that many states, at least 1."""
    return max((states - 1).bit_length(), 1)


def block_rams(family: Family, words: int, bits: int) -> int:
    """Fewest block RAMs that hold `words` words of `bits` bits, over the family's native shapes."""
    return min(math.ceil(words / depth) * math.ceil(bits / width) for depth, width in family.bram_shapes)


def rom_cost(family: Family, words: int, bits: int) -> Cost:
    """A ROM with a registered output: constants, logic, or block RAM."""
    if words == 1:
        return Cost()
    if words * bits >= BRAM_FROM_BITS and words > 16:
        return Cost(bram=block_rams(family, words, bits))
    per_bit = math.ceil(words / 2**family.lut_inputs)
    return Cost(lut=per_bit * bits, ff=bits)


def ram_cost(family: Family, words: int, bits: int) -> Cost:
    """A RAM with one write and one read port."""
    small = words <= 32 or words * bits < BRAM_FROM_BITS
    if small and family.lutram_bits:
        return Cost(lut=math.ceil(words * bits / family.lutram_bits), ff=bits)
    return Cost(bram=block_rams(family, words, bits))
