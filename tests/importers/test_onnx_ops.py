"""Single nodes: quantizers against vectors that the packages computed, other ops against the executor of QONNX."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest

import bnn2hw
from bnn2hw import golden, pipeline
from bnn2hw.golden import Batch
from bnn2hw.importers.onnx import read
from tests.support import shared
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import Graph, hardware_equals_executor

package_or_skip("onnxruntime")

STEP = 1 / 8
"""Real value of a step of the integers from which the quantizers get their inputs."""


def real_form(model: onnx.ModelProto, x: np.ndarray) -> Batch:
    """Results of the real form of a model."""
    imported = read(model)
    layout = imported.layouts.get("x")
    return golden.outputs(imported.graph, layout.to_stream(x) if layout else x)


def in_hardware_form(model: onnx.ModelProto, wire: bnn2hw.Input, x: np.ndarray) -> np.ndarray:
    """The real values that the integers of a model's hardware form mean."""
    imported = read(model)
    lowered = pipeline.lower(imported, wire, pipeline.recipe(imported, None, None, False)).lowered
    [output] = lowered.graph.outputs
    return lowered.graph.types[output].real(golden.outputs(lowered.graph, wire.integers(x)))


def quantizer(case: dict[str, Any], shape: tuple[int, ...], vectors: Any) -> onnx.ModelProto:
    """A model that is one case of the vectors."""
    graph = Graph(shape)
    if case["op"] == "Quant":
        names = ("signed", "narrow", "rounding_mode")
        given = {n: case[n] for n in names}
        return graph.model(graph.quant("x", case["scale"], case["zero_point"], case["bits"], **given))
    if case["op"] == "BipolarQuant":
        return graph.model(graph.add("BipolarQuant", "x", np.float32(case["scale"])))
    if case["op"] == "MultiThreshold":
        rows = vectors["mt_T"][:1] if case["thresholds"].endswith("[:1]") else vectors["mt_T"]
        given = {"out_scale": case["out_scale"], "out_bias": case["out_bias"], "data_layout": case["layout"]}
        return graph.model(graph.add("MultiThreshold", "x", rows, out_dtype="INT8", **given))
    constants = [np.float32(case[n]) for n in ("scale", "zero_point", "in_bits")]
    later = [np.float32(case[n]) for n in ("out_scale", "out_bits") if n in case]
    given = {n: case[n] for n in ("signed", "narrow", "rounding_mode") if n in case}
    return graph.model(graph.add("Trunc", "x", *constants, *later, **given))


def vectors_of(op: str) -> tuple[list[dict[str, Any]], Any]:
    cases = json.loads(shared("foreign/ops/qonnx_ops.json").read_text())
    return [c for c in cases if c["op"] == op], np.load(shared("foreign/ops/qonnx_ops.npz"))


@pytest.mark.parametrize("op", ["Quant", "BipolarQuant", "Trunc", "MultiThreshold"])
def test_vectors_of_quantizers(op: str) -> None:
    cases, vectors = vectors_of(op)
    for case in cases:
        key = "mt_x" if op == "MultiThreshold" else case.get("x", "x")
        x, expected = vectors[key], vectors[case["key"]]
        x = x if op == "MultiThreshold" else x[:, None]

        values = real_form(quantizer(case, (1, *x.shape[1:]), vectors), x)

        values = np.moveaxis(values, -1, 1) if op == "MultiThreshold" else values[:, 0]
        assert np.array_equal(values, expected), case
    assert cases


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("op", ["Quant", "BipolarQuant", "Trunc"])
def test_vectors_of_quantizers_as_thresholds(op: str, every: int) -> None:
    cases, vectors = vectors_of(op)
    for case in cases[::every]:
        x = vectors[case.get("x", "x")]
        fine = bnn2hw.Input("int8", scale=STEP)
        on_wire = np.isin(x / STEP, fine.ints.values())
        if case.get("bits", 2) == 1 and not case.get("signed", 1) and case.get("narrow"):
            continue  # it has a single value: there is nothing to compute

        values = in_hardware_form(quantizer(case, (1, 1), vectors), fine, x[on_wire, None])

        assert np.allclose(values[:, 0], vectors[case["key"]][on_wire], 1e-6, 1e-6), case
        assert on_wire.sum() > 60


