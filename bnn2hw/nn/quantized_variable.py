# mypy: allow-subclassing-any
"""Variables that store latent values and return quantized values when they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import context

Reader = Callable[[Any], Any]

Wrapper = Callable[[Any, Reader | None, int | None], "QuantizedVariable"]

_WRAPPERS: list[Wrapper] = []
"""Wrappers for native variables of the Keras backend; see `register_wrapper`."""


class QuantizedVariable:
    """A variable that returns its quantized value inside a `bnn2hw.nn.context.quantized_scope`.

    Outside a scope it returns the latent value, which optimizers update and constraints clip.
    Assignments always change the latent value. One subclass wraps Keras variables, which the layers
    use for their kernels. Another one wraps native TensorFlow variables.

    Attributes:
        quantizer: Function from the latent tensor to the quantized one; None for no quantization.
        precision: Bits per value, or None if unknown.
    """

    quantizer: Reader | None
    precision: int | None

    def _set_quantizer(self, quantizer: Reader | None, precision: int | None) -> None:
        """Check and store the quantizer and the precision."""
        if quantizer is not None and not callable(quantizer):
            raise ValueError(f"`quantizer` must be `callable` or `None`. Received: quantizer={quantizer!r}")
        if precision is not None and not isinstance(precision, int):
            raise ValueError(
                f"`precision` must be of type `int` or `None`. Received: precision={precision!r}"
            )
        self.quantizer = quantizer
        self.precision = precision if precision is not None else getattr(quantizer, "precision", None)

    def _read(self, latent: Any) -> Any:
        """Return a latent value as a reader gets it at this point: quantized or not."""
        if self.quantizer is None or not context.should_quantize():
            return latent
        with context.quantized_scope(False):
            return self.quantizer(ops.convert_to_tensor(latent))

    def _described(self) -> str:
        """Return the quantizer and the precision as text."""
        name = getattr(self.quantizer, "__name__", None) or type(self.quantizer).__name__
        return f"quantizer={name if self.quantizer else None}, precision={self.precision}"

    @staticmethod
    def from_variable(
        variable: Any, quantizer: Reader | None = None, precision: int | None = None
    ) -> QuantizedVariable:
        """Wrap a variable, which becomes the latent variable.

        Args:
            variable: A `keras.Variable` or a `tf.Variable`, also one of a distribution strategy.
            quantizer: Function from the latent tensor to the quantized one.
            precision: Bits per value; None to take the precision of the quantizer.

        Raises:
            ValueError: An argument has another type.
        """
        if isinstance(variable, keras.Variable):
            return KerasQuantizedVariable(
                variable.value,
                trainable=variable.trainable,
                name=variable.name,
                quantizer=quantizer,
                precision=precision,
            )
        if not _WRAPPERS:
            raise ValueError(f"`variable` must be of type `keras.Variable`, not {type(variable).__name__}.")
        return _WRAPPERS[-1](variable, quantizer, precision)


class KerasQuantizedVariable(QuantizedVariable, keras.Variable):
    """A Keras variable that returns quantized values inside a scope; see `QuantizedVariable`.

    Args:
        initializer: A value, or a callable with the arguments ``shape`` and ``dtype``.
        quantizer: Function from the latent tensor to the quantized one; None for no quantization.
        precision: Bits per value; None to take the precision of the quantizer.
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
        self._set_quantizer(quantizer, precision)
        super().__init__(initializer, **kwargs)

    @property
    def value(self) -> Any:
        """The quantized value inside a quantized scope, else the latent value."""
        return self._read(super().value)

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
        return (
            f"<QuantizedVariable path={self.path}, shape={tuple(self.shape)}, dtype={self.dtype}, "
            f"{self._described()}>"
        )


def register_wrapper(wrapper: Wrapper) -> None:
    """Register the wrapper with which `QuantizedVariable.from_variable` wraps native variables.

    Args:
        wrapper: Function with the parameters of `from_variable`.
    """
    _WRAPPERS.append(wrapper)
