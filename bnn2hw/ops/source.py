"""Where a graph begins."""

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
    """The stream that enters the design: what arrives on the wire, and what it means to the model.

    Attributes:
        tensor: type of the stream; None as its type stands for real numbers, in the real form only.
        lanes: values per beat.
    """

    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    tensor: Tensor
    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if x or self.tensor.size % self.lanes:
            raise ValueError(f"{self.lanes} lanes must divide {self.tensor.size} values")
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
    """What arrives on the wire, and which real number of the model it stands for: real = v · scale + offset.

    Attributes:
        dtype: "uint8", "int4", … for any number of bits up to 16, "bit" for {0, 1}, "bipolar" for {−1, +1}.
        scale: real value of one step: of all channels, or a sequence of those of each.
        offset: real value of 0, likewise.

    Raises:
        InputError: an unknown dtype, a scale that is not a positive number, or two sequences of different lengths.
    """

    dtype: str = "uint8"
    scale: Meaning = 1.0
    offset: Meaning = 0.0

    def __post_init__(self) -> None:
        scale, offset = (np.asarray(v, np.float64) for v in (self.scale, self.offset))
        if not (np.all(scale > 0) and np.isfinite(scale).all() and np.isfinite(offset).all()):
            raise InputError(
                f"the input's scale must be positive and its offset finite, not {self.scale}, {self.offset}"
            )
        if max(scale.ndim, offset.ndim) > 1 or len({v.size for v in (scale, offset) if v.ndim}) > 1:
            raise InputError(
                "the input's scale and offset must be numbers, or one for each channel, "
                f"not {self.scale}, {self.offset}"
            )
        object.__setattr__(self, "scale", uniform(scale))
        object.__setattr__(self, "offset", uniform(offset))
        _ = self.ints

    @property
    def ints(self) -> Ints:
        """The integers on the wire."""
        if self.dtype in ("bit", "bipolar"):
            return BIPOLAR if self.dtype == "bipolar" else Ints(0, 1)
        match = re.fullmatch(r"(u?)int([1-9]|1[0-6])", self.dtype)
        if not match or self.dtype == "int1":
            raise InputError(
                f"unknown input dtype '{self.dtype}'; use uint1 … uint16, int2 … int16, bit or bipolar"
            )
        bits = int(match[2])
        return Ints(0, 2**bits - 1) if match[1] else Ints(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def within(self, outer: Input) -> Input:
        """What arrives where `outer` says what the wire carries, and this what the model makes of that."""
        scale, offset, steps, base = (
            np.asarray(v) for v in (self.scale, self.offset, outer.scale, outer.offset)
        )
        return Input(outer.dtype, uniform(scale * steps), uniform(offset + scale * base))

    def integers(self, x: Array) -> Array:
        """A batch as the integers on the wire: integers as they are, floats as those that stand for them.

        Raises:
            InputError: another dtype, or floats that stand for no integer.
        """
        x = np.asarray(x)
        if x.dtype.kind not in "iufb":
            raise InputError(f"the input has dtype {x.dtype}, expected integers or floats")
        if x.dtype.kind != "f":
            return x.astype(np.int64)
        self._check(x.shape[1:])
        steps: Array = (x.astype(np.float64) - np.asarray(self.offset)) / np.asarray(self.scale)
        if not np.isfinite(steps).all() or np.abs(steps - np.rint(steps)).max(initial=0) > 1e-3:
            raise InputError(
                f"the input holds floats that stand for no {self.dtype}: "
                f"expected v · {_words(self.scale)} + {_words(self.offset)} for integers v"
            )
        whole: Array = np.rint(steps).astype(np.int64)
        return whole

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """The type of the stream that enters the design.

        Raises:
            InputError: as many scales or offsets as there are no channels.
        """
        self._check(shape)
        return Tensor(shape, self.ints, self.scale, self.offset)

    def _check(self, shape: tuple[int, ...]) -> None:
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(values, tuple) and shape[-1:] != (len(values),):
                raise InputError(
                    f"the input's {name} is given for {len(values)} channels, but what comes in has shape {shape}"
                )


Units = Input | Mapping[str, Input]
"""What arrives on the wires: on all of them, or by the name of the model's input."""


def unit(units: Units, name: str) -> Input:
    """What arrives at one input."""
    return units if isinstance(units, Input) else units.get(name, Input())


def facts(units: Units) -> list[Any] | dict[str, Any]:
    """As plain data."""
    if isinstance(units, Input):
        return [units.dtype, units.scale, units.offset]
    return {name: facts(each) for name, each in units.items()}


def from_facts(plain: list[Any] | dict[str, Any]) -> Units:
    """The inverse of `facts`."""
    return {n: Input(*f) for n, f in plain.items()} if isinstance(plain, dict) else Input(*plain)


def _words(values: Meaning) -> str:
    return f"{values:g}" if isinstance(values, float) else f"({', '.join(f'{v:g}' for v in values)})"
