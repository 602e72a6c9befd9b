"""Layers that are wiring, a comparison, or another layer spelled otherwise: as near to Keras as others."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

IMAGE, ROW, VOLUME = (7, 7, 4), (6, 4), (4, 5, 6, 2)
WIRE = bnn2hw.Input("int8", scale=2.0**-7)


def steps(kind: type[keras.layers.Layer], *arguments: object, **options: object) -> Callable:
    """A layer that is applied to each step."""
    return lambda x: layers.TimeDistributed(kind(*arguments, **options))(x)


CASES: dict[str, tuple] = {
    "AveragePooling2D same": (lambda x: layers.AveragePooling2D(2, padding="same")(x), IMAGE),
    "AveragePooling2D same, overlapping": (lambda x: layers.AveragePooling2D(3, 1, padding="same")(x), IMAGE),
    "AveragePooling1D same": (lambda x: layers.AveragePooling1D(4, padding="same")(x), ROW),
    "MaxPooling3D": (lambda x: layers.MaxPooling3D(2)(x), VOLUME),
    "MaxPooling3D same": (lambda x: layers.MaxPooling3D(3, 2, padding="same")(x), VOLUME),
    "AveragePooling3D": (lambda x: layers.AveragePooling3D((1, 2, 3))(x), VOLUME),
    "AveragePooling3D same": (lambda x: layers.AveragePooling3D(2, padding="same")(x), VOLUME),
    "GlobalMaxPooling3D": (lambda x: layers.GlobalMaxPooling3D()(x), VOLUME),
    "GlobalAveragePooling3D": (lambda x: layers.GlobalAveragePooling3D(keepdims=True)(x), VOLUME),
    "Maximum": (lambda a, b: layers.Maximum()([a, b]), IMAGE, IMAGE),
    "Minimum of three": (lambda a, b, c: layers.Minimum()([a, b, c]), ROW, ROW, ROW),
    "keras.ops.maximum": (lambda a, b: keras.ops.maximum(-a, layers.Dense(4)(b)), ROW, ROW),
    "Concatenate rows": (lambda a, b: layers.Concatenate(1)([a, b]), IMAGE, (3, 7, 4)),
    "Concatenate columns": (lambda a, b: layers.Concatenate(2)([net.norm()(a), b]), IMAGE, (7, 2, 4)),
    "Add a vector": (lambda a, b: layers.Add()([a, b]), IMAGE, (1, 1, 4)),
    "Subtract from a vector": (lambda a, b: layers.Subtract()([b, a]), IMAGE, (4,)),
    "Multiply by a map": (lambda a, b: layers.Multiply()([a, b]), IMAGE, (7, 7, 1)),
    "Multiply by rows": (lambda a, b: layers.Multiply()([a, b]), IMAGE, (7, 1, 4)),
    "Average of columns and rows": (lambda a, b: layers.Average()([a, b]), (1, 5, 2), (3, 1, 2)),
    "Cropping1D": (lambda x: layers.Cropping1D((1, 2))(x), ROW),
    "Cropping2D": (lambda x: layers.Conv2D(2, 3)(layers.Cropping2D(((1, 0), (2, 1)))(x)), IMAGE),
    "Cropping3D": (lambda x: layers.Cropping3D(1)(x), VOLUME),
    "a slice of rows and channels": (lambda x: x[:, 1:6:2, :, 1:3], IMAGE),
    "a row": (lambda x: x[:, 2], IMAGE),
    "the last channel": (lambda x: x[..., -1:], ROW),
    "Permute": (lambda x: layers.Permute((2, 1))(x), ROW),
    "Permute of an axis of length 1": (lambda x: layers.Dense(2)(layers.Permute((2, 1, 3))(x)), (1, 5, 3)),
    "TimeDistributed(Dense)": (lambda x: layers.TimeDistributed(layers.Dense(3))(x), ROW),
    "TimeDistributed(Flatten)": (
        lambda x: layers.Dense(2)(layers.TimeDistributed(layers.Flatten())(x)),
        IMAGE,
    ),
    "TimeDistributed(Conv1D)": (
        lambda x: layers.TimeDistributed(layers.Conv1D(3, 2, strides=2, padding="same", activation="relu"))(
            x
        ),
        IMAGE,
    ),
    "TimeDistributed(QuantConv1D)": (
        lambda x: layers.TimeDistributed(nn.layers.QuantConv1D(3, 2, input_quantizer="ste_sign"))(x),
        IMAGE,
    ),
    "TimeDistributed(Conv2D)": (
        lambda x: layers.TimeDistributed(layers.Conv2D(3, (2, 1), dilation_rate=(1, 2)))(x),
        (2, 3, 4, 2),
    ),
    "TimeDistributed(DepthwiseConv1D)": (
        lambda x: layers.TimeDistributed(layers.DepthwiseConv1D(2))(x),
        IMAGE,
    ),
    "TimeDistributed of a sequence": (
        lambda x: layers.TimeDistributed(
            keras.Sequential(
                [
                    layers.ZeroPadding2D(1),
                    layers.Conv2D(3, 2),
                    layers.MaxPooling2D(2),
                    layers.GlobalAveragePooling2D(),
                    layers.Dense(2),
                ]
            )
        )(x),
        (2, 3, 4, 2),
    ),
    "TimeDistributed(UpSampling1D)": (
        lambda x: layers.Conv2D(2, 2)(layers.TimeDistributed(layers.UpSampling1D(2))(x)),
        IMAGE,
    ),
    "TimeDistributed(UpSampling2D)": (
        lambda x: layers.Conv3D(2, 2)(layers.TimeDistributed(layers.UpSampling2D(2))(x)),
        (2, 2, 2, 2),
    ),
    "TimeDistributed(BatchNormalization)": (steps(layers.BatchNormalization), ROW),
    "TimeDistributed(BatchNormalization), axis=1": (steps(layers.BatchNormalization, axis=1), IMAGE),
    "TimeDistributed(PReLU)": (steps(layers.PReLU, shared_axes=[1]), IMAGE),
    "TimeDistributed(PReLU), by position": (steps(layers.PReLU), IMAGE),
    "TimeDistributed(Permute)": (steps(layers.Permute, (2, 1)), IMAGE),
    "TimeDistributed(SeparableConv1D)": (steps(layers.SeparableConv1D, 3, 2, strides=2), IMAGE),
    "TimeDistributed(Conv1DTranspose)": (
        steps(layers.Conv1DTranspose, 2, 3, strides=2, output_padding=1),
        (3, 2, 2),
    ),
    "TimeDistributed(Conv2DTranspose)": (
        steps(layers.Conv2DTranspose, 2, 3, strides=2, padding="same"),
        (2, 3, 2, 2),
    ),
    "TimeDistributed(SpatialDropout1D)": (
        lambda x: layers.Dense(2)(layers.TimeDistributed(layers.SpatialDropout1D(0.2))(x)),
        IMAGE,
    ),
    "TimeDistributed twice": (
        lambda x: layers.TimeDistributed(
            layers.TimeDistributed(keras.Sequential([layers.Conv1D(3, 2), layers.Flatten()]))
        )(x),
        (3, 2, 4, 2),
    ),
    "UpSampling3D": (lambda x: layers.Conv3D(2, 2)(layers.UpSampling3D((2, 1, 3))(x)), (2, 2, 2, 2)),
    "RepeatVector": (lambda x: layers.Conv1D(2, 2)(layers.RepeatVector(3)(x)), (4,)),
    "Dot of matrices": (
        lambda x: layers.Dot((2, 1))([layers.Dense(4)(x), layers.Permute((2, 1))(layers.Dense(4)(x))]),
        (4, 3),
    ),
    "Dot of a matrix with itself": (lambda x: layers.Dot((1, 1))([x, layers.Dense(2)(x)]), (4, 3)),
    "Dot of a matrix and a vector": (lambda x, y: layers.Dot((2, 1))([layers.Dense(4)(x), y]), (2, 3), (4,)),
    "Conv3DTranspose": (
        lambda x: layers.Conv3DTranspose(2, (2, 3, 2), strides=(2, 1, 2), padding="same")(x),
        (2, 3, 2, 2),
    ),
    "Conv3DTranspose, valid": (
        lambda x: layers.Conv3DTranspose(2, 2, strides=3, padding="valid")(x),
        (2, 1, 2, 2),
    ),
    "CenterCrop": (lambda x: layers.Dense(2)(layers.CenterCrop(2, 3)(x)), (5, 4, 2)),
    "keras.ops.squeeze": (lambda x: layers.Dense(3)(keras.ops.squeeze(x, 1)), (1, 5)),
    "keras.ops.expand_dims": (lambda x: layers.Conv1D(3, 2)(keras.ops.expand_dims(x, -1)), (5,)),
    "a Lambda": (lambda x: layers.Dense(2)(layers.Lambda(lambda v: v * v - 0.5)(x)), (5,)),
    "Dot": (lambda x: layers.Dot(axes=1)([layers.Dense(5)(x), layers.Dense(5)(x)]), (4,)),
    "EinsumDense, an outer product": (
        lambda x: layers.EinsumDense("bi,j->bij", (4, 3), bias_axes="j")(x),
        (4,),
    ),
    "EinsumDense over axes in the middle": (
        lambda x: layers.EinsumDense("...abcd,bcde->...aeb", (3, 2, 2), bias_axes="ab")(x),
        (3, 2, 2, 2),
    ),
    "EinsumDense": (lambda x: layers.EinsumDense("abc,cd->abd", (6, 5), bias_axes="d")(x), ROW),
    "EinsumDense, transposed": (lambda x: layers.EinsumDense("...i,oi->...o", output_shape=(5,))(x), (4, 3)),
    "EinsumDense, two axes": (
        lambda x: layers.EinsumDense("abc,bcde->ade", (2, 3), activation="relu")(x),
        (4, 3),
    ),
    "Conv2DTranspose, output_padding": (
        lambda x: layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(x),
        (3, 4, 2),
    ),
    "Conv2DTranspose, output_padding=0": (
        lambda x: layers.Conv2DTranspose(3, 4, strides=2, padding="valid", output_padding=1)(x),
        (3, 4, 2),
    ),
    "Conv1DTranspose": (lambda x: layers.Conv1DTranspose(3, 3, strides=2, padding="same")(x), ROW),
    "RandomFlip and RandomRotation": (
        lambda x: net.norm()(layers.RandomRotation(0.2)(layers.RandomFlip()(x))),
        IMAGE,
    ),
    "one BatchNormalization": (lambda x: net.norm()(x), ROW),
}


@pytest.mark.parametrize("case", CASES)
def test_as_keras(case: str) -> None:
    make, *shapes = CASES[case]
    keras.utils.set_random_seed(0)
    inputs = [keras.Input(shape) for shape in shapes]
    model = net.shake(keras.Model(inputs, make(*inputs)))
    rng = np.random.default_rng(0)
    x = [rng.integers(-128, 128, (16, *shape)) for shape in shapes]
    expected = model([tf.constant(v * 2.0**-7, "float32") for v in x], training=False).numpy()

    accelerator = bnn2hw.compile(model, input=WIRE, output="scores")

    found = accelerator.predict(x if len(x) > 1 else x[0])
    assert np.abs(found.reshape(expected.shape) - expected).max() < 1e-3 * max(np.abs(expected).max(), 1)


SIGNS = {"kernel_quantizer": "ste_sign", "input_quantizer": "ste_sign", "use_bias": False}


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolutions(padding: str, dilation: int) -> None:
    kind = bnn2hw.nn.layers.QuantConv2DTranspose
    layer = kind(3, (3, 2), padding=padding, dilation_rate=dilation, **SIGNS)
    model = net.chain((4, 5, 2), layer)
    x = np.random.default_rng(0).choice([-1, 1], (8, 4, 5, 2))

    found = bnn2hw.compile(model, input=bnn2hw.Input("bipolar")).golden(x)

    assert np.array_equal(found, model(x.astype(np.float32)).numpy())


@pytest.mark.parametrize("axis", [1, 2, 3, -2])
def test_softmax_along_any_axis(axis: int) -> None:
    """The class is the place along this axis; scores have the model's own axes."""
    model = net.chain((3, 4, 2), net.conv(3, 1), layers.Softmax(axis=axis))
    x = np.random.default_rng(0).choice([-1, 1], (20, 3, 4, 2))
    logits = keras.Model(model.inputs[0], model.layers[-1].input)(x.astype(np.float32)).numpy()

    classes = bnn2hw.compile(model, input=bnn2hw.Input("bipolar")).predict(x)
    scores = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), output="scores").predict(x)

    assert np.array_equal(classes.reshape(logits.argmax(axis).shape), logits.argmax(axis))
    assert np.allclose(scores, logits, atol=1e-4)


