"""What an edge carries: a range of integers, how they are coded on wires, and what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ints:
    """The integers lo, lo + step, …, hi, both ends included.

    On a wire a value is coded in `bits` bits: with step 1 as itself (two's complement when lo < 0,
    unsigned otherwise), with a larger step as its index (v − lo) / step. So ±1 takes one bit, and
    the dot product of n signs is coded as the number of products that are +1.

    Raises:
        ValueError: an empty range, or a step that does not lead from lo to hi.
    """

    lo: int
    hi: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.step < 1 or self.hi < self.lo or (self.hi - self.lo) % self.step:
            raise ValueError(f"no integers from {self.lo} to {self.hi} in steps of {self.step}")

    def __str__(self) -> str:
        if self == BIPOLAR:
            return "±1"
        stride = f" by {self.step}" if self.step > 1 else ""
        return f"{self.lo}…{self.hi}{stride}"

    @property
    def count(self) -> int:
        """How many values there are."""
        return (self.hi - self.lo) // self.step + 1

    @property
    def signed(self) -> bool:
        """Whether the wire code is two's complement."""
        return self.step == 1 and self.lo < 0

    @property
    def bits(self) -> int:
        """Width of the wire code, at least 1."""
        if self.signed:
            return max((-self.lo - 1).bit_length(), max(self.hi, 0).bit_length()) + 1
        top = self.hi if self.step == 1 else self.count - 1
        return max(top.bit_length(), 1)

    @property
    def first_code(self) -> int:
        """The code of `lo`; the codes of all values are the consecutive integers from here."""
        return self.lo if self.step == 1 else 0

    def values(self) -> NDArray[np.int64]:
        """All values in rising order, shape (count,)."""
        return np.arange(self.lo, self.hi + 1, self.step, dtype=np.int64)

    def contains(self, values: NDArray[Any]) -> bool:
        """Whether every value lies in the range and on the step."""
        if values.size == 0:
            return True
        inside = values.min() >= self.lo and values.max() <= self.hi
        return bool(inside and (self.step == 1 or not np.any((values - self.lo) % self.step)))

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Values to wire codes (signed codes stay negative; cut them to `bits` when packing)."""
        wide = np.asarray(values, dtype=np.int64)
        return wide if self.step == 1 else (wide - self.lo) // self.step

    def decode(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Wire codes, cut to `bits` bits and non-negative, back to values."""
        wide = np.asarray(codes, dtype=np.int64)
        if self.step > 1:
            return wide * self.step + self.lo
        return np.where(wide >> (self.bits - 1), wide - (1 << self.bits), wide) if self.signed else wide


BIPOLAR = Ints(-1, 1, step=2)


class Beats(NamedTuple):
    """How the values of a stream lie in its beats: `lanes` in each, in row-major order.

    Where `vector` is set, beats are ragged: each vector of so many values begins with a beat of its own, and the lanes
    of its last beat that lie beyond it are padding.

    Attributes:
        lanes: values per beat.
        vector: values of a vector, which `lanes` do not divide; 0 where no beat has padding.
        zeros: whether padding carries code 0; elsewhere it carries anything.
    """

    lanes: int
    vector: int = 0
    zeros: bool = False

    @classmethod
    def of(cls, lanes: int, vector: int, *, zeros: bool = False) -> Beats:
        """Those of vectors of so many values, ragged only where lanes do not divide them."""
        return cls(lanes, vector, zeros) if vector % lanes else cls(lanes)

    @property
    def whole(self) -> Beats:
        """Beats without padding that hold at least as much: themselves, or a vector each."""
        return Beats(self.vector) if self.vector else self

    def count(self, size: int) -> int:
        """Beats of so many values."""
        return size // self.vector * -(-self.vector // self.lanes) if self.vector else size // self.lanes

    def serves(self, wanted: Beats) -> bool:
        """Whether who wants others can take these."""
        return self[:2] == wanted[:2] and self.zeros >= wanted.zeros


@dataclass(frozen=True)
class Tensor:
    """The type of an edge: the shape of one sample, its integers, and what they mean.

    `type` is None where the edge carries real numbers. Where it is set, the real value of the integer
    v in channel c (the last axis) is v · scale[c] + offset[c]; a single float stands for all channels.
    """

    shape: tuple[int, ...]
    type: Ints | None = None
    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    @property
    def size(self) -> int:
        """Values per sample."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def ints(self) -> Ints:
        """The type of an edge that must carry integers.

        Raises:
            TypeError: the edge carries real numbers.
        """
        if self.type is None:
            raise TypeError(f"an edge of shape {self.shape} carries real numbers where integers are needed")
        return self.type

    def outer(self, size: int, axes: int) -> tuple[int, ...]:
        """The shape without its last `axes` axes, which must hold `size` values together.

        Raises:
            ValueError: they hold another number.
        """
        if axes > len(self.shape) or math.prod(self.shape[-axes:]) != size:
            raise ValueError(f"the last {axes} axes of shape {self.shape} do not hold {size} values")
        return self.shape[:-axes]

    def real(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The real meaning of integers, in float64."""
        scaled: NDArray[np.float64] = np.asarray(values, np.float64) * np.asarray(self.scale)
        return scaled + np.asarray(self.offset, np.float64)

    def as_shape(self, *shape: int) -> Tensor:
        """The same values in another shape."""
        return replace(self, shape=shape)
