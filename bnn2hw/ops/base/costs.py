"""What memories, adders and counters cost: shared by the cost models of all ops.

The models follow the structure of the templates; the few factors in them are fitted to the designs that
`benchmarks/cost.py` synthesizes. docs/estimates.md says how far they are off.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from bnn2hw.ir import Array, Cost
from bnn2hw.targets.families import Family

ROM_WORDS, ROM_BITS = 64, 2048
"""A ROM of more words than this and at least as many bits is a block RAM; the template rom.j2 says the same."""


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


def adder(family: Family, bits: int) -> int:
    """LUTs of an adder, in whole cells of the carry chain."""
    return family.adder_bits * math.ceil(bits / family.adder_bits)


def comparison(family: Family, bits: int) -> float:
    """LUTs that compare two numbers of `bits` bits: those of an adder if the family has no figure per bit."""
    each = family.coefficient("comparison.bit", 0, 0.62)
    return each * bits if each else adder(family, bits)


def dsps(family: Family, a: int, b: int) -> int:
    """DSP blocks of a signed product of operands of so many bits; none where LUTs make it."""
    return len(_dsp_parts(family, a, b))


def product_luts(family: Family, a: int, b: int) -> int:
    """LUTs beside the DSP blocks of a product whose operands are wider than one block takes."""
    parts = _dsp_parts(family, a, b)
    soft = a * b - sum(x * y for x, y in parts)
    return (len(parts) - 1) * adder(family, a) + (2 * soft if soft else 0) if parts else 0


def _dsp_parts(family: Family, a: int, b: int) -> list[tuple[int, int]]:
    """Widths of the operands of each DSP block, as Yosys' mul2dsp.v cuts a product; what is too narrow is logic."""
    a, b = max(a, b), min(a, b)
    least, both = family.dsp_from
    if b < least or a + b < both:
        return []
    for operand, most in zip((a, b), family.dsp_bits, strict=True):
        if operand > most:
            other, part = a + b - operand, family.dsp_parts
            count = math.ceil((operand - most) / part)
            return count * _dsp_parts(family, part, other) + _dsp_parts(family, operand - count * part, other)
    return [(a, b)]


def adder_tree(family: Family, terms: int, bits: int, copies: int, constants: Array | None = None) -> Cost:
    """`copies` of bnn2hw_adder_tree.

    `constants`, of shape (terms, copies), are what the terms are made with where that is fixed: where they are equal
    for all terms of a sum, copies share it.
    """
    total, span = Cost(), 1
    while terms > 1:
        terms, odd, span, bits = (terms + 1) // 2, terms % 2, 2 * span, bits + 1
        each = [float(copies)] * terms
        if constants is not None:
            each = [len(np.unique(constants[n * span : (n + 1) * span], axis=1).T) for n in range(terms)]
        passed = each[-1] * odd
        total += Cost(lut=(sum(each) - passed) * adder(family, bits), ff=sum(each) * bits)
    return total


def block_rams(family: Family, words: int, bits: int, readers: int = 1) -> int:
    """Fewest block RAMs that hold `words` words of `bits` bits, over the family's native shapes."""
    rows, columns = _block_ram_grid(family, words, bits, readers)
    return rows * columns


def block_ram_cost(family: Family, words: int, bits: int, readers: int = 1) -> Cost:
    """A memory in block RAM of so many ports that read, with what selects where several lie one above the other."""
    rows, columns = _block_ram_grid(family, words, bits, readers)
    select = family.by_lut(rows - 1, math.ceil((rows - 1) / 3)) * bits
    return Cost(lut=select, bram=rows * columns, held=words * bits)


def block_ram_rows(family: Family, words: int, bits: int) -> int:
    """Block RAMs one above the other in the shape that `block_rams` counts."""
    return _block_ram_grid(family, words, bits)[0]


@lru_cache(2**16)
def _block_ram_grid(family: Family, words: int, bits: int, readers: int = 1) -> tuple[int, int]:
    """Rows and columns of the fewest block RAMs; the widest shape takes both ports for one word."""
    shapes = family.bram_shapes[: -1 if readers > 1 else None]
    grids = [(math.ceil(words / depth), math.ceil(bits / width)) for depth, width in shapes]
    return min(grids, key=lambda g: (g[0] * g[1], g[0]))


def address_copies(family: Family, words: int, bits: int) -> int:
    """Flip-flops that copy the address and the enable of a memory in block RAM."""
    rams = block_rams(family, words, bits)
    if family.brams_per_register is None or rams <= family.brams_per_register:
        return 0
    return math.ceil(rams / family.brams_per_register) * (state_bits(words) + 1)


