"""Types of edges: integers, their wire codes, their real meaning, and their layout in beats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNED = tuple(np.iinfo(kind) for kind in (np.int8, np.int16, np.int32, np.int64))


def narrow(lo: float, hi: float) -> np.dtype[Any]:
    """Return the narrowest signed dtype of NumPy that holds all integers from lo to hi, at most int64.

    Args:
        lo: Smallest integer.
        hi: Largest integer.
    """
    holds = (kind.dtype for kind in SIGNED if kind.min <= lo and hi <= kind.max)
    return next(holds, np.dtype(np.int64))


@dataclass(frozen=True)
class Ints:
    """The integers lo, lo + step, …, hi, including both ends.

    The wire code of a value has `bits` bits. With step 1 it is the value itself, in two's
    complement if lo < 0, else unsigned. With a larger step it is the index (v - lo) / step. So ±1
    takes one bit, and the code of a dot product of n signs is the number of products that are +1.

    Attributes:
        lo: Smallest integer.
        hi: Largest integer.
        step: Distance between neighbors; at least 1.

    Raises:
        ValueError: The range is empty, or `step` does not divide hi - lo.
    """

    lo: int
    hi: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.step < 1 or self.hi < self.lo or (self.hi - self.lo) % self.step:
            raise ValueError(
                f"there are no integers from {self.lo} to {self.hi} in steps of {self.step}; "
                "step must divide the distance"
            )

    def __str__(self) -> str:
        if self == BIPOLAR:
            return "±1"
        stride = f" by {self.step}" if self.step > 1 else ""
        return f"{self.lo}…{self.hi}{stride}"

    @property
    def count(self) -> int:
        """Number of values."""
        return (self.hi - self.lo) // self.step + 1

    @property
    def signed(self) -> bool:
        """True if the wire code is two's complement."""
        return self.step == 1 and self.lo < 0

    @property
    def bits(self) -> int:
        """Bits of the wire code, at least 1."""
        if self.signed:
            return max((-self.lo - 1).bit_length(), max(self.hi, 0).bit_length()) + 1
        top = self.hi if self.step == 1 else self.count - 1
        return max(top.bit_length(), 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Narrowest signed dtype of NumPy that holds all values."""
        return narrow(self.lo, self.hi)

    @property
    def first_code(self) -> int:
        """Wire code of `lo`. The codes of all values are the consecutive integers from here."""
        return self.lo if self.step == 1 else 0

    def values(self) -> NDArray[np.int64]:
        """Return all values, ascending, of shape (count,)."""
        return np.arange(self.lo, self.hi + 1, self.step, dtype=np.int64)

    def contains(self, values: NDArray[Any]) -> bool:
        """Return True if all given integers are values of this type.

        Args:
            values: Integers of any shape.
        """
        if values.size == 0:
            return True
        inside = values.min() >= self.lo and values.max() <= self.hi
        return bool(inside and (self.step == 1 or not np.any((values - self.lo) % self.step)))

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Convert values to wire codes.

        Args:
            values: Values of this type, of any shape.

        Returns:
            Codes of the same shape, int64. Signed codes stay negative; packing cuts them to `bits`.
        """
        wide = np.asarray(values, dtype=np.int64)
        if self.step == 1:
            return wide
        return (wide - self.lo) >> 1 if self.step == 2 else (wide - self.lo) // self.step  # shifts are quick

    def decode(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Convert wire codes to values.

        Args:
            codes: Codes of `bits` bits, not negative, of any shape.

        Returns:
            Values of the same shape, int64.
        """
        wide = np.asarray(codes, dtype=np.int64)
        if self.step > 1:
            return wide * self.step + self.lo
        return np.where(wide >> (self.bits - 1), wide - (1 << self.bits), wide) if self.signed else wide


BIPOLAR = Ints(-1, 1, step=2)


class Beats(NamedTuple):
    """Layout of the values of a stream in its beats, in row-major order.

    If `vector` is set, beats are ragged: each vector starts a new beat, and the lanes of its last
    beat that are left over are padding.

    Attributes:
        lanes: Values per beat.
        vector: Values of a vector, which `lanes` does not divide; 0 if no beat has padding.
        zeros: True if padding carries code 0; otherwise its code is arbitrary.
    """

    lanes: int
    vector: int = 0
    zeros: bool = False

    @classmethod
    def of(cls, lanes: int, vector: int, *, zeros: bool = False) -> Beats:
        """Return the beats of vectors; ragged only if `lanes` does not divide `vector`.

        Args:
            lanes: Values per beat.
            vector: Values of a vector.
            zeros: True if padding carries code 0.
        """
        return cls(lanes, vector, zeros) if vector % lanes else cls(lanes)

    @property
    def whole(self) -> Beats:
        """Beats without padding that are at least as wide: these, or one vector per beat."""
        return Beats(self.vector) if self.vector else self

    def count(self, size: int) -> int:
        """Return the number of beats.

        Args:
            size: Number of values.
        """
        return size // self.vector * -(-self.vector // self.lanes) if self.vector else size // self.lanes

    def holding(self, value: int) -> int:
        """Return the number of the beat that holds a value.

        Args:
            value: Place of the value in its frame.
        """
        if not self.vector:
            return value // self.lanes
        return value // self.vector * self.count(self.vector) + value % self.vector // self.lanes

    def first(self, index: int) -> int:
        """Return the place of the first value of a beat in its frame.

        Args:
            index: Number of the beat.
        """
        vector, beat = divmod(index, self.count(self.vector)) if self.vector else (0, index)
        return vector * self.vector + beat * self.lanes

    def serves(self, wanted: Beats) -> bool:
        """Return True if a reader can take these beats.

        Args:
            wanted: Beats that the reader needs.
        """
        return self[:2] == wanted[:2] and self.zeros >= wanted.zeros


@dataclass(frozen=True)
class Tensor:
    """Type of an edge: the shape of a sample, its integers, and their real meaning.

    Integer v in channel c, which is the index along the last axis, has the real value
    v · scale[c] + offset[c].

    Attributes:
        shape: Shape of a sample.
        type: Integers of the edge; None if it carries real numbers.
        scale: Real value of a step of 1: one number for all channels, or one for each.
        offset: Real value of 0: one number for all channels, or one for each.
    """

    shape: tuple[int, ...]
    type: Ints | None = None
    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    @property
    def size(self) -> int:
        """Number of values of a sample."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def ints(self) -> Ints:
        """Integers of an edge that must carry integers.

        Raises:
            TypeError: The edge carries real numbers.
        """
        if self.type is None:
            raise TypeError(f"an edge of shape {self.shape} carries real numbers where integers are needed")
        return self.type

    @property
    def words(self) -> str:
        """The shape and the integers of a sample, in words: "28×28×1 values 0…255"."""
        values = "value" if self.size == 1 else "values"
        return f"{'×'.join(map(str, self.shape))} {values} {self.ints}"

    def outer(self, size: int, axes: int) -> tuple[int, ...]:
        """Return the shape without its last axes.

        Args:
            size: Number of values that these axes must hold.
            axes: Number of axes.

        Raises:
            ValueError: The axes hold another number of values.
        """
        if axes > len(self.shape) or math.prod(self.shape[-axes:]) != size:
            raise ValueError(f"the last {axes} axes of shape {self.shape} do not hold {size} values")
        return self.shape[:-axes]

    def real(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the real values of integers.

        Args:
            values: Integers of shape (…, channels).

        Returns:
            Real numbers of the same shape, float64.
        """
        scaled: NDArray[np.float64] = np.asarray(values, np.float64) * np.asarray(self.scale)
        return scaled + np.asarray(self.offset, np.float64)

    def as_shape(self, *shape: int) -> Tensor:
        """Return the type of the same values in another shape.

        Args:
            shape: Sizes of the axes.
        """
        return replace(self, shape=shape)
