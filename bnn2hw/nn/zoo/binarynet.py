"""BinaryNet, for images of 32×32 pixels."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D, QuantDense
from bnn2hw.nn.zoo.blocks import Shape, images, norm, probabilities, scaled

_WEIGHTS: dict[str, Any] = {
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}
_BINARY: dict[str, Any] = {"input_quantizer": "ste_sign", **_WEIGHTS}


def _normed(x: Any) -> Any:
    """Normalize with the parameters of this network."""
    return norm(x, 0.999, scale=False)


def BinaryNet(  # noqa: N802
    input_shape: Shape = (32, 32, 3), num_classes: int = 10, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the binarized VGG for CIFAR-10, with six convolutions and three dense layers.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Binarized Neural Networks](https://arxiv.org/abs/1602.02830), Courbariaux et al., 2016
    """
    inputs = images(input_shape)
    x = _normed(QuantConv2D(scaled(128, width), 3, **_WEIGHTS)(inputs))
    for number, filters in enumerate((128, 256, 256, 512, 512)):
        x = QuantConv2D(scaled(filters, width), 3, padding="same", **_BINARY)(x)
        if number % 2 == 0:
            x = keras.layers.MaxPooling2D(2)(x)
        x = _normed(x)
    if include_top:
        x = keras.layers.Flatten()(x)
        for units in (scaled(1024, width), scaled(1024, width), num_classes):
            x = _normed(QuantDense(units, **_BINARY)(x))
        x = probabilities(x)
    return keras.Model(inputs, x, name="binarynet")