def in_block_ram(words: int, bits: int) -> bool:
    """Whether a ROM of that shape asks for block RAM."""
    return words > ROM_WORDS and words * bits >= ROM_BITS


@lru_cache(2**16)
def rom_cost(family: Family, words: int, bits: int) -> Cost:
    """A ROM with a registered output: constants, logic, or block RAM (whose output register is its own)."""
    if words == 1:
        return Cost()
    if in_block_ram(words, bits):
        return block_ram_cost(family, words, bits)
    # Behind a counter, columns as long as a LUT is large are taken apart by some flows.
    whole = 1 << family.lut_inputs
    each = rom_luts(family, words)
    if whole // 2 < words <= whole:
        each *= family.coefficient("rom.full", 1.0, 1.0)
    return Cost(lut=distinct(words, bits, logic=True) * each, ff=distinct(words, bits))


SLICE = 18
"""Bits of a loadable memory that are written at once; the template rom.j2 says the same."""


def slices(bits: int) -> int:
    """Parts in which a word of so many bits is written."""
    return math.ceil(bits / SLICE)


def load_cost(family: Family, words: int, bits: int) -> Cost:
    """What writes a loadable memory: a stage of the chain, a position, and an enable for each slice."""
    position = state_bits(words) + (slices(bits) if bits > SLICE else 0)
    each = family.coefficient("load.position", 2, 1)
    return Cost(lut=each * state_bits(words) + slices(bits) + 6, ff=SLICE + 2 + position + 1)


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
        return 1.0 + 3.6 * math.sqrt((words - half) / half)
    return 1.0 + family.coefficient("rom.beyond", 2.6, 7.8) * family.by_lut(beyond, beyond**0.72)


def distinct(words: int, bits: int, *, logic: bool = False) -> float:
    """Expected number of different columns among `bits` random ones: equal columns are made once.

    With `logic`, inverses are equal too, and those are left out that take none: constants, and bits of the address.
    """
    if words >= 12:
        return float(bits)
    functions = 2.0 ** (words - logic)
    found: float = functions * -math.expm1(bits * math.log1p(-1 / functions))
    return found * (1 - (1 + state_bits(words)) / functions) if logic and words > 2 else found


@lru_cache(2**16)
def ram_cost(family: Family, words: int, bits: int, ports: int = 2) -> Cost:
    """A RAM with one write and one registered read port, in block RAM or LUTs as Yosys chooses.

    `ports` is 1 where both go by one address.
    """
    if words == 1:
        return Cost(ff=2 * bits)
    if family.lutram_shapes:
        rows, tiles = _lutrams(family, words, bits, ports)
        weight = family.lutram_weight * tiles + 0.5 * (rows - 1) * (bits + 1)
    else:
        weight = words * bits
    if weight > family.bram_weight * block_rams(family, words, bits):
        return block_ram_cost(family, words, bits)
    return lutram_cost(family, words, bits, ports) + Cost(ff=bits)


def lutram_cost(family: Family, words: int, bits: int, ports: int = 2, *, held: bool = False) -> Cost:
    """A RAM with one write and one unregistered read port, which only LUTs or flip-flops can make.

    `held` says that its address is a register's: where there are no such LUTs, a block RAM can take that over.
    """
    if not family.lutram_shapes:
        if held and words * bits > family.bram_weight * block_rams(family, words, bits):
            # What is written and read at once goes past it.
            return block_ram_cost(family, words, bits) + Cost(lut=0.3 * bits, ff=bits)
        # An enable for each word, and a tree that selects.
        tree = math.ceil((2 / 3 if words <= 4 else 0.82) * (words - 1))
        return Cost(lut=2 * words + tree * bits, ff=words * bits)
    rows, tiles = _lutrams(family, words, bits, ports)
    select = bits * math.ceil((rows - 1) * family.coefficient("lutram.select", 0.75, 0.3))
    return Cost(lut=tiles * family.lutram_luts + select)


def _lutrams(family: Family, words: int, bits: int, ports: int) -> tuple[int, int]:
    """Rows and number of the fewest distributed RAMs that hold such a memory."""
    # Of four large LUTs that are a RAM, one belongs to the write port; it holds data too where that port reads.
    more = family.coefficient("lutram.one_port", 1, 4 / 3) if ports == 1 else 1
    grids = [
        (math.ceil(words / depth), math.ceil(bits / (width * more))) for depth, width in family.lutram_shapes
    ]
    rows, columns = min(grids, key=lambda g: (g[0] * g[1], g[0]))
    return rows, rows * columns
