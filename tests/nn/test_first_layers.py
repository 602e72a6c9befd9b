"""The layers as a whole: they quantize, train, and survive a file."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn

BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}


def small_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            nn.layers.QuantConv2D(
                4, 3, kernel_quantizer=nn.quantizers.SteSign(1.3), kernel_constraint="weight_clip"
            ),
            keras.layers.BatchNormalization(),
            nn.layers.QuantConv2D(4, 3, padding="same", pad_values=1.0, strides=2, **BINARY),
            keras.layers.Activation("ste_sign"),
            keras.layers.Flatten(),
            nn.layers.QuantDense(5, activation="approx_sign", **BINARY),
            keras.layers.Dense(3, kernel_constraint="weight_clip"),
        ]
    )


def test_dense_is_the_product_of_signs(rng):
    layer = nn.layers.QuantDense(7, **BINARY)
    x = rng.normal(size=(5, 11)).astype("float32")

    y = layer(x)

    expected = np.where(x < 0, -1, 1) @ np.where(layer.kernel.numpy() < 0, -1, 1)
    np.testing.assert_array_equal(y, expected)


def test_kernel_reads_latent_outside_and_quantized_inside_a_scope():
    layer = nn.layers.QuantDense(7, **BINARY)
    layer.build((None, 3))

    latent = layer.get_weights()[0]
    with nn.context.quantized_scope(True):
        quantized = layer.get_weights()[0]

    assert np.all(np.abs(latent) < 1)
    np.testing.assert_array_equal(quantized, np.where(latent < 0, -1, 1))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saved_model_computes_the_same(rng, tmp_path, suffix):
    model = small_model()
    model.compile("adam", "mse")
    x = rng.normal(size=(32, 8, 8, 2)).astype("float32")
    model.fit(x, rng.normal(size=(32, 3)), verbose=0)
    path = tmp_path / f"model{suffix}"

    model.save(path)
    loaded = keras.models.load_model(path, compile=False)

    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.layers[0].kernel_quantizer.clip_value == 1.3
    assert isinstance(loaded.layers[2].input_quantizer, nn.quantizers.SteSign)
    assert loaded.layers[2].pad_values == 1.0


def test_training_moves_latent_weights_within_the_clip_value(rng):
    model = small_model()
    model.compile(keras.optimizers.SGD(50.0), "mse")

    model.fit(rng.normal(size=(32, 8, 8, 2)), rng.normal(size=(32, 3)), verbose=0)

    kernel = model.layers[2].kernel.numpy()
    assert np.max(np.abs(kernel)) == 1
