"""Inputs of a graph, and how the values on the wire relate to the real numbers of the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import BIPOLAR, Array, Beats, Ints, StreamOp, Supply, Tensor
from bnn2hw.ops.base.channels import Meaning, uniform
from bnn2hw.ops.base.folds import divisors


@dataclass(frozen=True, eq=False)
class Source(StreamOp):
    """An input of the graph: the stream that enters the design at a port.

    Attributes:
        tensor: Type of the stream. In the real form, its `type` may be None: the edge carries real
            numbers.
        lanes: Values per beat; must divide the values of a frame.
    """

    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    tensor: Tensor
    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if x or self.tensor.size % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide the {self.tensor.size} values of a frame")
        return self.tensor

    def golden(self, *x: Array) -> Array:
        return x[0]

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        return Beats(self.lanes), Beats(self.lanes)

    def interval(self, *x: Tensor) -> int:
        return self.tensor.size // self.lanes

    def timing(self, *x: Tensor) -> Supply:
        return Supply(self.interval())

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(self.tensor.size):
            yield replace(self, lanes=lanes)

    def fuses(self, reader: StreamOp, *, same: bool) -> bool:
        return True  # the port itself is the input of the reader


@dataclass(frozen=True)
class Input:
    """The integers on the wire of an input, and the real numbers that they mean to the model.

    Integer v means the real number v · scale + offset.

    Attributes:
        dtype: "uint1" to "uint16", "int2" to "int16", "bit" for {0, 1}, or "bipolar" for {-1, +1}.
        scale: Real value of one step: one positive number, or a sequence with one for each channel.
        offset: Real value of 0: one number, or a sequence with one for each channel.

    Raises:
        InputError: The dtype is unknown, a scale is not positive, or two sequences differ in
            length.
    """

    dtype: str = "uint8"
    scale: Meaning = 1.0
    offset: Meaning = 0.0

    def __post_init__(self) -> None:
        try:
            scale, offset = (np.asarray(v, np.float64) for v in (self.scale, self.offset))
        except (TypeError, ValueError) as error:
            raise InputError(
                "the input's scale and offset must be a number or one number for each channel, "
                f"not scale={self.scale!r}, offset={self.offset!r}"
            ) from error
        if not (np.all(scale > 0) and np.isfinite(scale).all() and np.isfinite(offset).all()):
            raise InputError(
                "the input's scale must be positive and its offset finite, "
                f"not scale={self.scale}, offset={self.offset}"
            )
        sizes = {v.size for v in (scale, offset) if v.ndim}
        if max(scale.ndim, offset.ndim) > 1 or len(sizes) > 1 or 0 in sizes:
            raise InputError(
                "the input's scale and offset must be a number or one number for each channel, "
                f"not scale={self.scale}, offset={self.offset}"
            )
        object.__setattr__(self, "scale", uniform(scale))
        object.__setattr__(self, "offset", uniform(offset))
        _ = self.ints

    @property
    def ints(self) -> Ints:
        """The integers on the wire."""
        if self.dtype in ("bit", "bipolar"):
            return BIPOLAR if self.dtype == "bipolar" else Ints(0, 1)
        match = re.fullmatch(r"(u?)int([1-9]|1[0-6])", self.dtype) if isinstance(self.dtype, str) else None
        if not match or self.dtype == "int1":
            raise InputError(
                f"unknown input dtype {self.dtype!r}; use uint1 … uint16, int2 … int16, bit or bipolar"
            )
        bits = int(match[2])
        return Ints(0, 2**bits - 1) if match[1] else Ints(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def within(self, outer: Input) -> Input:
        """Combine the input at a wire with a rescaling in the model, which this object describes.

        Args:
            outer: Integers on the wire, and the numbers that enter the rescaling.
        """
        scale, offset, steps, base = (
            np.asarray(v) for v in (self.scale, self.offset, outer.scale, outer.offset)
        )
        return Input(outer.dtype, uniform(scale * steps), uniform(offset + scale * base))

    def integers(self, x: Array) -> Array:
        """Convert a batch to the integers on the wire.

        Args:
            x: Array of shape (batch, …): integers, which are returned as they are, or real numbers
                of the model.

        Returns:
            Integers of the same shape, int64.

        Raises:
            InputError: The dtype is not numeric, or a real number corresponds to no integer.
        """
        x = numbers(x, "the input")
        if x.dtype.kind != "f":
            return x.astype(np.int64)
        self._check(x.shape[1:])
        steps: Array = (x.astype(np.float64) - np.asarray(self.offset)) / np.asarray(self.scale)
        whole: Array = np.rint(steps)
        if steps.size and (whole.min() < self.ints.lo or whole.max() > self.ints.hi):
            raise InputError(
                f"the input holds floats from {x.min():g} to {x.max():g}, which are values of the model: "
                f"v · {_words(self.scale)} + {_words(self.offset)} for v in {self.ints}; give v itself as integers"
            )
        if not np.isfinite(steps).all() or np.abs(steps - whole).max(initial=0) > 1e-3:
            raise InputError(
                f"the input holds floats that are not {self.dtype} values: "
                f"expected v · {_words(self.scale)} + {_words(self.offset)} for integers v"
            )
        return whole.astype(np.int64)

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """Return the type of the stream that enters the design.

        Args:
            shape: Shape of a sample.

        Raises:
            InputError: The number of scales or offsets is not the number of channels.
        """
        self._check(shape)
        return Tensor(shape, self.ints, self.scale, self.offset)

    def _check(self, shape: tuple[int, ...]) -> None:
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(values, tuple) and shape[-1:] != (len(values),):
                raise InputError(
                    f"the input's {name} is given for {len(values)} channels, but a sample has shape {shape}"
                )


def numbers(x: Any, what: str) -> Array:
    """Return a batch as an array of numbers.

    Args:
        x: An array, or nested lists of numbers.
        what: The batch in words, for messages.

    Raises:
        InputError: x is no batch of numbers.
    """
    try:
        array = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} is not an array: {error}") from error
    if array.dtype.kind not in "iufb":
        raise InputError(f"{what} has dtype {array.dtype}, expected integers or floats")
    if not array.ndim:
        raise InputError(f"{what} is a single number, expected a batch")
    if array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
        raise InputError(f"{what} holds integers of more than 63 bits")
    return array


InputSpecs = Input | Mapping[str, Input]
"""One `Input` for all inputs of a model, or one for each by its name."""


def input_spec(specs: InputSpecs, name: str) -> Input:
    """Return the integers and their meaning at one input.

    Args:
        specs: One `Input` for all inputs, or one for each by its name.
        name: Name of the input.
    """
    return specs if isinstance(specs, Input) else specs.get(name, Input())


def facts(specs: InputSpecs) -> list[Any] | dict[str, Any]:
    """Convert to plain data for a manifest.

    Args:
        specs: One `Input`, or one for each input by its name.
    """
    if isinstance(specs, Input):
        return [specs.dtype, specs.scale, specs.offset]
    return {name: facts(each) for name, each in specs.items()}


def from_facts(plain: list[Any] | dict[str, Any]) -> InputSpecs:
    """Convert plain data back, as `facts` returned them.

    Args:
        plain: Plain data from a manifest.
    """
    return {n: Input(*f) for n, f in plain.items()} if isinstance(plain, dict) else Input(*plain)


def _words(values: Meaning) -> str:
    return f"{values:g}" if isinstance(values, float) else f"({', '.join(f'{v:g}' for v in values)})"
