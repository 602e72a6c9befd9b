"""Helpers for ops with constants per channel: counting channels, wire codes, scales and offsets."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Ranges, Tensor

Meaning = float | tuple[float, ...]
"""A scale or an offset of a tensor: one number for all channels, or one for each channel."""


WORD = 62
"""Most bits of a sum or a product; golden and the test benches compute in 64."""


def channels(x: Tensor, rows: int, axes: int) -> int:
    """Return the number of channels, which is the size of the last `axes` axes.

    Args:
        x: Type of the input.
        rows: Rows of constants: one per channel, or a single row that all channels share.
        axes: Trailing axes that count channels.

    Raises:
        ValueError: There are several rows, and another number of channels.
    """
    if rows != 1:
        x.outer(rows, axes)
    elif axes > len(x.shape):
        raise ValueError(f"shape {x.shape} has no {axes} axes")
    return math.prod(x.shape[-axes:])


def uniform(values: Array) -> Meaning:
    """Return a scale or an offset as one number if all channels agree, else as a tuple.

    Args:
        values: Real numbers of shape (channels,) or ().
    """
    flat = np.asarray(values, np.float64).reshape(-1) + 0.0  # no negative zero
    return float(flat[0]) if np.all(flat == flat[0]) else tuple(flat.tolist())


def coded(x: Tensor, domain: Ints | None) -> tuple[Ints, Array, Array]:
    """Return the integers that a unit multiplies, and the scale and offset of one of them.

    With step 1 the unit multiplies the values themselves. With a larger step it multiplies the wire
    codes; code v has the value lo + step · v.

    Args:
        x: Type of the input.
        domain: Integers of the input; may be None if their step is 1.

    Returns:
        The integers, their scale and their offset, each of shape () or (channels,).

    Raises:
        ValueError: `domain` differs from the integers of the input, or is None although their step
            is larger than 1.
    """
    ints, scale, offset = x.ints, np.asarray(x.scale, np.float64), np.asarray(x.offset, np.float64)
    if (ints if domain is None and ints.step == 1 else domain) != ints:
        raise ValueError(f"takes {domain or 'integers in steps of 1'}, but the input has {ints}")
    if ints.step == 1:
        return ints, scale, offset
    return Ints(0, ints.count - 1), scale * ints.step, offset + scale * ints.lo


def any_weights(ints: Ints, *, loadable: bool) -> Ints:
    """Return the type of weights that can be replaced: the symmetric range of as many bits, or ±1.

    Args:
        ints: Integers of the present weights.
        loadable: True if other weights can be loaded; else the type is that of the present weights.
    """
    if not loadable or ints == BIPOLAR:
        return ints
    top = 2 ** (Ints(-max(-ints.lo, ints.hi), max(-ints.lo, ints.hi)).bits - 1) - 1
    return Ints(-top, top)


def any_sums(weights: Ints, x: Ints, terms: int) -> tuple[int, int]:
    """Return the smallest and the largest sum of products over all weights and inputs.

    Args:
        weights: Integers of the weights.
        x: Integers of the inputs.
        terms: Products of a sum.
    """
    largest = terms * max(-weights.lo, weights.hi) * max(abs(x.lo), abs(x.hi))
    return -largest, largest


def within_words(ints: Ints, what: str) -> Ints:
    """Return a type, which golden and the test benches can compute with in 64 bits.

    Args:
        ints: Integers of an output.
        what: Word for them in the message.

    Raises:
        ValueError: They take more than `WORD` bits.
    """
    if ints.bits > WORD:
        raise ValueError(f"has {what} of {ints.bits} bits, but {WORD} are possible")
    return ints


def codes(values: Array, domain: Ints | None) -> Array:
    """Return the integers that a unit multiplies (see `coded`), as int64.

    Args:
        values: Values of the input.
        domain: Integers of the input if the unit multiplies wire codes, else None.
    """
    wide = np.asarray(values, np.int64)
    return wide if domain is None else domain.encode(wide)


def code_ranges(given: Ranges, domain: Ints | None) -> Ranges:
    """Return the ranges of the integers that a unit multiplies (see `coded`).

    Args:
        given: Ranges of the values of the input.
        domain: Integers of the input if the unit multiplies wire codes, else None.
    """
    return given if domain is None else Ranges(*((given.ends - domain.lo) / domain.step))


def signed_parts(weights: Array) -> tuple[Array, Array]:
    """Return the positive and the negative weights, each with 0 in place of the others, as float64.

    Args:
        weights: Integers of any shape.
    """
    wide = weights.astype(np.float64)
    return np.maximum(wide, 0), np.minimum(wide, 0)


def signed_bits(*values: int) -> int:
    """Return the bits of a two's complement integer that holds all given values.

    Args:
        values: Integers; the extremes are enough.
    """
    return Ints(min(-1, *values), max(0, *values)).bits
