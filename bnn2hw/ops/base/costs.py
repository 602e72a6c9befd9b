"""Resources of memories, adders and products, for the cost models of the ops.

The models follow the structure of the templates. A few factors in them are fitted to the designs
that `benchmarks/cost.py` synthesizes with Yosys. docs/estimates.md states the errors.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bnn2hw.ir import Array, Cost
from bnn2hw.ops.base import memory_choice
from bnn2hw.ops.base.memory_choice import lut_rams
from bnn2hw.targets.families import Family

ROM_WORDS, ROM_BITS = 64, 2048
"""A ROM with more words and at least as many bits becomes a block RAM, by rom.j2 as well."""


def state_bits(states: int) -> int:
    """Return the flip-flops of a counter.

    Args:
        states: Number of states; a single state needs no flip-flop.
    """
    return (states - 1).bit_length()


def adder(family: Family, bits: int) -> int:
    """Return the LUTs of an adder, in whole cells of the carry chain.

    Args:
        family: Device family.
        bits: Width of the sum.
    """
    return family.adder_bits * math.ceil(bits / family.adder_bits)


def comparison(family: Family, bits: int) -> float:
    """Return the LUTs that compare two numbers, which are those of an adder in some families.

    Args:
        family: Device family.
        bits: Width of the numbers.
    """
    each = family.coefficient("comparison.bit", 0, 0.62)
    return each * bits if each else adder(family, bits)


def dsps(family: Family, a: int, b: int) -> int:
    """Return the DSP blocks of a signed product; 0 if Yosys makes it of LUTs.

    Args:
        family: Device family.
        a: Bits of one operand.
        b: Bits of the other operand.
    """
    return len(_dsp_parts(family, a, b))


def product_luts(family: Family, a: int, b: int) -> int:
    """Return the LUTs of a product that it needs in addition to its DSP blocks.

    Args:
        family: Device family.
        a: Bits of one operand.
        b: Bits of the other operand.
    """
    parts = _dsp_parts(family, a, b)
    soft = a * b - sum(x * y for x, y in parts)
    return (len(parts) - 1) * adder(family, a) + (2 * soft if soft else 0) if parts else 0


def _dsp_parts(family: Family, a: int, b: int) -> list[tuple[int, int]]:
    """Return the operand widths of each DSP block; parts that are too narrow become logic.

    The cuts are those of mul2dsp.v in Yosys.
    """
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
    """Return the cost of several copies of the module bnn2hw_adder_tree.

    Args:
        family: Device family.
        terms: Numbers that a tree adds.
        bits: Width of a term.
        copies: Number of trees.
        constants: Integers of shape (terms, copies) that the terms are multiplied with; None if
            they are not constant. Copies share the sum of some terms if their constants for these
            are equal.
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
    """Return the block RAMs that hold a ROM.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
        readers: Read ports: 1 or 2.
    """
    return memory_choice.block_rams(family, words, bits, readers).count


def block_ram_cost(family: Family, words: int, bits: int, readers: int = 1, *, written: bool = False) -> Cost:
    """Return the cost of a memory in block RAM, with the multiplexer behind rows of blocks.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
        readers: Read ports: 1 or 2.
        written: True if the memory has a write port.
    """
    blocks = memory_choice.block_rams(family, words, bits, readers, written=written)
    # The multiplexers of LUTs, and registers of what selects the row.
    each = family.by_lut(math.ceil(0.75 * (blocks.rows - 1)), math.ceil((blocks.rows - 1) / 3))
    return Cost(lut=each * bits, ff=state_bits(blocks.rows), bram=blocks.count, held=words * bits)


def block_ram_rows(family: Family, words: int, bits: int) -> int:
    """Return the rows of blocks of a ROM among which the address selects.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
    """
    return memory_choice.block_rams(family, words, bits).rows


