"""Where a graph begins."""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.ir import Array, Op, Tensor


@dataclass(frozen=True, eq=False)
class Source(Op):
    """The stream that enters the design: what arrives on the wire, and what it means to the model.

    Attributes:
        tensor: type of the stream; None as its type stands for real numbers, in the real form only.
        lanes: values per beat.
    """

    tensor: Tensor
    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if x or self.tensor.size % self.lanes:
            raise ValueError(f"{self.lanes} lanes must divide {self.tensor.size} values")
        return self.tensor

    def golden(self, *x: Array) -> Array:
        return x[0]
