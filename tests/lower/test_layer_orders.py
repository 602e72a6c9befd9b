"""Layers in any order compile or are refused by name: no raw exception, with calibration data and without."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import UnsupportedError
from bnn2hw.ops.lut import Lut
from tests.support import long_runs
from tests.support import networks as net
from tests.support.layer_orders import Compiled, compile_order


def check_order(seed: int) -> None:
    """Compile a random order of layers; a refusal is none for values beyond their bound."""
    found = compile_order(seed)

    assert isinstance(found, Compiled) or "rounding explains" not in found
    assert isinstance(found, str) or found.as_promised


@pytest.mark.parametrize("seed", long_runs.after(8, range(16)))
def test_any_order(seed: int) -> None:
    check_order(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10_000, 12_000))
def test_any_order_of_many(seed: int) -> None:
    check_order(seed)


def test_both_answers_occur() -> None:
    found = {isinstance(compile_order(seed), Compiled) for seed in range(4)}

    assert found == {True, False}


# ---- what was found once


def off(model: keras.Model, *, shape: tuple[int, ...], calibrated: bool) -> float:
    """The largest distance of a model's scores from Keras's, as a share of the largest score."""
    x = np.random.default_rng(0).integers(0, 256, (64, *shape))
    wire = bnn2hw.Input("uint8", scale=1 / 255)
    given = {"calibration": x} if calibrated else {}
    accelerator = bnn2hw.compile(model, input=wire, output="scores", **given)
    expected = model(x.astype(np.float32) / np.float32(255)).numpy()
    return float(
        np.abs(accelerator.predict(x).reshape(expected.shape) - expected).max() / np.abs(expected).max()
    )


ENDS = {
    "Flatten, Dense": [layers.Flatten(), layers.Dense(3)],
    "Flatten": [layers.Flatten()],
    "ReLU, pool, Flatten, Dense": [layers.ReLU(), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(3)],
    "Flatten, BatchNormalization": [layers.Flatten(), net.norm()],
    "pool, Flatten, BatchNormalization": [layers.MaxPooling2D(2), layers.Flatten(), net.norm()],
    "Flatten, BatchNormalization, tanh": [layers.Flatten(), net.norm(), layers.Activation("tanh")],
}


@pytest.mark.parametrize("calibrated", [False, True], ids=["proved", "calibrated"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_flatten_and_calibration(end: list[keras.layers.Layer], calibrated: bool) -> None:
    model = net.chain((8, 8, 2), layers.Conv2D(4, 3, activation="relu"), *end)

    assert off(model, shape=(8, 8, 2), calibrated=calibrated) < 1e-3


@pytest.mark.parametrize("calibrated", [False, True], ids=["proved", "calibrated"])
def test_flatten_and_sum(calibrated: bool) -> None:
    """Scales by channel meet scales by feature."""
    inputs = keras.Input((4, 4, 2))
    flat = layers.Flatten()(net.norm()(layers.Conv2D(3, 3)(inputs)))
    dense = layers.Dense(12)(layers.Flatten()(inputs))
    model = net.shake(keras.Model(inputs, layers.Add()([flat, dense])))

    assert off(model, shape=(4, 4, 2), calibrated=calibrated) < 1e-3


@pytest.mark.parametrize("calibrated", [False, True], ids=["proved", "calibrated"])
def test_pool_flatten_norm_and_sum(calibrated: bool) -> None:
    """The positions of a norm are those behind the pooling."""
    inputs = keras.Input((6, 6, 2))
    pooled = net.norm()(layers.Flatten()(layers.MaxPooling2D(2)(layers.Conv2D(3, 3)(inputs))))
    dense = layers.Dense(12)(layers.Flatten()(inputs))
    model = net.shake(keras.Model(inputs, layers.Add()([pooled, dense])))

    assert off(model, shape=(6, 6, 2), calibrated=calibrated) < 1e-3


@pytest.mark.parametrize("end", ["softmax", "ste_sign", None])
def test_pool_flatten_and_norm_at_the_end(end: str | None) -> None:
    behind = [layers.Activation(end)] if end else []
    model = net.chain(
        (8, 8, 2), net.conv(4, 3), layers.MaxPooling2D(2), layers.Flatten(), net.norm(), *behind
    )
    x = np.random.default_rng(0).choice([-1, 1], (40, 8, 8, 2))
    expected = model(x.astype(np.float32)).numpy()

    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))

    if end == "softmax":
        assert np.array_equal(accelerator.golden(x), expected.argmax(-1))
    else:
        assert np.allclose(accelerator.predict(x), expected, atol=1e-3)


@pytest.mark.parametrize("unread", [(1,), (1, 4), (0, 1, 2, 4)], ids=len)
def test_a_curve_between_products_of_fewer_channels(unread: tuple[int, ...]) -> None:
    """Channels that nothing reads are gone, and the curve of the others is asked for single values."""
    model = net.chain((6,), layers.Dense(5), layers.Activation("tanh"), layers.Dense(3))
    kernel = model.layers[-1].kernel.numpy()
    kernel[list(unread)] = 0.0
    model.layers[-1].kernel.assign(kernel)

    assert off(model, shape=(6,), calibrated=False) < 1e-3


@pytest.mark.parametrize("calibrated", [False, True], ids=["proved", "calibrated"])
def test_a_curve_behind_sums_of_few_inputs(calibrated: bool) -> None:
    """The joined inputs of a neuron are no number that a curve could follow, or a calibration could clip."""
    first = nn.layers.QuantDense(
        3, activation="sigmoid", input_quantizer="ste_tern", kernel_quantizer="ste_heaviside"
    )
    model = net.chain((6,), first, nn.layers.QuantDense(5, kernel_quantizer="ste_sign"))
    first.kernel.assign(np.eye(6, 3) + np.eye(6, 3, -3) - 0.5)  # two inputs per neuron
    x = np.random.default_rng(0).integers(0, 256, (64, 6))
    wire = bnn2hw.Input("uint8", scale=2 / 255, offset=-1.0)

    accelerator = bnn2hw.compile(
        model, input=wire, output="scores", **({"calibration": x} if calibrated else {})
    )

    expected = model(x.astype(np.float32) * np.float32(2 / 255) - 1).numpy()
    np.testing.assert_allclose(accelerator.predict(x), expected, atol=1e-5)
    assert any(isinstance(node.op, Lut) for node in accelerator.graph)


def test_two_steps_of_one_layer_are_one_bound() -> None:
    """A layer that is an output and is read by a sum has values in two steps; the bound holds for both."""
    inputs = keras.Input((6, 2), name="image")
    x = layers.Rescaling(0.5, 0.25)(inputs)
    y = layers.Average()([x, keras.ops.clip(x, -1, 1)])
    wire = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)

    acc = bnn2hw.compile(keras.Model(inputs, {"one": x, "two": y}), input=wire, output="scores", bits=8)

    assert sum(edge.beyond for edge in acc.measured.values()) == 0


@pytest.mark.parametrize("behind", [layers.Reshape((8, 2, 1)), layers.Flatten()], ids=["Reshape", "Flatten"])
def test_a_softmax_in_front_of_another_shape_is_refused(behind: keras.layers.Layer) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Softmax(), behind])

    with pytest.raises(UnsupportedError, match="a softmax whose results other layers read"):
        bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))


def test_what_the_framework_cannot_compute_is_refused() -> None:
    """TensorFlow has no softmax of six axes; the model itself predicts nothing either."""
    model = keras.Sequential([keras.Input((1, 2, 2, 4, 1)), layers.Dense(5, activation="softmax")])

    if keras.backend.backend() == "tensorflow":
        with pytest.raises(UnsupportedError, match=r"tensorflow cannot compute it: (?!Exc).{20}"):
            bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))
