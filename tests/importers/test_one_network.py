"""One network by three importers: the same weights as Keras, QKeras and QONNX give the same hardware."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import nn
from tests.importers.qkeras_cases import layer
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import Graph

SIGNS = bnn2hw.Input("bipolar")
RNG = np.random.default_rng(0)
FIRST, LAST = (RNG.choice([-1, 1], shape).astype(np.float32) for shape in ((24, 12), (12, 4)))
NORM = [RNG.uniform(-1, 1, 12).astype(np.float32) for _ in range(3)] + [
    RNG.uniform(1, 2, 12).astype(np.float32)
]
EPSILON = 1e-3


def with_weights(model: keras.Model) -> keras.Model:
    model.get_layer("first").set_weights([FIRST])
    model.get_layer("norm").set_weights(NORM)
    model.get_layer("last").set_weights([LAST])
    return model


def chain(*parts: keras.layers.Layer) -> keras.Model:
    return with_weights(keras.Sequential([keras.Input((24,), name="x"), *parts], name="net"))


def of_keras() -> keras.Model:
    given = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    return chain(
        nn.layers.QuantDense(12, name="first", **given),
        keras.layers.BatchNormalization(epsilon=EPSILON, name="norm"),
        keras.layers.Activation("ste_sign", name="sign"),
        nn.layers.QuantDense(4, name="last", **given),
    )


def of_qkeras() -> keras.Model:
    given = {"kernel_quantizer": "binary(alpha=1)", "use_bias": False}
    return chain(
        layer("QDense", "first", units=12, **given),
        keras.layers.BatchNormalization(epsilon=EPSILON, name="norm"),
        layer("QActivation", "sign", activation="binary(alpha=1)"),
        layer("QDense", "last", units=4, **given),
    )


def of_qonnx() -> object:
    graph = Graph((1, 24))
    one = np.float32(1)
    gamma, beta, mean, variance = NORM
    x = graph.add("MatMul", "x", graph.add("BipolarQuant", FIRST, one), name="first")
    x = graph.add("BatchNormalization", x, gamma, beta, mean, variance, epsilon=EPSILON, name="norm")
    x = graph.add("BipolarQuant", x, one, name="sign")
    return graph.model(graph.add("MatMul", x, graph.add("BipolarQuant", LAST, one), name="last"))


IMAGES = RNG.choice([-1, 1], (3, 3, 2, 8)).astype(np.float32)
CLASSES = RNG.choice([-1, 1], (3, 3, 8, 4)).astype(np.float32)
PIXELS_NORM = [RNG.uniform(-1, 1, 8).astype(np.float32) for _ in range(3)] + [
    RNG.uniform(1, 2, 8).astype(np.float32)
]


def images_of(*parts: keras.layers.Layer) -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 2), name="x"), *parts], name="net")
    model.get_layer("first").set_weights([IMAGES])
    model.get_layer("norm").set_weights(PIXELS_NORM)
    model.get_layer("last").set_weights([CLASSES.reshape(72, 4)])
    return model


def images_of_keras() -> keras.Model:
    given = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    return images_of(
        nn.layers.QuantConv2D(8, 3, name="first", **given),
        keras.layers.BatchNormalization(epsilon=EPSILON, name="norm"),
        keras.layers.Activation("ste_sign", name="sign"),
        keras.layers.MaxPooling2D(2, name="pool"),
        keras.layers.Flatten(name="flat"),
        nn.layers.QuantDense(4, name="last", **given),
    )


def images_of_qkeras() -> keras.Model:
    given = {"kernel_quantizer": "binary(alpha=1)", "use_bias": False}
    return images_of(
        layer("QConv2D", "first", filters=8, kernel_size=3, **given),
        keras.layers.BatchNormalization(epsilon=EPSILON, name="norm"),
        layer("QActivation", "sign", activation="binary(alpha=1)"),
        keras.layers.MaxPooling2D(2, name="pool"),
        keras.layers.Flatten(name="flat"),
        layer("QDense", "last", units=4, **given),
    )


def images_of_qonnx() -> object:
    """The network with its channels first, and the last weights in the order of its flattened image."""
    graph, one = Graph((1, 2, 8, 8)), np.float32(1)
    gamma, beta, mean, variance = PIXELS_NORM
    x = graph.add("Conv", "x", graph.add("BipolarQuant", IMAGES.transpose(3, 2, 0, 1), one), name="first")
    x = graph.add("BatchNormalization", x, gamma, beta, mean, variance, epsilon=EPSILON, name="norm")
    x = graph.add("BipolarQuant", x, one, name="sign")
    x = graph.add(
        "Flatten", graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], name="pool"), name="flat"
    )
    last = graph.add("BipolarQuant", CLASSES.transpose(2, 0, 1, 3).reshape(72, 4), one)
    return graph.model(graph.add("MatMul", x, last, name="last"))


def sources(accelerator: bnn2hw.Accelerator) -> dict[str, list[str]]:
    """The generated files without their comments, which name the model."""
    files = accelerator.design.files.items()
    return {name: [x for x in text.splitlines() if not x.lstrip().startswith("//")] for name, text in files}


@pytest.mark.parametrize("other", [of_qkeras, of_qonnx])
def test_the_same_weights_are_the_same_hardware(other) -> None:
    if other is of_qonnx:
        package_or_skip("onnxruntime")
    one, two = (bnn2hw.compile(make(), input=SIGNS) for make in (of_keras, other))

    x = RNG.choice([-1, 1], (100, 24))
    assert np.array_equal(one.golden(x), two.golden(x))
    assert {f.kind for f in (*one.fidelity.values(), *two.fidelity.values())} == {"exact"}
    assert sources(one) == sources(two)


@pytest.mark.parametrize("other", [images_of_qkeras, images_of_qonnx])
def test_the_same_weights_are_the_same_hardware_in_any_order_of_axes(other) -> None:
    if other is images_of_qonnx:
        package_or_skip("onnxruntime")
    one, two = (bnn2hw.compile(make(), input=SIGNS) for make in (images_of_keras, other))

    x = RNG.choice([-1, 1], (20, 8, 8, 2))
    assert np.array_equal(one.golden(x), two.golden(np.moveaxis(x, -1, 1) if other is images_of_qonnx else x))
    assert sources(one) == sources(two)
