"""QuickNet: few full-precision operations, binary padding, blurred subsampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D, QuantDense, QuantDepthwiseConv2D
from bnn2hw.nn.zoo.blocks import Shape, binary, images, norm, probabilities, relu, scaled
from bnn2hw.nn.zoo.parts import blurpool_initializer


def _stem(x: Any, filters: int) -> Any:
    """Divide the resolution by four in full precision."""
    x = QuantConv2D(
        filters // 4, 3, strides=2, padding="same", kernel_initializer="he_normal", use_bias=False
    )(x)
    x = relu(norm(x, 0.99))
    x = QuantDepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = norm(x, 0.99, scale=False, center=False)
    x = QuantConv2D(filters, 1, kernel_initializer="he_normal", use_bias=False)(x)
    return norm(x, 0.99)


def _residual(x: Any) -> Any:
    """Apply a binary convolution, an activation and a normalization, and add the input."""
    y = QuantConv2D(
        x.shape[-1],
        3,
        padding="same",
        pad_values=1.0,
        activation="relu",
        kernel_initializer="glorot_normal",
        **binary(1.25),
    )(x)
    return keras.layers.Add()([norm(y, 0.9, 1e-5), x])


def _transition(x: Any, filters: int) -> Any:
    """Halve the resolution with a fixed blur and change the number of channels."""
    x = keras.layers.MaxPooling2D(2, strides=1, padding="same" if min(x.shape[1:3]) < 2 else "valid")(relu(x))
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=2,
        padding="same",
        depthwise_initializer=blurpool_initializer,
        trainable=False,
        use_bias=False,
    )(x)
    x = QuantConv2D(filters, 1, kernel_initializer="glorot_normal", use_bias=False)(x)
    return norm(x, 0.9, 1e-5)


def _quicknet(
    name: str,
    blocks: Sequence[int],
    filters: Sequence[int],
    input_shape: Shape,
    num_classes: int,
    width: float,
    include_top: bool,
) -> keras.Model:
    """Return a QuickNet with four sections."""
    inputs = images(input_shape)
    x = _stem(inputs, scaled(filters[0], width))
    for section, (count, channels) in enumerate(zip(blocks, filters, strict=True)):
        if section:
            x = _transition(x, scaled(channels, width))
        for _ in range(count):
            x = _residual(x)
    if include_top:
        x = keras.layers.AveragePooling2D(pool_size=tuple(x.shape[1:3]))(relu(x))
        x = keras.layers.Flatten()(x)
        x = probabilities(QuantDense(num_classes, kernel_initializer="glorot_normal")(x))
    return keras.Model(inputs, x, name=name)


def QuickNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return QuickNet, the network of medium size.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Larq Compute Engine](https://arxiv.org/abs/2011.09398), Bannink et al., 2021
    """
    plan = (4, 4, 4, 4), (64, 128, 256, 512)
    return _quicknet("quicknet", *plan, input_shape, num_classes, width, include_top)


def QuickNetSmall(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return QuickNetSmall, with narrow first sections.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Larq Compute Engine](https://arxiv.org/abs/2011.09398), Bannink et al., 2021
    """
    plan = (4, 4, 4, 4), (32, 64, 256, 512)
    return _quicknet("quicknet_small", *plan, input_shape, num_classes, width, include_top)


def QuickNetLarge(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return QuickNetLarge, with more layers per section.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Larq Compute Engine](https://arxiv.org/abs/2011.09398), Bannink et al., 2021
    """
    plan = (6, 8, 12, 6), (64, 128, 256, 512)
    return _quicknet("quicknet_large", *plan, input_shape, num_classes, width, include_top)
