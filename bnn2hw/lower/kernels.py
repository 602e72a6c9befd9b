"""Kernels as integers, the units that multiply with them, and what Keras's own rounding of their sums may be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Tensor
from bnn2hw.lower.probe import LEVELS, uniform_levels
from bnn2hw.ops.base.channels import Meaning, uniform
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.xnor import Xnor

TERNARY = Ints(-1, 1)


def whole_kernel(flat: Array) -> tuple[Array, Meaning] | None:
    """A kernel as integers and their scale, one for all neurons or one each; None where it takes too many values."""
    grid = uniform_levels(flat)
    if grid is not None and not grid.offset:
        return grid.index(flat), grid.scale
    if grid is not None and abs(2 * grid.offset / grid.scale - round(2 * grid.offset / grid.scale)) < 1e-3:
        return np.rint(2 * flat / grid.scale).astype(
            np.int64
        ), grid.scale / 2  # odd numbers, such as DoReFa's
    scales = np.abs(flat).max(0).astype(np.float64)
    scales[scales == 0] = 1.0
    grid = uniform_levels(np.round(flat / scales, 6))
    if grid is None or grid.offset or grid.type.count > 2 * LEVELS:
        return None
    return grid.index(flat / scales), tuple((scales * grid.scale).tolist())


def rounded_columns(flat: Array, bits: int) -> tuple[Array, Meaning]:
    """A real kernel as integers of so many bits, with a scale for each neuron."""
    top = 2 ** (bits - 1) - 1
    scales = np.abs(flat).max(0).astype(np.float64) / top
    scales[scales == 0] = 1.0
    return np.rint(flat / scales).astype(np.int64), tuple(scales.tolist())


def rounded_kernel(flat: Array, x: Tensor, bits: int) -> tuple[Array, Meaning]:
    """A real kernel for an input whose channels have scales of their own, which go into the weights."""
    by_channel = np.broadcast_to(np.asarray(x.scale, np.float64), (x.channels,))
    return rounded_columns(flat * np.tile(by_channel, len(flat) // x.channels)[:, None], bits)


def in_scale(x: Tensor) -> Meaning:
    """The offset of an edge as it is once its scale has gone into the weights."""
    return uniform(np.broadcast_to(np.asarray(x.offset, np.float64), (x.channels,)) / np.asarray(x.scale))


def domain(x: Tensor) -> Ints | None:
    """What a unit must be told of integers in steps larger than 1."""
    return x.ints if x.ints.step > 1 else None


def unit(x: Tensor, integers: Array, scale: Meaning) -> MatVec:
    """XNOR where inputs are signs, or signs and the zeros of a border, and weights are signs; else multiply."""
    if x.ints in (BIPOLAR, TERNARY) and np.all(np.abs(integers) == 1):
        return Xnor(integers.astype(np.int8), scale)
    return Mac(integers.astype(np.int32), scale, domain=domain(x))


def rounding(op: MatVec, x: Tensor) -> float:
    """Bound of the float32 error of Keras's dot product, in any order of summation.

    0 where all partial sums are integers times one power of two, below 2^24. Otherwise
    γ(n)·Σ|w·x| with γ(n) = n·u / (1 − n·u), u = 2^−24 (Higham, Accuracy and Stability of Numerical Algorithms,
    2nd ed., section 3.1), n counting two roundings of the input beside the sum's own.
    """
    largest = max(abs(x.ints.lo), abs(x.ints.hi))
    sums = float(np.abs(op.weights.astype(np.int64)).sum(0).max()) * largest
    if _powers(op.scale, x) and sums < 2**24:
        return 0.0
    scales = np.atleast_1d(np.asarray(op.scale)).tolist()
    real = float(np.abs(np.asarray(x.real(np.array([[x.ints.lo], [x.ints.hi]])))).max())
    n = (op.mw + 4) * 2.0**-24
    return float(n / (1 - n) * real * max(scales)) * float(np.abs(op.weights.astype(np.int64)).sum(0).max())


def product_rounding(factors: Sequence[Tensor], errors: Sequence[float]) -> float:
    """Bound of Keras's rounding of a product: none where both factors are integers times a power of two.

    Args:
        factors: the two edges.
        errors: the bounds of their own errors.
    """
    reach = [float(np.max(np.abs(t.real(np.array([[t.ints.lo], [t.ints.hi]]))))) for t in factors]
    scales = [s for t in factors for s in np.atleast_1d(np.asarray(t.scale)).tolist()]
    largest = np.prod([float(max(-t.ints.lo, t.ints.hi)) for t in factors])
    whole = all(abs(math.frexp(s)[0]) == 0.5 for s in scales) and largest < 2**24
    own = 0.0 if whole else reach[0] * reach[1] * 2.0**-24
    return errors[0] * reach[1] + errors[1] * reach[0] + own


def _powers(scale: Meaning, x: Tensor) -> bool:
    """Whether products of integers in these scales are integers times one power of two each."""
    scales = [*np.atleast_1d(np.asarray(scale)).tolist(), *np.atleast_1d(np.asarray(x.scale)).tolist()]
    return all(abs(math.frexp(s)[0]) == 0.5 for s in scales) and not np.any(x.offset)
