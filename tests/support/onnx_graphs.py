"""Small ONNX graphs, and the executor of QONNX as their oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import bnn2hw
from bnn2hw.accelerator import Accelerator
from tests.support.machine import package_or_skip

GENERAL = "qonnx.custom_op.general"
CHANNELS_LAST = "qonnx.custom_op.channels_last"
CUSTOM = (
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "Trunc",
    "MultiThreshold",
    "XnorPopcountMatMul",
    "Im2Col",
    "FloatQuant",
)


@dataclass
class Graph:
    """A graph that grows node by node.

    Attributes:
        shape: Shape of its input "x", with the batch.
        opset: Version of ONNX's own ops.
        nodes: Nodes so far.
        constants: Initializers so far.
        domain: Domain of the ops of QONNX.
        general: Version of this domain.
        shapes: Shapes of values in front of ops of QONNX whose executor looks for them.
    """

    shape: Sequence[int]
    opset: int = 13
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    domain: str = GENERAL
    general: int = 2
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)

    def constant(self, values: object, dtype: type = np.float32) -> str:
        """Add an initializer and return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype)
        return name

    def add(
        self,
        kind: str,
        *inputs: object,
        outputs: int = 1,
        name: str = "",
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Add a node and return its first output. Inputs are names or values of constants."""
        names = [i if isinstance(i, str) else self.constant(i, _dtype(i)) for i in inputs]
        made = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        domain = domain or (self.domain if kind in CUSTOM else "")
        label = name or f"/{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, made, name=label, domain=domain, **attributes))
        return made[0]

    def quant(
        self, x: object, scale: object = 1.0, zero: object = 0.0, bits: float = 4.0, **attributes: object
    ) -> str:
        """Add a Quant node."""
        given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        scale, zero, bits = (np.float32(v) for v in (scale, zero, bits))
        return self.add("Quant", x, scale, zero, bits, **given)

    def best(self, x: str, count: int) -> str:
        """Add a TopK node and return its indices."""
        return self.add("TopK", x, np.array([count]), outputs=2, axis=1).removesuffix("0") + "1"

    def model(self, *outputs: str, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        """Return the model with some outputs."""
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(o, kind, None) for o in outputs],
            [numpy_helper.from_array(a, n) for n, a in self.constants.items()],
            value_info=[
                helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.shapes.items()
            ],
        )
        versions = {"": self.opset, self.domain: self.general, CHANNELS_LAST: self.opset}
        imports = [helper.make_opsetid(name, version) for name, version in versions.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _dtype(value: object) -> type:
    kind = np.asarray(value).dtype.kind
    return np.int64 if kind in "iu" else np.float32


def executed(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Return what the executor of QONNX computes for some frames, one by one."""
    package_or_skip("qonnx")
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped = ModelWrapper(model).transform(InferShapes())
    for node in wrapped.get_nodes_by_op_type("Im2Col"):
        wrapped.set_tensor_datatype(node.input[0], DataType["FLOAT32"])  # it demands a type
    [name] = [o.name for o in model.graph.output]
    frames = [execute_onnx(wrapped, {"x": f[None].astype(np.float32)})[name] for f in x]
    return np.concatenate(frames)


PIXELS = bnn2hw.Input("int4", scale=0.5)
"""Integers on the wire in most tests."""


def hardware_equals_executor(graph: Graph, output: str, wire: bnn2hw.Input = PIXELS) -> Accelerator:
    """Compare the hardware form with the executor of QONNX on random integers."""
    model = graph.model(output)
    v = np.random.default_rng(0).choice(wire.ints.values(), (6, *graph.shape[1:]))
    x = (v * np.asarray(wire.scale) + np.asarray(wire.offset)).astype(np.float32)
    expected = executed(model, x)
    accelerator = bnn2hw.compile(model, input=wire)

    found = accelerator.dequantize(accelerator.golden(v))

    step = float(np.max(accelerator.output.scale))
    assert np.allclose(found.reshape(expected.shape), expected, 1e-5, 0.51 * step + 1e-5)
    return accelerator
