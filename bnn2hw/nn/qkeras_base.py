# mypy: allow-subclassing-any
"""The base of the layers of QKeras: their quantizers, and their reading from a file's description."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bnn2hw.nn import qkeras_objects

Description = dict[str, Any]

_OF_TRAINING = ("_initializer", "_constraint", "_regularizer", "_range")
"""Ends of the names of arguments that have no meaning at inference."""

_GONE = frozenset(
    {
        *("batch_input_shape", "quantization_config", "fused", "synchronized", "virtual_batch_size"),
        *("renorm", "renorm_clipping", "renorm_momentum", "adjustment"),
    }
)
"""Arguments of some versions of Keras that have no meaning at inference."""


class Quantized(keras.layers.Layer):
    """Mixin that gives a layer of Keras quantizers and the activations of QKeras.

    Attributes:
        quantizers: Names of the arguments that hold quantizers.
        scaled: Those that QKeras gives a scale from the weights where they have none.
        ignored: Arguments in files that the layer does not have.
    """

    quantizers: tuple[str, ...] = ("kernel_quantizer", "bias_quantizer")
    scaled: tuple[str, ...] = ("kernel_quantizer", "depthwise_quantizer", "pointwise_quantizer")
    ignored: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name, None) for name in self.quantizers}
        chosen = kwargs.pop("activation", None)
        super().__init__(*args, **kwargs)
        for name, value in given.items():
            read = qkeras_objects.kernel_quantizer if name in self.scaled else qkeras_objects.quantizer
            setattr(self, name, read(value))
        self.activation = qkeras_objects.activation(chosen)

    @classmethod
    def from_config(cls, config: Description) -> Any:
        """Return the layer that a file describes.

        Raises:
            ValueError: It has a quantizer or an option that is not supported.
        """
        wanted = {
            n: v
            for n, v in config.items()
            if not n.endswith(_OF_TRAINING) and n not in (*_GONE, *cls.ignored)
        }
        own = f"layer '{config.get('name')}', a {cls.__name__}"
        if wanted.pop("mask", None) is not None:
            raise ValueError(
                f"{own}: a mask of its kernel is not supported; multiply the weights with it and save again"
            )
        try:
            return super().from_config(wanted)
        except (ValueError, TypeError) as error:
            reason = str(error).rsplit("Exception encountered:", 1)[-1].strip()
            raise ValueError(f"{own}: {reason}") from error

    def get_config(self) -> Description:
        """Return the arguments of an equal layer."""
        found = {name: _serialized(getattr(self, name)) for name in (*self.quantizers, "activation")}
        chosen, self.activation = self.activation, keras.activations.linear
        try:
            return {**super().get_config(), **found}
        finally:
            self.activation = chosen

    def weights_of(self, name: str, quantizer: str) -> Any:
        """Return a weight as its quantizer returns it."""
        quantize = getattr(self, quantizer)
        weight = getattr(self, name)
        return ops.convert_to_tensor(weight) if quantize is None else quantize(weight)

    def finish(self, product: Any) -> Any:
        """Add the bias and apply the activation."""
        if self.use_bias:
            bias = self.weights_of("bias", "bias_quantizer")
            first = getattr(self, "data_format", None) == "channels_first"
            product = product + (ops.reshape(bias, (-1, *(1,) * (len(product.shape) - 2))) if first else bias)
        return product if self.activation is None else self.activation(product)


def _serialized(function: Any) -> Any:
    """Describe a quantizer or an activation."""
    if hasattr(function, "kind"):
        return {"class_name": function.kind, "config": function.get_config()}
    return getattr(function, "__name__", None)
