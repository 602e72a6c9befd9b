# mypy: allow-subclassing-any
"""Base classes of quantized layers: quantized input, quantized kernels, padding with any value."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import activations, constraints, context, quantizers, utils
from bnn2hw.nn.quantized_variable import KerasQuantizedVariable

log = logging.getLogger(__name__)


class QuantizedLayer(keras.layers.Layer):
    """Mixin that gives a Keras layer an ``input_quantizer`` and quantized kernels.

    It runs the forward pass of the Keras layer on the quantized input, inside a quantized scope.
    Reading a kernel there returns quantized values.

    Attributes:
        quantized_weights: One tuple per quantized weight: its name, the name of its quantizer and
            the name of its constraint.
    """

    quantized_weights: tuple[tuple[str, str, str], ...] = (
        ("kernel", "kernel_quantizer", "kernel_constraint"),
    )

    def __init__(self, *args: Any, input_quantizer: Any = None, **kwargs: Any) -> None:
        chosen = {
            name: quantizers.get_kernel_quantizer(kwargs.pop(name, None))
            for _, name, _ in self.quantized_weights
        }
        super().__init__(*args, **{name: _understand(name, value) for name, value in kwargs.items()})
        self.input_quantizer = quantizers.get(input_quantizer)
        for name, quantizer in chosen.items():
            setattr(self, name, quantizer)
        self._warn_of_missing_constraints()

    def _warn_of_missing_constraints(self) -> None:
        """Log a warning for each binary weight without a constraint."""
        for _, name, constraint in self.quantized_weights:
            quantizer = getattr(self, name)
            binary = getattr(quantizer, "precision", None) == 1 and not isinstance(quantizer, quantizers.NoOp)
            if binary and getattr(self, constraint) is None:
                log.warning(
                    "The layer '%s' has the binary weight quantizer `%s` but no `%s`: weights that leave the "
                    "quantizer's clip value get no gradient and stay where they are. Did you mean "
                    '`%s="weight_clip"`?',
                    self.name,
                    name,
                    constraint,
                    constraint,
                )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights of the layer and of its quantizers."""
        super().build(input_shape)
        _build_quantizer(self.input_quantizer, tuple(input_shape))
        for weight, name, _ in self.quantized_weights:
            _build_quantizer(getattr(self, name), tuple(getattr(self, weight).shape))

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Create a weight; a quantized variable if the layer has a quantizer for this name."""
        quantizer = self._quantizer_of(name)
        if quantizer is None:
            return super().add_weight(*args, name=name, **kwargs)
        variable = self._make_quantized(name, quantizer, *args, **kwargs)
        self._track_variable(variable)
        return variable

    def _quantizer_of(self, weight: str | None) -> Any:
        """Return the quantizer of the weight with this name, or None."""
        for name, quantizer, _ in self.quantized_weights:
            if name == weight:
                return getattr(self, quantizer)
        return None

    def _make_quantized(
        self,
        name: str | None,
        quantizer: Any,
        shape: Sequence[int] = (),
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        **kwargs: Any,
    ) -> KerasQuantizedVariable:
        """Create the variable that `keras.layers.Layer.add_weight` creates, with a quantizer."""
        variable = KerasQuantizedVariable(
            keras.initializers.get(initializer),
            shape=tuple(shape),
            dtype=dtype or self.variable_dtype,
            trainable=trainable,
            name=name,
            quantizer=quantizer,
            **kwargs,
        )
        variable.regularizer = keras.regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        return variable

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Quantize the inputs and run the Keras layer with quantized kernels."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs)
        with context.quantized_scope(True):
            return super().call(inputs, *args, **kwargs)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of the output in a functional or sequential model."""
        return tuple(self.output.shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        names = ["input_quantizer", *(name for _, name, _ in self.quantized_weights)]
        own = {name: _serialized(getattr(self, name)) for name in names}
        return {**super().get_config(), **own}


def _understand(argument: str, value: Any) -> Any:
    """Return an argument with names of this package replaced by the objects that they refer to."""
    if argument == "activation":
        return None if value is None else activations.get(value)
    return constraints.get(value) if argument.endswith("_constraint") else value


def _build_quantizer(quantizer: Any, shape: tuple[int | None, ...]) -> None:
    """Build a quantizer that is a layer. Its weights must exist before Keras reads them from a file."""
    if isinstance(quantizer, keras.layers.Layer) and not quantizer.built:
        quantizer.build(shape)


def _serialized(quantizer: Any) -> Any:
    """Return a quantizer as plain data, or None."""
    return None if quantizer is None else quantizers.serialize(quantizer)


class PaddedConvolution(keras.layers.Layer):
    """Mixin between `QuantizedLayer` and a convolution that pads with any value, not only with 0.

    The layer pads after the input quantizer. A pad value of 1 therefore keeps a binary input
    binary; the default of 0 is a third value next to -1 and 1.
    """

    def __init__(self, *args: Any, pad_values: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pad_values = pad_values
        if self.padding == "causal" and pad_values != 0:
            raise ValueError(
                f"Causal padding is always with 0. Received: pad_values={pad_values} (layer '{self.name}')."
            )

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Pad the inputs if the padding is "same" and its value is not 0, then convolve them."""
        if self.padding != "same" or self.pad_values == 0:
            return super().call(inputs, *args, **kwargs)
        padded = _pad(inputs, self._paddings(ops.shape(inputs)), self.pad_values)
        with utils.patch_object(self, "padding", "valid"):
            return super().call(padded, *args, **kwargs)

    def _paddings(self, shape: Sequence[Any]) -> list[list[Any]]:
        """Return the padding before and after each axis of an input with this shape."""
        first = self.data_format == "channels_first"
        spatial = shape[2:] if first else shape[1:-1]
        pads = [
            same_padding(n, size, stride, dilation)
            for n, size, stride, dilation in zip(
                spatial, self.kernel_size, _tuple(self.strides, self.rank), self.dilation_rate, strict=True
            )
        ]
        return [[0, 0], [0, 0], *pads] if first else [[0, 0], *pads, [0, 0]]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        return {**super().get_config(), "pad_values": self.pad_values}


def _pad(inputs: Any, paddings: list[list[Any]], value: float) -> Any:
    """Surround the inputs with a value. TensorFlow's own function also takes paddings known only at run time."""
    if keras.backend.backend() != "tensorflow":
        return ops.pad(inputs, paddings, constant_values=value)
    import tensorflow as tf

    return tf.pad(inputs, paddings, constant_values=value)


def _tuple(value: Any, length: int) -> tuple[int, ...]:
    """Repeat a single number for each axis."""
    return (value,) * length if isinstance(value, int) else tuple(value)


def same_padding(length: Any, kernel_size: int, stride: int, dilation: int) -> list[Any]:
    """Return the number of entries that "same" padding adds before and after an axis.

    The output has ``ceil(length / stride)`` positions. If the total is odd, the extra entry goes to
    the end.

    Args:
        length: Length of the axis: a number, or a scalar tensor if it is known only at run time.
        kernel_size: Taps of the kernel on this axis.
        stride: Step between outputs.
        dilation: Distance between taps.
    """
    reach = (kernel_size - 1) * dilation + 1
    total = _maximum((-(-length // stride) - 1) * stride + reach - length, 0) if stride > 1 else reach - 1
    return [total // 2, total - total // 2]


def _maximum(a: Any, b: int) -> Any:
    """Return the larger of two values, as a Python number if the first one is a number."""
    return max(a, b) if isinstance(a, int) else ops.maximum(a, b)


def arguments(local: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a constructor by name, from its ``locals()``."""
    named = {name: value for name, value in local.items() if name not in ("self", "kwargs", "__class__")}
    return {**named, **local["kwargs"]}
