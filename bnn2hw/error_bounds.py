"""Bound the distance of values of a graph in real form from the same values computed in another way.

The bounds hold for given frames, by channel. Each op passes on the errors of its inputs, and adds the
rounding of float32 and what the hardware rounds there. A function of single values is evaluated at both
ends of what its input can be, so a decision that an error can tip shows as a large bound after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from bnn2hw.ir import Array, Graph, Op
from bnn2hw.lower.kernels import UNIT_ROUNDOFF, gamma
from bnn2hw.ops.real import (
    AveragePool,
    Border,
    Concatenation,
    Convolution,
    Dense,
    DepthwiseConvolution,
    Extreme,
    MaxPool,
    Pointwise,
    Product,
    Refold,
    Reshape,
    Softmax,
    Sum,
)
from bnn2hw.ops.source import Source

FEW_ROUNDINGS = 8 * UNIT_ROUNDOFF
"""Share of the largest value within a function by which float32 rounding may move its result."""


@dataclass(frozen=True)
class Rounding:
    """The rounding of the hardware, by node of the real form.

    Attributes:
        own: Bound of the error that is made at a node, in the model's unit: arrays of shape (), or of a
            multiple of its channels.
        held: Bound of the values of a node as long as no decision changes: arrays of shape (frames,
            channels).
    """

    own: Mapping[str, Array] = field(default_factory=dict)
    held: Mapping[str, Array] = field(default_factory=dict)


NONE = Rounding()
"""Nothing but float32 rounds."""


class Bound(NamedTuple):
    """Bounds of the error of an edge, of shape (frames, channels).

    Attributes:
        free: The bound if no decision in front of the edge changes.
        held: The bound if its own decisions do not change either.
    """

    free: Array
    held: Array


@dataclass(frozen=True)
class _Edge:
    """Values of an edge, and the bounds of their errors.

    Attributes:
        values: float64 of shape (frames, *shape).
        bound: float64 of shape (frames, channels).
    """

    values: Array
    bound: Array

    @property
    def largest(self) -> Array:
        """The largest absolute value by frame and channel."""
        return by_channel(np.abs(self.values))


def by_channel(values: Array) -> Array:
    """Return the largest value by frame and channel.

    Args:
        values: Numbers of shape (frames, …, channels).

    Returns:
        Numbers of shape (frames, channels).
    """
    found: Array = values.reshape(len(values), -1, values.shape[-1]).max(1)
    return found


def bounds(graph: Graph, values: Mapping[str, Array], rounding: Rounding = NONE) -> dict[str, Bound]:
    """Return bounds of the error of all values.

    Args:
        graph: A graph in real form.
        values: The values of all its edges, of shape (frames, *shape).
        rounding: What the hardware rounds.

    Returns:
        Bounds by node.
    """
    edges: dict[str, _Edge] = {}
    found: dict[str, Bound] = {}
    with np.errstate(all="ignore"):
        for node in graph:
            finite = np.nan_to_num(values[node.name].astype(np.float64))
            free = _bound(node.op, _Edge(finite, np.zeros(0)), [edges[i] for i in node.inputs])
            if node.name in rounding.own:
                free = free + _of_channels(rounding.own[node.name], free.shape[-1])
            held = np.minimum(free, rounding.held.get(node.name, np.inf))
            edges[node.name], found[node.name] = _Edge(finite, held), Bound(free, held)
    return found


def _of_channels(own: Array, channels: int) -> Array:
    """Errors by channel: the largest of all positions if they are known by position."""
    flat = np.asarray(own, np.float64).reshape(-1)
    if flat.size % channels == 0:
        found: Array = flat.reshape(-1, channels).max(0)
        return found
    return np.full(channels, flat.max())


def _bound(op: Op, y: _Edge, x: Sequence[_Edge]) -> Array:
    """The bound of an op's result that its inputs and float32 make."""
    rule = next((r for kind, r in RULES.items() if isinstance(op, kind)), None)
    if rule is None or any(not np.isfinite(edge.bound).all() for edge in x):
        return np.full((len(y.values), y.values.shape[-1]), np.inf)
    found: Array = np.nan_to_num(rule(op, y, x), nan=np.inf)
    return found


def _source(op: Source, y: _Edge, x: Sequence[_Edge]) -> Array:
    return UNIT_ROUNDOFF * y.largest


