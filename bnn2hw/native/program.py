"""A network as a sequence of kernel calls over buffers, with its weights as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bnn2hw.ir import Array, Ints

ALIGNMENT = 64
"""Bytes to which buffers and weights are aligned: the widest vector."""

TYPES: dict[str, type[np.integer]] = {
    "u8": np.uint8,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
}

SIZES = {"u8": 1, "i8": 1, "i16": 2, "pairs": 4, "i32": 4, "i64": 8, "f32": 4, "f64": 8}
"""Bytes of an element, by element type; `pairs` are int16 that stand twice, as vectors are filled with them."""

ARRAYS: dict[str, type[np.number]] = {**TYPES, "u32": np.uint32, "f32": np.float32, "f64": np.float64}
"""NumPy types of constants, by element type."""

CPP_TYPES = {
    "u8": "std::uint8_t",
    "i8": "std::int8_t",
    "i16": "std::int16_t",
    "i32": "std::int32_t",
    "i64": "std::int64_t",
    "u32": "std::uint32_t",
    "f32": "float",
    "f64": "double",
}


def element(ints: Ints) -> str:
    """The smallest element type that holds all integers of a range."""
    return next(
        name
        for name, kind in TYPES.items()
        if np.iinfo(kind).min <= ints.lo and ints.hi <= np.iinfo(kind).max
    )


def dtype(ints: Ints) -> type[np.integer]:
    """The NumPy type of `element`."""
    return TYPES[element(ints)]


@dataclass(frozen=True)
class Buffer:
    """A piece of working memory.

    Attributes:
        number: Its place in the program's list.
        size: Bytes for one image.
    """

    number: int
    size: int


@dataclass(frozen=True)
class Port:
    """An array that enters or leaves: frames of `size` elements of type `element`."""

    name: str
    element: str
    size: int


@dataclass(frozen=True)
class Step:
    """A call of a kernel.

    Attributes:
        kernel: Name of the kernel in sim/native/kernels.hpp.
        arguments: C++ expressions. `at(3)` is the address of buffer 3, `in[0]` of an input, `out[0]` of an output.
        uses: Numbers of the buffers that the call reads or writes.
    """

    kernel: str
    arguments: tuple[str, ...]
    uses: frozenset[int]


@dataclass(frozen=True)
class Program:
    """A network as calls of kernels.

    Attributes:
        inputs: Arrays that enter.
        outputs: Arrays that leave.
        steps: Calls in their order.
        offsets: By buffer, its first byte in the working memory of one image.
        arena: Bytes of working memory of one image.
        constants: Weights, thresholds and tables, as `Steps` refer to them by offset.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    steps: tuple[Step, ...]
    offsets: tuple[int, ...]
    arena: int
    constants: bytes


@dataclass
class Constants:
    """Collects arrays in one block of bytes; equal ones are kept once."""

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    _known: dict[bytes, int] = field(default_factory=dict, repr=False)

    def add(self, values: Array, kind: str) -> str:
        """Append an array; return the C++ expression of its address."""
        data = np.ascontiguousarray(values, ARRAYS[kind]).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
        offset = self._known.setdefault(data, self.size)
        if offset == self.size:
            self.size += len(data)
            self.chunks.append(data)
        return f"data<{CPP_TYPES[kind]}>({offset})"


def layout(steps: list[Step], buffers: list[Buffer], keep: frozenset[int]) -> tuple[tuple[int, ...], int]:
    """Place buffers in memory so that those that are needed at the same time do not overlap.

    Args:
        steps: Calls in their order.
        buffers: All buffers.
        keep: Buffers that are needed to the end.

    Returns:
        The offset of each buffer, and the size of all.
    """
    lives: dict[int, tuple[int, int]] = {}
    for time, step in enumerate(steps):
        for number in step.uses:
            first, _ = lives.get(number, (time, time))
            lives[number] = first, len(steps) if number in keep else time
    offsets = [0] * len(buffers)
    placed: list[tuple[int, int, int, int]] = []  # first byte, last byte + 1, first step, last step
    top = 0
    for buffer in sorted(buffers, key=lambda b: -b.size):
        if buffer.number not in lives:
            continue
        first, last = lives[buffer.number]
        size = buffer.size + -buffer.size % ALIGNMENT
        at = _gap(sorted(p[:2] for p in placed if p[2] <= last and first <= p[3]), size)
        offsets[buffer.number] = at
        placed.append((at, at + size, first, last))
        top = max(top, at + size)
    return tuple(offsets), top


def _gap(taken: list[tuple[int, int]], size: int) -> int:
    """The first place of a size between intervals, which are sorted by their beginnings."""
    at = 0
    for begin, end in taken:
        if begin - at >= size:
            return at
        at = max(at, end)
    return at


Values = Mapping[str, Array]
