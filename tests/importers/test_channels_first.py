"""Keras models with their channels first, and Permute layers: arrays of the model, streams with channels last."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.nn import layers as binary
from tests.support import networks as net

FIRST = {"data_format": "channels_first"}
SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
IMAGE = (3, 8, 10)


def chain(*parts: layers.Layer, shape: tuple[int, ...] = IMAGE) -> keras.Model:
    keras.utils.set_random_seed(0)
    return net.shake(keras.Sequential([keras.Input(shape, name="image"), *parts]))


def convolution(count: int = 4, **options: object) -> layers.Layer:
    return layers.Conv2D(count, 3, **FIRST, **options)


def norm() -> layers.Layer:
    return layers.BatchNormalization(axis=1)


def residual() -> keras.Model:
    x = inputs = keras.Input(IMAGE)
    x = norm()(convolution(padding="same")(x))
    y = norm()(binary.QuantConv2D(4, 3, padding="same", **FIRST, **SIGNS)(x))
    x = layers.Concatenate(axis=1)([layers.Add()([x, y]), y])
    return net.shake(keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D(**FIRST)(x))))


def nested() -> keras.Model:
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, layers.Dense(5)(layers.Flatten()(chain(convolution(), layers.ReLU())(inputs))))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "a flattening in the model's order": lambda: chain(
        convolution(),
        norm(),
        layers.ReLU(),
        layers.MaxPooling2D(2, **FIRST),
        layers.Flatten(),
        layers.Dense(5),
    ),
    "a flattening with its channels last": lambda: chain(
        convolution(strides=2, padding="same"),
        layers.AveragePooling2D(2, **FIRST),
        layers.Flatten(**FIRST),
        layers.Dense(5),
    ),
    "a reshaping to a vector": lambda: chain(convolution(), layers.Reshape((-1,)), layers.Dense(5)),
    "a norm behind a flattening": lambda: chain(
        convolution(2), layers.Flatten(), layers.BatchNormalization(), layers.ReLU(), layers.Dense(5)
    ),
    "an image as the output": lambda: chain(convolution()),
    "depthwise and separable": lambda: chain(
        layers.DepthwiseConv2D(3, **FIRST),
        layers.SeparableConv2D(4, 3, **FIRST),
        layers.GlobalMaxPooling2D(**FIRST),
        layers.Dense(3),
    ),
    "transposed, repeated, padded and cropped": lambda: chain(
        layers.Conv2DTranspose(4, 3, strides=2, **FIRST),
        layers.UpSampling2D(2, **FIRST),
        layers.ZeroPadding2D(1, **FIRST),
        layers.Cropping2D(2, **FIRST),
        layers.Conv2D(3, 2, **FIRST),
        shape=(3, 4, 5),
    ),
    "rows": lambda: chain(
        layers.Conv1D(4, 3, **FIRST),
        layers.MaxPooling1D(2, **FIRST),
        layers.Flatten(),
        layers.Dense(4),
        shape=(3, 12),
    ),
    "volumes": lambda: chain(
        layers.Conv3D(3, 2, **FIRST), norm(), layers.Flatten(), layers.Dense(4), shape=(2, 4, 5, 6)
    ),
    "slopes by channel": lambda: chain(
        convolution(2), layers.PReLU(shared_axes=[2, 3]), layers.Flatten(), layers.Dense(5)
    ),
    "a permutation in front": lambda: chain(
        layers.Permute((2, 3, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)
    ),
    "a permutation between convolutions": lambda: chain(
        layers.Conv2D(4, 3),
        layers.Permute((3, 1, 2)),
        convolution(5),
        layers.Flatten(),
        layers.Dense(4),
        shape=(8, 10, 3),
    ),
    "a permutation of rows and columns": lambda: chain(
        layers.Conv2D(2, 3), layers.Permute((2, 1, 3)), layers.Conv2D(2, (2, 3)), shape=(6, 8, 3)
    ),
    "a permutation at the end": lambda: chain(
        layers.Conv2D(4, 3), layers.Permute((3, 1, 2)), shape=(8, 10, 3)
    ),
    "branches": residual,
    "a nested model": nested,
}


def frames(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:])).astype(np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_arrays_have_the_axes_of_the_model(name: str) -> None:
    model = MODELS[name]()
    x = frames(model)

    found = bnn2hw.compile(model, input=PIXELS).predict(x)

    expected = net.said(model, x / np.float32(255))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-4 * np.abs(expected).max()


def binarized(data_format: str) -> keras.Model:
    axis = 1 if data_format == "channels_first" else -1
    shape = IMAGE if axis == 1 else (8, 10, 3)
    given = {"data_format": data_format, "use_bias": False, "kernel_quantizer": "ste_sign"}
    parts = [
        binary.QuantConv2D(6, 3, kernel_constraint="weight_clip", name="first", **given),
        layers.BatchNormalization(axis=axis, name="norm"),
        binary.QuantConv2D(
            6, 3, input_quantizer="ste_sign", kernel_constraint="weight_clip", name="second", **given
        ),
        layers.BatchNormalization(axis=axis, name="norm2"),
        layers.Flatten(data_format=data_format, name="flat"),
        binary.QuantDense(5, name="last", **SIGNS),
    ]
    return keras.Sequential([keras.Input(shape, name="image"), *parts], name="net")


def test_the_hardware_is_that_of_the_same_weights_with_channels_last() -> None:
    first, last = binarized("channels_first"), binarized("channels_last")
    net.shake(first)
    last.set_weights(first.get_weights())

    one, other = (bnn2hw.compile(m, input=PIXELS) for m in (first, last))

    x = frames(first)
    assert np.array_equal(one.golden(x), other.golden(np.moveaxis(x, 1, -1)))
    files = {name: _code(text) for name, text in one.design.files.items()}
    assert files == {name: _code(text) for name, text in other.design.files.items()}
    assert "3×8×10 in the model's arrays, 8×10×3 in the stream" in str(one)
    one.simulate(x, stalls=0.2).check()


def _code(text: str) -> list[str]:
    """A source without its comments, which state the order of axes."""
    return [line for line in text.splitlines() if not line.lstrip().startswith("//")]


def test_a_backend_that_cannot_compute_with_channels_first_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["an image as the output"]()

    def unable(*_args: object, **_kwargs: object) -> None:
        raise NotImplementedError("NHWC only")

    monkeypatch.setattr(model, "call", unable)
    with pytest.warns(UserWarning, match="cannot compute this model with its channels first"):
        bnn2hw.compile(model, input=PIXELS)
