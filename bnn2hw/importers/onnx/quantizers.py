"""The quantizers of QONNX in float32, as its own executor computes them.

The order of the steps is part of their meaning: values are divided, clipped, rounded and
multiplied in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn2hw.ir import Array


def _away_from_zero(x: Array) -> Array:
    return np.sign(x) * np.ceil(np.abs(x))


def _half_away_from_zero(x: Array) -> Array:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def _half_towards_zero(x: Array) -> Array:
    return np.sign(x) * np.ceil(np.abs(x) - 0.5)


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": _away_from_zero,
    "DOWN": np.fix,
    "HALF_UP": _half_away_from_zero,
    "HALF_DOWN": _half_towards_zero,
}
"""Rounding modes by name in capitals."""


def limits(bits: Array, *, signed: bool, narrow: bool) -> tuple[Array, Array]:
    """Return the smallest and the largest integer of a type, as floats of the type of `bits`.

    Args:
        bits: Bits of the type.
        signed: True if it has negative integers.
        narrow: True if the smallest signed, or the largest unsigned integer is left out.
    """
    if signed:
        top = 2 ** (bits - 1)
        return (-top + 1 if narrow else -top), top - 1
    return 0 * bits, 2**bits - (2 if narrow else 1)


def _clipped(x: Array, low: Array, high: Array) -> Array:
    return np.where(x < low, low.astype(x.dtype), np.where(x > high, high.astype(x.dtype), x))


def integers(
    x: Array, scale: Array, zero: Array, bits: Array, *, signed: bool, narrow: bool, rounding: str
) -> Array:
    """Return the integers of a Quant node, as floats.

    Args:
        x: Real values, float32.
        scale: Real value of a step.
        zero: Integer that means 0.
        bits: Bits of the integers.
        signed: True if there are negative integers. One signed bit means -1 and +1.
        narrow: True if the type leaves out one end.
        rounding: A key of `ROUNDINGS`.
    """
    y = x / scale + zero
    if signed and np.all(bits == 1):
        return np.where(y >= 0, np.ones_like(y), -np.ones_like(y))
    low, high = limits(bits, signed=signed, narrow=narrow)
    return ROUNDINGS[rounding](_clipped(y, low, high))


def truncated(
    x: Array,
    scale: Array,
    zero: Array,
    bits: Array,
    out_scale: Array,
    *,
    signed: bool,
    narrow: bool,
    rounding: str,
) -> Array:
    """Return the real values of a Trunc node of version 2.

    Args:
        x: Real values, float32.
        scale: Real value of a step of the integers that lose bits.
        zero: Integer that means 0.
        bits: Bits of the integers that are left.
        out_scale: Real value of a step of those.
        signed: True if there are negative integers.
        narrow: True if the type leaves out one end.
        rounding: A key of `ROUNDINGS`.
    """
    factor = 2 ** np.round(np.log2(out_scale / scale))
    y = np.round(x / scale + zero) / factor
    low, high = limits(bits, signed=signed, narrow=narrow)
    y = ROUNDINGS[rounding](_clipped(y, low, high))
    return (y - zero / factor) * out_scale


def truncated_v1(x: Array, scale: Array, zero: Array, dropped: Array, *, rounding: str) -> Array:
    """Return the real values of a Trunc node of version 1, which keeps the scale of its input.

    Args:
        x: Real values, float32.
        scale: Real value of a step.
        zero: Integer that means 0.
        dropped: Number of bits that are dropped.
        rounding: A key of `ROUNDINGS`.
    """
    y = np.round(x / scale + zero) / 2.0**dropped
    return (ROUNDINGS[rounding](y) - zero) * scale


def bipolar(x: Array, scale: Array) -> Array:
    """Return the real values of a BipolarQuant node: +scale from 0 on, -scale below.

    Args:
        x: Real values, float32.
        scale: The size of the values.
    """
    return np.where(x >= 0, np.ones_like(x), -np.ones_like(x)) * scale


def thresholded(x: Array, thresholds: Array, scale: float, bias: float) -> Array:
    """Return the real values of a MultiThreshold node.

    Args:
        x: Real values of shape (..., channels).
        thresholds: Thresholds of shape (levels, channels) or (levels, 1).
        scale: Real value of a level.
        bias: Real value below all thresholds.
    """
    count = np.zeros(x.shape, x.dtype)
    for row in thresholds:
        count += x >= row
    return scale * count + bias
