"""Real-to-Binary: a binary ResNet-18 with convolutions scaled by functions of their input."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D
from bnn2hw.nn.zoo.blocks import Shape, head, images, norm, scaled, stem, stem_pool

_REDUCTION = 8


def _scales(x: Any, filters: int) -> Any:
    """Return a factor between 0 and 1 for each channel, computed from the means of the input channels."""
    z = keras.layers.AveragePooling2D(pool_size=tuple(x.shape[1:3]))(x)
    z = keras.layers.Flatten()(z)
    for units, activation in ((x.shape[-1] // _REDUCTION, "relu"), (filters, "sigmoid")):
        z = keras.layers.Dense(units, activation=activation, kernel_initializer="he_normal", use_bias=False)(
            z
        )
    return keras.layers.Reshape((1, 1, filters))(z)


def _shortcut(x: Any, filters: int) -> Any:
    """Halve the resolution and change the number of channels, in full precision."""
    x = keras.layers.AveragePooling2D(2, strides=2, padding="same")(x)
    x = keras.layers.Conv2D(filters, 1, kernel_initializer="glorot_normal", use_bias=False)(x)
    return norm(x, 0.99)


def _layer(x: Any, filters: int, down: bool) -> Any:
    """Apply a binary convolution, the scales and an activation, and add the shortcut."""
    shortcut = _shortcut(x, filters) if down else x
    normed = norm(x, 0.99)
    x = QuantConv2D(
        filters,
        3,
        strides=2 if down else 1,
        padding="same",
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        kernel_initializer="glorot_normal",
        use_bias=False,
    )(normed)
    x = keras.layers.Multiply()([x, _scales(normed, filters)])
    x = keras.layers.PReLU(shared_axes=[1, 2])(x)
    return keras.layers.Add()([x, shortcut])


def RealToBinaryNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the fully binary network of Real-to-Binary.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Training binary neural networks with real-to-binary convolutions](https://arxiv.org/abs/2003.11535),
        Martinez et al., 2020
    """
    inputs = images(input_shape)
    x = stem(inputs, scaled(64, width), "glorot_normal", 0.99)
    x = stem_pool(keras.layers.PReLU(shared_axes=[1, 2])(x), inputs)
    for section, filters in enumerate(scaled(n, width) for n in (64, 128, 256, 512)):
        for layer in range(4):
            x = _layer(x, filters, down=section > 0 and layer == 0)
    return keras.Model(inputs, head(x, num_classes) if include_top else x, name="r2b_bnn")
