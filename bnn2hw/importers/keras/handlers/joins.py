"""Layers and operations that join several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bnn2hw.importers.keras.calls import Call, joins
from bnn2hw.importers.keras.handlers.broadcasting import broadcast
from bnn2hw.ir import Array
from bnn2hw.ops import real


def _plus(a: Array, b: Array) -> Array:
    total: Array = a + b
    return total


def times(a: Array, b: Array) -> Array:
    """A product with an array of the same shape, or with one factor for each channel."""
    factors = b if b.shape == a.shape else b.reshape(len(b), *(1,) * (a.ndim - 2), a.shape[-1])
    product: Array = a * factors
    return product


@joins("Add")
def add(call: Call) -> str:
    """Read a sum."""
    return _in_pairs(call, _sum, broadcast(call))


@joins("Subtract")
def subtract(call: Call) -> str:
    """Read a difference as a sum with the negative of the second input."""
    edges = broadcast(call)
    if len(edges) < 2:
        return call.edge
    step = next(
        (n.op.step for n in call.draft.nodes if n.name == edges[1] and isinstance(n.op, real.Pointwise)), None
    )
    negative = call.pointwise(f"{call.name}.negative", np.negative, edges[1], uniform=True, step=step)
    return _in_pairs(call, _sum, (edges[0], negative))


@joins("Average")
def average(call: Call) -> str:
    """Read a mean as a sum with a smaller scale."""
    count = np.float32(len(call.edges))
    edge = _in_pairs(call, _sum, broadcast(call))
    return call.pointwise(f"{call.name}.mean", lambda x: x / count, edge, uniform=True)


@joins("Multiply")
def multiply(call: Call) -> str:
    """Read a product of inputs of one shape, or with factors that have one value per channel."""
    factors = [e for e in call.edges if _is_vector(call, e) and call.shape_of(e) != call.shape]
    others = tuple(e for e in call.edges if e not in factors)
    whole = broadcast(call, others) if any(call.shape_of(e) == call.shape for e in others) else ()
    edges = (*whole, *factors) if whole else broadcast(call)
    return _in_pairs(call, lambda shape: real.Product(times, shape), edges)


@joins("Maximum")
def maximum(call: Call) -> str:
    """Read the larger of the inputs, value by value."""
    return _in_pairs(call, lambda shape: real.Extreme(np.maximum, shape, least=False), broadcast(call))


@joins("Minimum")
def minimum(call: Call) -> str:
    """Read the smaller of the inputs, value by value."""
    return _in_pairs(call, lambda shape: real.Extreme(np.minimum, shape, least=True), broadcast(call))


@joins("Concatenate")
def concatenate(call: Call) -> str:
    """Read a concatenation."""
    rank = len(call.shape)
    axis = getattr(call.layer, "axis", -1) % (rank + 1) - 1
    if axis < 0:
        call.problem("a concatenation of batches", "axes of a sample", "use another axis")
        return call.edge
    edge = call.edges[0]
    for i, other in enumerate(call.edges[1:]):
        shape = list(call.shape_of(edge))
        shape[axis] += call.shape_of(other)[axis]

        def apply(a: Array, b: Array) -> Array:
            return np.concatenate([a, b], axis + 1)

        op = real.Concatenation(apply, tuple(shape), None if axis == rank - 1 else axis)
        edge = call.add(_part(call, i), op, edge, other)
    return edge


def _sum(shape: tuple[int, ...]) -> real.RealOp:
    return real.Sum(_plus, shape)


def _is_vector(call: Call, edge: str) -> bool:
    """True if an input has one value for each channel of the output."""
    shape = call.shape_of(edge)
    return shape[-1] == call.shape[-1] == math.prod(shape)


def _part(call: Call, i: int) -> str:
    """The name of the i-th of several ops that join two inputs each."""
    return call.name if i == len(call.edges) - 2 else f"{call.name}.{i}"


def _in_pairs(call: Call, op: Callable[[tuple[int, ...]], real.RealOp], edges: tuple[str, ...]) -> str:
    """Join inputs of the output's shape two at a time, and return the output edge.

    Args:
        call: The call of the layer.
        op: Makes the op that joins two inputs, of the shape of its output.
        edges: Edges that are joined, in order; none if they cannot be.
    """
    if not edges:
        return call.edge
    edge = edges[0]
    for i, other in enumerate(edges[1:]):
        edge = call.add(_part(call, i), op(call.shape), edge, other)
    return edge


@joins("AddToLastChannels")
def add_to_last_channels(call: Call) -> str:
    """Read the improvement block of `bnn2hw.nn.zoo`.

    The second input is added to the last channels of the first.
    """
    a, b = (call.shape_of(e)[-1] for e in call.edges)

    def apply(x: Array, y: Array) -> Array:
        return np.concatenate([x[..., : a - b], x[..., a - b :] + y], -1)

    return call.add(call.name, real.Sum(apply, call.shape, first=a - b), *call.edges)
