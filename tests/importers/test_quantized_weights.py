"""Models after Keras's own `quantize`: weights of 8 and 4 bits, and inputs that are rounded at run time."""

from __future__ import annotations

import gc
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, quantizers

import bnn2hw
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
ROUNDING = quantizers.AbsMaxQuantizer()

WEIGHTS_ONLY = {
    "int8": quantizers.Int8QuantizationConfig(activation_quantizer=None),
    "int4 by output": quantizers.Int4QuantizationConfig(block_size=None),
    "int4 by blocks": quantizers.Int4QuantizationConfig(block_size=4),
    "int4": None,
}

INPUTS_TOO = {
    "int8": None,
    "int4 by output": quantizers.Int4QuantizationConfig(block_size=None, activation_quantizer=ROUNDING),
}


def dense() -> keras.Model:
    x = inputs = keras.Input((12, 10))
    x = layers.Flatten()(layers.Dense(9, activation="relu", name="first")(x))
    return keras.Model(inputs, layers.Dense(7, name="last")(x))


def einsum() -> keras.Model:
    x = inputs = keras.Input((12, 10))
    x = layers.EinsumDense("abc,cde->abed", (12, 5, 3), bias_axes="ed", activation="relu", name="first")(x)
    return keras.Model(inputs, layers.EinsumDense("abed,edh->abh", (12, 11), name="last")(x))


def quantized(build, mode: str, config: object) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda: 0)  # Keras asks for it after each layer
        model.quantize(mode.split()[0], config=config)
    return model


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 12, 10)).astype(np.uint8)


def expected(model: keras.Model) -> np.ndarray:
    return net.said(model, images() / np.float32(255))


@pytest.mark.parametrize("build", [dense, einsum])
@pytest.mark.parametrize("mode", WEIGHTS_ONLY)
def test_weights_alone_give_the_scores_of_keras(build, mode: str) -> None:
    model = quantized(build, mode, WEIGHTS_ONLY[mode])

    scores = bnn2hw.compile(model, input=PIXELS).predict(images())

    assert np.abs(scores - expected(model)).max() < 2e-5 * np.abs(expected(model)).max()


@pytest.mark.parametrize(("mode", "bits"), [("int8", 8), ("int4 by output", 4)])
def test_kernels_have_the_bits_that_keras_gave_them(mode: str, bits: int) -> None:
    accelerator = bnn2hw.compile(quantized(dense, mode, WEIGHTS_ONLY[mode]), input=PIXELS)

    kernels = [n.op.weights for n in accelerator.graph if hasattr(n.op, "weights")]
    assert [max(int(np.abs(k).max()).bit_length() for k in kernels)] == [bits - 1]


def test_a_file_is_read_as_the_model_that_was_saved(tmp_path: Path) -> None:
    model = quantized(dense, "int4", None)
    model.save(tmp_path / "it.keras")

    scores = bnn2hw.compile(tmp_path / "it.keras", input=PIXELS).predict(images())

    assert np.array_equal(scores, bnn2hw.compile(model, input=PIXELS).predict(images()))


@pytest.mark.parametrize(("mode", "config"), [("gptq", "GPTQConfig"), ("awq", "AWQConfig")])
def test_weights_in_groups_of_other_methods_give_the_scores_of_keras(mode: str, config: str) -> None:
    """GPTQ and AWQ choose the integers otherwise; weights are multiples of a scale for each group of inputs."""
    if not hasattr(quantizers, config):
        pytest.skip(f"this Keras has no {config}")
    options = {"dataset": ["x"], "tokenizer": str, "weight_bits": 4, "group_size": 4}
    model, rng = dense(), np.random.default_rng(0)
    for layer in (model.get_layer("first"), model.get_layer("last")):
        layer.quantize(mode, config=getattr(quantizers, config)(**options))
        setattr(layer, f"is_{mode}_calibrated", True)
        kernel, scale, zero = layer.quantized_kernel, layer.kernel_scale, layer.kernel_zero
        kernel.assign(rng.integers(0, 255, kernel.shape).astype(kernel.dtype))
        scale.assign(rng.uniform(0.5, 2, scale.shape))
        zero.assign(np.full(zero.shape, 7))

    scores = bnn2hw.compile(model, input=PIXELS, output="scores").predict(images())

    assert np.abs(scores - expected(model)).max() < 2e-5 * np.abs(expected(model)).max()


@pytest.mark.parametrize("build", [dense, einsum])
@pytest.mark.parametrize("mode", INPUTS_TOO)
def test_calibration_data_fix_the_steps_of_inputs(build, mode: str) -> None:
    model = quantized(build, mode, INPUTS_TOO[mode])

    accelerator = bnn2hw.compile(model, input=PIXELS, calibration=images())

    off = np.abs(accelerator.predict(images()) - expected(model))
    assert 0 < off.mean() < 0.02 * np.abs(expected(model)).mean()
    for layer in ("first", "last"):
        assert accelerator.fidelity[layer].kind == "rounded"
        assert "fixed steps" in accelerator.fidelity[layer].why
    assert 0 < accelerator.measured["last"].share < 0.02


def test_inputs_in_steps_of_each_vector_are_refused_without_calibration_data() -> None:
    with pytest.raises(UnsupportedError, match=r"'first': it rounds its input .*\n.*'last': it rounds"):
        bnn2hw.compile(quantized(dense, "int8", None), input=PIXELS)


def test_loadable_designs_take_no_steps_from_calibration_data() -> None:
    with pytest.raises(UnsupportedError, match="designs that are not loadable"):
        bnn2hw.compile(quantized(dense, "int8", None), input=PIXELS, calibration=images(), loadable=True)


@pytest.mark.parametrize("build", [dense, einsum])
def test_floating_point_of_eight_bits_is_refused_with_calibration_data_too(build) -> None:
    with pytest.raises(UnsupportedError, match=r"'first': .*since quantize\('float8'\) has changed"):
        bnn2hw.compile(quantized(build, "float8", None), input=PIXELS, calibration=images())


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_layers_inside_others_are_named_as_the_cause(mode: str) -> None:
    """Keras calls the layer for each step as if it were not quantized, and returns other values."""
    model = net.chain((4, 10), layers.TimeDistributed(layers.Dense(5), name="steps"))
    model.quantize(mode)

    with pytest.raises(
        UnsupportedError, match=rf"'steps': .*since quantize\('{mode}'\) has changed"
    ) as caught:
        bnn2hw.compile(model, input=PIXELS, calibration=np.zeros((2, 4, 10), int))

    assert "before it is quantized" in str(caught.value)
