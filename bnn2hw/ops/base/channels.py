"""What ops share that treat each channel in its own way: how many channels, and what their integers mean."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Ranges, Tensor

Meaning = float | tuple[float, ...]
"""A scale or an offset of a tensor: of all channels, or of each."""


def channels(x: Tensor, rows: int, axes: int) -> int:
    """How many channels the last `axes` axes hold: as many as there are rows, or any number that share one row.

    Raises:
        ValueError: another number than there are rows.
    """
    if rows != 1:
        x.outer(rows, axes)
    elif axes > len(x.shape):
        raise ValueError(f"shape {x.shape} has no {axes} axes")
    return math.prod(x.shape[-axes:])


def uniform(values: Array) -> Meaning:
    """A scale or an offset of each channel, shape (channels,) or (); one number where all are the same."""
    flat = np.asarray(values, np.float64).reshape(-1) + 0.0  # no negative zero
    return float(flat[0]) if np.all(flat == flat[0]) else tuple(flat.tolist())


def coded(x: Tensor, domain: Ints | None) -> tuple[Ints, Array, Array]:
    """What a unit sees that multiplies wire codes: their range, and the real meaning (scale, offset) of a code.

    With step 1 values are their own codes; with a larger step a code v stands for the value lo + step · v.

    Raises:
        ValueError: `domain` is not the input's type, or is missing where the step is larger than 1.
    """
    ints, scale, offset = x.ints, np.asarray(x.scale, np.float64), np.asarray(x.offset, np.float64)
    if (ints if domain is None and ints.step == 1 else domain) != ints:
        raise ValueError(f"is for {domain or 'integers in steps of 1'}, not for {ints}")
    if ints.step == 1:
        return ints, scale, offset
    return Ints(0, ints.count - 1), scale * ints.step, offset + scale * ints.lo


def any_weights(ints: Ints, *, loadable: bool) -> Ints:
    """The type of weights that may be replaced by others: the symmetric range of as many bits; ±1 stays ±1."""
    if not loadable or ints == BIPOLAR:
        return ints
    top = 2 ** (Ints(-max(-ints.lo, ints.hi), max(-ints.lo, ints.hi)).bits - 1) - 1
    return Ints(-top, top)


def any_sums(weights: Ints, x: Ints, terms: int) -> tuple[int, int]:
    """The range of sums of so many products, whatever the weights and the inputs."""
    reach = terms * max(-weights.lo, weights.hi) * max(abs(x.lo), abs(x.hi))
    return -reach, reach


def codes(values: Array, domain: Ints | None) -> Array:
    """Values as `coded` sees them, as int64."""
    wide = np.asarray(values, np.int64)
    return wide if domain is None else domain.encode(wide)


def code_ranges(given: Ranges, domain: Ints | None) -> Ranges:
    """Return the ranges of values as `coded` sees them.

    Args:
        given: Ranges of the values.
        domain: The input's integers where codes are multiplied; None where the values themselves are.
    """
    return given if domain is None else Ranges(*((given.ends - domain.lo) / domain.step))


def signed_parts(weights: Array) -> tuple[Array, Array]:
    """Return the positive and the negative weights, with 0 in place of the others; as float64."""
    wide = weights.astype(np.float64)
    return np.maximum(wide, 0), np.minimum(wide, 0)


def signed_bits(*values: int) -> int:
    """Width of two's complement integers, some of which are given: the extremes among them."""
    return Ints(min(-1, *values), max(0, *values)).bits
