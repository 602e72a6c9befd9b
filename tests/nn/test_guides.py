"""The fragments of the tutorial and the guides, with nothing changed but the import of the layers."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as lq

tf = pytest.importorskip("tensorflow")


def test_tutorial(rng, capsys):
    kwargs = {
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    model = tf.keras.models.Sequential()
    model.add(
        lq.layers.QuantConv2D(
            32,
            (3, 3),
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
            use_bias=False,
            input_shape=(28, 28, 1),
        )
    )
    model.add(tf.keras.layers.MaxPooling2D((2, 2)))
    model.add(tf.keras.layers.BatchNormalization(scale=False))
    model.add(lq.layers.QuantConv2D(64, (3, 3), **kwargs))
    model.add(tf.keras.layers.MaxPooling2D((2, 2)))
    model.add(tf.keras.layers.BatchNormalization(scale=False))
    model.add(lq.layers.QuantConv2D(64, (3, 3), **kwargs))
    model.add(tf.keras.layers.BatchNormalization(scale=False))
    model.add(tf.keras.layers.Flatten())
    model.add(lq.layers.QuantDense(64, **kwargs))
    model.add(tf.keras.layers.BatchNormalization(scale=False))
    model.add(lq.layers.QuantDense(10, **kwargs))
    model.add(tf.keras.layers.BatchNormalization(scale=False))
    model.add(tf.keras.layers.Activation("softmax"))

    lq.models.summary(model)

    printed = capsys.readouterr().out
    for number in ("93088", "468", "13.19 KiB", "2.79 M", "0.9303"):
        assert number in printed
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(rng.normal(size=(128, 28, 28, 1)), np.arange(128) % 10, batch_size=64, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize(
    ("quantized", "bits"),
    [
        ({}, {32}),
        ({"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}, {1}),
        ({"input_quantizer": "ste_sign"}, {32}),
        (
            {
                "input_quantizer": "ste_sign",
                "kernel_quantizer": "ste_sign",
                "kernel_constraint": "weight_clip",
            },
            {1},
        ),
    ],
    ids=["plain", "BWN", "BAN", "BNN"],
)
def test_variants(rng, quantized, bits):
    model = tf.keras.models.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28)),
            lq.layers.QuantDense(512, activation="relu", use_bias=False, **quantized),
            lq.layers.QuantDense(10, activation="softmax", use_bias=False, **quantized),
        ]
    )
    profile = lq.models.profile(model)

    model.compile("adam", "sparse_categorical_crossentropy")
    loss = model.fit(rng.normal(size=(64, 28, 28)), np.arange(64) % 10, verbose=0).history["loss"]

    assert set(profile.unique_param_bidtwidths) == bits
    assert np.isfinite(loss[0])


@tf.custom_gradient
def identity_sign(x):
    def grad(dy):
        return dy

    return tf.sign(x), grad


def test_custom_quantizer(rng, capsys):
    model = tf.keras.models.Sequential(
        [
            lq.layers.QuantDense(
                10,
                input_quantizer=identity_sign,
                kernel_quantizer=identity_sign,
                kernel_constraint="weight_clip",
                use_bias=False,
                input_shape=(6,),
            )
        ]
    )
    x = rng.normal(size=(5, 6)).astype("float32")
    x[:, 2] = 0

    y = model.predict(x, verbose=0)
    lq.models.summary(model)

    np.testing.assert_array_equal(y, np.sign(x) @ np.sign(model.layers[0].kernel.numpy()))
    assert "60" in capsys.readouterr().out


def test_residual_block(rng):
    def conv(x):
        y = lq.layers.QuantConv2D(
            16,
            3,
            padding="same",
            input_quantizer=lq.quantizers.SteSign(clip_value=1.0),
            kernel_quantizer="ste_sign",
            kernel_constraint=lq.constraints.WeightClip(clip_value=1.0),
            kernel_initializer="glorot_normal",
            use_bias=False,
        )(x)
        y = tf.keras.layers.BatchNormalization(momentum=0.9)(y)
        return tf.keras.layers.add([x, y])

    inputs = tf.keras.layers.Input((8, 8, 16))
    x = conv(conv(inputs))
    shortcut = tf.keras.layers.Conv2D(32, 1, use_bias=False)(tf.keras.layers.MaxPool2D(3, 2)(x))
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.BatchNormalization(momentum=0.9)(shortcut))
    model = tf.keras.Model(inputs, lq.layers.QuantDense(3)(x))
    model.compile("adam", "mse")

    loss = model.fit(rng.normal(size=(8, 8, 8, 16)), np.zeros((8, 3)), epochs=2, verbose=0).history["loss"]

    assert loss[1] < loss[0]


def test_weights_in_a_quantized_scope(rng, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            lq.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"),
        ]
    )
    fp_weights = model.get_weights()

    with lq.context.quantized_scope(True):
        weights = model.get_weights()
        model.save(tmp_path / "binary_model.h5")

    np.testing.assert_array_equal(weights[0], np.where(fp_weights[0] < 0, -1, 1))


class Network(keras.Model):
    """A subclassed model of quantized and plain layers."""

    def __init__(self):
        super().__init__()
        self.hidden = lq.layers.QuantDense(
            8, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", activation="relu"
        )
        self.last = keras.layers.Dense(2)

    def call(self, x):
        return self.last(self.hidden(x))


def test_subclassed_model(rng, capsys):
    model = Network()
    model.compile("adam", "mse")
    x = rng.normal(size=(16, 4)).astype("float32")

    model.fit(x, np.zeros((16, 2)), verbose=0)
    lq.models.summary(model)

    assert "multiple" in capsys.readouterr().out
    assert lq.models.profile(model).weight_count(1) == 32


def test_summary_of_an_unbuilt_model():
    with pytest.raises(
        ValueError, match=r"^The model 'network' has not yet been built\. Give its first layer"
    ):
        lq.models.summary(Network())
