# mypy: allow-subclassing-any, allow-untyped-decorators
"""Quantized convolutions along one, two and three axes."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.layers_base import PaddedConvolution, QuantizedLayer, arguments


@utils.register_keras_custom_object
class QuantConv1D(QuantizedLayer, PaddedConvolution, keras.layers.Conv1D):
    """A convolution along one axis with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, channels / groups, filters)``. All other arguments are
    those of `keras.layers.Conv1D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        padding: ``"valid"``, ``"same"`` or ``"causal"``.
        pad_values: Value with which ``"same"`` pads the quantized input.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        ``(batch, steps, channels)`` to ``(batch, new_steps, filters)``, with channels second if
        ``data_format`` is ``"channels_first"``.

    Raises:
        ValueError: An argument is out of range, causal padding has a value other than 0, or a name
            is unknown.
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
        groups: int = 1,
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
class QuantConv2D(QuantizedLayer, PaddedConvolution, keras.layers.Conv2D):
    """A convolution along two axes with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, channels / groups, filters)``. All other arguments are
    those of `keras.layers.Conv2D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        padding: ``"valid"`` or ``"same"``.
        pad_values: Value with which ``"same"`` pads the quantized input.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        ``(batch, rows, cols, channels)`` to ``(batch, new_rows, new_cols, filters)``, with channels
        second if ``data_format`` is ``"channels_first"``.

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
        groups: int = 1,
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
class QuantConv3D(QuantizedLayer, PaddedConvolution, keras.layers.Conv3D):
    """A convolution along three axes with quantized input and kernel.

    The kernel has the shape ``(*kernel_size, channels / groups, filters)``. All other arguments are
    those of `keras.layers.Conv3D`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        padding: ``"valid"`` or ``"same"``.
        pad_values: Value with which ``"same"`` pads the quantized input.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        ``(batch, depth, rows, cols, channels)`` to
        ``(batch, new_depth, new_rows, new_cols, filters)``, with channels second if ``data_format``
        is ``"channels_first"``.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        pad_values: float = 0.0,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1),
        groups: int = 1,
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