def test_softmax_behind_permute() -> None:
    """Its last axis is the second one of the input."""
    model = net.chain((3, 4), layers.Permute((2, 1)), layers.Softmax(axis=2))
    x = np.random.default_rng(0).integers(-128, 128, (20, 3, 4))

    found = bnn2hw.compile(model, input=WIRE).predict(x)

    assert np.array_equal(found.reshape(20, 4), x.argmax(1))


class ByPosition(layers.Layer):
    """A curve of its own for each position, or for each channel."""

    def __init__(self, *, positions: bool) -> None:
        super().__init__(name="own")
        self.positions = positions

    def build(self, shape: tuple[int, ...]) -> None:
        size = shape[1:] if self.positions else shape[-1:]
        self.steep = self.add_weight(shape=size, initializer="random_normal")

    def call(self, x):
        return keras.ops.tanh(3 * self.steep * x)


@pytest.mark.parametrize("positions", [False, True])
def test_a_layer_of_the_users_own(*, positions: bool) -> None:
    keras.utils.set_random_seed(0)
    model = net.chain(
        (3, 3, 2), layers.Conv2D(3, 2), ByPosition(positions=positions), layers.Flatten(), layers.Dense(2)
    )
    x = np.random.default_rng(0).integers(-128, 128, (20, 3, 3, 2))
    expected = model((x / 128).astype(np.float32)).numpy()

    found = bnn2hw.compile(model, input=WIRE, output="scores", target="xc7z045").predict(x)

    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


