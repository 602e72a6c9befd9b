"""The inputs of each output as one integer, while a model is lowered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array, Ints, Op, Ranges, Tensor
from bnn2hw.ops.lut import addresses


@dataclass(frozen=True, eq=False)
class Gather(Op):
    """Join the wire codes of the inputs of each output to one integer, that of the first input lowest.

    What follows is then a function of single integers. It and this op become one `Lut` (see
    `bnn2hw.lower.truth_tables`), so no hardware graph holds this op.

    Attributes:
        wires: Inputs of each output on the last axis, of shape (outputs, most); -1 for none.
        domain: Integers of the input.
    """

    wires: Array
    domain: Ints

    @property
    def bits(self) -> int:
        """Bits of the joined integers."""
        return int(self.wires.shape[1]) * self.domain.bits

    def infer(self, *x: Tensor) -> Tensor:
        return Tensor((*x[0].shape[:-1], len(self.wires)), Ints(0, 2**self.bits - 1))

    def golden(self, *x: Array) -> Array:
        flat = addresses(x[0].reshape(-1, x[0].shape[-1]), self.wires, self.domain)
        return flat.reshape(*x[0].shape[:-1], len(self.wires))

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return Ranges.spanning(np.repeat(np.array([[0], [2**self.bits - 1]]), y.channels, axis=1))
