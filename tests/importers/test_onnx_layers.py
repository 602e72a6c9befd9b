"""Convolutions, products, branches and changes of shape of ONNX against the executor of QONNX."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import bnn2hw
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph, executed, hardware_equals_executor

package_or_skip("onnxruntime")

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-3, 4, shape).astype(np.float32)


CONVOLUTIONS = {
    "asymmetric pads": ((1, 3, 6, 5), (4, 3, 3, 2), {"pads": [0, 1, 2, 0], "strides": [2, 1]}),
    "dilation": ((1, 2, 7, 7), (3, 2, 3, 3), {"dilations": [2, 1]}),
    "groups": ((1, 4, 5, 5), (6, 2, 2, 2), {"group": 2}),
    "depthwise": ((1, 4, 5, 5), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "two kernels per channel": ((1, 3, 5, 5), (6, 1, 2, 2), {"group": 3}),
    "same, upper": ((1, 2, 5, 6), (3, 2, 2, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same, lower": ((1, 2, 5, 6), (3, 2, 2, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "a row": ((1, 3, 9), (4, 3, 3), {"pads": [1, 0], "strides": [2]}),
    "a volume": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), {}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    shape, kernel, attributes = CONVOLUTIONS[name]
    graph = Graph(shape)

    value = graph.add("Conv", "x", weights(*kernel), weights(kernel[0]), **attributes)

    hardware_equals_executor(graph, value)


TRANSPOSED = {
    "strides": {"strides": [2, 2]},
    "pads": {"strides": [2, 1], "pads": [1, 0, 0, 1]},
    "output padding": {"strides": [2, 2], "output_padding": [1, 0]},
    "dilation": {"dilations": [2, 1]},
    "same": {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions(name: str) -> None:
    graph = Graph((1, 3, 3, 4))

    value = graph.add("ConvTranspose", "x", weights(3, 2, 3, 3), weights(2), **TRANSPOSED[name])

    hardware_equals_executor(graph, value)


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_grouped_transposed_convolutions(name: str, groups: int) -> None:
    graph = Graph((1, 4, 3, 4))

    kernel = weights(4, 8 // groups, 3, 3)
    value = graph.add("ConvTranspose", "x", kernel, weights(8), group=groups, **TRANSPOSED[name])

    hardware_equals_executor(graph, value)


@pytest.mark.parametrize("pad", [0, 1])
def test_windows_and_a_product_are_a_convolution(pad: int) -> None:
    graph = Graph((1, 3, 6, 5))
    x = graph.add("Transpose", "x", perm=[0, 2, 3, 1])
    given = {
        "stride": [2, 1],
        "kernel_size": [3, 2],
        "pad_amount": [pad, 0, 0, pad],
        "input_shape": "(1, 6, 5, 3)",
    }
    patches = graph.add("Im2Col", x, **given)
    kernel = weights(4, 3, 3, 2)
    value = graph.add("MatMul", patches, kernel.transpose(2, 3, 1, 0).reshape(-1, 4))
    same = Graph((1, 3, 6, 5))
    last = same.add("Conv", "x", kernel, strides=[2, 1], pads=[pad, 0, 0, pad])
    v = RNG.choice(PIXELS.ints.values(), (4, 3, 6, 5))

    found = bnn2hw.compile(graph.model(value), input=PIXELS).golden(v)

    # The executor of QONNX needs type annotations for this op, so a convolution is the oracle.
    expected = executed(same.model(last), v.astype(np.float32))
    assert np.array_equal(found, expected.transpose(0, 2, 3, 1))


def test_products_at_each_position_and_of_whole_images() -> None:
    graph = Graph((1, 3, 4, 5))
    pixels = graph.add("Transpose", "x", perm=[0, 2, 3, 1])
    deep = graph.add("MatMul", pixels, weights(3, 4))
    first = graph.add("Transpose", graph.quant(deep, 2.0, 0, 3), perm=[0, 3, 1, 2])

    hardware_equals_executor(
        graph, graph.add("Gemm", graph.add("Flatten", first), weights(2, 80), weights(2), transB=1)
    )


def test_counts_of_equal_bits() -> None:
    graph = Graph((1, 12))

    value = graph.add("XnorPopcountMatMul", "x", RNG.integers(0, 2, (12, 3)).astype(np.float32))

    hardware_equals_executor(graph, value, bnn2hw.Input("bit"))


def test_branches() -> None:
    graph = Graph((1, 2, 4, 4))
    x = graph.quant("x", 0.5, 0, 4)
    a = graph.quant(graph.add("Conv", x, weights(2, 2, 1, 1)), 0.5, 0, 4)
    difference = graph.add("Sub", graph.add("Sum", x, graph.quant(a, 0.5, 0, 3)), x)
    difference = graph.add("Add", difference, a)
    both = graph.add("Concat", difference, graph.add("Relu", x), x, axis=1)
    gate = graph.add("GlobalMaxPool", both)

    hardware_equals_executor(graph, graph.add("Mul", both, gate))


def test_a_sum_of_two_quantizers_of_one_scale_is_exact() -> None:
    graph = Graph((1, 2, 4, 4))
    step = np.float32(0.7188817262649536)
    a = graph.quant(graph.add("Conv", "x", weights(2, 2, 1, 1)), step, 0, 5)
    accelerator = hardware_equals_executor(graph, graph.add("Add", a, graph.quant("x", step, 0, 5)))

    assert accelerator.graph.types["/Add.3"].scale == step
    assert {type(n.op).__name__ for n in accelerator.origin.lowered.graph} == {
        "Source",
        "Mac",
        "Threshold",
        "Add",
    }


@pytest.mark.parametrize(("kind", "opset"), [("Upsample", 9), ("Resize", 11), ("Resize", 13)])
def test_upsampling(kind: str, opset: int) -> None:
    graph = Graph((1, 2, 3, 4), opset)
    scales = np.array([1, 1, 2, 3], np.float32)
    given = [scales] if kind == "Upsample" else [np.zeros(0, np.float32), scales]
    modes = (
        {}
        if kind == "Upsample"
        else {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    )

    hardware_equals_executor(
        graph, graph.add(kind, graph.add("Conv", "x", weights(2, 2, 1, 1)), *given, mode="nearest", **modes)
    )


def test_quantize_and_dequantize() -> None:
    graph = Graph((1, 3, 4, 4))
    zero = graph.constant(131, np.uint8)
    x = graph.add("QuantizeLinear", "x", np.float32(0.5), zero)
    x = graph.add("DequantizeLinear", x, np.float32(0.5), zero)
    kernel = graph.constant(RNG.integers(-128, 128, (4, 3, 1, 1)), np.int8)
    scale = graph.constant([0.5, 0.25, 2.0, 1.0])
    kernel = graph.add("DequantizeLinear", kernel, scale, graph.constant([0, 3, 0, -5], np.int8), axis=0)

    accelerator = hardware_equals_executor(
        graph, graph.add("Conv", x, kernel), bnn2hw.Input("uint8", 0.5, -65.5)
    )

    [product] = [n for n in accelerator.origin.lowered.graph if n.name == "/Conv.3"]
    assert product.op.scale == (0.5, 0.25, 2.0, 1.0)
    stated = bnn2hw.compile(graph.model(graph.nodes[-1].output[0]))
    assert stated.input_specs == bnn2hw.Input("uint8", 0.5, -65.5)


def test_scales_per_channel_keep_the_integers_of_their_quantizer() -> None:
    graph = Graph((1, 6))
    scales = np.array([[0.3], [0.07], [0.11]], np.float32)
    integers = np.array([[7, 1, -2, 0, 3, 5], [3, 2, -1, 0, 1, 1], [-5, 4, 2, 0, 0, 1]], np.float32)
    kernel = graph.quant(integers * scales, scales, 0, 4)

    accelerator = hardware_equals_executor(graph, graph.add("MatMul", "x", graph.add("Transpose", kernel)))

    [product] = [n for n in accelerator.origin.lowered.graph if n.name.startswith("/MatMul")][:1]
    assert np.array_equal(product.op.weights, integers.T)
    assert product.op.scale == tuple(scales[:, 0].astype(np.float64))


@pytest.mark.parametrize("kind", ["ArgMax", "TopK", "Softmax"])
def test_ends_of_classifiers(kind: str) -> None:
    graph = Graph((1, 6))
    scores = graph.add("MatMul", "x", weights(6, 4))
    if kind == "TopK":
        graph.add("TopK", scores, np.array([2]), outputs=2)
        end, count = graph.nodes[-1].output[1], 2
    else:
        end, count = graph.add(kind, scores, axis=1), 1
    model = graph.model(end, kind=onnx.TensorProto.FLOAT if kind == "Softmax" else onnx.TensorProto.INT64)
    v = RNG.choice(PIXELS.ints.values(), (20, 6))
    x = v.astype(np.float32) / 2

    found = bnn2hw.compile(model, input=PIXELS).golden(v)

    expected = executed(model, x)
    classes = expected.argmax(-1) if kind == "Softmax" else expected
    assert np.array_equal(found.reshape(20, count), classes.reshape(20, count))


def test_names_with_slashes_and_dots() -> None:
    graph = Graph((1, 6))
    value = graph.add("MatMul", "x", weights(6, 4), name="/body/body.0/Mat::Mul 1")
    model = graph.model(graph.quant(value, 1.0, 0, 3))

    accelerator = bnn2hw.compile(model, input=PIXELS)

    assert "/body/body.0/Mat::Mul 1" in accelerator.fidelity
    accelerator.simulate(RNG.choice(PIXELS.ints.values(), (4, 6))).check()


def test_constant_parts_of_a_graph_are_evaluated() -> None:
    graph = Graph((1, 2, 3, 3))
    size = graph.add("Shape", "x")
    first = graph.add("Gather", size, np.array(0), axis=0)
    shape = graph.add("Concat", graph.add("Unsqueeze", first, np.array([0])), np.array([-1]), axis=0)
    scale = graph.add("Div", np.float32(1), graph.add("Pow", np.float32(16), np.float32(0.5)))
    kernel = graph.add("Mul", np.sign(weights(18, 3)) + 0.0, scale)

    hardware_equals_executor(graph, graph.add("MatMul", graph.add("Reshape", "x", shape), kernel))


def test_a_border_that_needs_other_integers_behind_functions_that_fall() -> None:
    graph = Graph((1, 3, 5, 5))
    fall = [-np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)]
    value = graph.add("BatchNormalization", graph.add("Conv", "x", weights(4, 3, 1, 1)), *fall)
    steps = np.sort(RNG.normal(0, 3, (4, 3)), 1)
    given = {"out_dtype": "INT4", "data_layout": "NCHW", "out_scale": 0.375, "out_bias": -1.0}

    # No level is 0, so zeros around the image need finer integers than the thresholds themselves.
    hardware_equals_executor(
        graph,
        graph.add(
            "Conv", graph.add("MultiThreshold", value, steps, **given), weights(2, 4, 2, 2), pads=[1] * 4
        ),
    )


def test_branches_of_other_scales_are_whole_multiples_of_one() -> None:
    graph = Graph((1, 2, 4, 4))
    fine = graph.quant(graph.add("Conv", "x", weights(2, 2, 1, 1)), 0.25, 0, 4)
    both = graph.add("Concat", fine, graph.quant("x", 1.0, 0, 3), axis=1)

    accelerator = hardware_equals_executor(graph, graph.add("Conv", both, weights(3, 4, 2, 2)))

    assert all(f.kind == "exact" for f in accelerator.fidelity.values())


def test_factors_of_a_product_scale_its_integers() -> None:
    graph = Graph((1, 6))
    kernel = graph.quant(weights(3, 6), 0.75, 0, 3)

    accelerator = hardware_equals_executor(
        graph, graph.add("Gemm", "x", kernel, weights(3), transB=1, alpha=0.5, beta=2.0)
    )

    [product] = [n for n in accelerator.origin.lowered.graph if n.name == "/Gemm.1"]
    assert product.op.scale == 0.375