def _dense(op: Dense | Convolution, y: _Edge, x: Sequence[_Edge]) -> Array:
    weights = np.abs(op.kernel.astype(np.float64)).reshape(-1, *op.kernel.shape[-2:])
    edge = x[0]
    if isinstance(op, Dense) and op.rounds_input:  # a step more or less, where rounding tips
        step = edge.largest.max(1, keepdims=True) / op.rounds_input
        edge = _Edge(edge.values, edge.bound + step)
    return _product(weights.sum(0), len(weights) * weights.shape[1], edge)


def _product(weights: Array, terms: int, x: _Edge) -> Array:
    found: Array = (x.bound + gamma(terms) * x.largest) @ weights
    return found


def _depthwise(op: DepthwiseConvolution, y: _Edge, x: Sequence[_Edge]) -> Array:
    weights = np.abs(op.kernel.astype(np.float64)).reshape(-1, op.kernel.shape[-1])
    found: Array = (x[0].bound + gamma(len(weights)) * x[0].largest) * weights.sum(0)
    return found


def _average(op: AveragePool, y: _Edge, x: Sequence[_Edge]) -> Array:
    return x[0].bound + gamma(math.prod(op.size)) * x[0].largest


def _same(op: MaxPool | Border, y: _Edge, x: Sequence[_Edge]) -> Array:
    return x[0].bound


def _function(op: Pointwise, y: _Edge, x: Sequence[_Edge]) -> Array:
    """The change of a function over what its input can be, and float32 within it."""
    middle = x[0].values
    shift = _spread(x[0].bound, middle) + FEW_ROUNDINGS * np.abs(middle)
    found = FEW_ROUNDINGS * y.largest
    for end in (middle - shift, middle + shift):
        moved = op.apply(end.astype(np.float32)).astype(np.float64)
        found = np.maximum(found, by_channel(np.abs(moved.reshape(y.values.shape) - y.values)))
    return found + FEW_ROUNDINGS * y.largest


def _spread(bound: Array, values: Array) -> Array:
    """Bounds by channel for all positions, in the shape of the values."""
    return np.broadcast_to(
        bound.reshape(len(bound), *(1,) * (values.ndim - 2), bound.shape[-1]), values.shape
    )


def _reshaped(op: Reshape | Refold, y: _Edge, x: Sequence[_Edge]) -> Array:
    return by_channel(_spread(x[0].bound, x[0].values).reshape(y.values.shape))


def _softmax(op: Softmax, y: _Edge, x: Sequence[_Edge]) -> Array:
    worst = 2 * (x[0].bound.max(-1, keepdims=True) + FEW_ROUNDINGS * x[0].largest.max(-1, keepdims=True))
    found: Array = y.largest * np.expm1(worst) + FEW_ROUNDINGS
    return found


def _sum(op: Sum, y: _Edge, x: Sequence[_Edge]) -> Array:
    found = x[0].bound + UNIT_ROUNDOFF * y.largest
    found[:, op.first :] += x[1].bound
    return found


def _factors(op: Product, y: _Edge, x: Sequence[_Edge]) -> Array:
    a, b = x
    found: Array = a.bound * b.largest + b.bound * a.largest + a.bound * b.bound + UNIT_ROUNDOFF * y.largest
    return found


def _joined(op: Concatenation, y: _Edge, x: Sequence[_Edge]) -> Array:
    if op.axis is None:
        return np.concatenate([edge.bound for edge in x], -1)
    return np.maximum(x[0].bound, x[1].bound)


def _extreme(op: Extreme, y: _Edge, x: Sequence[_Edge]) -> Array:
    return np.maximum(x[0].bound, x[1].bound)


Rule = Callable[[Any, _Edge, Sequence[_Edge]], Array]
"""Takes the op, its output (without a bound), and its inputs; returns the bound of the output."""

RULES: dict[type[Op], Rule] = {
    Source: _source,
    Dense: _dense,
    Convolution: _dense,
    DepthwiseConvolution: _depthwise,
    AveragePool: _average,
    MaxPool: _same,
    Border: _same,
    Pointwise: _function,
    Reshape: _reshaped,
    Refold: _reshaped,
    Softmax: _softmax,
    Sum: _sum,
    Product: _factors,
    Concatenation: _joined,
    Extreme: _extreme,
}
"""Rules by class of the op. Of an op without one, nothing is known."""
