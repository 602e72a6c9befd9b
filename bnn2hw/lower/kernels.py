"""Represent kernels as integers, choose their units, and bound Keras's own rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Tensor
from bnn2hw.lower.levels import LEVELS, ROUNDING, UniformLevels, uniform_levels
from bnn2hw.ops.base.channels import Meaning, uniform
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.real import Levels
from bnn2hw.ops.xnor import Xnor

TERNARY = Ints(-1, 1)

EXACT = 2**24
"""Integers below this number are exact in float32, and so are their sums as long as these stay
below it."""

UNIT_ROUNDOFF = 2.0**-24
"""Largest relative rounding error of one float32 operation."""

DIGITS = 6
"""Decimal digits of a weight, relative to the largest of its neuron, in which levels are sought."""

SPARE_BITS = 4
"""Bits of a kernel that its own spread of weights may take."""

WORTH = 4
"""Factor by which an error must fall to be worth other steps of the input."""

INPUT_ROUNDINGS = 4
"""Roundings per product that are counted on top of those of the sum: of the input and of the
kernel."""


def stated(levels: Levels | None) -> tuple[Array, Meaning] | None:
    """Return the integers that a model states for a kernel, of shape (inputs, outputs), and their scale."""
    if levels is None:
        return None
    return levels.integers.reshape(-1, levels.integers.shape[-1]), levels.scale


def integer_kernel(flat: Array) -> tuple[Array, Meaning] | None:
    """Return a kernel as integers and their scale.

    Args:
        flat: Real kernel of shape (inputs, neurons).

    Returns:
        The integers, and the scale of all neurons or of each; None if the kernel takes too many
        values.
    """
    grid = uniform_levels(flat)
    if grid is not None and not grid.offset:
        return grid.index(flat), grid.scale
    if grid is not None:
        # Odd multiples of half a step, as DoReFa's.
        halves = np.rint(2 * flat.astype(np.float64) / grid.scale).astype(np.int64)
        if _stands_for(halves, grid.scale / 2, flat):
            return halves, grid.scale / 2
    scales = np.abs(flat).max(0).astype(np.float64)
    scales[scales == 0] = 1.0
    shares = np.round(flat / scales, DIGITS)
    grid = uniform_levels(shares, 10.0**-DIGITS)
    if grid is None or not grid.offset:
        return _by_neuron(flat, scales, grid)
    # Zero lies between the levels: a step of which it is a multiple too is smaller.
    whole = uniform_levels(np.append(flat, 0.0))
    found = [_by_neuron(flat, scales, uniform_levels(np.append(shares, 0.0), 10.0**-DIGITS))]
    if whole is not None and not whole.offset:
        found.insert(0, (whole.index(flat), whole.scale))
    made = [pair for pair in found if pair is not None]
    return min(made, key=lambda pair: int(np.abs(pair[0]).max())) if made else None


def _by_neuron(flat: Array, scales: Array, grid: UniformLevels | None) -> tuple[Array, Meaning] | None:
    """A kernel as integers with a scale for each neuron, by the levels of its weights' shares of the scales."""
    if grid is None or grid.offset or grid.type.count > 2 * LEVELS:
        return None
    integers, by_neuron = grid.index(flat / scales), scales * grid.scale
    return (integers, tuple(by_neuron.tolist())) if _stands_for(integers, by_neuron, flat) else None


def _stands_for(integers: Array, scale: Array | float, flat: Array) -> bool:
    """True if integers mean a kernel, but for the float32 rounding of its quantizer."""
    slack = ROUNDING * np.abs(flat).max(0)
    return bool(np.all(np.abs(integers * scale - flat) <= slack))


