"""What memories, adders and counters cost: shared by the cost models of all ops.

The models follow the structure of the templates; the few factors in them are fitted to the designs that
`benchmarks/cost.py` synthesizes. docs/estimates.md says how far they are off.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator

from bnn2hw.boards import Family
from bnn2hw.ir import Cost

ROM_WORDS, ROM_BITS = 64, 2048
"""A ROM of more words than this and at least as many bits is a block RAM; the template rom.j2 says the same."""

DSP_FROM_BITS = 9
"""Products at least as wide as this are made in DSP blocks by families with large LUTs, any by others."""

DSP_BITS = 18
"""Width of a signed operand of a DSP block; of several blocks side by side each takes a bit less."""


def divisors(n: int) -> Iterator[int]:
    """All divisors of n in rising order."""
    return (d for d in range(1, n + 1) if n % d == 0)


SPARES = 1.2
"""How many times as many lanes as a fold that does not divide the next one has that does, or it is no choice."""


def fold_sizes(n: int) -> list[int]:
    """The fewest lanes that make each number of folds of n values, in rising order; the last fold need not be full."""
    return sorted({-(-n // folds) for folds in range(1, n + 1)})


def worthwhile(n: int) -> Iterator[int]:
    """Those of `fold_sizes` that divide n, or spare many lanes beside the next one that does."""
    whole = list(divisors(n))
    for size in fold_sizes(n):
        above = whole[bisect_left(whole, size)]
        if above == size or above >= SPARES * size:
            yield size


def check_folds(name: str, size: int, n: int, what: str) -> None:
    """Refuse lanes beyond the fewest that make their number of folds.

    Raises:
        ValueError: there are fewer that do.
    """
    folds = -(-n // size) if size > 0 else 0
    if not folds or size != -(-n // folds):
        raise ValueError(f"{name}={size} must be the fewest lanes for some number of folds of {n} {what}")


def state_bits(states: int) -> int:
    """Flip-flops that tell that many states apart; none for a single one."""
    return (states - 1).bit_length()


def by_lut(family: Family, four: float, six: float) -> float:
    """A figure that depends on the inputs of a family's LUTs."""
    return four if family.lut_inputs == 4 else six


def adder(family: Family, bits: int) -> int:
    """LUTs of an adder; carry chains take small LUTs two at a time."""
    return 2 * math.ceil(bits / 2) if family.lut_inputs == 4 else bits


def comparison(family: Family, bits: int) -> float:
    """LUTs that tell which of two numbers is larger; a large LUT looks at two bits of both."""
    return by_lut(family, adder(family, bits), 0.62 * bits)


def dsps(family: Family, a: int, b: int) -> int:
    """DSP blocks of a signed product of operands of so many bits; none where LUTs make it."""
    if min(a, b) < 2 or (family.lut_inputs > 4 and a + b < DSP_FROM_BITS):
        return 0
    blocks = (1 if bits <= DSP_BITS else math.ceil(bits / (DSP_BITS - 1)) for bits in (a, b))
    return math.prod(blocks)


