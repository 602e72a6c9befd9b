"""The quantizer of QONNX to floating point, where its levels are evenly spaced.

The distance of two levels grows with the exponent. If the largest value is so small that only the
smallest distance occurs, the quantizer is one to integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.importers.onnx.quantizers import ROUNDINGS
from bnn2hw.ir import Array


def _largest(exponent_bits: Array, mantissa_bits: Array, bias: Array, stated: Array) -> float:
    """The largest value: that of the bits, or the stated one if it is smaller."""
    mantissa = 2 - 2.0 ** -float(mantissa_bits)
    return float(min(mantissa * 2.0 ** (2.0 ** float(exponent_bits) - 1 - float(bias)), float(stated)))


def _step(mantissa_bits: Array, bias: Array) -> float:
    """The smallest distance of two values."""
    return float(2.0 ** (1 - float(bias) - float(mantissa_bits)))


def even_step(exponent_bits: Array, mantissa_bits: Array, bias: Array, largest: Array) -> float | None:
    """Return the distance of all neighboring values for a scale of 1; None if distances differ.

    Args:
        exponent_bits: Bits of the exponent, a number.
        mantissa_bits: Bits of the mantissa, a number.
        bias: Bias of the exponent, a number.
        largest: Largest value that the node states, a number.
    """
    if any(np.size(a) != 1 for a in (exponent_bits, mantissa_bits, bias, largest)):
        return None
    numbers = [np.reshape(a, ()) for a in (exponent_bits, mantissa_bits, bias, largest)]
    step, top = _step(numbers[1], numbers[2]), _largest(*numbers)
    even = 0 < top <= step * 2 ** (float(numbers[1]) + 1) and top / step == round(top / step)
    return step if even else None


def quantized(x: Array, scale: Array, format_of: Sequence[Array], rounding: str) -> Array:
    """Return the real values of a FloatQuant node that saturates, float32.

    Args:
        x: Real values, float32.
        scale: Real value of 1.
        format_of: Bits of the exponent and of the mantissa, bias of the exponent, largest value.
        rounding: A key of `ROUNDINGS`.
    """
    _, mantissa_bits, bias, _ = numbers = [np.reshape(a, ()) for a in format_of]
    y = x / scale
    exponent = np.floor(np.log2(np.abs(y) + np.finfo(np.float32).tiny)) - mantissa_bits
    step = np.exp2(np.maximum(exponent, np.log2(_step(mantissa_bits, bias)))).astype(np.float32)
    top = np.float32(_largest(*numbers))
    made: Array = (np.clip(step * ROUNDINGS[rounding](y / step), -top, top) * scale).astype(np.float32)
    return made