def address_copies(family: Family, words: int, bits: int) -> int:
    """Return the flip-flops that copy the address and the enable of a memory in block RAM.

    Args:
        family: Device family; it limits the block RAMs that one register may drive.
        words: Words of the memory.
        bits: Bits of a word.
    """
    rams = block_rams(family, words, bits)
    if family.brams_per_register is None or rams <= family.brams_per_register:
        return 0
    return math.ceil(rams / family.brams_per_register) * (state_bits(words) + 1)


def in_block_ram(words: int, bits: int) -> bool:
    """Return True if a ROM asks for block RAM.

    Args:
        words: Words of the ROM.
        bits: Bits of a word.
    """
    return words > ROM_WORDS and words * bits >= ROM_BITS


@lru_cache(2**16)
def rom_cost(family: Family, words: int, bits: int) -> Cost:
    """Return the cost of a ROM with a registered output: constants, logic, or block RAM.

    Args:
        family: Device family.
        words: Words of the ROM.
        bits: Bits of a word.
    """
    if words == 1:
        return Cost()
    if in_block_ram(words, bits):
        return block_ram_cost(family, words, bits)
    if family.packs_rom(words):
        # A column that is constant or a bit of the address is a wire.
        functions = 2.0**words
        luts = distinct(words, bits) * (1 - (2 + state_bits(words)) / functions) * column_luts(family, words)
        return Cost(lut=luts, ff=distinct(words, bits))
    # Yosys splits a column that fills a whole LUT in some families if a counter addresses the ROM.
    whole = 1 << family.lut_inputs
    each = rom_luts(family, words)
    if whole // 2 < words <= whole:
        each *= family.coefficient("rom.full", 1.0, 1.0)
    luts = distinct(words, bits, logic=True) * each
    return Cost(lut=luts + _shared_columns(family, words, bits), ff=distinct(words, bits))


MANY_COLUMNS = 430
"""Columns from which on Yosys builds the columns of a ROM of 17 to 32 words from common parts of eight words."""


def _shared_columns(family: Family, words: int, bits: int) -> float:
    """Return the LUTs by which common parts of columns change the size of a ROM in logic.

    LUTs of six inputs hold a column of 32 words each, so there are no parts. LUTs of four inputs do not, so the
    parts save some of each column. The factor is fitted to ROMs of 24 and 32 words.

    Args:
        family: Device family.
        words: Words of the ROM.
        bits: Bits of a word: the number of columns.
    """
    if bits < MANY_COLUMNS or not 16 < words <= 32:
        return 0.0
    return (words / 16 - 1) * family.by_lut(-0.93 * bits, 0.0)


SLICE = 18
"""Bits of a loadable memory that are written in one step; rom.j2 has the same number."""


def slices(bits: int) -> int:
    """Return the steps in which a word of a loadable memory is written.

    Args:
        bits: Bits of the word.
    """
    return math.ceil(bits / SLICE)


def load_cost(family: Family, words: int, bits: int) -> Cost:
    """Return the cost of a memory's loader: a stage of the chain, a position, and enables.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
    """
    position = state_bits(words) + (slices(bits) if bits > SLICE else 0)
    each = family.coefficient("load.position", 2, 1)
    return Cost(lut=each * state_bits(words) + slices(bits) + 6, ff=SLICE + 2 + position + 1)


def store_cost(family: Family, words: int, bits: int, *, loadable: bool) -> Cost:
    """Return the cost of a ROM with a registered output, or of the loadable memory in its place.

    Args:
        family: Device family.
        words: Words of the memory.
        bits: Bits of a word.
        loadable: True if the memory can be written at run time.
    """
    if not loadable:
        return rom_cost(family, words, bits)
    if in_block_ram(words, bits):
        return load_cost(family, words, bits) + block_ram_cost(family, words, bits, written=True)
    return load_cost(family, words, bits) + ram_cost(family, words, bits)