def adder_tree(family: Family, terms: int, bits: int, most: float = math.inf, copies: int = 1) -> Cost:
    """`copies` of bnn2hw_adder_tree, of whose terms at one place no more than `most` are different."""
    total = Cost()
    while terms > 1:
        most, bits = min(most * most, 2.0**60), bits + 1
        share = min(copies, most)
        total += Cost(lut=share * (terms // 2) * adder(family, bits), ff=share * math.ceil(terms / 2) * bits)
        terms = math.ceil(terms / 2)
    return total


def block_rams(family: Family, words: int, bits: int) -> int:
    """Fewest block RAMs that hold `words` words of `bits` bits, over the family's native shapes."""
    return min(math.ceil(words / depth) * math.ceil(bits / width) for depth, width in family.bram_shapes)


def block_ram_cost(family: Family, words: int, bits: int) -> Cost:
    """A memory in block RAM."""
    return Cost(bram=block_rams(family, words, bits), held=words * bits)


def block_ram_rows(family: Family, words: int, bits: int) -> int:
    """Block RAMs one above the other in the shape that `block_rams` counts."""
    shapes = [(math.ceil(words / depth), math.ceil(bits / width)) for depth, width in family.bram_shapes]
    return min(shapes, key=lambda s: (s[0] * s[1], s[0]))[0]


SHARE = 8
"""Block RAMs of ECP5 that go by one register of their address; `bnn2hw.spread` copies it for more."""


def address_copies(family: Family, words: int, bits: int) -> Cost:
    """The copies of the address and the enable of a memory in block RAM."""
    rams = block_rams(family, words, bits)
    if family.name != "ecp5" or rams <= SHARE:
        return Cost()
    return Cost(ff=math.ceil(rams / SHARE) * (state_bits(words) + 1))


def in_block_ram(words: int, bits: int) -> bool:
    """Whether a ROM of that shape asks for block RAM."""
    return words > ROM_WORDS and words * bits >= ROM_BITS


def rom_cost(family: Family, words: int, bits: int) -> Cost:
    """A ROM with a registered output: constants, logic, or block RAM (whose output register is its own)."""
    if words == 1:
        return Cost()
    if in_block_ram(words, bits):
        return block_ram_cost(family, words, bits)
    return Cost(lut=distinct(words, bits, logic=True) * rom_luts(family, words), ff=distinct(words, bits))


SLICE = 18
"""Bits of a loadable memory that are written at once; the template rom.j2 says the same."""


def slices(bits: int) -> int:
    """Parts in which a word of so many bits is written."""
    return math.ceil(bits / SLICE)


def load_cost(family: Family, words: int, bits: int) -> Cost:
    """What writes a loadable memory: a stage of the chain, a position, and an enable for each slice."""
    position = state_bits(words) + (slices(bits) if bits > SLICE else 0)
    return Cost(lut=by_lut(family, 2, 1) * state_bits(words) + slices(bits) + 6, ff=SLICE + 2 + position + 1)


def store_cost(family: Family, words: int, bits: int, *, loadable: bool) -> Cost:
    """A ROM with a registered output, or what takes its place where it can be written at run time."""
    if not loadable:
        return rom_cost(family, words, bits)
    if in_block_ram(words, bits):
        return load_cost(family, words, bits) + block_ram_cost(family, words, bits)
    return load_cost(family, words, bits) + ram_cost(family, words, bits)


def rom_luts(family: Family, words: int) -> float:
    """LUTs per bit of a ROM in logic: one up to the words that a LUT holds, and more with each LUT's fill beyond.

    A ROM as large as the largest LUT is put together from smaller ones.
    """
    beyond = max(words / (1 << family.lut_inputs) - 1, 0.0)
    half = 1 << (family.lut_inputs - 1)
    if family.lut_inputs > 4 and half < words <= 2 * half:
        return 1.0 + 3.0 * (words - half) / half
    return 1.0 + by_lut(family, 2.6 * beyond, 8.5 * math.sqrt(beyond))


def distinct(words: int, bits: int, *, logic: bool = False) -> float:
    """Expected number of different columns among `bits` random ones: equal columns are made once.

    With `logic`, those are left out that take none: constants, and the bits of the address or their inverses.
    """
    if words >= 12:
        return float(bits)
    functions = float(2**words)
    found: float = functions * -math.expm1(bits * math.log1p(-1 / functions))
    return found * (1 - 2 * (1 + state_bits(words)) / functions) if logic and words > 2 else found


def ram_cost(family: Family, words: int, bits: int, ports: int = 2) -> Cost:
    """A RAM with one write and one registered read port, in block RAM or LUTs as Yosys chooses.

    `ports` is 1 where both go by one address.
    """
    if words == 1:
        return Cost(ff=2 * bits)
    blocks = block_rams(family, words, bits)
    if not family.lutram_shapes:
        return block_ram_cost(family, words, bits)
    rows, tiles = _lutrams(family, words, bits, ports)
    weight = by_lut(family, 4, 5) * tiles + 0.5 * (rows - 1) * (bits + 1)
    if weight > by_lut(family, 128, 65) * blocks:
        return block_ram_cost(family, words, bits)
    return lutram_cost(family, words, bits, ports) + Cost(ff=bits)


def lutram_cost(family: Family, words: int, bits: int, ports: int = 2) -> Cost:
    """A RAM with one write and one unregistered read port, which only LUTs or flip-flops can make."""
    if not family.lutram_shapes:
        return Cost(lut=words * bits, ff=words * bits)
    rows, tiles = _lutrams(family, words, bits, ports)
    select = bits * math.ceil((rows - 1) * by_lut(family, 0.75, 0.3))
    return Cost(lut=tiles * family.lutram_luts + select)


def _lutrams(family: Family, words: int, bits: int, ports: int) -> tuple[int, int]:
    """Rows and number of the fewest distributed RAMs that hold such a memory."""
    # Of four large LUTs that are a RAM, one belongs to the write port; it holds data too where that port reads.
    more = by_lut(family, 1, 4 / 3) if ports == 1 else 1
    grids = [
        (math.ceil(words / depth), math.ceil(bits / (width * more))) for depth, width in family.lutram_shapes
    ]
    rows, columns = min(grids, key=lambda g: (g[0] * g[1], g[0]))
    return rows, rows * columns
