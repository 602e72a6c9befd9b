"""Rows of docs/coverage.md: layers without kernels."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from tests.importers.case import IMAGE, ROW, VOLUME, Case, alone, both

RGB = (6, 6, 3)


def around() -> Iterator[Case]:
    at = "BatchNormalization, activations, and layers without effect in inference"
    for options in ({}, {"scale": False}, {"center": False}, {"scale": False, "center": False}):
        text = ", ".join(f"{k}={v}" for k, v in options.items())
        yield from both(at, IMAGE, layers.BatchNormalization(**options), text)
    yield from both(at, IMAGE, layers.BatchNormalization(axis=1), "axis=1")
    yield from both(at, IMAGE, layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 1, 3]))
    yield from both(at, IMAGE, layers.Rescaling(0.5, 1.0), "not at the input")
    for name in (*ACTIVATIONS, "leaky_tanh"):
        yield from both(at, (6,), layers.Activation(name), f"'{name}'")
    yield alone(at, (6,), layers.Activation("softmax"), "'softmax' at the end")
    for name in ("log_softmax", "sparsemax", "glu"):
        yield alone(at, (6,), layers.Activation(name), f"'{name}'")
    yield from both(at, (6,), layers.ReLU())
    yield from both(
        at,
        (6,),
        layers.ReLU(max_value=6, negative_slope=0.1, threshold=0.5),
        "max_value=6, negative_slope=0.1, threshold=0.5",
    )
    yield from both(at, (6,), layers.LeakyReLU())
    yield from both(at, (6,), layers.ELU())
    yield from both(at, IMAGE, layers.PReLU(shared_axes=[1, 2]), "shared_axes=[1, 2]")
    yield from both(at, (6,), layers.PReLU())
    yield from both(at, IMAGE, layers.PReLU(), "a slope for each position")
    yield alone(at, (6,), layers.Softmax(), "at the end")
    yield from both(at, (6,), layers.Softmax(), "not at the end")
    yield alone(at, IMAGE, layers.Softmax(axis=1), "axis=1")
    for layer in (
        *(
            layers.Dropout(0.5),
            layers.AlphaDropout(0.5),
            layers.GaussianDropout(0.5),
            layers.GaussianNoise(0.1),
        ),
        *(layers.ActivityRegularization(), layers.Identity(), layers.SpatialDropout2D(0.5)),
    ):
        yield next(both(at, IMAGE, layer))
    yield next(both(at, ROW, layers.SpatialDropout1D(0.5)))
    yield next(both(at, VOLUME, layers.SpatialDropout3D(0.5)))
    for kind in (layers.RandomBrightness, layers.RandomContrast, layers.RandomRotation, layers.RandomZoom):
        yield next(both(at, IMAGE, kind(0.1)))
    yield next(both(at, IMAGE, layers.RandomFlip()))
    yield next(both(at, IMAGE, layers.RandomTranslation(0.1, 0.1)))
    for kind in (
        *(layers.AugMix, layers.CutMix, layers.MixUp, layers.RandAugment, layers.RandomColorJitter),
        *(layers.RandomElasticTransform, layers.RandomErasing, layers.RandomGaussianBlur),
        *(layers.RandomGrayscale, layers.RandomInvert, layers.RandomPerspective, layers.RandomShear),
        layers.Solarization,
    ):
        yield next(both(at, RGB, kind()))
    for kind, factor in (
        *((layers.RandomColorDegeneration, 0.3), (layers.RandomHue, 0.3), (layers.RandomPosterization, 3)),
        *((layers.RandomSaturation, 0.3), (layers.RandomSharpness, 0.3)),
    ):
        yield next(both(at, RGB, kind(factor)))
    yield next(both(at, RGB, layers.RandomCrop(*RGB[:2])))


ACTIVATIONS = (
    *(
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "hard_tanh",
        "hard_sigmoid",
        "tanh",
        "sigmoid",
        "elu",
        "selu",
        "gelu",
    ),
    *("silu", "softplus", "softsign", "exponential", "mish"),
)


def shapes() -> Iterator[Case]:
    at = "Pooling and shapes"
    pools = (
        (layers.MaxPooling1D, ROW),
        (layers.MaxPooling2D, IMAGE),
        (layers.AveragePooling1D, ROW),
        (layers.AveragePooling2D, IMAGE),
    )
    for kind, shape in pools:
        yield from both(at, shape, kind(2))
        yield from both(at, shape, kind(3, strides=2), "pool_size=3, strides=2 (overlapping)")
        yield from both(
            at, shape, kind(3, strides=1, padding="same"), "pool_size=3, strides=1, padding='same'"
        )
        yield from both(at, shape, kind(2, padding="same"), "pool_size=2, padding='same' that fits")
    yield alone(
        at, IMAGE, layers.MaxPooling2D(2, data_format="channels_first"), "data_format='channels_first'"
    )
    yield alone(at, VOLUME, layers.MaxPooling3D(2))
    yield alone(at, VOLUME, layers.AveragePooling3D(2))
    for kind, shape in (
        *((layers.GlobalMaxPooling1D, ROW), (layers.GlobalMaxPooling2D, IMAGE)),
        *((layers.GlobalAveragePooling1D, ROW), (layers.GlobalAveragePooling2D, IMAGE)),
    ):
        yield from both(at, shape, kind())
    yield alone(at, IMAGE, layers.GlobalMaxPooling2D(keepdims=True), "keepdims=True")
    yield alone(at, VOLUME, layers.GlobalMaxPooling3D())
    yield alone(at, VOLUME, layers.GlobalAveragePooling3D())
    yield alone(at, ROW, layers.UpSampling1D(2))
    yield alone(at, VOLUME, layers.UpSampling3D(2))
    yield alone(at, (6,), layers.RepeatVector(3))
    yield alone(at, IMAGE, layers.UpSampling2D((2, 3)), "interpolation='nearest'")
    yield alone(at, IMAGE, layers.UpSampling2D(2, interpolation="bilinear"), "interpolation='bilinear'")
    yield alone(at, IMAGE, layers.Flatten(), "with nothing else")
    yield from both(at, IMAGE, layers.Flatten())
    yield alone(at, IMAGE, layers.Flatten(data_format="channels_first"), "data_format='channels_first'")
    yield from both(at, (16,), layers.Reshape((4, 4, 1)), "a vector as an image")
    yield from both(at, IMAGE, layers.Reshape((9, 4, 4)), "other positions")
    yield from both(at, IMAGE, layers.Reshape((6, 12, 2)), "other channels")
    yield alone(at, ROW, layers.ZeroPadding1D(1))
    yield alone(at, IMAGE, layers.ZeroPadding2D(((1, 0), (2, 1))))
    yield alone(at, VOLUME, layers.ZeroPadding3D(1))
    yield alone(at, ROW, layers.Cropping1D(1))
    yield alone(at, IMAGE, layers.Cropping2D(((1, 0), (2, 1))))
    yield alone(at, IMAGE, layers.CenterCrop(2, 3))
    yield alone(at, VOLUME, layers.Cropping3D(1))
    yield alone(at, ROW, layers.Permute((2, 1)), "up to 4096 values")
    yield alone(at, (100, 60), layers.Permute((2, 1)), "more values")
