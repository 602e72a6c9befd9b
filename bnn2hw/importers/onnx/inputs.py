"""The inputs of a model: the order of their axes, and the integers on their wires."""

from __future__ import annotations

import re
from itertools import permutations as orders

import numpy as np

from bnn2hw.errors import Problem
from bnn2hw.importers.onnx import linear
from bnn2hw.importers.onnx.calls import Draft
from bnn2hw.importers.onnx.model import CHANNELS_LAST, Entry, Model, Op
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import AxisOrder, Tensor
from bnn2hw.ops.source import Input, Source

LAST = ("Im2Col", "MaxPoolNHWC", "MatMul")
"""Ops whose channels are the last axis."""

FIRST = (
    *("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "PRelu"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Upsample", "Resize"),
)
"""Ops whose channels are the second axis."""

OPEN = ("Reshape", "Flatten", "Shape")
"""Ops behind which axes mean something else."""

BYTES = (255.0, 256.0, 127.5, 128.0)
"""Divisors of pixels that come as bytes."""


def permutations(rank: int) -> list[tuple[int, ...]]:
    """Return all orders of axes, the plain one first."""
    return list(orders(range(rank)))


def add(draft: Draft) -> dict[str, AxisOrder]:
    """Add the inputs of a model to a draft.

    Returns:
        The order of the values in the stream by input, for those whose axes are in another order.
    """
    layouts = {}
    for name, entry in draft.model.inputs.items():
        sample = entry.shape[1:]
        if len(entry.shape) < 2 or not all(sample):
            draft.problems.append(
                Problem(
                    name,
                    f"an input of shape {entry.shape}, with open or missing axes",
                    "a batch, and axes of fixed lengths",
                    "export the model with a fixed shape",
                )
            )
            sample = tuple(max(n, 1) for n in sample) or (1,)
        if entry.dtype.kind == "O":
            draft.problems.append(
                Problem(
                    name, "an input of text", "numbers", "cut off the front part of the model that reads text"
                )
            )
        axis = _channels(draft.model, name, (1, *sample)) - 1
        axes = (*(i for i in range(len(sample)) if i != axis), axis)
        stream = tuple(sample[i] for i in axes)
        draft.add(name, name, Source(Tensor(stream)))
        places = np.arange(int(np.prod(stream))).reshape(1, *stream)
        back = (0, *(int(i) + 1 for i in np.argsort(axes)))
        draft.values[name] = Value(name, places.transpose(back))
        if axis != len(sample) - 1:
            layouts[name] = AxisOrder(sample, stream, tuple(int(i) for i in np.argsort(axes)))
    return layouts


def _channels(model: Model, name: str, shape: tuple[int, ...]) -> int:
    """The axis of the channels of an input, by what reads it; the shorter one if nothing tells."""
    rank = len(shape)
    if rank < 3:
        return rank - 1
    found = _wanted(model, name, tuple(range(rank)))
    return found if found is not None else 1 if shape[1] <= shape[-1] else rank - 1


def _wanted(model: Model, name: str, axes: tuple[int, ...]) -> int | None:
    """The axis of an input that a node behind it takes for the channels.

    Args:
        model: The model.
        name: Value that depends on the input alone.
        axes: Axes of the input in the order in which the value has them.
    """
    readers: dict[str, list[Op]] = {}
    for op in model.ops:
        for each in dict.fromkeys(op.inputs):
            readers.setdefault(each, []).append(op)
    waiting = [(op, axes) for op in reversed(readers.get(name, ()))]
    seen: set[tuple[int, tuple[int, ...]]] = set()
    while waiting:
        op, axes = waiting.pop()
        if (id(op), axes) in seen:
            continue
        seen.add((id(op), axes))
        perm = op.attributes.get("perm") or range(len(axes))[::-1]
        if op.kind == "Transpose" and sorted(perm) != list(range(len(axes))):
            continue
        inner = tuple(axes[i] for i in perm) if op.kind == "Transpose" else axes
        if op.kind == "MatMul" and op.inputs[0] in model.constants:
            return inner[-2]
        if op.domain == CHANNELS_LAST or op.kind in LAST:
            return inner[-1]
        if op.kind in FIRST:
            return inner[1]
        if op.kind == "MultiThreshold" and op.attributes.get("data_layout", "").endswith("C"):
            return inner[-1]
        if op.kind not in OPEN:
            waiting += [(after, inner) for after in reversed(readers.get(op.outputs[0], ()))]
    return None


def wires(draft: Draft) -> dict[str, Input]:
    """Return what arrives on the wires of the inputs, as far as the model states it."""
    found = {}
    for name, entry in draft.model.inputs.items():
        spec = _of_file(entry) or _of_reader(draft, name)
        if spec is not None:
            found[name] = spec
    return found


def _of_file(entry: Entry) -> Input | None:
    """Integers that the file states for an input."""
    match = re.fullmatch(r"(U?INT)(\d+)|BIPOLAR|BINARY|TERNARY", entry.annotation)
    names = {"BIPOLAR": "bipolar", "BINARY": "bit", "TERNARY": "int2"}
    if match:
        return Input(names.get(entry.annotation) or entry.annotation.lower())
    if entry.dtype in (np.uint8, np.int8, np.uint16, np.int16):
        return Input(str(entry.dtype))
    return Input("bit") if entry.dtype == np.bool_ else None


def _of_reader(draft: Draft, name: str) -> Input | None:
    """Integers that a leading quantizer or rescaling gives to an input, the same for all nodes that read it."""
    found = {_by_op(draft, op, name) for op in draft.model.ops if name in op.inputs}
    return found.pop() if len(found) == 1 else None


def _by_op(draft: Draft, op: Op, name: str) -> Input | None:
    """Integers that one node gives to an input."""
    given = [draft.constants[i].values for i in op.inputs[1:] if i in draft.constants]
    if op.inputs[0] != name or len(given) != len(op.inputs) - 1:
        return None
    if op.kind in ("Identity", "Dropout", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"):
        return _of_reader(draft, op.outputs[0])
    return _quantized(op, given) if given and all(g.size == 1 for g in given) else None


def _quantized(op: Op, given: list[np.ndarray]) -> Input | None:
    """Integers by the node that reads an input, and its constants."""
    numbers = [float(g.reshape(())) for g in given]
    if op.kind in ("BipolarQuant", "BinaryQuant"):
        return Input("bipolar", numbers[0]) if numbers[0] > 0 else None
    if op.kind in ("Quant", "IntQuant"):
        scale, zero, bits = numbers
        if bits == 1 and zero == 0 and op.attributes.get("signed", 1):
            return Input("bipolar", scale) if scale > 0 else None
        signed = bool(op.attributes.get("signed", 1))
        if bits != round(bits) or not 2 - (not signed) <= bits <= 16 or scale <= 0:
            return None
        return Input(f"{'' if signed else 'u'}int{int(bits)}", scale, -zero * scale)
    if op.kind == "QuantizeLinear":
        scale, zero = (*numbers, 0.0)[:2]
        dtype = linear.type_of(given[1] if len(given) > 1 else None, op.attributes)
        return None if linear.limits(dtype) is None else Input(str(dtype), scale, -zero * scale)
    [number] = numbers[:1]
    divisor = number if op.kind == "Div" else 1 / number if op.kind == "Mul" and number else 0.0
    return Input("uint8") if any(abs(divisor / b - 1) < 1e-5 for b in BYTES) else None
