"""An ONNX model as typed Python objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bnn2hw.ir import Array

STANDARD = ("", "ai.onnx")
"""Names of the domain of ONNX itself."""

CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""Domain of ops of ONNX whose images have their channels last."""

QUANTIZED = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
"""Domains of the ops of QONNX, under all names in use."""


@dataclass(frozen=True, eq=False)
class Op:
    """One node.

    Attributes:
        kind: Name of the operator.
        domain: Domain of the operator.
        version: Version of the operator set.
        name: Name of the node, unique in the model.
        inputs: Names of the values that it reads; empty names of inputs that are left out.
        outputs: Names of the values that it makes.
        attributes: Its attributes: numbers, strings, lists and arrays.
    """

    kind: str
    domain: str
    version: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def standard(self) -> bool:
        """True if ONNX itself defines the operator, for either order of axes."""
        return self.domain in (*STANDARD, CHANNELS_LAST)

    @property
    def channels_last(self) -> bool:
        """True if the images that the node reads have their channels last."""
        return self.domain == CHANNELS_LAST or self.kind == "MaxPoolNHWC"


@dataclass(frozen=True)
class Entry:
    """An input of a model.

    Attributes:
        shape: Its shape, with 1 in place of a batch size that is open.
        batch: Batch size that the file states; 1 if it is open.
        dtype: Type of its elements.
        annotation: Name of its integer type if QONNX states one, for example "UINT8".
    """

    shape: tuple[int, ...]
    batch: int
    dtype: np.dtype[Any]
    annotation: str


@dataclass(frozen=True, eq=False)
class Model:
    """A model.

    Attributes:
        ops: Nodes, each after those that it reads.
        constants: Initializers by name.
        inputs: The model's own inputs by name.
        outputs: Names of its outputs.
    """

    ops: tuple[Op, ...]
    constants: Mapping[str, Array]
    inputs: Mapping[str, Entry]
    outputs: tuple[str, ...]


def parsed(proto: onnx.ModelProto) -> Model:
    """Return a model as typed objects.

    Args:
        proto: The model as the package `onnx` reads it.
    """
    versions = {each.domain: each.version for each in proto.opset_import}
    graph = proto.graph
    if graph.sparse_initializer:
        raise ValueError(
            f"the initializer '{graph.sparse_initializer[0].values.name}' is sparse; store it dense"
        )
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    names = _names(graph.node)
    ops = tuple(_op(node, name, versions) for node, name in zip(graph.node, names, strict=True))
    types = _annotations(graph)
    inputs = {i.name: _entry(i, types.get(i.name, "")) for i in graph.input if i.name not in constants}
    return Model(_sorted(ops), constants, inputs, tuple(o.name for o in graph.output))


def _names(nodes: Any) -> list[str]:
    """Distinct names of nodes; a node without a name is called after its output."""
    count = Counter(node.name for node in nodes)
    taken = {node.name for node in nodes if count[node.name] == 1}
    found = []
    for node in nodes:
        name = node.name
        if not name or count[name] > 1:
            name = next(o for o in node.output if o)
            name = f"{name}#{node.op_type}" if name in taken else name
        taken.add(name)
        found.append(name)
    return found


def _op(node: onnx.NodeProto, name: str, versions: Mapping[str, int]) -> Op:
    attributes = {a.name: _attribute(a) for a in node.attribute}
    version = versions.get(node.domain, versions.get("", 1) if node.domain in STANDARD else 1)
    return Op(node.op_type, node.domain, version, name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple) and value and isinstance(value[0], bytes):
        return [v.decode() for v in value]
    return value


def _entry(value: onnx.ValueInfoProto, annotation: str) -> Entry:
    tensor = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    batch = max(dims[0], 1) if dims else 1
    shape = (1, *dims[1:]) if dims else ()
    return Entry(shape, batch, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), annotation)


def _annotations(graph: onnx.GraphProto) -> dict[str, str]:
    return {
        note.tensor_name: pair.value
        for note in graph.quantization_annotation
        for pair in note.quant_parameter_tensor_names
        if pair.key == "finn_datatype"
    }


def _sorted(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    """The nodes, each after those that it reads, otherwise in their own order.

    Raises:
        ValueError: Two nodes make one value, or nodes read each other's values in a circle.
    """
    makers: dict[str, Op] = {}
    for op in ops:
        for output in filter(None, op.outputs):
            if makers.setdefault(output, op) is not op:
                raise ValueError(f"the nodes '{makers[output].name}' and '{op.name}' both make '{output}'")
    done: dict[int, Op] = {}
    opened: set[int] = set()
    for root in ops:
        stack = [(root, False)]
        while stack:
            op, ready = stack.pop()
            if id(op) in done:
                continue
            if ready:
                done[id(op)] = op
                continue
            if id(op) in opened:
                raise ValueError(f"the node '{op.name}' reads a value that depends on its own output")
            opened.add(id(op))
            stack.append((op, True))
            before = [makers[i] for i in op.inputs if i in makers]
            stack.extend((b, False) for b in reversed(before) if id(b) not in done)
    return tuple(done.values())