ONE_INPUT = {
    "Relu": (9, {}),
    "LeakyRelu": (9, {"alpha": 0.25}),
    "Elu": (9, {"alpha": 0.5}),
    "Selu": (9, {}),
    "Sigmoid": (9, {}),
    "HardSigmoid": (9, {"alpha": 0.25, "beta": 0.5}),
    "HardSwish": (14, {}),
    "Tanh": (9, {}),
    "Softplus": (9, {}),
    "Softsign": (9, {}),
    "Sign": (9, {}),
    "Abs": (13, {}),
    "Neg": (13, {}),
    "Floor": (13, {}),
    "Ceil": (13, {}),
    "Round": (13, {}),
    "Exp": (13, {}),
    "Identity": (13, {}),
    "Dropout": (13, {}),
    "GlobalAveragePool": (9, {}),
    "GlobalMaxPool": (9, {}),
    "MaxPool": (11, {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [0, 1, 1, 0]}),
    "AveragePool": (11, {"kernel_shape": [2, 2], "strides": [2, 1]}),
    "Transpose": (13, {"perm": [0, 2, 3, 1]}),
    "Flatten": (13, {}),
}
"""Version and attributes of ops of one input."""


@pytest.mark.parametrize("kind", ONE_INPUT)
def test_ops_of_one_input(kind: str) -> None:
    opset, attributes = ONE_INPUT[kind]
    graph = Graph((1, 3, 4, 5), opset)
    signs = graph.add("Conv", "x", SIGNS)  # something to compute, so that every op has its place

    hardware_equals_executor(graph, graph.add(kind, signs, **attributes))


SIGNS = np.where(np.random.default_rng(1).random((4, 3, 1, 1)) < 0.5, -1.0, 1.0)

CHANNELS = np.array([1.0, -2.0, 0.5, 3.0]).reshape(4, 1, 1)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min", "Pow"])
@pytest.mark.parametrize("constant", [np.float32(2.0), CHANNELS], ids=["one", "channels"])
def test_arithmetic_with_constants(kind: str, constant: np.ndarray) -> None:
    if kind == "Pow" and np.ndim(constant):
        pytest.skip("a negative number has no real power of 0.5")
    graph = Graph((1, 3, 4, 5))

    hardware_equals_executor(graph, graph.add(kind, graph.add("Conv", "x", SIGNS), constant))


def test_a_constant_minus_a_value() -> None:
    graph = Graph((1, 3, 4, 5))

    hardware_equals_executor(graph, graph.add("Sub", CHANNELS, graph.add("Conv", "x", SIGNS)))


@pytest.mark.parametrize("opset", [9, 13])
def test_settings_are_attributes_or_inputs(opset: int) -> None:
    graph = Graph((1, 3, 4, 5), opset)
    value = graph.add("Conv", "x", SIGNS)
    if opset == 9:
        value = graph.add("Clip", value, min=-1.0, max=2.0)
        value = graph.add("Pad", value, pads=[0, 0, 1, 0, 0, 0, 0, 2], value=0.5)
        value = graph.add("Unsqueeze", graph.add("Reshape", value, np.array([0, -1])), axes=[0])
        value = graph.add("Squeeze", value, axes=[0])
    else:
        value = graph.add("Clip", value, np.float32(-1), np.float32(2))
        value = graph.add("Pad", value, np.array([0, 0, 1, 0, 0, 0, 0, 2]), np.float32(0.5))
        value = graph.add("Unsqueeze", graph.add("Reshape", value, np.array([0, -1])), np.array([0]))
        value = graph.add("Squeeze", value, np.array([0]))

    hardware_equals_executor(graph, value)


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"])
def test_domains_of_quantizers(domain: str) -> None:
    graph = Graph((1, 6))
    graph.domain = domain
    value = graph.quant("x", 0.5, 0, 3)
    kernel = graph.add("BipolarQuant", np.random.default_rng(0).normal(0, 1, (6, 4)), np.float32(0.25))

    accelerator = bnn2hw.compile(graph.model(graph.add("MatMul", value, kernel)))

    assert accelerator.input_specs == bnn2hw.Input("int3", scale=0.5)
    assert all(f.kind == "exact" for f in accelerator.fidelity.values())
