"""What importers write: ops over real numbers, evaluated by the layers that they were read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bnn2hw.ir import Array, Op, Tensor


@dataclass(frozen=True, eq=False)
class RealOp(Op):
    """An op that knows how its layer evaluates it.

    Attributes:
        apply: the layer itself, from a float32 batch to a float32 batch.
        shape: of one output sample.
        layer: name of the layer that it was read from.
    """

    apply: Callable[[Array], Array]
    shape: tuple[int, ...]
    layer: str

    def infer(self, *x: Tensor) -> Tensor:
        return Tensor(self.shape)

    def golden(self, *x: Array) -> Array:
        return self.apply(*x)


@dataclass(frozen=True, eq=False)
class Dense(RealOp):
    """x · kernel, with the kernel as its quantizer gives it, shape (in, out)."""

    kernel: Array


@dataclass(frozen=True, eq=False)
class Convolution(RealOp):
    """Valid 2-D convolution with a kernel (height, width, in, out), as its quantizer gives it."""

    kernel: Array
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Pointwise(RealOp):
    """A function of each value and its channel.

    `uniform` says that it is the same for all channels; then it may change places with a reshape. It may be evaluated
    on any shape that keeps the channels.
    """

    uniform: bool


@dataclass(frozen=True, eq=False)
class MaxPool(RealOp):
    """Maximum over windows that do not overlap, of `size`."""

    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Border(RealOp):
    """An image with `rows` above and below and `columns` left and right of one value around it."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    value: float


@dataclass(frozen=True, eq=False)
class Flatten(RealOp):
    """All values of a sample along one axis."""


@dataclass(frozen=True, eq=False)
class Softmax(RealOp):
    """Softmax along the last axis."""
