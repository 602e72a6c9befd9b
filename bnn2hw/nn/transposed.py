# mypy: allow-subclassing-any, allow-untyped-decorators
"""Quantized transposed convolutions."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.layers_base import QuantizedLayer, arguments


@utils.register_keras_custom_object
class QuantConv2DTranspose(QuantizedLayer, keras.layers.Conv2DTranspose):
    """A transposed convolution along two axes with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, filters, channels)``. All other arguments are those of
    `keras.layers.Conv2DTranspose`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        output_padding: Length added to each output axis; None to derive it from stride and padding.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        The same as for `keras.layers.Conv2DTranspose`.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))


@utils.register_keras_custom_object
class QuantConv3DTranspose(QuantizedLayer, keras.layers.Conv3DTranspose):
    """A transposed convolution along three axes with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, filters, channels)``. All other arguments are those of
    `keras.layers.Conv3DTranspose`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        output_padding: Length added to each output axis; None to derive it from stride and padding.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        The same as for `keras.layers.Conv3DTranspose`.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))
