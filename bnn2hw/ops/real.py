"""Ops over real numbers. Importers create them, and each is evaluated by its layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bnn2hw.ir import Array, Op, Tensor
from bnn2hw.ops.base.channels import Meaning

Sides = tuple[int, int]
"""Rows, columns or planes that are added before and after an image."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A kernel as integers, which its quantizer states.

    Attributes:
        integers: Integers of the kernel's shape.
        scale: Real value of their step, for all outputs or for each.
    """

    integers: Array
    scale: Meaning


@dataclass(frozen=True, eq=False)
class RealOp(Op):
    """An op that is evaluated by its layer.

    Attributes:
        apply: The layer: a function from float32 batches to a float32 batch.
        shape: Shape of an output sample.
    """

    apply: Callable[..., Array]
    shape: tuple[int, ...]

    def infer(self, *x: Tensor) -> Tensor:
        return Tensor(self.shape)

    def golden(self, *x: Array) -> Array:
        return self.apply(*x)


@dataclass(frozen=True, eq=False)
class Dense(RealOp):
    """Matrix product x · kernel.

    Attributes:
        kernel: Quantized kernel of shape (in, out).
        levels: The kernel as integers, if the model states them; they are found out otherwise.
        rounds_input: Largest integer to which the layer first rounds its input, in steps that depend
            on the largest value of each vector; 0 if it does not. Only inputs of one magnitude pass
            unchanged.
    """

    kernel: Array
    levels: Levels | None = None
    rounds_input: int = 0


@dataclass(frozen=True, eq=False)
class Convolution(RealOp):
    """Convolution over two or three axes, without padding.

    Attributes:
        kernel: Quantized kernel of shape (*sizes, in, out).
        stride: Distance between windows along each axis.
        dilation: Distance between taps along each axis.
        levels: The kernel as integers, if the model states them; they are found out otherwise.
    """

    kernel: Array
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    levels: Levels | None = None


@dataclass(frozen=True, eq=False)
class FewInputs(RealOp):
    """A function of the last axis of which each output depends on few values.

    Attributes:
        wires: Input of each output, of shape (outputs, most); -1 where an output has fewer.
        function: The layer as a function of these inputs, 0 for absent ones: from float32 of shape
            (samples, outputs, most) to (samples, outputs).
        noise: Bound of the float32 rounding of a result, for inputs of at most 1.
    """

    wires: Array
    function: Callable[[Array], Array]
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class DepthwiseConvolution(RealOp):
    """Convolution of each channel with its own kernel over two axes, without padding.

    Attributes:
        kernel: Quantized kernel of shape (height, width, channels).
        stride: Rows and columns between windows.
        dilation: Rows and columns between taps.
        levels: The kernel as integers, if the model states them; they are found out otherwise.
    """

    kernel: Array
    stride: tuple[int, int]
    dilation: tuple[int, int]
    levels: Levels | None = None


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Numbers in binary fixed point, as a quantizer states them; its arrays have a row per channel, or one row.

    Attributes:
        signs: 1 for numbers with a sign, else 0.
        integers: Bits in front of the point.
        fractions: Bits behind the point; numbers without any bits are 0.
        rounding: Of a value between two numbers: "down", "up" for the nearer or upper, "even" for the
            nearer or even one.
        wraps: True if the higher bits of larger values are dropped, false if they are clamped.
        symmetric: True if the smallest number is the negative of the largest.
    """

    signs: Array
    integers: Array
    fractions: Array
    rounding: str
    wraps: bool
    symmetric: bool = False

    @property
    def used(self) -> Array:
        """The channels that have bits."""
        found: Array = self.signs + self.integers + self.fractions > 0
        return found

    @property
    def point(self) -> int:
        """Bits behind the point that hold the numbers of all channels."""
        return int(self.fractions[self.used].max())

    @property
    def bits(self) -> int:
        """Bits of an integer that holds the numbers of all channels, in steps of the finest."""
        return int((self.signs + self.integers)[self.used].max()) + self.point


@dataclass(frozen=True, eq=False)
class Pointwise(RealOp):
    """A function of each value and its channel, which accepts any shape with the same channels.

    Attributes:
        uniform: True if the function is the same for all channels. It then commutes with a reshape.
        step: All values are whole multiples of this number, as those of a quantizer; None if the
            model does not state one.
        fixed: The numbers of a quantizer to binary fixed point; None for any other function.
    """

    uniform: bool
    step: float | None = None
    fixed: FixedPoint | None = None


@dataclass(frozen=True, eq=False)
class Pool(RealOp):
    """Reduction over windows.

    Attributes:
        size: Rows and columns of a window.
        stride: Rows and columns between windows.
        rows: Rows around the image that the reduction ignores.
        columns: Columns around the image that the reduction ignores.
        dilation: Rows and columns between the pixels of a window.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    rows: Sides = (0, 0)
    columns: Sides = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """Maximum over windows."""


@dataclass(frozen=True, eq=False)
class AveragePool(Pool):
    """Mean over windows. All windows are inside of the image."""


@dataclass(frozen=True, eq=False)
class Border(RealOp):
    """Insertion of a constant around an image and between its pixels.

    Attributes:
        sides: For each axis of the image, the rows, columns or planes that are added before and
            after.
        value: Value that is inserted.
        gaps: For each axis, the distance from one pixel to the next.
    """

    sides: tuple[Sides, ...]
    value: float
    gaps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reshape(RealOp):
    """The same values in the same order, in another shape."""


@dataclass(frozen=True, eq=False)
class Flatten(Reshape):
    """All values of a sample along one axis. Positions become channels."""


@dataclass(frozen=True, eq=False)
class Refold(RealOp):
    """A reshape that splits or joins channels, but does not join all values."""


@dataclass(frozen=True, eq=False)
class Softmax(RealOp):
    """Softmax along the last axis."""


@dataclass(frozen=True, eq=False)
class Sum(RealOp):
    """Sum of two inputs.

    Attributes:
        first: Channel of the first input to which channel 0 of the second is added.
    """

    first: int = 0


@dataclass(frozen=True, eq=False)
class Product(RealOp):
    """Product of two inputs of one shape, or of an input and a factor for each channel."""


@dataclass(frozen=True, eq=False)
class Concatenation(RealOp):
    """Two inputs, concatenated along an axis.

    Attributes:
        axis: Axis of a sample; None for the last one.
    """

    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Extreme(RealOp):
    """The larger or smaller of two inputs of one shape, value by value.

    Attributes:
        least: True for the smaller one.
    """

    least: bool


def reshaping(before: tuple[int, ...], shape: tuple[int, ...]) -> RealOp:
    """Return the op that gives values another shape, in the same order.

    Args:
        before: Shape of a sample.
        shape: The other shape, of as many values.
    """

    def apply(x: Array) -> Array:
        return x.reshape(len(x), *shape)

    kind: type[RealOp] = Refold
    if shape[-1] == before[-1]:
        kind = Reshape
    elif len(shape) == 1:
        kind = Flatten
    return kind(apply, shape)
