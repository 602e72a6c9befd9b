"""Functions of a few bits as truth tables over the bits that they depend on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from bnn2hw.ir import Array

WORD_INPUTS = 6
"""Inputs of a table that fits a word of 64 bits."""


@dataclass(frozen=True)
class Function:
    """A function of a few bits.

    Attributes:
        lanes: Bits of the input that it depends on, that of the lowest weight in the address first.
        table: The value at address a in bit a.
    """

    lanes: tuple[int, ...]
    table: int

    @property
    def words(self) -> tuple[int, ...]:
        """The table in words of 64 bits, the lowest addresses first."""
        count = max(1, 2 ** (len(self.lanes) - WORD_INPUTS))
        return tuple(self.table >> 64 * i & (2**64 - 1) for i in range(count))

    @property
    def inverts(self) -> bool:
        """True if it is the opposite of its only input."""
        return len(self.lanes) == 1 and self.table == 1

    def luts(self, inputs: int) -> float:
        """Return the LUTs of the function.

        Wider functions than a LUT of six inputs are joined by multiplexers that cost none. LUTs of four
        inputs are joined by LUTs, and a function may take fewer of them than most of its width: trained neurons do.

        Args:
            inputs: Inputs of a LUT.
        """
        if len(self.lanes) <= 1:
            return int(self.inverts)
        parts = 1 << max(len(self.lanes) - inputs, 0)
        if inputs >= 6 or parts == 1:
            return parts
        most = FOUR if parts == 2 else JOINED * parts
        return most * _tables(self.table, len(self.lanes)) / _most(len(self.lanes))


FOUR, JOINED = 4.0, 2.43
"""LUTs of four inputs of any function of five inputs; and by sixteenth of a table of any wider one."""


BOUND = 4
"""Inputs of a LUT whose functions are decomposed."""


def _most(inputs: int) -> int:
    """Return the tables of four inputs of any function: those of its cofactors, and a multiplexer for each two."""
    return max((1 << max(inputs - BOUND + 1, 0)) - 1, 1)


@lru_cache(2**16)
def _tables(table: int, inputs: int) -> int:
    """Return the tables of four inputs that make a function.

    Some inputs of up to six are bound: the function depends on them by as many cases as its columns differ, and a
    table for each bit of the number of the case replaces them (Ashenhurst 1959, Roth and Karp 1962).

    Args:
        table: The value at address a in bit a.
        inputs: Inputs that it depends on.
    """
    if inputs <= BOUND:
        return 1
    half = 1 << inputs - 1
    if inputs > WORD_INPUTS:
        return 1 + sum(_tables(table >> half * part & (1 << half) - 1, inputs - 1) for part in (0, 1))
    values = np.array([table >> a & 1 for a in range(2 * half)], np.uint8).reshape((2,) * inputs)
    found = _most(inputs)
    for bound in combinations(range(inputs), BOUND):
        free = [axis for axis in range(inputs) if axis not in bound]
        columns = np.packbits(values.transpose(*bound, *free).reshape(2**BOUND, -1), axis=1)
        bits = max((len(set(columns[:, 0].tolist())) - 1).bit_length(), 1)
        if bits + len(free) <= BOUND:
            found = min(found, bits + 1)
    return found


def functions(codes: Array, bits: int, wires: Array, width: int) -> tuple[Function, ...]:
    """Return the functions of all bits of some tables.

    Args:
        codes: Wire codes of shape (outputs, 2^(most · width)).
        bits: Bits of a code.
        wires: Inputs of each output, of shape (outputs, most); -1 for none.
        width: Bits of an input.

    Returns:
        bits · outputs functions, the bits of the first output first.
    """
    lanes = (wires[:, :, None] * width + np.arange(width)).reshape(len(wires), -1)
    lanes = np.where(np.repeat(wires < 0, width, axis=1), -1, lanes)
    made = []
    for row, places in zip(codes, lanes.tolist(), strict=True):
        made += [_function((row >> bit & 1).astype(bool), places) for bit in range(bits)]
    return tuple(made)


def _function(values: Array, lanes: list[int]) -> Function:
    """Return a function of the values at all addresses, without the inputs that it ignores."""
    kept: list[int] = []
    for lane in lanes:  # the address bit of each lane is the lowest one that is left
        pairs = values.reshape(-1, 2, 2 ** len(kept))
        if lane < 0 or np.array_equal(pairs[:, 0], pairs[:, 1]):
            values = pairs[:, 0].reshape(-1)
        else:
            kept.append(lane)
    return Function(tuple(kept), sum(1 << a for a in np.flatnonzero(values).tolist()))
