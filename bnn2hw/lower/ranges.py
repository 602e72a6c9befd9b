"""By channel, the integers that can occur on an edge: narrower than its type, which holds for all channels alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.ir import Array, Op, Tensor, View
from bnn2hw.ops.add import Add
from bnn2hw.ops.affine import Affine
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.concat import Concat
from bnn2hw.ops.depthwise import Depthwise
from bnn2hw.ops.multiply import Multiply
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.sliding_window import SlidingWindow
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold

Bounds = tuple[Array, Array]
"""Smallest and largest integer of each channel, as float64, which holds all of them."""


def whole(tensor: Tensor) -> Bounds:
    """Those of the type."""
    ones = np.ones(tensor.channels)
    return ones * tensor.ints.lo, ones * tensor.ints.hi


def after(op: Op, inputs: Sequence[tuple[Tensor, Bounds]], out: Tensor) -> Bounds:
    """The bounds of an op's output from those of its inputs."""
    match op:
        case MatVec():
            return _sums(op, *inputs[0])
        case Depthwise():
            return _by_channel(op, *inputs[0])
        case Affine():
            return _pieces(op, *inputs[0], out)
        case Table():
            return _entries(op, *inputs[0], out)
        case Threshold():
            return _ends(op, *inputs[0], out)
        case Add():
            (low, high), (other_low, other_high) = inputs[0][1], inputs[1][1]
            low, high = low.copy(), high.copy()
            low[op.first :] += other_low
            high[op.first :] += other_high
            return low, high
        case Concat():
            return np.concatenate([b[0] for _, b in inputs]), np.concatenate([b[1] for _, b in inputs])
        case Multiply():
            ends = np.stack([a * b for a in inputs[0][1] for b in inputs[1][1]])
            return ends.min(0), ends.max(0)
        case Pad():
            low, high = inputs[0][1]
            return np.minimum(low, np.asarray(op.value)), np.maximum(high, np.asarray(op.value))
    # These ops move values and make no new ones, channel by channel.
    same = len(inputs) == 1 and inputs[0][0].ints == out.ints and isinstance(op, View | SlidingWindow | Pool)
    return fitted(inputs[0][1], out.channels) if same else whole(out)


def fitted(bounds: Bounds, channels: int) -> Bounds:
    """The bounds for another number of channels, which hold the old ones again and again, or all of a longer round."""
    low, high = bounds
    if channels % low.size == 0:
        return np.tile(low, channels // low.size), np.tile(high, channels // high.size)
    if low.size % channels == 0:
        return low.reshape(-1, channels).min(0), high.reshape(-1, channels).max(0)
    return np.full(channels, low.min()), np.full(channels, high.max())


def _coded(op: MatVec | Depthwise, x: Tensor, bounds: Bounds) -> Bounds:
    """What is multiplied: codes where the step is larger than 1 and the op is told so."""
    domain = getattr(op, "domain", None)
    if domain is None:
        return bounds
    return (bounds[0] - domain.lo) / domain.step, (bounds[1] - domain.lo) / domain.step


def _sums(op: MatVec, x: Tensor, bounds: Bounds) -> Bounds:
    low, high = fitted(_coded(op, x, bounds), op.mw)
    weights = op.weights.astype(np.float64)
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    return low @ positive + high @ negative, high @ positive + low @ negative


def _by_channel(op: Depthwise, x: Tensor, bounds: Bounds) -> Bounds:
    low, high = fitted(_coded(op, x, bounds), op.channels)
    weights = op.weights.astype(np.float64)
    positive, negative = np.maximum(weights, 0).sum(0), np.minimum(weights, 0).sum(0)
    return low * positive + high * negative, high * positive + low * negative


def _pieces(op: Affine, x: Tensor, bounds: Bounds, out: Tensor) -> Bounds:
    """The ends of the range and of the pieces, where a function of straight pieces has its extremes."""
    low, high = fitted(bounds, out.channels)
    cuts = np.broadcast_to(op.cuts.T, (op.cuts.shape[1], out.channels))
    at = np.clip(np.concatenate([[low, high], cuts, cuts - x.ints.step]), low, high)
    rounded = np.asarray(at, np.int64)
    values = op.golden(rounded.reshape(len(at), *(1,) * (len(out.shape) - 1), out.channels)).reshape(
        len(at), -1
    )
    return values.min(0).astype(np.float64), values.max(0).astype(np.float64)


def _entries(op: Table, x: Tensor, bounds: Bounds, out: Tensor) -> Bounds:
    """The extremes of the entries that a channel can reach."""
    low, high = fitted(bounds, out.channels)
    first, last = (((v - op.domain.lo) // op.domain.step).astype(np.int64) for v in (low, high))
    rows = [op.table[c % len(op.table), a : b + 1] for c, (a, b) in enumerate(zip(first, last, strict=True))]
    return np.array([r.min() for r in rows], float), np.array([r.max() for r in rows], float)


def _ends(op: Threshold, x: Tensor, bounds: Bounds, out: Tensor) -> Bounds:
    """What a function that only rises or only falls gives at the ends of its range."""
    shape = (1,) * (len(out.shape) - 1)
    ends = np.stack(fitted(bounds, out.channels)).astype(np.int64).reshape(2, *shape, out.channels)
    values = op.golden(ends).reshape(2, -1).astype(np.float64)
    return values.min(0), values.max(0)
