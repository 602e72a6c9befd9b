"""Rows of docs/coverage.md for the nodes of ONNX and QONNX. The node of interest is named "it"."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx

import bnn2hw
from tests.importers.case import Case
from tests.support.onnx_graphs import Graph

Grow = Callable[[Graph, str], str]
"""Adds a node named "it", and perhaps more, behind a value; returns the output."""

ACTIVATIONS = (
    *(
        "Relu",
        "LeakyRelu",
        "ThresholdedRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
    ),
    *("Softplus", "Softsign", "Mish", "Gelu", "Erf", "Sign", "Abs", "Neg", "Floor", "Ceil", "Round", "Exp"),
)
NOTHING = ("Identity", "Dropout")
FOUR = np.array([1.0, -2.0, 0.5, 3.0]).reshape(4, 1, 1)
SIGNS = np.where(np.random.default_rng(0).random((4, 4, 3, 3)) < 0.5, -1.0, 1.0)
SIX = np.where(np.random.default_rng(1).random((3, 4)) < 0.5, -1.0, 1.0)
VECTOR = SIGNS[:, :, 0, 0]
TENTHS = np.float32(0.1)


def onnx_nodes() -> Iterator[Case]:
    """Nodes of ONNX."""
    for kind, option, grow in _rows():
        yield _case("Nodes of ONNX", kind, option, grow)


def qonnx_nodes() -> Iterator[Case]:
    """Nodes of QONNX, Brevitas and FINN."""
    for kind, option, grow in _custom_rows():
        yield _case("Nodes of QONNX", kind, option, grow)


def _case(section: str, kind: str, option: str, grow: Grow) -> Case:
    def build() -> onnx.ModelProto:
        graph = Graph((1, 4, 6, 6), 20)  # axes of reductions are inputs
        first = graph.add("Conv", "x", SIGNS, name="first")
        index = kind in ("ArgMax", "TopK")
        return graph.model(
            grow(graph, first), kind=onnx.TensorProto.INT64 if index else onnx.TensorProto.FLOAT
        )

    return Case(section, f"{kind} (ONNX)", option, build, {"input": bnn2hw.Input("int4", 0.5)})


def _it(kind: str, *inputs: object, quantized: bool = True, **attributes: object) -> Grow:
    """A node behind a value, and a quantizer behind it."""

    def grow(graph: Graph, x: str) -> str:
        made = graph.add(kind, x, *inputs, name="it", **attributes)
        return graph.quant(made, 0.5, 0, 4) if quantized else made

    return grow


def _plain(kind: str, *inputs: object, **attributes: object) -> Grow:
    return _it(kind, *inputs, quantized=False, **attributes)


def _rows() -> Iterator[tuple[str, str, Grow]]:
    yield "Conv", "±1 × integers", _plain("Conv", SIGNS)
    yield (
        "Conv",
        "pads, strides, dilations",
        _plain("Conv", SIGNS[..., :2, :2], pads=[0, 1, 1, 0], strides=[2, 1], dilations=[1, 2]),
    )
    yield "Conv", "auto_pad='SAME_LOWER'", _plain("Conv", SIGNS, auto_pad="SAME_LOWER")
    yield "Conv", "group=2", _plain("Conv", SIGNS[:, :2], group=2)
    yield "Conv", "depthwise", _plain("Conv", SIGNS[:, :1], group=4)
    yield "Conv", "real kernel", _plain("Conv", np.random.default_rng(1).normal(0, 1, (4, 4, 3, 3)))
    yield "ConvTranspose", "strides=[2, 2]", _plain("ConvTranspose", SIGNS, strides=[2, 2])
    yield "ConvTranspose", "group=2", _plain("ConvTranspose", SIGNS[:, :2], group=2)
    yield "Gemm", "transB=1", _flat("Gemm", VECTOR.T, transB=1)
    yield "Gemm", "alpha=0.5", _flat("Gemm", VECTOR, alpha=0.5)
    yield "MatMul", "a constant on the right", _flat("MatMul", VECTOR)
    yield "MatMul", "a constant on the left", lambda g, x: g.add("MatMul", SIX, x, name="it")
    yield "BatchNormalization", "", _it("BatchNormalization", *(np.abs(FOUR.ravel()) for _ in range(4)))
    yield "MaxPool", "pads", _it("MaxPool", kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    yield "MaxPool", "ceil_mode=1", _it("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    yield "MaxPool", "dilations=[2, 2]", _it("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])
    yield "AveragePool", "", _it("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    yield (
        "AveragePool",
        "pads, count_include_pad=1",
        _it("AveragePool", kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1),
    )
    yield "AveragePool", "pads", _it("AveragePool", kernel_shape=[2, 2], pads=[1] * 4)
    for kind in ("GlobalAveragePool", "GlobalMaxPool", *ACTIVATIONS):
        yield kind, "", _it(kind)
    for kind in ("Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min"):
        yield kind, "a constant per channel", _it(kind, FOUR)
    yield "Pow", "a constant", _it("Pow", np.float32(2))
    yield "Clip", "", _it("Clip", np.float32(-1), np.float32(3))
    yield (
        "Add",
        "two values",
        lambda g, x: g.add("Add", g.quant(x, TENTHS, 0, 4), g.quant(x, TENTHS, 0, 3), name="it"),
    )
    yield (
        "Add",
        "two values of other scales",
        lambda g, x: g.add("Add", g.quant(x, TENTHS, 0, 4), g.quant(x, 0.3, 0, 3), name="it"),
    )
    yield (
        "Sub",
        "two values",
        lambda g, x: g.add("Sub", g.quant(x, TENTHS, 0, 4), g.quant(x, TENTHS, 0, 3), name="it"),
    )
    yield (
        "Add",
        "a value and one per channel",
        lambda g, x: g.add(
            "Add", g.quant(x, 1, 0, 4), g.quant(g.add("GlobalMaxPool", x), 1, 0, 4), name="it"
        ),
    )
    yield "Mul", "two values", lambda g, x: g.add("Mul", g.quant(x, 1, 0, 4), g.quant(x, 1, 0, 3), name="it")
    yield "Div", "two values", lambda g, x: g.add("Div", x, x, name="it")
    yield "Concat", "along the channels", lambda g, x: g.add("Concat", x, g.add("Relu", x), axis=1, name="it")
    yield (
        "Max",
        "two values",
        lambda g, x: g.add("Max", g.quant(x, TENTHS, 0, 4), g.quant(x, TENTHS, 0, 3), name="it"),
    )
    yield "Concat", "along the rows", lambda g, x: g.add("Concat", x, x, axis=2, name="it")
    for kind in ("Flatten", *NOTHING):
        yield kind, "", _plain(kind)
    yield "Slice", "", _plain("Slice", np.array([1, 0]), np.array([4, 2]), np.array([2, 1]))
    yield (
        "Split",
        "along the channels",
        lambda g, x: g.add("Split", x, outputs=2, axis=1, num_outputs=2, name="it"),
    )
    yield "Gather", "a constant index", _plain("Gather", np.array(2), axis=3)
    for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"):
        yield kind, "over the rows", _reduced(kind)
    yield (
        "Where",
        "between constants",
        lambda g, x: g.add(
            *("Where", g.add("Greater", x, np.float32(0)), np.float32(1), np.float32(-1)), name="it"
        ),
    )
    yield (
        "Where",
        "two values",
        lambda g, x: g.add(
            "Where", g.add("Greater", x, np.float32(0)), g.quant(x), g.quant(g.add("Neg", x)), name="it"
        ),
    )
    yield "Greater", "two values", _compared("Greater")
    yield (
        "And",
        "",
        lambda g, x: g.add(
            "Where",
            g.add("And", g.add("Greater", x, np.float32(0)), g.add("Less", x, np.float32(3)), name="it"),
            *(np.float32(1), np.float32(-1)),
        ),
    )
    yield "Reshape", "", _plain("Reshape", np.array([0, -1]))
    yield "Transpose", "", _plain("Transpose", perm=[0, 2, 3, 1])
    yield "Squeeze", "", lambda g, x: g.add("Squeeze", g.add("GlobalMaxPool", x), np.array([2, 3]), name="it")
    yield "Unsqueeze", "", _plain("Unsqueeze", np.array([1]))
    yield "Pad", "a constant", _it("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 1]), np.float32(0))
    yield "DepthToSpace", "", _it("DepthToSpace", blocksize=2)
    yield "SpaceToDepth", "", _it("SpaceToDepth", blocksize=2)
    yield "Tile", "", _it("Tile", np.array([1, 1, 2, 1]))
    yield (
        "Expand",
        "",
        lambda g, x: g.add("Expand", g.add("GlobalMaxPool", x), np.array([1, 4, 2, 2]), name="it"),
    )
    yield "Pad", "mode='reflect'", _it("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 1]), mode="reflect")
    yield (
        "Resize",
        "nearest, whole factors",
        _it(
            "Resize",
            np.zeros(0, np.float32),
            np.array([1, 1, 2, 2], np.float32),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
    )
    yield (
        "Resize",
        "mode='linear'",
        _it("Resize", np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32), mode="linear"),
    )
    yield (
        "Softmax",
        "at the end",
        lambda g, x: g.add("Softmax", g.add("Flatten", g.add("GlobalMaxPool", x)), name="it"),
    )
    yield (
        "ArgMax",
        "at the end",
        lambda g, x: g.add("ArgMax", g.add("Flatten", g.add("GlobalMaxPool", x)), axis=1, name="it"),
    )
    yield (
        "QuantizeLinear",
        "",
        lambda g, x: g.add("QuantizeLinear", x, np.float32(0.5), g.constant(3, np.int8), name="it"),
    )
    yield "DynamicQuantizeLinear", "", _plain("DynamicQuantizeLinear")
    yield "LayerNormalization", "", _plain("LayerNormalization", np.ones(6, np.float32))


def _compared(kind: str) -> Grow:
    """Signs of a comparison of two values."""
    return lambda g, x: g.add(
        "Where",
        g.add(kind, g.quant(x), g.quant(g.add("Neg", x)), name="it"),
        *(np.float32(1), np.float32(-1)),
    )


def _reduced(kind: str) -> Grow:
    return lambda g, x: g.add(kind, x, np.array([2]), name="it")


def _flat(kind: str, *inputs: object, **attributes: object) -> Grow:
    """A node behind a vector of 4 values."""
    return lambda g, x: g.add(
        kind, g.add("Flatten", g.add("GlobalMaxPool", x)), *inputs, name="it", **attributes
    )


def _custom_rows() -> Iterator[tuple[str, str, Grow]]:
    numbers = np.float32(0.3), np.float32(0), np.float32(4)
    for mode in ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"):
        yield (
            "Quant",
            f"rounding_mode='{mode}'",
            _plain("Quant", *numbers, signed=1, narrow=0, rounding_mode=mode),
        )
    yield "Quant", "narrow=1", _plain("Quant", *numbers, signed=1, narrow=1)
    yield "Quant", "signed=0", _plain("Quant", *numbers, signed=0, narrow=0)
    yield (
        "Quant",
        "a zero point",
        _plain("Quant", np.float32(0.3), np.float32(3), np.float32(4), signed=0, narrow=0),
    )
    yield "Quant", "a scale per channel", _plain("Quant", np.abs(FOUR), *numbers[1:], signed=1, narrow=0)
    yield (
        "Quant",
        "a scale that is computed",
        lambda g, x: g.add(
            "Quant", x, g.add("ReduceMax", x, keepdims=0), *numbers[1:], signed=1, narrow=0, name="it"
        ),
    )
    yield "BipolarQuant", "", _plain("BipolarQuant", TENTHS)
    yield "Trunc", "version 1", _plain("Trunc", np.float32(0.5), np.float32(0), np.float32(8), np.float32(6))
    yield (
        "Trunc",
        "version 2",
        _plain(
            "Trunc",
            np.float32(0.5),
            np.float32(0),
            np.float32(8),
            np.float32(2),
            np.float32(6),
            signed=1,
            narrow=0,
        ),
    )
    rows = np.sort(np.random.default_rng(2).normal(0, 3, (4, 5)), 1)
    yield "MultiThreshold", "", _plain("MultiThreshold", rows, out_dtype="INT4")
    yield (
        "MultiThreshold",
        "out_scale, out_bias",
        _plain("MultiThreshold", rows[:1], out_dtype="INT4", out_scale=0.5, out_bias=-1.0),
    )
    for option, numbers in (
        ("evenly spaced levels", (0.3, 1, 2, 0, 3.5)),
        ("other levels", (1, 4, 3, 7, 240)),
    ):
        yield "FloatQuant", option, _plain("FloatQuant", *map(np.float32, numbers))
