"""Functions whose values differ by position, and ThresholdedReLU, which Keras 3 lacks: as true as the model."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.errors import UnsupportedError
from bnn2hw.nn import layers as quantized
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
RNG = np.random.default_rng(0)
L = keras.layers


def binary() -> keras.Layer:
    return quantized.QuantConv2D(
        4,
        3,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        pad_values=1.0,
    )


class ThresholdedReLU(keras.Layer):
    """A layer of a user's own, by the name that it has in Keras 2."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.where(x > 0.3, x, 0.0)


class Mixed(keras.Layer):
    """A function of several values."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return x - keras.ops.mean(x, -1, keepdims=True)


Mixed.__name__ = "ThresholdedReLU"

CASES = {
    "slopes in front of a Flatten": lambda: [L.Conv2D(4, 3), L.PReLU(), L.Flatten()],
    "slopes between convolutions": lambda: [L.Conv2D(4, 3), L.PReLU(), L.Conv2D(3, 3), L.Flatten()],
    "slopes in front of a sign": lambda: [L.Conv2D(4, 3), L.PReLU(), binary(), L.Flatten()],
    "slopes by column": lambda: [
        L.Conv2D(4, 3),
        L.PReLU(shared_axes=[1]),
        L.MaxPooling2D(2),
        L.Flatten(),
    ],
    "norm by row of sums": lambda: [binary(), L.BatchNormalization(axis=1), binary(), L.Flatten()],
    "norm by column": lambda: [L.Conv2D(4, 3), L.BatchNormalization(axis=2), L.GlobalAveragePooling2D()],
    "norm of the input by row": lambda: [L.BatchNormalization(axis=1), L.Conv2D(4, 3), L.Flatten()],
    "normalization of each value": lambda: [
        L.Normalization((1, 2, 3), RNG.normal(0, 0.1, (7, 7, 2)), RNG.uniform(0.5, 1, (7, 7, 2))),
        L.Flatten(),
    ],
    "own ThresholdedReLU": lambda: [L.Conv2D(4, 3), ThresholdedReLU(), L.Flatten()],
}


def made(layers: list[keras.Layer]) -> keras.Model:
    """A model with these layers in front of a dense one, with weights that tell positions apart."""
    model = net.chain((7, 7, 2), *layers, L.Dense(3))
    for weight in model.weights:
        if any(name in weight.path for name in ("gamma", "alpha", "moving_variance")):
            weight.assign(RNG.uniform(0.3, 2, weight.shape))
        elif "beta" in weight.path or "moving_mean" in weight.path:
            weight.assign(RNG.normal(0, 0.5, weight.shape))
    return model


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_the_model(case: str) -> None:
    keras.utils.set_random_seed(1)
    model, x = made(CASES[case]()), RNG.integers(0, 256, (64, 7, 7, 2))

    accelerator = bnn2hw.compile(model, input=PIXELS)

    expected = net.said(model, (x / 255).astype(np.float32))
    found = accelerator.predict(x)
    assert np.array_equal(found, accelerator.dequantize(accelerator.golden(x)))
    assert np.abs(found - expected).max() < 5e-5 * np.abs(expected).max()


def test_a_layer_of_that_name_that_mixes_values_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="depend on several values of its input"):
        bnn2hw.compile(made([L.Conv2D(4, 3), Mixed(), L.Flatten()]), input=PIXELS)