def rounded_columns(flat: Array, bits: int) -> tuple[Array, Meaning]:
    """Return a real kernel as integers of some bits, and a scale for each neuron.

    Args:
        flat: Real kernel of shape (inputs, neurons).
        bits: Bits of the integers.
    """
    top = 2 ** (bits - 1) - 1
    scales = np.abs(flat).max(0).astype(np.float64) / top
    scales[scales == 0] = 1.0
    return np.rint(flat / scales).astype(np.int64), tuple(scales.tolist())


def rounded_kernel(flat: Array, x: Tensor, bits: int) -> tuple[Array, Meaning]:
    """Return a real kernel as integers that include the scales of the input's channels.

    Args:
        flat: Real kernel of shape (inputs, neurons).
        x: Input of the unit.
        bits: Bits of the integers.
    """
    by_channel = np.broadcast_to(np.asarray(x.scale, np.float64), (x.channels,))
    return rounded_columns(flat * np.tile(by_channel, len(flat) // x.channels)[:, None], bits)


@dataclass(frozen=True)
class Rounding:
    """The error of a product with a rounded kernel, by neuron.

    Attributes:
        error: Bound of the error, in the model's unit, of shape (neurons,).
        reach: Largest absolute value of the product, of the same shape.
    """

    error: Array
    reach: Array

    @property
    def share(self) -> float:
        """The largest error as a share of what its neuron can reach."""
        return float((self.error / np.where(self.reach > 0, self.reach, np.inf)).max(initial=0.0))


def kernel_rounding(flat: Array, largest: Array, scale: Array, bits: int) -> Rounding:
    """Return the error that `rounded_kernel` makes.

    It is the largest sum of the weights' own errors, each times the largest value of its input.

    Args:
        flat: Real kernel of shape (inputs, neurons).
        largest: Largest absolute value of each channel of the input, of shape (channels,).
        scale: Real value of an input's step, of the same shape.
        bits: Bits of the integers.
    """
    taps = len(flat) // len(largest)
    by_input, reach = np.tile(scale, taps)[:, None], np.tile(largest, taps)[:, None]
    integers, units = rounded_columns(flat * by_input, bits)
    off = np.abs(integers * np.asarray(units) / by_input - flat)
    return Rounding((off * reach).sum(0), (np.abs(flat) * reach).sum(0))


def misfit(flat: Array, integers: Array, scale: Meaning, largest: Array) -> Array:
    """Return a bound of what integers that stand for a kernel move its results, by neuron.

    Args:
        flat: Real kernel of shape (inputs, neurons).
        integers: The integers, of the same shape.
        scale: Their scale, for all neurons or for each.
        largest: Largest absolute value of each channel of the input, of shape (channels,).
    """
    reach = np.tile(largest, len(flat) // len(largest))[:, None]
    found: Array = (np.abs(integers * np.asarray(scale) - flat) * reach).sum(0)
    return found


def balanced_scale(flat: Array, largest: Array, scale: Array, bits: tuple[int, int]) -> Array | None:
    """Return other scales for the channels of an input, if its rounded kernel needs them.

    Where the steps of channels are unequal, or weights grow as channels get smaller, the largest
    weight of a neuron leaves too few bits to the others. With steps that are inverse to the largest
    weight of each channel, all weights have as many bits as their share of the result needs.

    Args:
        flat: Real kernel of shape (inputs, neurons).
        largest: Largest absolute value of each channel of the input, of shape (channels,).
        scale: Real value of an input's step, of the same shape.
        bits: Bits of the kernel and of the input.

    Returns:
        Scales of shape (channels,); None if those of the input serve.
    """
    now = kernel_rounding(flat, largest, scale, bits[0])
    if now.share <= 2.0 ** (SPARE_BITS - bits[0]):
        return None
    weights = np.abs(flat.astype(np.float64)).reshape(-1, len(largest), flat.shape[-1])
    heaviest = weights.max((0, 2))
    heaviest[heaviest == 0] = heaviest.max()
    other = (largest * heaviest).max() / (2 ** (bits[1] - 1) - 1) / heaviest
    then = kernel_rounding(flat, largest, other, bits[0])
    steps = (weights * other[:, None]).sum((0, 1)) / 2  # the input is rounded too
    better = Rounding(then.error + steps, then.reach)
    return other if better.share < now.share / WORTH else None


def offset_in_steps(x: Tensor) -> Meaning:
    """Return the offset of an edge whose scale becomes a part of the weights."""
    return uniform(np.broadcast_to(np.asarray(x.offset, np.float64), (x.channels,)) / np.asarray(x.scale))


def domain(x: Tensor) -> Ints | None:
    """Return the integers that a unit must be told, which it is if their step is larger than 1."""
    return x.ints if x.ints.step > 1 else None


def unit(x: Tensor, integers: Array, scale: Meaning) -> MatVec:
    """Return a matrix-vector unit for weights.

    Signs, or signs and the zeros of a border, times signs need XNOR gates; other products need
    multiplications.

    Args:
        x: Input of the unit.
        integers: Weights of shape (inputs, neurons).
        scale: Scale of all neurons or of each.
    """
    if x.ints in (BIPOLAR, TERNARY) and np.all(np.abs(integers) == 1):
        return Xnor(integers.astype(np.int8), scale)
    return Mac(integers.astype(np.int32), scale, domain=domain(x))


def rounding(op: MatVec, x: Tensor) -> float:
    """Return a bound of the float32 error of Keras's dot product, for any order of summation.

    The bound is 0 if all partial sums are integers below 2^24 times one power of two. Otherwise it
    is gamma(n) * sum |w * x| with gamma(n) = n * u / (1 - n * u) and u = 2^-24, where n counts the
    roundings of a product and of the sum (Higham, Accuracy and Stability of Numerical Algorithms,
    2nd edition, section 3.1).

    Args:
        op: Unit that computes the dot product.
        x: Its input.
    """
    weights = float(np.abs(op.weights.astype(np.int64)).sum(0).max())
    if exact_in_float32(weights, op.scale, x):
        return 0.0
    scales = np.atleast_1d(np.asarray(op.scale)).tolist()
    return float(gamma(op.mw) * largest_value(x) * max(scales)) * weights


def gamma(terms: int) -> float:
    """Return the relative error bound of a float32 sum of products."""
    n = (terms + INPUT_ROUNDINGS) * UNIT_ROUNDOFF
    return n / (1 - n)


def exact_in_float32(weights: float, scale: Meaning, x: Tensor) -> bool:
    """True if float32 computes a weighted sum without rounding.

    Args:
        weights: Largest sum of a neuron's absolute weights.
        scale: Scale of the weights.
        x: The values that are summed.
    """
    largest = max(abs(x.ints.lo), abs(x.ints.hi))
    return (
        powers_of_two(scale) and powers_of_two(x.scale) and not np.any(x.offset) and weights * largest < EXACT
    )


def product_rounding(factors: Sequence[Tensor], errors: Sequence[float]) -> float:
    """Return a bound of the float32 error of a product of two edges.

    Args:
        factors: Types of both edges.
        errors: Bounds of the errors of both edges.
    """
    reach = [largest_value(t) for t in factors]
    largest = np.prod([float(max(-t.ints.lo, t.ints.hi)) for t in factors])
    whole = all(powers_of_two(t.scale) for t in factors) and largest < EXACT
    own = 0.0 if whole else reach[0] * reach[1] * UNIT_ROUNDOFF
    return errors[0] * reach[1] + errors[1] * reach[0] + own


def largest_value(x: Tensor) -> float:
    """Return the largest absolute real value of an edge."""
    return float(np.abs(np.asarray(x.real(np.array([[x.ints.lo], [x.ints.hi]])))).max())


def powers_of_two(scale: Meaning) -> bool:
    """True if all scales are powers of two, or their negatives."""
    return all(abs(math.frexp(s)[0]) == 0.5 for s in np.atleast_1d(np.asarray(scale)).tolist())
