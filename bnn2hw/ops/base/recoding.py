"""The bits of a code that become other bits where an op converts the codes of its input."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bnn2hw.ir import Ints

MOST_CODES = 2**12
"""Codes that are tried one by one. Of types with more codes, all bits of the result count as different."""


@lru_cache(2**12)
def columns(ints: Ints, factor: int, offset: int, bits: int) -> tuple[int, int]:
    """Count the bits of factor · code + offset that need a flip-flop each, and those that need logic.

    A bit that is constant, or that equals another one, needs no flip-flop. A bit that equals a bit
    of the code needs no logic.

    Args:
        ints: Integers of the input.
        factor: Factor of a code.
        offset: Number that is added.
        bits: Bits of the result.
    """
    if ints.count > MOST_CODES:
        varies = min(bits, ints.bits) if (factor, offset) == (1, 0) else bits
        return varies, 0 if (factor, offset) == (1, 0) else bits
    codes = ints.values() if ints.step == 1 else np.arange(ints.count)
    given = {_column(codes, bit) for bit in range(ints.bits)}
    made = {_column(codes * factor + offset, bit) for bit in range(bits)}
    constant = {bytes(ints.count), bytes([1]) * ints.count}
    return len(made - constant), len(made - constant - given)


def _column(codes: np.ndarray, bit: int) -> bytes:
    return (codes >> bit & 1).astype(np.uint8).tobytes()
