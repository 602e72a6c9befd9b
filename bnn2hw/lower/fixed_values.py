"""Fixed point, for layers with many values: the same integers, straight pieces, or a curve."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array, Ints, View
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import (
    affine,
    fixed_step,
    is_periodic,
    repeated,
    rescaled,
    spanning,
    to_multiples,
)
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.piecewise import Pieces, bends, fit
from bnn2hw.lower.probe import Chain, NotPointwise
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.affine import MOST
from bnn2hw.ops.real import Flatten

LINEAR = 2.0**-20
"""Largest deviation of a function from a line, as a share of its largest value, that float32
rounding explains."""

SAMPLES = 257
"""Integers at which a function's range is read."""


def value_range(b: Builder, pending: Pending) -> tuple[Array, Array]:
    """Return the smallest and largest real value by channel, after the layers behind an edge.

    The range is proved if each function takes its extremes at the samples, as straight pieces do
    except at their bends. Calibration data may narrow it.

    Returns:
        Two arrays of shape (features,).

    Raises:
        FloatingPointError: A layer returns NaN.
        NotPointwise: A layer is not a function of single values.
    """
    values = _sampled(b.chain(pending))
    low, high = b.expected_range(pending)
    return np.maximum(values.min(0), low), np.minimum(values.max(0), high)


def stream_step(b: Builder, pending: Pending, bits: int | None = None, *, single: bool = False) -> Array:
    """Return the steps with which an edge fits its bits, by channel.

    Args:
        b: The hardware form.
        pending: The edge and its layers.
        bits: Bits of the integers; the layer's own bits if None.
        single: True if all channels must have the same step.
    """
    low, high = value_range(b, pending)
    steps = fixed_step(low, high, bits or b.stream_bits(pending))
    return np.full(steps.shape, steps.max()) if single else steps


def _sampled(chain: Chain) -> Array:
    return chain(chain.samples(SAMPLES)).astype(np.float64)


def straight(chain: Chain, step: Array) -> Pieces | None:
    """Return straight pieces that follow a chain, or None if it is curved.

    They come within an eighth of a step, or within the float32 rounding between the layers.

    Args:
        chain: The layers.
        step: Step of their results, by channel or for all.
    """
    return fit(chain, np.maximum(np.abs(step) / 8, chain.rounding()))


# ---- strategies


def refuse_softmax(work: Strategies, task: Task) -> None:
    """Refuse a softmax that is not the end of the model.

    Raises:
        NotPointwise: There is one.
    """
    if task.pending.softmax:
        raise NotPointwise("softmax is no function of single values")


def multiply_to_integers(work: Strategies, task: Task) -> str | None:
    """Multiply by a small integer and add one, if that meets the requirement exactly."""
    b, pending, requirement = work.builder, task.pending, task.requirement
    if pending.computes or requirement.scale is not None:
        return None
    tensor = b.types[pending.edge]
    op = to_multiples(tensor, single=requirement.single)
    if op is None or not requirement.accepts(op.infer(tensor)):
        return None
    edge = b.add(pending.end, op, pending.edge, part="whole")
    b.errors[edge] = b.error(pending.edge)
    ends = np.array([[tensor.ints.lo], [tensor.ints.hi]])
    made = b.types[edge].real(op.golden(np.broadcast_to(ends, (2, tensor.channels))))
    b.rounds(pending.end, np.abs(made - tensor.real(ends)).max(0))
    return edge


def settle_before_flatten(work: Strategies, task: Task) -> Pending | None:
    """Make integers in front of a Flatten, where functions or scales behind it differ by position."""
    b, pending, scale = work.builder, task.pending, task.requirement.scale
    chain = b.chain(pending)
    if not chain.by_position and (scale is None or is_periodic(scale, chain.features)):
        return None
    place = next(i for i, op in enumerate(pending.ops) if isinstance(op, Flatten))
    edge = work.integers(Task(pending.until(place)))
    flat = b.view(edge, (b.types[edge].size,))
    return Pending(flat, pending.chain[place].name, pending.chain[place + 1 :])


def keep_integers(work: Strategies, task: Task) -> str | None:
    """Keep the integers and change their meaning, if the layers are a line in each channel.

    This costs no hardware.
    """
    b, pending = work.builder, task.pending
    chain, tensor = b.chain(pending), b.types[pending.edge]
    values = _sampled(chain)
    largest = np.abs(values).max(0)
    tolerance = largest * LINEAR + 1e-30
    if bends(chain.steps(SAMPLES), values, tolerance):
        return None
    line = fit(chain, tolerance)
    if line is None or not line.straight or not np.all(line.slopes != 0):
        return None
    meaning = rescaled(tensor, line)
    if not task.requirement.accepts(meaning):
        return None
    edge = b.add(pending.end, View(tensor.shape, meaning.scale, meaning.offset), pending.edge, part="scaled")
    ratio = np.max(np.abs(np.asarray(meaning.scale) / np.asarray(tensor.scale)))
    error = float(line.error.max() + largest.max() * 2.0**-23)
    b.errors[edge] = b.error(pending.edge) * float(ratio) + error
    b.rounds(pending.end, line.error + largest * 2.0**-23)
    b.record_fidelity(pending)
    b.match(edge, pending.end)
    return edge


def straight_pieces(work: Strategies, task: Task) -> str | None:
    """Follow the layers with a few straight pieces per channel.

    They cost a multiplication and an addition per value.
    """
    b, pending, requirement = work.builder, task.pending, task.requirement
    chain = b.chain(pending)
    if requirement.scale is not None:
        step = repeated(requirement.scale, chain.features)
    else:
        step = stream_step(b, pending, task.bits, single=requirement.single)
    low, high = b.expected_range(pending)
    chain = chain.within(low, high)
    pieces = straight(chain, step)
    if pieces is None:
        return None
    exact = spanning(np.maximum(pieces.lowest, low), np.minimum(pieces.highest, high), step)
    held = Ints(max(exact.lo, -MOST), min(exact.hi, MOST))
    op, error = affine(chain, pieces, step, held)
    edge = b.add(pending.end, op, pending.edge, part="fixed")
    where = "" if pieces.straight else " where tried"
    off = f"off by at most {error.max():.2g}{where}" if held == exact else "its largest values clamped"
    b.record_fidelity(pending, rounded=f"fixed point of {held.bits} bits, {off}")
    b.rounds(
        pending.end, error + pieces.error if held == exact else np.inf
    )  # what was not tried may be as far off
    b.match(edge, pending.end)
    return edge
