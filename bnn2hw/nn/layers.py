# mypy: allow-subclassing-any, allow-untyped-decorators
r"""Quantized layers: Keras's layers with a quantizer for the input and one for each kernel.

Each computes \\( \sigma(f(q_{kernel}(w), q_{input}(x)) + b) \\), where f is the layer's own product or
convolution.
Kernels are stored as real numbers, which training updates, and quantized whenever the layer runs. Bias and
activation
are not quantized. With both quantizers None a layer equals the Keras layer it extends.
"""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.layers_base import PaddedConvolution, QuantizedLayer

__all__ = ["QuantConv2D", "QuantDense"]


@utils.register_keras_custom_object
class QuantDense(QuantizedLayer, keras.layers.Dense):
    """A densely connected layer with quantized input and kernel.

    Args:
        units: Number of outputs.
        activation: Activation, quantizer or the name of one; None for none.
        use_bias: Whether to add a bias.
        input_quantizer: Quantizer of the inputs: None, a name, an object, or any callable.
        kernel_quantizer: Quantizer of the kernel, likewise.
        kernel_initializer: Initializer of the latent kernel, of shape ``(inputs, units)``.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of the latent kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the outputs.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.
        bias_constraint: Constraint of the bias.
        **kwargs: Arguments of `keras.layers.Layer`.

    Shapes:
        ``(batch, ..., inputs)`` to ``(batch, ..., units)``.

    Raises:
        ValueError: An argument is out of range or a name unknown.
    """

    def __init__(
        self,
        units: int,
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
        super().__init__(**_arguments(locals()))


def _arguments(local: dict[str, Any]) -> dict[str, Any]:
    """Collect the named arguments of a constructor from its ``locals()``."""
    named = {k: v for k, v in local.items() if k not in ("self", "kwargs", "__class__")}
    return {**named, **local["kwargs"]}


@utils.register_keras_custom_object
class QuantConv2D(QuantizedLayer, PaddedConvolution, keras.layers.Conv2D):
    """A convolution over two axes with quantized input and kernel.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the window, or one number for both.
        strides: Step between windows.
        padding: ``"valid"`` or ``"same"``.
        pad_values: The value that ``"same"`` pads with, after the input quantizer.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distance between the taps of a window.
        groups: Number of groups into which channels are split.
        activation: Activation, quantizer or the name of one; None for none.
        use_bias: Whether to add a bias.
        input_quantizer: Quantizer of the inputs: None, a name, an object, or any callable.
        kernel_quantizer: Quantizer of the kernel, likewise.
        kernel_initializer: Initializer of the latent kernel, of shape
            ``(height, width, channels / groups, filters)``.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of the latent kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the outputs.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.
        bias_constraint: Constraint of the bias.
        **kwargs: Arguments of `keras.layers.Layer`.

    Shapes:
        ``(batch, rows, cols, channels)`` to ``(batch, new_rows, new_cols, filters)``, with channels second
        if ``data_format`` says so.

    Raises:
        ValueError: An argument is out of range or a name unknown.
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
        super().__init__(**_arguments(locals()))
