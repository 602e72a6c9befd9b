# mypy: allow-subclassing-any, allow-untyped-decorators
"""Quantized depthwise and separable convolutions."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.layers_base import PaddedConvolution, QuantizedLayer, arguments


@utils.register_keras_custom_object
class QuantDepthwiseConv2D(QuantizedLayer, PaddedConvolution, keras.layers.DepthwiseConv2D):
    """A convolution along two axes, separate for each channel, with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, channels, depth_multiplier)``. All other arguments are
    those of `keras.layers.DepthwiseConv2D`.

    Args:
        kernel_size: Size of the window: one number, or one per axis.
        pad_values: Value with which ``"same"`` pads the quantized input.
        depth_multiplier: Number of output channels per input channel.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        depthwise_quantizer: Quantizer of the kernel, in the same forms.
        depthwise_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        ``(batch, rows, cols, channels)`` to
        ``(batch, new_rows, new_cols, channels * depth_multiplier)``, with channels second if
        ``data_format`` is ``"channels_first"``.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    quantized_weights = (("kernel", "depthwise_quantizer", "depthwise_constraint"),)

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        pad_values: float = 0.0,
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        depthwise_quantizer: Any = None,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))

    @property
    def depthwise_kernel(self) -> Any:
        """The kernel, under its name in Keras 2."""
        return self.kernel


class _QuantSeparable(QuantizedLayer, PaddedConvolution):
    """Base class of the separable convolutions, with two quantized kernels."""

    quantized_weights = (
        ("depthwise_kernel", "depthwise_quantizer", "depthwise_constraint"),
        ("pointwise_kernel", "pointwise_quantizer", "pointwise_constraint"),
    )


@utils.register_keras_custom_object
class QuantSeparableConv1D(_QuantSeparable, keras.layers.SeparableConv1D):
    """A depthwise convolution along one axis, then a pointwise one, with quantized input and kernels.

    The values between the two convolutions are not quantized again. All other arguments are those
    of `keras.layers.SeparableConv1D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        pad_values: Value with which ``"same"`` pads the quantized input.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        depthwise_quantizer: Quantizer of the depthwise kernel, in the same forms.
        pointwise_quantizer: Quantizer of the pointwise kernel, in the same forms.
        depthwise_constraint: Constraint of the latent depthwise kernel.
        pointwise_constraint: Constraint of the latent pointwise kernel.

    Shapes:
        The same as for `keras.layers.SeparableConv1D`.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        pad_values: float = 0.0,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        depthwise_quantizer: Any = None,
        pointwise_quantizer: Any = None,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))


@utils.register_keras_custom_object
class QuantSeparableConv2D(_QuantSeparable, keras.layers.SeparableConv2D):
    """A depthwise convolution along two axes, then a pointwise one, with quantized input and kernels.

    The values between the two convolutions are not quantized again. All other arguments are those
    of `keras.layers.SeparableConv2D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        pad_values: Value with which ``"same"`` pads the quantized input.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        depthwise_quantizer: Quantizer of the depthwise kernel, in the same forms.
        pointwise_quantizer: Quantizer of the pointwise kernel, in the same forms.
        depthwise_constraint: Constraint of the latent depthwise kernel.
        pointwise_constraint: Constraint of the latent pointwise kernel.

    Shapes:
        The same as for `keras.layers.SeparableConv2D`.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        pad_values: float = 0.0,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        depthwise_quantizer: Any = None,
        pointwise_quantizer: Any = None,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))
