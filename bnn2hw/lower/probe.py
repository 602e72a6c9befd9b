"""Ask the layers themselves what they make of each integer that an edge can carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Ints, Tensor
from bnn2hw.ops.real import Flatten, MaxPool, Pointwise, RealOp, Softmax

LEVELS = 256
"""Values that the output of a quantizer takes at most."""

CHUNK = 2**22
"""Numbers that are put through the layers at once."""


@dataclass(frozen=True)
class Probed:
    """What a chain of layers makes of each integer.

    Attributes:
        values: float32 results, shape (integers, channels).
        pools: for each pooling in the chain, by channel, the direction (+1 or −1) in which the layers before it
            run over the integers, or 0 where they run in neither.
    """

    values: Array
    pools: tuple[Array, ...]


def probe(chain: Sequence[RealOp], tensor: Tensor, sign: Array, shift: float = 0.0) -> Probed:
    """Evaluate a chain over all integers of an edge.

    Args:
        chain: functions of single values, poolings and Flattens.
        tensor: the edge that carries the integers.
        sign: by channel, ±1: what the edge's real meaning is multiplied with.
        shift: added to the real values, to see whether an error of that size would matter.

    Raises:
        FloatingPointError: a layer gives NaN.
    """
    flat = per_feature(chain)
    shape = tensor.shape if flat else (*(1,) * (len(tensor.shape) - 1), tensor.channels)
    integers = tensor.ints.values()
    step = max(1, CHUNK // math.prod(shape))
    parts = [
        _evaluate(chain, tensor, sign, shift, shape, integers[i : i + step])
        for i in range(0, integers.size, step)
    ]
    values = np.concatenate([p[0] for p in parts])
    if np.isnan(values).any():
        raise FloatingPointError("NaN")
    pools = tuple(direction(np.concatenate(p)) for p in zip(*(p[1] for p in parts), strict=True))
    return Probed(values, pools)


def per_feature(chain: Sequence[RealOp]) -> bool:
    """Whether a function behind a Flatten differs between features, so that channels are not enough."""
    flattened = False
    for op in chain:
        flattened |= isinstance(op, Flatten)
        if flattened and isinstance(op, Pointwise) and not op.uniform:
            return True
    return False


def _evaluate(
    chain: Sequence[RealOp],
    tensor: Tensor,
    sign: Array,
    shift: float,
    shape: tuple[int, ...],
    integers: Array,
) -> tuple[Array, list[Array]]:
    column = integers.reshape(-1, *(1,) * len(shape))
    x = np.broadcast_to((tensor.real(column) * sign + shift).astype(np.float32), (integers.size, *shape))
    pools = []
    for op in chain:
        if isinstance(op, MaxPool):
            pools.append(x.reshape(integers.size, -1))
        elif isinstance(op, Flatten):
            x = x.reshape(integers.size, -1)
        elif isinstance(op, Softmax):
            raise TypeError("softmax is no function of single values")
        else:
            x = op.apply(x)
    return x.reshape(integers.size, -1), pools


def direction(values: Array) -> Array:
    """By column: +1 where values never fall (constant ones too), −1 where they never rise, else 0."""
    steps = np.diff(values, axis=0)
    return np.where((steps >= 0).all(0), 1, np.where((steps <= 0).all(0), -1, 0))


@dataclass(frozen=True)
class Lattice:
    """Evenly spaced real numbers as integers: real = v · scale + offset."""

    type: Ints
    scale: float
    offset: float

    def index(self, values: Array) -> Array:
        """Real values to the integers that stand for them."""
        steps = np.rint((values.astype(np.float64) - self.offset) / self.scale)
        return steps.astype(np.int64)


def lattice(values: Array) -> Lattice | None:
    """The lattice on which values lie, or None where they are too many or not evenly spaced."""
    distinct = np.unique(values).astype(np.float64)
    if distinct.size > LEVELS or not np.isfinite(distinct).all():
        return None
    if distinct.size <= 2 and np.unique(np.abs(distinct)).size == 1 and distinct[0] != 0:
        return Lattice(BIPOLAR, float(abs(distinct[0])), 0.0)
    if distinct.size == 1:
        return Lattice(Ints(0, 1), 1.0, float(distinct[0]))
    scale = float(np.diff(distinct).min())
    steps = (distinct - distinct[0]) / scale
    if np.abs(steps - np.rint(steps)).max() > 1e-4 or steps[-1] > LEVELS:
        return None
    scale = float((distinct[-1] - distinct[0]) / np.rint(steps[-1]))
    first = distinct[0] / scale
    if abs(first - np.rint(first)) < 1e-4:
        lo = int(np.rint(first))
        return Lattice(Ints(lo, lo + int(np.rint(steps[-1]))), scale, 0.0)
    return Lattice(Ints(0, int(np.rint(steps[-1]))), scale, float(distinct[0]))


def cuts(levels: Array, domain: Ints, out: Ints) -> Array:
    """Thresholds of rising levels: for each step of `out` the first integer of `domain` that reaches it.

    Args:
        levels: integers of `out`, shape (domain.count, channels), never falling along the first axis.
        domain: the integers that are compared.
        out: the integers that come out.

    Returns:
        Shape (channels, out.count − 1); `domain.hi + domain.step` where a level is never reached.
    """
    steps = (levels - out.lo) // out.step
    firsts = np.stack([(steps < k).sum(0) for k in range(1, out.count)], axis=1)
    return domain.lo + domain.step * firsts


SCORE_BITS = (8, 40)
"""Bits that scores get at least, whatever their order needs, and at most."""


def scores(values: Array) -> tuple[Array, int, bool]:
    """Real scores as integers, with the fewest fraction bits that keep every order and every tie.

    Returns:
        round(values · 2^f), f, and whether all orders and ties are kept.
    """
    distinct = np.unique(values).astype(np.float64)
    top = max(float(np.abs(distinct).max()), 2.0**-100)
    first, last = (bits - 2 - math.floor(math.log2(top)) for bits in SCORE_BITS)
    for fraction in range(first, last + 1):
        kept = bool(np.all(np.diff(np.rint(distinct * 2.0**fraction)) > 0))
        if kept:
            break
    return np.rint(values.astype(np.float64) * 2.0**fraction).astype(np.int64), fraction, kept
