"""Layers and operations that join several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bnn2hw.importers.keras.calls import Call, joins
from bnn2hw.ir import Array
from bnn2hw.ops import real


def _plus(a: Array, b: Array) -> Array:
    total: Array = a + b
    return total


def _times(a: Array, b: Array) -> Array:
    """A product with an array of the same shape, or with one factor for each channel."""
    factors = b if b.shape == a.shape else b.reshape(len(b), *(1,) * (a.ndim - 2), a.shape[-1])
    product: Array = a * factors
    return product


@joins("Add")
def add(call: Call) -> str:
    """Read a sum."""
    return _in_pairs(call, real.Sum, _plus, call.edges)


@joins("Subtract")
def subtract(call: Call) -> str:
    """Read a difference as a sum with the negative of the second input."""
    negative = call.pointwise(f"{call.name}.negative", np.negative, call.edges[1], uniform=True)
    return _in_pairs(call, real.Sum, _plus, (call.edges[0], negative))


@joins("Average")
def average(call: Call) -> str:
    """Read a mean as a sum with a smaller scale."""
    count = np.float32(len(call.edges))
    edge = _in_pairs(call, real.Sum, _plus, call.edges)
    return call.pointwise(f"{call.name}.mean", lambda x: x / count, edge, uniform=True)


@joins("Multiply")
def multiply(call: Call) -> str:
    """Read a product of inputs of one shape, or with factors that have one value per channel."""
    shapes = [call.shape_of(e) for e in call.edges]
    largest = max(shapes, key=math.prod)
    if any(s != largest and (s[-1] != largest[-1] or math.prod(s) != largest[-1]) for s in shapes):
        call.problem(
            f"a product of {shapes}",
            "factors of one shape, or with one value per channel",
            "reshape the factors",
        )
        return call.edge
    edges = sorted(call.edges, key=lambda e: -math.prod(call.shape_of(e)))
    return _in_pairs(call, real.Product, _times, tuple(edges))


@joins("Concatenate")
def concatenate(call: Call) -> str:
    """Read a concatenation along the channels."""
    axis = getattr(call.layer, "axis", -1)
    if axis not in (-1, len(call.shape)):
        call.problem(f"axis={axis}", "the last axis", "use axis=-1")
        return call.edge
    return _in_pairs(call, real.Concatenation, lambda a, b: np.concatenate([a, b], -1), call.edges)


def _in_pairs(
    call: Call, kind: type[real.RealOp], fn: Callable[[Array, Array], Array], edges: tuple[str, ...]
) -> str:
    """Join inputs two at a time, and return the output edge.

    Args:
        call: The call of the layer.
        kind: Op that joins two inputs.
        fn: Function that the op evaluates.
        edges: Edges that are joined, in order.
    """
    edge = edges[0]
    for i, other in enumerate(edges[1:]):
        a, b = call.shape_of(edge), call.shape_of(other)
        shape = (*a[:-1], a[-1] + b[-1]) if kind is real.Concatenation else a
        if kind is real.Sum and a != b:
            call.problem(f"a sum of {a} and {b}", "inputs of one shape", "reshape the inputs")
            return edge
        last = i == len(edges) - 2
        edge = call.add(call.name if last else f"{call.name}.{i}", kind(fn, shape), edge, other)
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
