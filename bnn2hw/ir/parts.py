"""Constants of a module, and the parts in which a module is printed whose words would be too wide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bnn2hw.ir.types import Tensor

Array = NDArray[Any]
Param = int | str | Array


@dataclass(frozen=True)
class Memory:
    """Contents of a ROM.

    Attributes:
        codes: Wire codes of shape (words, lanes). Lane 0 is in the least significant bits of a
            word.
        bits: Bits of a lane.
    """

    codes: Array
    bits: int


@dataclass(frozen=True)
class Part:
    """One of several modules that stand for one, get the same beats and move in lockstep.

    Attributes:
        writes: The first lane of the output that it computes, and the one behind the last. Results of
            parts with the same lanes are added.
        reads: Lanes of the input that it takes, of the same form; None for all.
        params: Parameters of the module, without those of memories.
        memories: Memories, by their parameter.
    """

    writes: tuple[int, int]
    reads: tuple[int, int] | None
    params: Mapping[str, Param]
    memories: Mapping[str, Memory]


class Printed:
    """Facts on the module of an op that concern tools with limits on the width of a signal."""

    def inner_bits(self, *x: Tensor) -> int:
        """Return a bound of the bits of a signal or a word inside of the module, or of each of its parts.

        Only what may be wider than the beats counts.

        Args:
            x: Types of the inputs.
        """
        return 0

    def printed_parts(self, *x: Tensor) -> tuple[Part, ...]:
        """Return the parts in which the module is printed; none if it is printed as a whole.

        Args:
            x: Types of the inputs.
        """
        return ()
