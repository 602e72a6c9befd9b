"""A whole ONNX model as the executor of its own format computes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bnn2hw import frameworks
from bnn2hw.importers.imported import Model, Oracle, version_of
from bnn2hw.importers.onnx.executor import quiet_options
from bnn2hw.importers.onnx.model import STANDARD, Entry
from bnn2hw.importers.onnx.model import Model as Parsed
from bnn2hw.ir import Array, AxisOrder

RUNTIME = {"onnxruntime": "ONNX Runtime"}
"""The package that computes nodes of ONNX, with its name in words."""

QONNX = {"qonnx": "qonnx", **RUNTIME}

READING = "bnn2hw's quantizers of QONNX"
"""What is compared with where the package `qonnx` is missing."""

MISSING = "the package qonnx is not installed; 'pip install qonnx' brings the executor of QONNX"

Frame = Callable[[dict[str, Array]], list[Array]]
"""Computes the outputs of a model for one batch of the model's own size."""


def executor_of(model: Parsed) -> tuple[str, str]:
    """Return in words what evaluates the nodes of a model one by one, and what is missing for its own executor."""
    if _is_plain(model):
        return version_of(RUNTIME), ""
    return f"{READING} on {version_of(RUNTIME)}", "" if find_spec("qonnx") else MISSING


def _is_plain(model: Parsed) -> bool:
    return all(op.domain in STANDARD for op in model.ops)


def oracle(
    proto: onnx.ModelProto, model: Parsed, layouts: Mapping[str, AxisOrder], ends: tuple[str, ...]
) -> Oracle | None:
    """Return the executor of a model's own format; None if its package is missing.

    Args:
        proto: The model.
        model: The same as typed objects.
        layouts: Order of the values in the stream by input and output, where it is another.
        ends: Nodes of the real form that are the outputs, in the order of the model's.
    """
    if _is_plain(model):
        return Oracle(RUNTIME, _whole(lambda: _runtime(proto), model, layouts, ends))
    if find_spec("qonnx") is None:
        return None
    return Oracle(QONNX, _whole(lambda: by_qonnx(proto, model), model, layouts, ends))


def _whole(
    prepare: Callable[[], Frame], model: Parsed, layouts: Mapping[str, AxisOrder], ends: tuple[str, ...]
) -> Model:
    """A model as a function of batches in the order of the streams, which runs frame by frame."""

    def apply(x: Mapping[str, Array]) -> dict[str, Array]:
        with warnings.catch_warnings(), frameworks.quiet():
            warnings.simplefilter("ignore")  # qonnx warns of shapes that the file does not state
            return outputs(x)

    def outputs(x: Mapping[str, Array]) -> dict[str, Array]:
        frame = prepare()
        arrays = {n: layouts[n].from_stream(a) if n in layouts else a for n, a in x.items()}
        count = len(next(iter(arrays.values())))
        size = max(entry.batch for entry in model.inputs.values())
        rows = [
            [_of_frame(a, size) for a in frame({n: _batch(arrays, n, i, e) for n, e in model.inputs.items()})]
            for i in range(count)
        ]
        found = {end: np.stack([row[k] for row in rows]) for k, end in enumerate(ends)}
        return {
            n: layouts[n].to_stream(_of_one(a, layouts[n])) if n in layouts else a for n, a in found.items()
        }

    return apply


def _batch(arrays: Mapping[str, Array], name: str, place: int, entry: Entry) -> Array:
    """One frame of an input, as often as the batch of the model wants it."""
    one = arrays[name][place] if name in arrays else np.zeros(entry.shape[1:])
    return np.repeat(one.reshape(entry.shape), entry.batch, axis=0).astype(entry.dtype)


def _of_frame(found: Array, batch: int) -> Array:
    """The part of an output that belongs to the first frame of a batch."""
    if batch > 1 and found.ndim:
        found = found[: max(len(found) // batch, 1)]
    return found[0] if found.ndim and len(found) == 1 else found


def _of_one(found: Array, layout: AxisOrder) -> Array:
    """Outputs as the model's arrays have them, without the axis of a batch."""
    return found.reshape(len(found), *layout.shape)


def _runtime(proto: onnx.ModelProto) -> Frame:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), quiet_options(), providers=["CPUExecutionProvider"]
    )
    return lambda given: [np.asarray(a) for a in session.run(None, given)]


def by_qonnx(proto: onnx.ModelProto, model: Parsed) -> Frame:
    """Return the function that evaluates a model on one frame by the executor of qonnx."""
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped: Any = ModelWrapper(_static(proto, model), make_deepcopy=False).transform(InferShapes())
    for node in wrapped.get_nodes_by_op_type("Im2Col"):
        wrapped.set_tensor_datatype(node.input[0], DataType["FLOAT32"])  # it demands a type
    return lambda given: [np.asarray(execute_onnx(wrapped, given)[name]) for name in model.outputs]


def _static(proto: onnx.ModelProto, model: Parsed) -> onnx.ModelProto:
    """A copy of a model whose inputs have a batch of one where the file leaves it open."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for value in copy.graph.input:
        if value.name in model.inputs:
            value.type.tensor_type.shape.dim[0].dim_value = model.inputs[value.name].batch
    return copy
