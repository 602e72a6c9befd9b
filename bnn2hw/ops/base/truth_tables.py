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

    def luts(self, inputs: int) -> float:
        """Return the LUTs of the function, if it is any of its width.

        Wider functions than a LUT of six inputs are joined by multiplexers that cost none. Those of four
        inputs are joined by LUTs.

        Args:
            inputs: Inputs of a LUT.
        """
        if len(self.lanes) <= 1:
            return int(self.inverts)
        parts = 1 << max(len(self.lanes) - inputs, 0)
        if inputs >= 6 or parts == 1:
            return parts
        return FOUR if parts == 2 else JOINED * parts


FOUR, JOINED = 4.0, 2.43
"""LUTs of four inputs of any function of five inputs; and by sixteenth of a table of any wider one."""


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
