"""DenseNet, binarized: each convolution appends channels to its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from bnn2hw.nn.layers import QuantConv2D
from bnn2hw.nn.zoo.blocks import Shape, binary, head, images, norm, relu, scaled, stem, stem_pool


def _grow(x: Any, filters: int, dilation: int) -> Any:
    """Append the output of a binary convolution to its input."""
    new = QuantConv2D(
        filters,
        3,
        dilation_rate=dilation,
        padding="same",
        kernel_initializer="glorot_normal",
        **binary(1.3),
    )(norm(x, 0.9, 1e-5))
    return keras.layers.Concatenate()([x, new])


def _reduce(x: Any, reduction: float, pool: bool) -> Any:
    """Divide the number of channels in full precision, and halve the resolution if ``pool``."""
    x = norm(x, 0.9, 1e-5)
    if pool:
        x = keras.layers.MaxPooling2D(2, strides=2)(x)
    filters = max(8, round(x.shape[-1] // reduction / 32) * 32)
    return keras.layers.Conv2D(filters, 1, kernel_initializer="he_normal", use_bias=False)(relu(x))


def _densenet(
    name: str,
    layers: Sequence[int],
    reductions: Sequence[float],
    dilations: Sequence[int],
    input_shape: Shape,
    num_classes: int,
    width: float,
    include_top: bool,
) -> keras.Model:
    """Return a binarized DenseNet with four sections."""
    inputs = images(input_shape)
    x = stem_pool(relu(stem(inputs, scaled(64, width), "he_normal", 0.9, 1e-5)), inputs)
    for section, (count, dilation) in enumerate(zip(layers, dilations, strict=True)):
        for _ in range(count):
            x = _grow(x, scaled(64, width), dilation)
        if section < len(reductions):
            x = _reduce(x, reductions[section], pool=dilations[section + 1] == 1)
    x = relu(norm(x, 0.9, 1e-5))
    return keras.Model(inputs, head(x, num_classes, "he_normal") if include_top else x, name=name)


def BinaryDenseNet28(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the binarized DenseNet with 28 layers.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Back to Simplicity](https://arxiv.org/abs/1906.08637), Bethge et al., 2019
    """
    plan = (6, 6, 6, 5), (2.7, 2.7, 2.2), (1, 1, 1, 1)
    return _densenet("binary_densenet28", *plan, input_shape, num_classes, width, include_top)


def BinaryDenseNet37(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the binarized DenseNet with 37 layers.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Back to Simplicity](https://arxiv.org/abs/1906.08637), Bethge et al., 2019
    """
    plan = (6, 8, 12, 6), (3.3, 3.3, 4), (1, 1, 1, 1)
    return _densenet("binary_densenet37", *plan, input_shape, num_classes, width, include_top)


def BinaryDenseNet37Dilated(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the binarized DenseNet with 37 layers and dilated convolutions instead of pooling.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Back to Simplicity](https://arxiv.org/abs/1906.08637), Bethge et al., 2019
    """
    plan = (6, 8, 12, 6), (3.3, 3.3, 4), (1, 1, 2, 4)
    return _densenet("binary_densenet37_dilated", *plan, input_shape, num_classes, width, include_top)


def BinaryDenseNet45(  # noqa: N802
    input_shape: Shape = (224, 224, 3), num_classes: int = 1000, width: float = 1.0, include_top: bool = True
) -> keras.Model:
    """Return the binarized DenseNet with 45 layers.

    Images with fewer than 50 rows keep their resolution in the stem.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of classes.
        width: Multiplier of the numbers of channels.
        include_top: True for a classifier; False to return the last feature maps.

    References:
        [Back to Simplicity](https://arxiv.org/abs/1906.08637), Bethge et al., 2019
    """
    plan = (6, 12, 14, 8), (2.7, 3.3, 4), (1, 1, 1, 1)
    return _densenet("binary_densenet45", *plan, input_shape, num_classes, width, include_top)
