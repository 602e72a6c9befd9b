"""Numbers in binary fixed point, exactly: lines and ReLU on a grid, and quantizers to fewer bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.ir import Array, Ints, Tensor, View
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import merge_equal_rows
from bnn2hw.lower.kernels import powers_of_two
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.pooling import pool_all
from bnn2hw.lower.probe import Chain
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.affine import MOST, Affine
from bnn2hw.ops.quantize import Quantize
from bnn2hw.ops.real import FixedPoint, Flatten, Pointwise

SAMPLES = 1025
"""Integers at which a function is tried first, or only if there are too many."""

POINTS = range(-24, 49)
"""Numbers of bits behind the point that are tried for a grid."""

MOST_BITS = 40
"""Largest number of bits in front of or behind the point."""

FEW = 4
"""Numbers that thresholds tell apart more cheaply than sums do."""


@dataclass(frozen=True)
class Line:
    """Straight lines on a grid: y = (slope · x + bias) · step, and 0 below 0 behind a ReLU.

    Attributes:
        slopes: Integers by channel.
        biases: Integers by channel.
        step: Real value of a step, a power of two.
        rectified: True behind a ReLU.
    """

    slopes: Array
    biases: Array
    step: float
    rectified: bool

    @property
    def plain(self) -> bool:
        """True if the integers stay as they are."""
        return bool(np.all(self.slopes == 1) and not np.any(self.biases) and not self.rectified)


def on_grid(work: Strategies, task: Task) -> str | None:
    """Keep integers exact behind layers that are lines, or lines and a ReLU, if that takes few enough bits."""
    b, pending, requirement = work.builder, task.pending, task.requirement
    edge = exact(b, pending, task.bits or b.stream_bits(pending), requirement.scale)
    return edge if edge is not None and requirement.accepts(b.types[edge]) else None


def step_of(b: Builder, pending: Pending) -> float | None:
    """Return the step of the values behind some layers; None if they are on no grid that is known."""
    if not pending.chain or pending.step is not None:
        scale = b.types[pending.edge].scale
        return pending.step if pending.chain else scale if isinstance(scale, float) else None
    if pending.pools or pending.softmax or b.chain(pending).by_position:
        return None
    line = _line(b.chain(pending), None)
    return None if line is None else line.step


def exact(b: Builder, pending: Pending, bits: int, scale: object = None) -> str | None:
    """Append what layers compute, if they are lines on a grid in binary fixed point.

    Args:
        b: The hardware form.
        pending: The integers and the layers.
        bits: Largest number of bits of the result.
        scale: Real value of a step of the result; None for the largest that fits.

    Returns:
        An edge; None if they are none, or take more bits.
    """
    chain, tensor = b.chain(pending), b.types[pending.edge]
    if (
        pending.pools
        or pending.softmax
        or chain.by_position
        or not (scale is None or isinstance(scale, float))
    ):
        return None
    line = _line(chain, scale)
    if line is None:
        return None
    if line.plain:
        made = pending.edge
        if (tensor.scale, tensor.offset) != (line.step, 0.0):
            made = b.add(pending.end, View(tensor.shape, line.step, 0.0), pending.edge, part="scaled")
    else:
        out = _ends(line, chain)
        if out.bits > bits or max(-out.lo, out.hi) > MOST:
            return None
        rows = merge_equal_rows(np.stack([line.slopes, line.biases], 1))
        none = np.zeros((len(rows), 0), np.int64)
        op = Affine(rows[:, :1], rows[:, 1:], none, 0, out, line.step)
        made = b.add(pending.end, op, pending.edge, part="exact")
    largest = float(np.abs(line.slopes).max()) * line.step / float(np.abs(np.asarray(tensor.scale)).min())
    b.errors[made] = b.error(pending.edge) * largest
    b.record_fidelity(pending)
    b.match(made, pending.end)
    return made


def _ends(line: Line, chain: Chain) -> Ints:
    """The integers that lines reach, clamped behind a ReLU."""
    repeats = chain.features // chain.low.size
    ends = [np.tile(v, repeats) * line.slopes + line.biases for v in (chain.low, chain.high)]
    low, high = int(np.minimum(*ends).min()), int(np.maximum(*ends).max())
    low = max(low, 0) if line.rectified else low
    return Ints(min(low, 0), max(high, 1))


def _line(chain: Chain, scale: float | None) -> Line | None:
    """The lines that layers are at every integer; None if they are none on a grid."""
    lo, hi, step = chain.ints.lo, chain.ints.hi, chain.ints.step
    if hi - lo < step:
        return None
    at = np.array([lo, lo + step, hi - step, hi])
    values = chain(np.tile(at[:, None], (1, chain.features))).astype(np.float64)
    if not np.isfinite(values).all():
        return None
    left, right = (values[1] - values[0]) / step, (values[3] - values[2]) / step
    slopes = np.where(right != 0, right, left)
    biases = np.where(right != 0, values[3] - right * hi, values[0] - left * lo)
    point = _point(slopes, biases, scale)
    if point is None:
        return None
    rectified = False
    for integers in (chain.samples(SAMPLES), *([chain.ints.values()[:, None]] if chain.enumerable else [])):
        found, lines = chain(integers).astype(np.float64), integers * slopes + biases
        rectified = not np.array_equal(found, lines)
        if rectified and not np.array_equal(found, np.maximum(lines, 0.0)):
            return None
    slopes, biases = (np.rint(v * 2.0**point).astype(np.int64) for v in (slopes, biases))
    return Line(slopes, biases, 2.0**-point, rectified)


def _point(slopes: Array, biases: Array, scale: float | None) -> int | None:
    """The fewest bits behind the point that hold all constants; None if no few do."""
    points: range | list[int] = POINTS
    if scale is not None:
        if scale <= 0 or not powers_of_two(scale):
            return None
        points = [round(-np.log2(scale))]
    constants = np.concatenate([slopes, biases])
    if not np.isfinite(constants).all() or not np.any(constants):
        return None
    for point in points:
        steps = constants * 2.0**point
        if np.all(steps == np.rint(steps)) and np.abs(steps).max() < 2.0**40:
            return int(point)
    return None


def binary_point(work: Strategies, task: Task) -> Pending | None:
    """Reduce layers that end in a quantizer to binary fixed point to sums, and dropped bits."""
    b, pending = work.builder, task.pending
    place = next((i for i, n in enumerate(pending.chain) if getattr(n.op, "fixed", None) is not None), None)
    if place is None:
        return None
    before, op = pending.until(place), pending.chain[place].op
    if not isinstance(op, Pointwise) or op.fixed is None or before.softmax:
        return None
    if before.pools:
        return pool_all(work, pending)
    flat = next((i for i, n in enumerate(before.chain) if isinstance(n.op, Flatten)), None)
    by_position = flat is not None and b.chain(pending.until(place + 1)).by_position
    first = before.until(flat) if by_position and flat is not None else before
    if not _worthwhile(op.fixed):
        return None
    edge = _integers(b, first, op.fixed)
    if edge is None:
        return None
    if by_position and flat is not None:
        edge = b.view(edge, (b.types[edge].size,))
        return Pending(edge, pending.chain[flat].name, pending.chain[flat + 1 :])
    made = _quantize(op.fixed, b.types[edge])
    if made is None:
        return None
    error = b.error(edge)
    end = pending.until(place + 1)
    edge = b.add(end.end, made, edge, part="quantize")
    b.record_fidelity(end, unsafe=bool(error))
    b.match(edge, end.end)
    return Pending(b.view(edge, b.real.types[end.end].shape), end.end, pending.chain[place + 1 :])


def _worthwhile(fixed: FixedPoint) -> bool:
    """True unless a few thresholds do the same."""
    bits = fixed.signs + fixed.integers + fixed.fractions
    return fixed.wraps or bool(2.0 ** bits.max() > FEW)


def _integers(b: Builder, pending: Pending, fixed: FixedPoint) -> str | None:
    """An edge with the values in front of a quantizer, in steps of a power of two; None if there is none."""
    edge: str | None = pending.edge
    if pending.computes:
        edge = exact(b, pending, 62)
    if edge is None:
        return None
    tensor = b.types[edge]
    usable = isinstance(tensor.scale, float) and tensor.scale > 0 and powers_of_two(tensor.scale)
    if not usable or np.any(np.asarray(tensor.offset)):
        return None
    finer = 2 ** max(_points(fixed) - _point_of(tensor), 0)
    if tensor.ints.step == finer == 1:
        return edge
    factor, none = np.full((1, 1), finer, np.int64), np.zeros((1, 0), np.int64)
    ints = Ints(tensor.ints.lo * finer, tensor.ints.hi * finer)
    if max(-ints.lo, ints.hi) > MOST:
        return None
    return b.add(
        edge, Affine(factor, 0 * factor, none, 0, ints, 2.0 ** -_point_of(tensor) / finer), edge, part="finer"
    )


def _points(fixed: FixedPoint) -> int:
    """The bits behind the point that the ends of all ranges need."""
    ends = -fixed.integers if fixed.wraps else fixed.fractions
    return int(ends[fixed.used].max())


def _point_of(x: Tensor) -> int:
    """The bits behind the point of integers in steps of a power of two."""
    return round(float(-np.log2(np.asarray(x.scale))))


def _quantize(fixed: FixedPoint, x: Tensor) -> Quantize | None:
    """The op of a quantizer for integers in steps of a power of two; None if they are too many."""
    used, point = fixed.used, _point_of(x)
    drops = np.where(used, np.maximum(point - fixed.fractions, 0), 0)
    heights = np.where(used, fixed.integers + point, 0)
    if np.any(drops > MOST_BITS) or np.any(heights > MOST_BITS):
        return None
    tops, last = np.int64(1) << heights, np.int64(1) << drops
    lows = np.where(used, -fixed.signs * (tops - (last if fixed.symmetric else 0)), 0)
    highs = np.where(used, tops - last, 0)
    shift = int(drops[used].min())
    lo, hi = int(lows.min()) >> shift, int(highs.max()) >> shift
    out = Ints(lo, max(hi, lo + 1))
    return Quantize(drops, lows, highs, fixed.wraps, fixed.rounding, shift, out, 2.0 ** (shift - point))
