"""A layer that computes something else than its class and weights say is compiled right, or refused by name."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import importers
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")


def signs(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).choice([-1, 1], (100, *shape))


def behind_signs(mode: str | None = None) -> keras.Model:
    """A dense layer behind a sign, which `quantize` changes."""
    model = net.chain(
        (16,), net.dense(24), net.norm(), layers.Activation("ste_sign"), layers.Dense(5, name="head")
    )
    if mode:
        model.quantize(mode)
    return model


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_weights_behind_a_sign_give_keras_scores(mode: str) -> None:
    model, x = behind_signs(mode), signs(16)

    scores = bnn2hw.compile(model, input=SIGNS, output="scores").predict(x)

    expected = net.said(model, x.astype(np.float32))
    assert np.abs(scores - expected).max() < 1e-5 * np.abs(expected).max()


def test_quantized_weights_behind_real_values_are_refused() -> None:
    model = net.chain((16,), net.dense(24), layers.ReLU(), layers.Dense(5, name="head"))
    model.quantize("int8")

    with pytest.raises(UnsupportedError, match=r"'head': it rounds its input .* give calibration data"):
        bnn2hw.compile(model, input=SIGNS)


def test_trained_low_rank_updates_are_a_part_of_the_kernel() -> None:
    model, x = behind_signs(), signs(16)
    head = model.get_layer("head")
    head.enable_lora(2)
    head.lora_kernel_b.assign(np.random.default_rng(1).normal(0, 1, (2, 5)))

    scores = bnn2hw.compile(model, input=SIGNS, output="scores").predict(x)

    expected = net.said(model, x.astype(np.float32))
    assert np.abs(scores - expected).max() < 1e-4 * np.abs(expected).max()


class Standardized(layers.Conv2D):
    """Changes the kernel on its way to the operation, as weight standardization does."""

    def convolution_op(self, inputs: object, kernel: object) -> object:
        return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))


def replaced_call() -> layers.Layer:
    layer = layers.Dense(3, name="it")
    original = layer.call
    layer.call = lambda x, training=None: 2 * original(x)
    return layer


def linear(x: object) -> object:
    return x * x


def softmax(x: object) -> object:
    return -keras.ops.softmax(x)


def quantized(mode: str) -> Callable[[keras.Model], None]:
    return lambda model: model.quantize(mode)


OTHERS: dict[str, tuple[tuple[int, ...], Callable[[], layers.Layer], str]] = {
    "an overridden operation": (
        (4, 4, 2),
        lambda: Standardized(3, 2, name="it"),
        "since class Standardized overrides convolution_op",
    ),
    "a call that was replaced": ((8,), replaced_call, "since its call was replaced"),
    "a function named linear": ((8,), lambda: layers.Dense(3, activation=linear, name="it"), "returns other"),
    "a function named softmax": (
        (8,),
        lambda: layers.Dense(3, activation=softmax, name="it"),
        "named softmax",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_layer_that_computes_something_else_is_refused(name: str) -> None:
    shape, layer, words = OTHERS[name]

    with pytest.raises(UnsupportedError, match=f"'it': .*{words}"):
        bnn2hw.compile(net.chain(shape, layer()), input=SIGNS)


def test_eight_bit_floats_are_refused_by_their_mode() -> None:
    with pytest.raises(UnsupportedError, match=r"'head': .*since quantize\('float8'\) has changed"):
        bnn2hw.compile(behind_signs("float8"), input=SIGNS)


def test_a_layer_that_was_called_as_in_training_is_read_as_predict_computes_it() -> None:
    inputs = keras.Input((8,))
    norm = layers.BatchNormalization(name="it")
    model, x = net.shake(keras.Model(inputs, norm(net.dense(4)(inputs), training=True))), signs(8)
    before = [keras.ops.convert_to_numpy(w) for w in norm.weights]

    scores = bnn2hw.compile(model, input=SIGNS).predict(x)

    expected = net.said(model, x.astype(np.float32))
    assert np.abs(scores - expected).max() < 1e-4 * np.abs(expected).max()
    after = [keras.ops.convert_to_numpy(w) for w in norm.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def residual_block() -> keras.Model:
    inputs = keras.Input((6, 6, 2))
    x = layers.ReLU()(net.norm()(layers.Conv2D(4, 3, padding="same")(inputs)))
    x = layers.Add()([x, net.norm()(net.conv(4, padding="same")(x))])
    return net.shake(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_read_in_float32(policy: str) -> None:
    wide = residual_block()
    keras.mixed_precision.set_global_policy(policy)
    try:
        half = residual_block()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    half.set_weights(wide.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 2))

    made = [
        bnn2hw.compile(m, input=bnn2hw.Input("uint8", scale=1 / 255), output="scores") for m in (wide, half)
    ]

    assert np.array_equal(made[0].golden(x), made[1].golden(x))
    assert half.layers[1].compute_dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_function_that_computes_in_half_precision_only_is_refused(policy: str) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends convert constants of half precision")
    constant = keras.ops.convert_to_tensor(1.1, dtype=policy.removeprefix("mixed_"))
    half = layers.Dense(3, activation=lambda x: x * constant, dtype=policy, name="half")
    model = keras.Sequential([keras.Input((4,)), half])

    with pytest.raises(
        UnsupportedError, match=r"'half': a function that computes in half precision only: .*x\.dtype"
    ):
        bnn2hw.compile(model, input=bnn2hw.Input("uint8"), output="scores")


def test_a_large_and_a_small_input_are_joined() -> None:
    x = keras.Input((64, 64, 24))
    small = layers.Conv2D(1, 1, use_bias=False)(x)
    model = keras.Model(x, layers.Concatenate()([x, small]))
    graph = importers.read(model).graph
    assert graph.types[graph.outputs[0]].shape == (64, 64, 25)