def column_luts(family: Family, words: int) -> float:
    """Return the LUTs per bit of a ROM of rom.j2 in logic: half a one if our pass puts two columns into a LUT.

    Args:
        family: Device family.
        words: Words of the ROM.
    """
    if family.packs_rom(words):
        return 0.5 if words <= 1 << (family.lut_inputs - 1) else 1.0
    return rom_luts(family, words)


def rom_luts(family: Family, words: int) -> float:
    """Return the LUTs per bit of a table that Yosys makes of logic: 1 while a LUT holds all words, more beyond.

    Args:
        family: Device family. The largest LUT of a family with 6 inputs is made of smaller ones.
        words: Words of the ROM.
    """
    beyond = max(words / (1 << family.lut_inputs) - 1, 0.0)
    half = 1 << (family.lut_inputs - 1)
    if family.lut_inputs > 4 and half < words <= 2 * half:
        return 1.0 + 3.6 * math.sqrt((words - half) / half)
    return 1.0 + family.coefficient("rom.beyond", 2.6, 7.8) * family.by_lut(beyond, beyond**0.72)


def distinct(words: int, bits: int, *, logic: bool = False) -> float:
    """Return the expected number of different columns of a random ROM; equal ones are made once.

    Args:
        words: Words of the ROM.
        bits: Bits of a word: the number of columns.
        logic: Count columns that need a LUT: a column and its inverse count once, constants and
            bits of the address count nothing.
    """
    if words >= 12:
        return float(bits)
    functions = 2.0 ** (words - logic)
    found: float = functions * -math.expm1(bits * math.log1p(-1 / functions))
    return found * (1 - (1 + state_bits(words)) / functions) if logic and words > 2 else found


@lru_cache(2**16)
def ram_cost(family: Family, words: int, bits: int, ports: int = 2, *, ring: bool = False) -> Cost:
    """Return the cost of a RAM with a write port and a registered read port.

    Yosys chooses block RAM or LUTs; the model makes the same choice.

    Args:
        family: Device family.
        words: Words of the RAM.
        bits: Bits of a word.
        ports: 1 if both ports share an address, else 2.
        ring: True if both addresses count up.
    """
    if words == 1:
        return Cost(ff=2 * bits)
    luts, blocks = (
        lut_rams(family, words, bits, ports),
        memory_choice.block_rams(family, words, bits, written=True),
    )
    if (luts.cost if luts else words * bits) > blocks.cost:
        return block_ram_cost(family, words, bits, written=True)
    return lutram_cost(family, words, bits, ports, ring=ring) + Cost(ff=bits)


def lutram_cost(
    family: Family, words: int, bits: int, ports: int = 2, *, held: bool = False, ring: bool = False
) -> Cost:
    """Return the cost of a RAM with a write port and an unregistered read port.

    Args:
        family: Device family. Without LUT RAM, the RAM is made of flip-flops.
        words: Words of the RAM.
        bits: Bits of a word.
        ports: 1 if both ports share an address, else 2.
        held: True if a register drives the address. In families without LUT RAM, a block RAM can
            absorb that register and replace the flip-flops.
        ring: True if both addresses count up: Yosys then shares more of what selects a row.
    """
    rams = lut_rams(family, words, bits, ports)
    if rams is None:
        blocks = memory_choice.block_rams(family, words, bits, written=True)
        if held and words * bits > blocks.cost:
            # A word that is written and read in the same cycle bypasses the block RAM.
            return block_ram_cost(family, words, bits, written=True) + Cost(lut=0.3 * bits, ff=bits)
        # An enable for each word, and a tree of multiplexers.
        tree = math.ceil((2 / 3 if words <= 4 else 0.82) * (words - 1))
        return Cost(lut=2 * words + tree * bits, ff=words * bits)
    each = family.coefficient("lutram.select", 0.75 if ring else 1, 0.3)
    select: float = bits * math.ceil((rams.rows - 1) * each)
    if rams.rows > family.by_lut(1, 2) and not ring and not rams.shared:
        select += rams.rows * family.by_lut(1, 2)  # the write enable of each row
    return Cost(lut=rams.luts + select)
