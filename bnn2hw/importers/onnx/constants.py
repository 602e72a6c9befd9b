"""Constants, and the integers that they were quantized to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.importers.onnx import executor, linear, quantizers
from bnn2hw.importers.onnx.model import Op
from bnn2hw.ir import Array

MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Ops that move values and do not change them."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant.

    Attributes:
        values: Its values.
        integers: The integers of a quantizer that made it, of the same shape; None if none did.
        scales: Real values of the steps of these integers, of the same shape.
    """

    values: Array
    integers: Array | None = None
    scales: Array | None = None

    def map(self, fn: Callable[[Array], Array]) -> Constant:
        """Return the constant with a function applied that moves its values."""
        integers, scales = (None if a is None else fn(a) for a in (self.integers, self.scales))
        return Constant(fn(self.values), integers, scales)


def fold(op: Op, inputs: Sequence[Constant | None], room: int) -> list[Constant]:
    """Evaluate a node whose inputs are all constant.

    Args:
        op: The node.
        inputs: Its inputs; None for those that are left out.
        room: Bytes that its outputs may take.

    Raises:
        executor.Unknown: The node cannot be evaluated.
    """
    executor.fits(op, [i.values if i else None for i in inputs], room)
    values = executor.outputs(op, [i.values if i else None for i in inputs])
    return [Constant(values[0], *_integers(op, inputs)), *(Constant(v) for v in values[1:])]


def _integers(op: Op, inputs: Sequence[Constant | None]) -> tuple[Array | None, Array | None]:
    """The integers behind the first output of a node, and their scales."""
    given = [i for i in inputs if i is not None]
    if op.kind in ("Quant", "IntQuant") and not op.standard:
        x, scale, zero, bits = (i.values for i in given)
        codes = quantizers.integers(x, scale, zero, bits, **executor.options_of(op)) - zero
        return _pair(codes, scale)
    if op.kind in ("BipolarQuant", "BinaryQuant"):
        x, scale = (i.values for i in given)
        return _pair(quantizers.bipolar(x, np.ones_like(scale)), scale)
    if op.kind == "FloatQuant":
        x, scale, *format_of = (i.values for i in given)
        step = np.float32(executor.even_step(op, *format_of) or 1.0)
        one = np.ones_like(scale)
        return _pair(executor.float_quant(op, x / scale, one, *format_of) / step, scale * step)
    if op.kind == "DequantizeLinear" and len(given) < 4:
        x, *rest = (i.values for i in given)
        scale, zero = (linear.along(a, x.shape, op.attributes) for a in (*rest, np.zeros((), np.int64))[:2])
        return _pair(x.astype(np.int64) - zero.astype(np.int64), scale)
    if op.kind in MOVES and given and given[0].integers is not None:
        return tuple(  # type: ignore[return-value]  # both arrays move in the same way
            executor.outputs(op, [a, *(i.values if i else None for i in inputs[1:])])[0]
            for a in (given[0].integers, given[0].scales)
        )
    return None, None


def _pair(codes: Array, scale: Array) -> tuple[Array | None, Array | None]:
    """Integers and their scales, unless zero points or scales make them something else."""
    whole = np.rint(codes)
    if np.any(whole != codes) or np.any(scale <= 0):
        return None, None
    return whole.astype(np.float32), np.broadcast_to(scale, whole.shape).astype(np.float32)
