"""ResNet-18, binarized, with a shortcut around every convolution."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D
from bnn2hw.nn.zoo.blocks import Shape, binary, head, images, norm, relu, scaled, stem, stem_pool

_SECTIONS = (64, 128, 256, 512)


def _shortcut(x: Any, filters: int, padding: str, momentum: float, epsilon: float) -> Any:
    """Halve the resolution and change the number of channels, in full precision."""
    x = keras.layers.AveragePooling2D(2, strides=2, padding=padding)(x)
    x = keras.layers.Conv2D(filters, 1, kernel_initializer="glorot_normal", use_bias=False)(x)
    return norm(x, momentum, epsilon)


def BiRealNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return Bi-Real Net: ResNet-18 with real-valued shortcuts and the gradient of `ApproxSign`.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Bi-Real Net](https://arxiv.org/abs/1808.00278), Liu et al., 2018
    """
    binarized: dict[str, Any] = {
        "input_quantizer": "approx_sign",
        "kernel_quantizer": "magnitude_aware_sign",
        "kernel_constraint": "weight_clip",
        "kernel_initializer": "glorot_normal",
        "use_bias": False,
    }
    inputs = images(input_shape)
    x = stem_pool(stem(inputs, scaled(64, width), "glorot_normal", 0.8), inputs)
    for section, filters in enumerate(scaled(n, width) for n in _SECTIONS):
        for layer in range(4):
            down = section > 0 and layer == 0
            shortcut = _shortcut(x, filters, "same", 0.8, 1e-3) if down else x
            x = QuantConv2D(filters, 3, strides=2 if down else 1, padding="same", **binarized)(x)
            x = keras.layers.Add()([norm(x, 0.8), shortcut])
    return keras.Model(inputs, head(x, num_classes) if include_top else x, name="birealnet18")


def BinaryResNetE18(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return ResNetE-18: ResNet-18 with a shortcut around every binary convolution.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Back to Simplicity](https://arxiv.org/abs/1906.08637), Bethge et al., 2019
    """
    inputs = images(input_shape)
    x = relu(stem(inputs, scaled(64, width), "he_normal", 0.9, 1e-5))
    x = norm(stem_pool(x, inputs), 0.9, 1e-5)
    for section, filters in enumerate(scaled(n, width) for n in _SECTIONS):
        for layer in range(4):
            down = section > 0 and layer == 0
            shortcut = _shortcut(x, filters, "same" if x.shape[1] % 2 else "valid", 0.9, 1e-5) if down else x
            strides = 2 if down else 1
            x = QuantConv2D(
                filters,
                3,
                strides=strides,
                padding="same",
                kernel_initializer="glorot_normal",
                **binary(1.25),
            )(x)
            x = keras.layers.Add()([norm(x, 0.9, 1e-5), shortcut])
    x = relu(x)
    return keras.Model(
        inputs, head(x, num_classes, "glorot_normal") if include_top else x, name="binary_resnet_e_18"
    )
