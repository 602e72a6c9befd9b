"""ONNX models in forms that are less common: fixed batches, functions inside, other first nodes, rounded values."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bnn2hw
from bnn2hw.errors import UnsupportedError
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph, hardware_equals_executor

package_or_skip("onnxruntime")

RNG = np.random.default_rng(0)
SIGNS = np.where(RNG.random((4, 3, 3, 3)) < 0.5, -1.0, 1.0)


def runtime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0]


@pytest.mark.parametrize("target", [[4, -1], [4, 64], [-1, 64], [0, -1]], ids=str)
def test_a_fixed_batch_stays_outside_of_shapes(target: list[int]) -> None:
    graph = Graph((4, 3, 6, 6))
    flat = graph.add("Reshape", graph.add("Conv", "x", SIGNS), np.array(target))
    model = graph.model(graph.add("MatMul", flat, np.where(RNG.random((64, 5)) < 0.5, -1.0, 1.0)))
    v = RNG.choice(PIXELS.ints.values(), (4, 3, 6, 6))

    accelerator = bnn2hw.compile(model, input=PIXELS)

    assert np.array_equal(accelerator.dequantize(accelerator.golden(v)), runtime(model, v * PIXELS.scale))


def test_the_shape_of_a_fixed_batch_is_folded() -> None:
    graph = Graph((4, 3, 6, 6), 15)
    made = graph.add("Conv", "x", SIGNS)
    shape = graph.add("Concat", graph.add("Shape", made, end=1), np.array([-1]), axis=0)
    model = graph.model(graph.add("Reshape", made, shape))
    v = RNG.choice(PIXELS.ints.values(), (4, 3, 6, 6))

    accelerator = bnn2hw.compile(model, input=PIXELS)

    found = np.asarray(accelerator.dequantize(accelerator.golden(v)))
    assert np.array_equal(found.reshape(4, -1), runtime(model, v * PIXELS.scale))


def test_functions_of_a_model_are_inlined() -> None:
    graph = Graph((1, 3, 6, 6))
    model = graph.model(graph.add("Block", graph.add("Conv", "x", SIGNS), domain="local"))
    model.opset_import.append(helper.make_opsetid("local", 1))
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(
        helper.make_function("local", "Block", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    )
    v = RNG.choice(PIXELS.ints.values(), (1, 3, 6, 6))

    accelerator = bnn2hw.compile(model, input=PIXELS)

    assert np.array_equal(accelerator.dequantize(accelerator.golden(v)), runtime(model, v * PIXELS.scale))


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_convolutions_of_the_size_of_their_stride(kind: str, stride: int) -> None:
    graph = Graph((1, 4, 4, 3))
    kernel = np.where(RNG.random((4, 2, 2, 2)) < 0.5, -1.0, 1.0)

    made = graph.add("ConvTranspose", "x", kernel, strides=[stride] * 2, auto_pad=kind)

    hardware_equals_executor(graph, made)


def test_half_precision_rounds_values() -> None:
    graph = Graph((1, 3, 6, 6))
    tenths = graph.add("Mul", graph.add("Conv", "x", SIGNS), np.float32(0.1))
    half = graph.add("Cast", tenths, to=TensorProto.FLOAT16)
    model = graph.model(graph.add("Cast", half, to=TensorProto.FLOAT))
    v = RNG.choice(PIXELS.ints.values(), (1, 3, 6, 6))
    accelerator = bnn2hw.compile(model, input=PIXELS)

    found, expected = accelerator.dequantize(accelerator.golden(v)), runtime(model, v * PIXELS.scale)

    assert np.abs(found - expected).max() <= 0.51 * accelerator.output.scale
    assert accelerator.fidelity["/Cast.2"].kind == "rounded"


@pytest.mark.parametrize("bipolar", [True, False], ids=["BipolarQuant", "Quant"])
def test_a_leading_quantizer_to_one_bit_gives_signs_on_the_wire(bipolar: bool) -> None:
    graph = Graph((1, 3, 6, 6))
    first = graph.add("BipolarQuant", "x", np.float32(0.5)) if bipolar else graph.quant("x", 0.5, 0, 1)

    accelerator = bnn2hw.compile(graph.model(graph.add("Conv", first, SIGNS)))

    assert accelerator.input_specs == bnn2hw.Input("bipolar", 0.5)


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_two_leading_quantizers_give_the_wire_if_they_agree(scale: float) -> None:
    graph = Graph((1, 3, 6, 6))
    one, two = (graph.add("Conv", graph.quant("x", s, 0, 4), SIGNS) for s in (0.5, scale))
    model = graph.model(graph.add("Add", one, two))

    if scale == 0.5:
        assert bnn2hw.compile(model).input_specs == bnn2hw.Input("int4", 0.5)
    else:
        with pytest.raises(UnsupportedError, match="not known"):
            bnn2hw.compile(model)


def test_inputs_of_truth_values_are_bits() -> None:
    graph = Graph((1, 3, 6, 6))
    model = graph.model(graph.add("Conv", graph.add("Cast", "x", to=TensorProto.FLOAT), SIGNS))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BOOL

    assert bnn2hw.compile(model).input_specs == bnn2hw.Input("bit")
