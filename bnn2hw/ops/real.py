"""What importers write: ops over real numbers, evaluated by the layers that they were read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bnn2hw.ir import Array, Op, Tensor

Sides = tuple[int, int]
"""Rows, columns or planes that are added before and after."""


@dataclass(frozen=True, eq=False)
class RealOp(Op):
    """An op that knows how its layer evaluates it.

    Attributes:
        apply: the layer itself, from float32 batches to a float32 batch.
        shape: of one output sample.
    """

    apply: Callable[..., Array]
    shape: tuple[int, ...]

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
    """Valid convolution over two or three axes, with a kernel (*sizes, in, out), as its quantizer gives it."""

    kernel: Array
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class DepthwiseConvolution(RealOp):
    """Valid 2-D convolution of each channel with a kernel of its own, of shape (height, width, channels)."""

    kernel: Array
    stride: tuple[int, int]
    dilation: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Pointwise(RealOp):
    """A function of each value and its channel.

    `uniform` says that it is the same for all channels; then it may change places with a reshape. It may be evaluated
    on any shape that keeps the channels.
    """

    uniform: bool


@dataclass(frozen=True, eq=False)
class Pool(RealOp):
    """What is taken over windows of `size`, `stride` apart; `rows` and `columns` around the image count for nothing."""

    size: tuple[int, int]
    stride: tuple[int, int]
    rows: Sides = (0, 0)
    columns: Sides = (0, 0)


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """Maximum over windows."""


@dataclass(frozen=True, eq=False)
class AveragePool(Pool):
    """Mean over windows, all of which lie in the image."""


@dataclass(frozen=True, eq=False)
class Border(RealOp):
    """One value around the pixels of an image, and between them where they come to lie further apart.

    Attributes:
        sides: by axis of the image, what is added before and after.
        value: what is added.
        gaps: by axis, the distance from one pixel to the next.
    """

    sides: tuple[Sides, ...]
    value: float
    gaps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reshape(RealOp):
    """The same values in the same order under another shape."""


@dataclass(frozen=True, eq=False)
class Flatten(Reshape):
    """All values of a sample along one axis, which mixes positions into channels."""


@dataclass(frozen=True, eq=False)
class Refold(RealOp):
    """The same values in the same order under a shape whose last axis is neither the old one nor all there is."""


@dataclass(frozen=True, eq=False)
class Softmax(RealOp):
    """Softmax along the last axis."""


@dataclass(frozen=True, eq=False)
class Sum(RealOp):
    """Sum of two inputs; the channels of the second are added from the first's channel `first` on."""

    first: int = 0


@dataclass(frozen=True, eq=False)
class Product(RealOp):
    """Product of two inputs of one shape, or with one factor per channel of the first."""


@dataclass(frozen=True, eq=False)
class Concatenation(RealOp):
    """Two inputs side by side along the last axis."""
