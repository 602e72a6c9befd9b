# mypy: allow-subclassing-any, allow-untyped-decorators
"""The quantized dense layer."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.layers_base import QuantizedLayer, arguments

_NOT_IN_EVERY_KERAS = ("lora_rank", "lora_alpha", "quantization_config")
"""Arguments of `keras.layers.Dense` that only some versions of Keras 3 have."""


@utils.register_keras_custom_object
class QuantDense(QuantizedLayer, keras.layers.Dense):
    """A densely connected layer with quantized input and kernel.

    The kernel has the shape ``(inputs, units)``. All other arguments are those of
    `keras.layers.Dense`.

    Args:
        units: Number of outputs.
        activation: Activation or quantizer, as an object or a name; None for none.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.

    Shapes:
        ``(batch, ..., inputs)`` to ``(batch, ..., units)``.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
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
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        given = arguments(locals())
        unused = [name for name in _NOT_IN_EVERY_KERAS if given[name] is None]
        super().__init__(**{name: value for name, value in given.items() if name not in unused})
