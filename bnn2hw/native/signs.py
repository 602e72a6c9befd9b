"""Matrix-vector units of signs as kernel calls."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Node
from bnn2hw.native.compiler import Compiler, packed, words
from bnn2hw.native.matrix import (
    LANES,
    SUMS,
    Fired,
    blocked,
    fused_threshold,
    needs_sums,
    neurons_of,
    of_sums,
    products,
    vectors,
)
from bnn2hw.native.program import SIZES
from bnn2hw.native.registry import handles, op_of
from bnn2hw.ops import Unrolled, Xnor

EIGHT = 8
"""Disagreements that a byte of a count stands for."""

MOST_WITHIN = 255 * EIGHT - 1
"""The largest limit of disagreements of which a byte can hold the eighths and one more."""


def _signs(weights: Array, positions: int, channels: int, padded: int) -> Array:
    """±1 weights (MW, MH) as bytes of eight synapses, of shape (bytes of a vector, padded neurons)."""
    mh = weights.shape[1]
    signs = (weights > 0).T.reshape(mh, positions, channels)
    rows = packed(signs).astype("<u4").view(np.uint8).reshape(mh, -1).T
    made = np.zeros((rows.shape[0], padded), np.uint8)
    made[:, :mh] = rows
    return made


def _limited(weights: Array, fired: Fired) -> tuple[Array, Fired, Array]:
    """Replace thresholds of sums by limits of disagreements.

    A neuron whose limit is too large for a byte of eighths has its weights inverted: its agreements are limited.

    Args:
        weights: ±1, shape (MW, MH).
        fired: Thresholds of the sums.

    Returns:
        The weights, the thresholds with falls of their own, and the limits, from 0 to `MOST_WITHIN` or MW.
    """
    mw = weights.shape[0]
    limits = (mw - fired.thresholds) >> 1
    never = limits < 0
    limits = np.where(never, mw, np.minimum(limits, mw))
    inverted = (limits > MOST_WITHIN) & (limits < mw)
    limits = np.where(inverted, mw - 1 - limits, limits)
    falls = fired.falls ^ never ^ inverted
    return np.where(inverted, -weights, weights), Fired(fired.edge, fired.thresholds, falls), limits


def _eighths(c: Compiler, limits: Array, padded: int) -> str:
    """C++ expression of limits as the kernel reads them."""
    rows = np.zeros((2, padded), np.uint8)
    rows[0, : limits.size] = np.minimum(limits // EIGHT, 255)
    rows[1, : limits.size] = EIGHT - 1 - limits % EIGHT
    return c.constants.add(rows, "u8")


def _xnor(c: Compiler, node: Node, op: Xnor, sums: str | None, fired: Fired | None) -> None:
    """Append a unit of signs times signs, whose sums are the edge `sums` where they are one."""
    [edge] = node.inputs
    signs_alone = c.type(edge).ints == BIPOLAR
    x = vectors(c, node, op.axes, in_bits=True, zeros_are_skipped=not signs_alone)
    padded, weights = op.mh + -op.mh % LANES, op.weights
    if fired and signs_alone and not needs_sums(c, sums, fired) and op.mw <= 2 * MOST_WITHIN:
        weights, fired, limits = _limited(weights, fired)
        size, thresholds = 1, _eighths(c, limits, padded)
    else:
        kind = "i32" if op.mw > SUMS["i16"] else "i16"
        size = SIZES[kind]
        thresholds = of_sums(c, fired, padded, kind, parts=size)
    rows = c.constants.add(blocked(_signs(weights, x.positions, x.channels, padded), LANES), "u8")
    to, uses = neurons_of(c, sums, op.mh, padded, fired, thresholds)
    image = c.type(x.edge).size // x.channels * words(x.channels)
    if c.has_bits(x.edge):
        bits = c.spread(c.bits(x.edge), image)
        c.step("xnor", bits, "n", x.geometry(c), x.synapses, size, rows, to, uses=uses)
    else:
        signs, mask = c.spread(c.bits_of_signs(x.edge), image), c.spread(c.mask(x.edge), image)
        c.step("xnor_masked", signs, mask, "n", x.geometry(c), size, rows, to, uses=uses)


@handles(Xnor)
def xnor(c: Compiler, node: Node) -> None:
    """Signs times signs."""
    op = op_of(node, Xnor)
    _xnor(c, node, op, node.name, fused_threshold(c, node, op.mh))


@handles(Unrolled)
def unrolled(c: Compiler, node: Node) -> None:
    """The matrix of the unit, whatever sums its neurons share in hardware."""
    op = op_of(node, Unrolled)
    sums = node.name if op.thresholds is None else None
    if op.thresholds is None:
        fired = fused_threshold(c, node, op.folded.mh)
    else:
        falls = np.zeros(len(op.thresholds), bool) if op.falls is None else op.falls
        fired = Fired(node.name, op.thresholds.astype(np.int64), falls)
    if isinstance(op.folded, Xnor):
        _xnor(c, node, op.folded, sums, fired)
    else:
        products(c, node, op.folded, sums, fired)
