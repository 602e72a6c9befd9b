"""Parts that several networks use: inputs, stems, heads, and the width multiplier."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import constraints, quantizers

Shape = tuple[int, int, int]

SMALL = 50
"""Images with fewer rows than this keep their resolution in the stem."""


def scaled(filters: int, width: float) -> int:
    """Return the number of channels for a width: a multiple of 8, at least 8, unchanged for a width of 1.

    Args:
        filters: Channels of the published network.
        width: Multiplier of the number of channels.
    """
    return filters if width == 1 else max(8, 8 * round(filters * width / 8))


def binary(clip_value: float) -> dict[str, Any]:
    """Return the arguments that binarize a layer with a straight-through gradient.

    Args:
        clip_value: Bound of the gradients and of the latent weights.
    """
    return {
        "input_quantizer": quantizers.SteSign(clip_value=clip_value),
        "kernel_quantizer": quantizers.SteSign(clip_value=clip_value),
        "kernel_constraint": constraints.WeightClip(clip_value=clip_value),
        "use_bias": False,
    }


def norm(x: Any, momentum: float, epsilon: float = 1e-3, **kwargs: Any) -> Any:
    """Normalize over the batch."""
    return keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon, **kwargs)(x)


def relu(x: Any) -> Any:
    """Set negative values to 0."""
    return keras.layers.Activation("relu")(x)


def stem(x: Any, filters: int, initializer: str, momentum: float, epsilon: float = 1e-3) -> Any:
    """Convolve with 7×7 and stride 2, or with 3×3 and stride 1 for small images, and normalize.

    Args:
        x: Images.
        filters: Channels of the output.
        initializer: Initializer of the kernel.
        momentum: Momentum of the normalization.
        epsilon: Epsilon of the normalization.
    """
    size, strides = (3, 1) if x.shape[1] < SMALL else (7, 2)
    x = keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", kernel_initializer=initializer, use_bias=False
    )(x)
    return norm(x, momentum, epsilon)


def stem_pool(x: Any, inputs: Any) -> Any:
    """Halve the resolution after the stem, unless the images are small.

    Args:
        x: Output of the stem.
        inputs: Images, which decide by their number of rows.
    """
    if inputs.shape[1] < SMALL:
        return x
    return keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)


def head(x: Any, num_classes: int, initializer: str = "glorot_uniform") -> Any:
    """Average over all positions and classify.

    Args:
        x: Feature maps.
        num_classes: Number of classes.
        initializer: Initializer of the dense layer's kernel.
    """
    x = keras.layers.AveragePooling2D(pool_size=tuple(x.shape[1:3]))(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(num_classes, kernel_initializer=initializer)(x)
    return probabilities(x)


def probabilities(x: Any) -> Any:
    """Apply softmax in float32, whatever the dtype policy."""
    return keras.layers.Activation("softmax", dtype="float32")(x)


def images(input_shape: Shape) -> Any:
    """Return the input tensor.

    Args:
        input_shape: Height, width and channels.

    Raises:
        ValueError: One of the three is missing or None.
    """
    if len(input_shape) != 3 or None in input_shape:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {input_shape}")
    return keras.Input(tuple(input_shape))
