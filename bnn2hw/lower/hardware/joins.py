"""Lower ops that join two branches: sums, products, concatenations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Node
from bnn2hw.lower import kernels
from bnn2hw.lower.binary_point import step_of
from bnn2hw.lower.fixed_point import Requirement, fixed_step, repeated
from bnn2hw.lower.fixed_values import value_range
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.ops.add import Add
from bnn2hw.ops.base.channels import WORD, Meaning, uniform
from bnn2hw.ops.concat import Concat
from bnn2hw.ops.multiply import Multiply
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.real import Concatenation, Extreme, Product, Reshape, Sum

FINEST = 5
"""Bits by which a sum may be finer than its own range requires, to keep the scale of one of its
inputs."""

COARSEST = 4
"""Factor by which a sum may be coarser than its own range requires, to keep the scale of one of its
inputs."""


LARGEST_RATIO = 2.0**8
"""Largest ratio of two powers of two of which a sum takes the smaller one for its step."""

FACTOR_BITS = WORD // 2
"""Most bits of a factor of a product of two streams."""


@lowers(Sum)
def add(lowering: Lowering, node: Node, op: Sum, before: list[Pending]) -> Pending:
    """Lower a sum. Both inputs need the same scale in each channel."""
    b = lowering.b
    try:
        scale = _common_scale(lowering, node, op.first, before)
    except (FloatingPointError, NotPointwise):
        scale = 1.0
    second: Meaning = scale[op.first :] if isinstance(scale, tuple) else scale
    x = lowering.integers(node, before[0], Requirement(scale))
    y = lowering.integers(node, before[1], Requirement(second))
    made = b.add(node.name, Add(op.first), x, y)
    tensor = b.types[made]
    exact = kernels.powers_of_two(scale) and max(-tensor.ints.lo, tensor.ints.hi) < kernels.EXACT
    own = 0.0 if exact else kernels.largest_value(tensor) * kernels.UNIT_ROUNDOFF
    return lowering.finished(node, made, b.error(x) + b.error(y) + own)


def _common_scale(lowering: Lowering, node: Node, first: int, before: list[Pending]) -> Meaning:
    """The scale of both inputs, the second of which meets the first from channel `first` on.

    An input that is a stream already keeps its scale, if that is fine enough for the sum.

    Raises:
        FloatingPointError: A layer returns NaN.
        NotPointwise: A layer is not a function of single values.
    """
    b = lowering.b
    known = {p.step if p.chain else b.types[p.edge].scale for p in before}
    if len(known) == 1 and not first and None not in known:
        return known.pop() or 1.0
    steps = [step_of(b, p) for p in before]
    exact = [s for s in steps if s is not None and s > 0 and kernels.powers_of_two(s)]
    if len(exact) == len(before) and not first and max(exact) <= LARGEST_RATIO * min(exact):
        return min(exact)
    streams = [p for p in before if all(isinstance(op, Reshape) for op in p.ops)]
    tensors = [b.types[p.edge] for p in streams]
    if len(tensors) == 2 and not first and tensors[0].scale == tensors[1].scale:
        return tensors[0].scale
    (low, high), (other_low, other_high) = (_channel_range(lowering, p) for p in before)
    low[first:] = np.minimum(low[first:], other_low)
    high[first:] = np.maximum(high[first:], other_high)
    needed = fixed_step(low, high, b.precision.of_stream(node.layer))
    for pending, tensor in zip(streams, tensors, strict=True):
        if first and pending is not before[0]:
            continue
        scale = np.abs(repeated(tensor.scale, needed.size))
        if np.all(scale <= COARSEST * needed) and np.all(scale >= needed / 2**FINEST):
            return uniform(scale * np.sign(repeated(tensor.scale, needed.size)))
    return uniform(needed)


def _channel_range(lowering: Lowering, pending: Pending) -> tuple[Array, Array]:
    """The smallest and largest real value of each channel of an input: arrays that may be changed."""
    channels = lowering.real.types[pending.end].channels
    low, high = value_range(lowering.b, pending)
    return repeated(low, channels), repeated(high, channels)


@lowers(Product)
def multiply(lowering: Lowering, node: Node, op: Product, before: list[Pending]) -> Pending:
    """Lower a product. The integer 0 of both factors must mean 0."""
    b = lowering.b
    x, y = (_factor(lowering, node, p) for p in before)
    if b.types[x].shape != b.types[y].shape:
        y = b.view(y, b.types[x].shape[-1:])
    made = b.add(node.name, Multiply(), x, y)
    error = kernels.product_rounding([b.types[x], b.types[y]], [b.error(x), b.error(y)])
    return lowering.finished(node, made, error)


def _factor(lowering: Lowering, node: Node, pending: Pending) -> str:
    """The integers of a factor, narrow enough for a product of two."""
    requirement = lowering.bounded(node, zero=True)
    narrow = replace(requirement, bits=min(requirement.bits, FACTOR_BITS))
    return lowering.integers(node, pending, narrow, min(lowering.b.stream_bits(pending), FACTOR_BITS))


@lowers(Concatenation)
def concatenate(lowering: Lowering, node: Node, op: Concatenation, before: list[Pending]) -> Pending:
    """Lower a concatenation. Along the channels, the scales may differ."""
    if op.axis is not None:
        x, y = _alike(lowering, node, before)
        made = _concatenated(lowering, node, op.axis, (x, y))
        return lowering.finished(node, made, max(lowering.b.error(x), lowering.b.error(y)))
    x, y = (lowering.integers(node, p, lowering.bounded(node)) for p in before)
    made = lowering.b.add(node.name, Concat(), x, y)
    return lowering.finished(node, made, max(lowering.b.error(x), lowering.b.error(y)))


@lowers(Extreme)
def extreme(lowering: Lowering, node: Node, op: Extreme, before: list[Pending]) -> Pending:
    """Lower a maximum or a minimum of two streams: a pooling over both, of vector after vector."""
    b = lowering.b
    x, y = _alike(lowering, node, before)
    channels = op.shape[-1]
    pairs = math.prod(op.shape[:-1])
    both = b.add(node.name, Concat(), *(b.view(e, (pairs, channels)) for e in (x, y)), part="both")
    falls = repeated(b.types[x].scale, channels) < 0
    made = b.add(node.name, Pool(falls != op.least, (1, 2)), b.view(both, (pairs, 2, channels)))
    return lowering.finished(node, b.view(made, op.shape), max(b.error(x), b.error(y)))


def _alike(lowering: Lowering, node: Node, before: list[Pending]) -> tuple[str, str]:
    """Two inputs as integers of one scale, whose 0 means 0."""
    try:
        scale = _common_scale(lowering, node, 0, before)
    except (FloatingPointError, NotPointwise):
        scale = 1.0
    x, y = (lowering.integers(node, p, Requirement(scale, zero=True)) for p in before)
    return x, y


def _concatenated(lowering: Lowering, node: Node, axis: int, edges: tuple[str, str]) -> str:
    """Two streams, one behind the other along an axis: a concatenation of longer vectors."""
    b = lowering.b
    shapes = [b.types[edge].shape for edge in edges]
    flat = [b.view(e, (math.prod(s[:axis]), math.prod(s[axis:]))) for e, s in zip(edges, shapes, strict=True)]
    made = b.add(node.name, Concat(), *flat)
    return b.view(made, lowering.real.types[node.name].shape)
