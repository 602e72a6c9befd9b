"""Fixed point, where layers take many values: the same integers, straight pieces, or a curve."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array, Ints, View
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import (
    ANY,
    affine,
    fixed_step,
    is_periodic,
    repeated,
    rescaled,
    spanning,
    to_multiples,
)
from bnn2hw.lower.interpolate import (
    FLAT_BITS,
    TABLE_BITS,
    TRUE_BITS,
    fixed_input,
    interpolation,
    table,
    words,
)
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.piecewise import Pieces, active, bends, fit
from bnn2hw.lower.probe import Chain, NotPointwise
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.affine import MOST
from bnn2hw.ops.interpolation import Interpolation
from bnn2hw.ops.real import Flatten, Pointwise
from bnn2hw.ops.table import Table

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


def _pieces(chain: Chain, step: Array) -> Pieces | None:
    """Straight pieces that follow a chain.

    They come within an eighth of a step, or within the float32 rounding between the layers.
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
    pieces = _pieces(chain, step)
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


def curve(work: Strategies, task: Task) -> Pending:
    """Bring the input of a curved function to fixed point, and follow it with lines or a table.

    Raises:
        NotPointwise: The op that straight pieces do not follow is not a function of single values.
    """
    b, pending = work.builder, task.pending
    place = _curved(b, pending)
    node, before = pending.chain[place], pending.until(place)
    if not isinstance(node.op, Pointwise):
        raise NotPointwise("no function of single values")
    lows, highs = value_range(b, before)
    shape, whole = b.real.types[before.end].shape, (float(lows.min()), float(highs.max()))
    bits = task.bits or b.precision.of_stream(node.layer)
    requirement = task.requirement if place == len(pending.chain) - 1 else ANY
    ends = active(node.op, shape, whole, 2.0 ** -max(FLAT_BITS, min(bits - 2, TRUE_BITS[1])))
    step, ints = fixed_input(*ends, bits)
    op: Interpolation | Table | None = None
    if node.op.uniform and bits > TABLE_BITS:
        op = interpolation(node.op, ints, step, requirement, bits)
    if op is None:
        ends = active(node.op, shape, whole, 2.0**-FLAT_BITS)
        step, ints = fixed_input(*ends, TABLE_BITS)
    edge = _fixed(b, before, ends, step, ints)
    if op is None:
        rows = b.chain(Pending(edge, before.end, (node,))).all().T
        op = table(rows[:1] if node.op.uniform else rows, ints, requirement, min(bits, TABLE_BITS + 2))
    followed = pending.until(place + 1)
    edge = b.add(node.name, op, edge, part=op.kind)
    off = _farthest(b, followed, edge)
    said = f"{words(op)}, {b.types[edge].ints.bits} bits out, off by at most {off.max():.2g} where tried"
    b.rounds(node.name, 2 * off + np.abs(np.asarray(b.types[edge].scale)))  # twice, for what was not tried
    b.record_fidelity(followed, rounded=said)
    b.match(edge, node.name)
    return Pending(edge, node.name, pending.chain[place + 1 :])


def _farthest(b: Builder, pending: Pending, edge: str) -> Array:
    """The largest distance of an edge from the layers that it stands for, at samples, by feature."""
    chain = b.chain(pending).within(*b.expected_range(pending))
    integers = chain.samples(SAMPLES)
    found = b.types[edge].real(_along(b, edge, pending.edge, integers))
    off: Array = np.abs(found - chain(integers)).max(0)
    return off


def _along(b: Builder, edge: str, start: str, integers: Array) -> Array:
    """The integers of an edge for those of another one, from which ops of one input lead to it."""
    if edge == start:
        return integers
    node = next(n for n in b.nodes if n.name == edge)
    before = _along(b, node.inputs[0], start, integers)
    return before if isinstance(node.op, View) else node.op.golden(before)


def _fixed(b: Builder, pending: Pending, ends: tuple[float, float], step: float, ints: Ints) -> str:
    """Bring the layers in front of a curve to fixed point, with one step for all channels."""
    chain = b.chain(pending).within(*map(np.array, ends))
    pieces = _pieces(chain, np.array(step))
    if pieces is None:
        raise NotPointwise("curved before the curve")
    op, _ = affine(chain, pieces, np.full(len(pieces.error), step), ints)
    return b.add(pending.end, op, pending.edge, part="fixed")


def _curved(b: Builder, pending: Pending) -> int:
    """Index of the first op of a chain that straight pieces do not follow."""
    for i, node in enumerate(pending.chain):
        part = pending.until(i + 1)
        if not isinstance(node.op, Pointwise):
            continue
        chain = b.chain(part).within(*b.expected_range(part))
        if _pieces(chain, stream_step(b, part)) is None:
            return i
    return len(pending.chain) - 1
