"""QuantizeLinear and DequantizeLinear: their integers, axes and blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from bnn2hw.ir import Array

NARROW = {"int2": (-2, 1), "uint2": (0, 3), "int4": (-8, 7), "uint4": (0, 15)}
"""Smallest and largest integer of types that NumPy itself lacks, by name."""

WIDEST = 2
"""Bytes of an integer that a stream carries."""


def is_narrow(dtype: Any) -> bool:
    """True if a type is one of integers of less than a byte."""
    return str(dtype) in NARROW


def limits(dtype: Any) -> tuple[int, int] | None:
    """Return the smallest and the largest integer of a type; None for types that are not integers of a stream."""
    if is_narrow(dtype):
        return NARROW[str(dtype)]
    if not np.issubdtype(dtype, np.integer) or np.dtype(dtype).itemsize > WIDEST:
        return None
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def type_of(zero: Array | None, attributes: Mapping[str, Any]) -> Any:
    """Return the type of the integers of a QuantizeLinear node: its zero point's, a stated one, or bytes."""
    if zero is not None:
        return zero.dtype
    stated = attributes.get("output_dtype", 0)
    return onnx.helper.tensor_dtype_to_np_dtype(stated) if stated else np.dtype(np.uint8)


def along(values: Array, shape: tuple[int, ...], attributes: Mapping[str, Any]) -> Array:
    """Return scales or zero points in a shape that fits the values that they belong to.

    Args:
        values: One for all, one for each index of the axis, or one for each block of this axis.
        shape: Shape of the values that they belong to.
        attributes: Attributes of the node.
    """
    rank, block = len(shape), attributes.get("block_size", 0)
    if not rank or not values.ndim or (not block and (values.ndim != 1 or rank < 2 or values.size == 1)):
        return values
    axis = attributes.get("axis", 1) % rank
    if block:
        found: Array = np.repeat(values, block, axis).take(range(shape[axis]), axis)
        return found
    wide = [1] * rank
    wide[axis] = values.size
    return values.reshape(wide)


def dequantized(attributes: Mapping[str, Any], x: Array, scale: Array, zero: Array | None = None) -> Array:
    """Return the real values of constant integers of any type."""
    origin = 0 if zero is None else along(zero, x.shape, attributes).astype(np.float32)
    real: Array = (x.astype(np.float32) - origin) * along(scale, x.shape, attributes).astype(np.float32)
    return real


def quantized(attributes: Mapping[str, Any], x: Array, scale: Array, zero: Array | None = None) -> Array:
    """Return the integers of constant real values."""
    dtype = type_of(zero, attributes)
    low, high = NARROW[str(dtype)]
    origin = 0 if zero is None else along(zero, x.shape, attributes).astype(np.float32)
    codes: Array = np.clip(np.round(x / along(scale, x.shape, attributes)) + origin, low, high).astype(dtype)
    return codes


CONSTANTS: dict[str, Callable[..., Array]] = {"DequantizeLinear": dequantized, "QuantizeLinear": quantized}
"""The nodes as functions of constants."""
