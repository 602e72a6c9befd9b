# mypy: allow-subclassing-any
"""Variables that are stored latent and read quantized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import context

Reader = Callable[[Any], Any]


class QuantizedVariable(keras.Variable):
    """A Keras variable whose value is quantized inside a `bnn2hw.nn.context.quantized_scope`.

    Outside of a scope it is the latent variable, which optimizers update and constraints clip. Assignments
    always act
    on the latent value.

    Args:
        initializer: A value, or a callable with the arguments ``shape`` and ``dtype``.
        quantizer: Takes the latent tensor, returns the quantized one; None leaves it as it is.
        precision: Bits per value; taken from the quantizer if None.
        **kwargs: Arguments of `keras.Variable`.
    """

    def __init__(
        self,
        initializer: Any,
        *,
        quantizer: Reader | None = None,
        precision: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.quantizer = quantizer
        self.precision = precision if precision is not None else getattr(quantizer, "precision", None)
        super().__init__(initializer, **kwargs)

    @property
    def value(self) -> Any:
        """The tensor or native variable: quantized inside a quantized scope, latent outside."""
        latent = super().value
        if self.quantizer is None or not context.should_quantize():
            return latent
        with context.quantized_scope(False):
            return self.quantizer(ops.convert_to_tensor(latent))

    def assign_add(self, value: Any) -> Any:
        """Add to the latent value."""
        with context.quantized_scope(False):
            return super().assign_add(value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the latent value."""
        with context.quantized_scope(False):
            return super().assign_sub(value)

    def __repr__(self) -> str:
        """Name the variable, its quantizer and its precision."""
        name = getattr(self.quantizer, "__name__", None) or type(self.quantizer).__name__
        return (
            f"<QuantizedVariable path={self.path}, shape={tuple(self.shape)}, dtype={self.dtype}, "
            f"quantizer={name}, precision={self.precision}>"
        )
