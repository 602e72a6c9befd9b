"""Arrays as compiled code reads and writes them: their shapes, addresses and working memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.native.program import TYPES, Port


@dataclass(frozen=True)
class Memory:
    """Working memory of a network.

    Attributes:
        capacity: Images for which it suffices.
        values: The bytes.
        address: Where they begin.
    """

    capacity: int
    values: Array
    address: int

    @staticmethod
    def of(capacity: int, size: int) -> Memory:
        """Make so many bytes."""
        values = np.empty(size, np.uint8)
        return Memory(capacity, values, address(values))


@dataclass(frozen=True)
class Shaped:
    """An array of a network: its name, element type, shape of a frame, and bytes of a frame."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    size: int

    @staticmethod
    def of(port: Port, shape: tuple[int, ...] = ()) -> Shaped:
        """Describe a port."""
        dtype = np.dtype(TYPES[port.element])
        return Shaped(port.name, dtype, shape, port.size * dtype.itemsize)


def address(values: Array) -> int:
    """Return the address of an array; `values.ctypes` takes several times as long."""
    return int(values.__array_interface__["data"][0])


def pointers(begins: list[int], ports: list[Shaped], first: int) -> ctypes.Array[ctypes.c_void_p]:
    """Return pointers to a frame.

    Args:
        begins: Addresses of arrays.
        ports: What they hold.
        first: Number of the frame.
    """
    return (ctypes.c_void_p * len(ports))(*(a + first * p.size for a, p in zip(begins, ports, strict=True)))
