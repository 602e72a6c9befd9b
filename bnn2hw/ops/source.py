"""Where a graph begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import BIPOLAR, Array, Ints, Op, Tensor


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


@dataclass(frozen=True)
class Input:
    """What arrives on the wire, and which real number of the model it stands for: real = v · scale + offset.

    Attributes:
        dtype: "uint8", "int4", … for any number of bits up to 16, "bit" for {0, 1}, "bipolar" for {−1, +1}.
        scale: real value of one step.
        offset: real value of 0.

    Raises:
        InputError: an unknown dtype, or a scale that is not a positive number.
    """

    dtype: str = "uint8"
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < float("inf") or abs(self.offset) == float("inf"):
            raise InputError(
                f"the input's scale must be positive and its offset finite, not {self.scale}, {self.offset}"
            )
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
        steps = (x.astype(np.float64) - self.offset) / self.scale
        if not np.isfinite(steps).all() or np.abs(steps - np.rint(steps)).max(initial=0) > 1e-3:
            raise InputError(
                f"the input holds floats that stand for no {self.dtype}: "
                f"expected v · {self.scale:g} + {self.offset:g} for integers v"
            )
        return np.rint(steps).astype(np.int64)

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """The type of the stream that enters the design."""
        return Tensor(shape, self.ints, float(self.scale), float(self.offset))