SOFTMAXES: dict[str, object] = {
    "keras.ops.softmax": keras.ops.softmax,
    "tf.nn.softmax": tf.nn.softmax,
    "a layer": layers.Softmax(),
    "a function of its own name": lambda x: keras.ops.softmax(x),
}


@pytest.mark.parametrize("end", SOFTMAXES.values(), ids=SOFTMAXES)
def test_softmax_spelled_otherwise(end: Callable) -> None:
    model = net.chain((12,), net.dense(8), net.norm(), net.dense(4, activation=end))
    x = np.random.default_rng(0).choice([-1, 1], (50, 12))

    found = bnn2hw.compile(model, input=bnn2hw.Input("bipolar")).golden(x)

    assert np.array_equal(found, model(x.astype(np.float32)).numpy().argmax(-1))


class Shares(keras.Layer):
    """A softmax of the user's own, as a layer."""

    def call(self, x):
        powers = keras.ops.exp(x - keras.ops.max(x, axis=-1, keepdims=True))
        return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


@pytest.mark.parametrize("end", [lambda: layers.Lambda(lambda x: tf.nn.softmax(x)), Shares])
@pytest.mark.parametrize("shape", [(12,), (3, 12)])
def test_layers_of_the_users_own_that_are_a_softmax(end: Callable, shape: tuple[int, ...]) -> None:
    model = net.chain(shape, net.dense(8), net.norm(), net.dense(4), end())
    x = np.random.default_rng(0).choice([-1, 1], (50, *shape))

    found = bnn2hw.compile(model, input=bnn2hw.Input("bipolar")).golden(x)

    assert np.array_equal(found.reshape(50, *shape[:-1]), model(x.astype(np.float32)).numpy().argmax(-1))


