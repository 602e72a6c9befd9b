"""MeliusNet: dense blocks append channels, improvement blocks add to the newest ones."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D
from bnn2hw.nn.zoo.blocks import Shape, binary, head, images, norm, relu, scaled
from bnn2hw.nn.zoo.parts import AddToLastChannels


def _convolution(filters: int, size: int, strides: int = 1, groups: int = 1) -> keras.layers.Layer:
    """Return a convolution in full precision."""
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        groups=groups,
        kernel_initializer="glorot_normal",
        use_bias=False,
    )


def _binary_convolution(x: Any, filters: int) -> Any:
    """Normalize, binarize and convolve."""
    return QuantConv2D(filters, 3, padding="same", kernel_initializer="glorot_normal", **binary(1.3))(
        norm(x, 0.9, 1e-5)
    )


def _pool(x: Any) -> Any:
    """Halve the resolution."""
    return keras.layers.MaxPooling2D(2, strides=2, padding="same")(x)


def MeliusNet22(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return MeliusNet-22.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [MeliusNet](https://arxiv.org/abs/2001.05936), Bethge et al., 2020
    """
    inputs = images(input_shape)
    growth, narrow = scaled(64, width), scaled(32, width)
    x = relu(norm(_convolution(narrow, 3, strides=2)(inputs), 0.9, 1e-5))
    x = relu(norm(_convolution(narrow, 3, groups=4)(x), 0.9, 1e-5))
    x = relu(norm(_convolution(growth, 3, groups=8)(x), 0.9, 1e-5))
    x = _pool(x)
    for blocks, reduced in ((4, 160), (5, 224), (4, 256), (4, None)):
        for _ in range(blocks):
            x = keras.layers.Concatenate()([x, _binary_convolution(x, growth)])
            x = AddToLastChannels()([x, _binary_convolution(x, growth)])
        if reduced is not None:
            x = relu(_pool(norm(x, 0.9, 1e-5)))
            x = _convolution(scaled(reduced, width), 1)(x)
    x = relu(norm(x, 0.9, 1e-5))
    return keras.Model(
        inputs, head(x, num_classes, "glorot_normal") if include_top else x, name="meliusnet22"
    )
