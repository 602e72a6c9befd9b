"""Functions of a few bits as truth tables over the bits that they depend on."""

from __future__ import annotations

from dataclasses import dataclass

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

    def luts(self, inputs: int) -> int:
        """Return the LUTs of the function; wider ones than a LUT are joined by multiplexers that cost none.

        Args:
            inputs: Inputs of a LUT.
        """
        if len(self.lanes) <= 1:
            return int(self.inverts)
        return max(1, 1 << (len(self.lanes) - inputs)) if len(self.lanes) > inputs else 1


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