def test_layers_of_the_users_own_that_are_nearly_a_softmax() -> None:
    model = net.chain((12,), net.dense(4), layers.Lambda(lambda x: tf.nn.softmax(2 * x), name="sharp"))

    with pytest.raises(
        UnsupportedError, match="layer 'sharp': a Lambda whose values depend on several values"
    ):
        bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))


@pytest.mark.parametrize(
    "first", [[layers.Rescaling(-1 / 255, 1.0)], [layers.Reshape((4, 6)), layers.Rescaling(1 / 255)]]
)
def test_a_leading_rescaling_that_is_computed(first: list[keras.layers.Layer]) -> None:
    model = net.chain((24,), *first, layers.Flatten(), layers.Dense(3))
    x = np.random.default_rng(0).integers(0, 256, (16, 24))
    expected = model(x.astype(np.float32)).numpy()

    found = bnn2hw.compile(model, output="scores").predict(x)

    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


REFUSED = {
    "an open shape": (layers.EinsumDense("abc,cd->abd", (None, 5), name="it"), (4, 3)),
    "steps of a causal convolution": (
        layers.TimeDistributed(layers.Conv1D(2, 2, padding="causal"), name="it"),
        (3, 4, 2),
    ),
    "steps of an upsampling that interpolates": (
        layers.TimeDistributed(layers.UpSampling2D(2, interpolation="bilinear"), name="it"),
        (2, 3, 4, 2),
    ),
    "images of another size in training": (layers.RandomCrop(4, 4, name="it"), (6, 6, 3)),
    "an equation of too many values": (layers.EinsumDense("abc,bd->acd", (8, 500), name="it"), (300, 8)),
    "a Dot of normalized vectors": (layers.Dot(1, normalize=True, name="it"), (4,), (4,)),
    "a Dot of volumes": (layers.Dot((3, 1), name="it"), (2, 3, 4), (4,)),
    "a softmax along two axes": (layers.Softmax(axis=[1, 2], name="it"), (3, 4)),
    "a Lambda of all values": (layers.Lambda(lambda x: x - keras.ops.max(x), name="it"), (4,)),
    "a function that ends in an error": (layers.Activation("threshold", name="it"), (4,)),
    "a crop that enlarges": (layers.CenterCrop(8, 8, name="it"), (4, 4, 2)),
    "a large permutation": (layers.Permute((2, 1), name="it"), (100, 60)),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused_by_name(case: tuple) -> None:
    layer, *shapes = case
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))

    with pytest.raises(UnsupportedError, match=r"layer 'it': .* Way out: "):
        bnn2hw.compile(model, input=WIRE)


AUGMENTATIONS = (
    *(layers.AugMix(), layers.CutMix(), layers.MixUp(), layers.RandAugment(), layers.Solarization()),
    *(layers.RandomColorDegeneration(0.3), layers.RandomColorJitter(), layers.RandomCrop(6, 6)),
    *(layers.RandomElasticTransform(), layers.RandomErasing(), layers.RandomGaussianBlur()),
    *(layers.RandomGrayscale(), layers.RandomHue(0.3), layers.RandomInvert(), layers.RandomPerspective()),
    *(layers.RandomPosterization(3), layers.RandomSaturation(0.3), layers.RandomSharpness(0.3)),
    layers.RandomShear(),
)


def test_augmentation_has_no_effect() -> None:
    model = net.chain((6, 6, 3), *AUGMENTATIONS, layers.Rescaling(1 / 255), layers.Conv2D(2, 3))
    x = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3))
    expected = model(x.astype(np.float32), training=False).numpy()

    found = bnn2hw.compile(model, output="scores").predict(x)

    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
