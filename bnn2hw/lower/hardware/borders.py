"""Lower the borders of images, and the gaps between pixels."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.ir import Array, Node
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.fixed_point import Requirement
from bnn2hw.lower.fixed_values import stream_step
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.pending import Pending
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.real import Border

LARGEST = 2**20
"""Largest integer that a border may be."""


@lowers(Border)
def border(lowering: Lowering, node: Node, op: Border, before: list[Pending]) -> Pending:
    """Lower a border.

    The stream must have an integer that means the border's value, or nearly so.
    """
    b = lowering.b
    edge, values = _representable(lowering, node, op, before[0])
    near = np.rint(values)
    integers = tuple(int(v) for v in near)
    made = _padded(lowering, node, op, integers[0] if len(set(integers)) == 1 else integers, edge)
    b.errors[made] = b.error(edge)
    scale = np.abs(np.asarray(b.types[edge].scale))
    b.rounds(node.name, np.abs(values - near) * scale)
    off = float((np.abs(values - near) * scale).max())
    if off > 1e-6 * max(abs(op.value), float(np.max(scale))):
        b.mark(node.layer, Fidelity("rounded", f"a border that is off by {off:.2g}"))
    b.match(made, node.name)
    return Pending(made, node.name)


def _representable(lowering: Lowering, node: Node, op: Border, pending: Pending) -> tuple[str, Array]:
    """An edge on which a border can be represented, and the border in steps of each channel.

    The stream is taken as it is if possible. Else the integer 0 must mean 0. If that is not enough,
    a whole number of steps must make the border.
    """
    b = lowering.b
    edge = lowering.integers(node, pending)
    x = b.types[edge]
    values = (op.value - np.broadcast_to(np.asarray(x.offset), (x.channels,))) / np.asarray(x.scale)
    near = np.rint(values)
    if np.abs(values - near).max() > 1e-6 or np.abs(near).max() > LARGEST:
        edge, values = _with_zero(lowering, node, op, pending, Requirement(zero=True))
    off = np.abs((values - np.rint(values)) * np.asarray(b.types[edge].scale)).max()
    if op.value and off > 1e-3 * abs(op.value):
        fine = float(np.abs(stream_step(b, pending, single=True)).max())
        step = abs(op.value) * 2.0 ** math.floor(math.log2(fine / abs(op.value)))
        edge, values = _with_zero(lowering, node, op, pending, Requirement(scale=step, zero=True))
    return edge, values


def _with_zero(
    lowering: Lowering, node: Node, op: Border, pending: Pending, requirement: Requirement
) -> tuple[str, Array]:
    edge = lowering.integers(node, pending, requirement)
    x = lowering.b.types[edge]
    return edge, np.broadcast_to(op.value / np.asarray(x.scale), (x.channels,))


def _padded(lowering: Lowering, node: Node, op: Border, value: int | tuple[int, ...], edge: str) -> str:
    """Append the border: of an image, or of the planes, rows and columns of a volume."""
    b = lowering.b
    if len(op.sides) == 2:
        return b.add(node.name, Pad(op.sides[0], op.sides[1], value, (op.gaps[0], op.gaps[1])), edge)
    depth = b.types[edge].shape[0]
    rows, columns = op.sides[1:]
    if any((*rows, *columns)) or op.gaps[1:] != (1, 1):
        edge = b.add(node.name, Pad(rows, columns, value, (op.gaps[1], op.gaps[2])), edge, part="planes")
    _, height, width, channels = b.types[edge].shape
    flat = b.view(edge, (depth, height * width, channels))
    return b.view(b.add(node.name, Pad(op.sides[0], (0, 0), value, (op.gaps[0], 1)), flat), op.shape)
