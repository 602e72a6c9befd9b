"""AlexNet, binarized as in BinaryNet, XNOR-Net and DoReFa-Net."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D, QuantDense
from bnn2hw.nn.quantizers import DoReFa
from bnn2hw.nn.zoo.blocks import Shape, images, norm, probabilities, relu, scaled
from bnn2hw.nn.zoo.parts import clip_by_value_activation, magnitude_aware_sign_unclipped, xnor_weight_scale

_WEIGHTS: dict[str, Any] = {
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}
_BINARY: dict[str, Any] = {"input_quantizer": "ste_sign", **_WEIGHTS}


def _pool(x: Any, padding: str = "valid") -> Any:
    """Halve the resolution with overlapping windows."""
    return keras.layers.MaxPooling2D(3, strides=2, padding=padding)(x)


def BinaryAlexNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return AlexNet with binary weights and binary inputs of all layers but the first.

    Args:
        input_shape: Height, width (at least 57) and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Binarized Neural Networks](https://arxiv.org/abs/1602.02830), Hubara et al., 2016
    """
    inputs = images(input_shape)
    plan = ((64, 11, 4, True), (192, 5, 1, True), (384, 3, 1, False), (384, 3, 1, False), (256, 3, 1, True))
    x = inputs
    for filters, size, strides, pool in plan:
        how = _WEIGHTS if x is inputs else _BINARY
        x = QuantConv2D(scaled(filters, width), size, strides=strides, padding="same", **how)(x)
        x = norm(_pool(x) if pool else x, 0.9, scale=False)
    if include_top:
        x = keras.layers.Reshape((1, 1, x.shape[1] * x.shape[2] * x.shape[3]))(x)
        for units in (scaled(4096, width), scaled(4096, width), num_classes):
            x = norm(QuantConv2D(units, 1, **_BINARY)(x), 0.9, scale=False)
        x = probabilities(keras.layers.Flatten()(x))
    return keras.Model(inputs, x, name="binary_alexnet")


def XNORNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return AlexNet with a scale for each binary filter, and a first and last layer of real numbers.

    Args:
        input_shape: Height, width (at least 57) and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [XNOR-Net](https://arxiv.org/abs/1603.05279), Rastegari et al., 2016
    """
    decay = keras.regularizers.L2(5e-7)
    binary: dict[str, Any] = {**_BINARY, "kernel_quantizer": xnor_weight_scale, "kernel_regularizer": decay}
    inputs = images(input_shape)
    x = keras.layers.Conv2D(
        scaled(96, width), 11, strides=4, padding="same", use_bias=False, kernel_regularizer=decay
    )(inputs)
    x = _pool(relu(norm(x, 0.9, 1e-5, scale=False)))
    x = norm(x, 0.9, 1e-4, scale=False)
    for filters, size, pool in ((256, 5, True), (384, 3, False), (384, 3, False), (256, 3, True)):
        x = QuantConv2D(scaled(filters, width), size, padding="same", **binary)(x)
        x = norm(_pool(x) if pool else x, 0.9, 1e-4, scale=False)
    x = QuantConv2D(scaled(4096, width), (min(6, x.shape[1]), min(6, x.shape[2])), **binary)(x)
    x = norm(x, 0.9, 1e-4, scale=False)
    if include_top:
        x = norm(QuantConv2D(scaled(4096, width), 1, **binary)(x), 0.9, 1e-3, scale=False)
        x = keras.layers.Flatten()(relu(x))
        x = keras.layers.Dense(num_classes, use_bias=False, kernel_regularizer=decay)(x)
        x = probabilities(x)
    return keras.Model(inputs, x, name="xnornet")


def DoReFaNet(  # noqa: N802
    input_shape: Shape = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    include_top: bool = True,
    activations_k_bit: int = 2,
) -> keras.Model:
    """Return AlexNet with binary weights, one scale per layer, and activations of a few bits.

    Args:
        input_shape: Height, width (at least 64) and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.
        activations_k_bit: Bits of the activations.

    References:
        [DoReFa-Net](https://arxiv.org/abs/1606.06160), Zhou et al., 2016
    """

    def quantized() -> dict[str, Any]:
        return {
            "input_quantizer": DoReFa(k_bit=activations_k_bit),
            "kernel_quantizer": magnitude_aware_sign_unclipped,
            "use_bias": False,
        }

    inputs = images(input_shape)
    x = keras.layers.Conv2D(scaled(96, width), 12, strides=4)(inputs)
    for filters, size, pool in ((256, 5, "same"), (384, 3, "same"), (384, 3, None), (256, 3, "valid")):
        x = QuantConv2D(scaled(filters, width), size, padding="same", **quantized())(x)
        x = norm(x, 0.9, 1e-4, scale=False)
        x = _pool(x, pool) if pool else x
    if include_top:
        x = keras.layers.Flatten()(x)
        for _ in range(2):
            x = norm(QuantDense(scaled(4096, width), **quantized())(x), 0.9, 1e-4, scale=False)
        x = keras.layers.Activation(clip_by_value_activation)(x)
        x = probabilities(keras.layers.Dense(num_classes)(x))
    return keras.Model(inputs, x, name="dorefanet")
