# mypy: allow-subclassing-any
"""Variables that are stored latent and read quantized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import context

Reader = Callable[[Any], Any]

Wrapper = Callable[[Any, Reader | None, int | None], "QuantizedVariable"]

_WRAPPERS: list[Wrapper] = []
"""Wrappers of variables that are not Keras's own; see `register_wrapper`."""


class QuantizedVariable:
    """A variable whose value is quantized inside a `bnn2hw.nn.context.quantized_scope`.

    Outside of a scope it is the latent variable, which optimizers update and constraints clip.
    Assignments always act on the latent value. There is one kind for Keras's variables, of which the layers
    make their
    kernels, and one for TensorFlow's own.

    Attributes:
        quantizer: Takes the latent tensor, returns the quantized one; None leaves it as it is.
        precision: Bits per value, or None if unknown.
    """

    quantizer: Reader | None
    precision: int | None

    def _set_quantizer(self, quantizer: Reader | None, precision: int | None) -> None:
        """Check and keep the quantizer."""
        if quantizer is not None and not callable(quantizer):
            raise ValueError(f"`quantizer` must be `callable` or `None`. Received: quantizer={quantizer!r}")
        if precision is not None and not isinstance(precision, int):
            raise ValueError(
                f"`precision` must be of type `int` or `None`. Received: precision={precision!r}"
            )
        self.quantizer = quantizer
        self.precision = precision if precision is not None else getattr(quantizer, "precision", None)

    def _read(self, latent: Any) -> Any:
        """Return what a reader sees of a latent value at this point."""
        if self.quantizer is None or not context.should_quantize():
            return latent
        with context.quantized_scope(False):
            return self.quantizer(ops.convert_to_tensor(latent))

    def _described(self) -> str:
        """Return quantizer and precision as text."""
        name = getattr(self.quantizer, "__name__", None) or type(self.quantizer).__name__
        return f"quantizer={name if self.quantizer else None}, precision={self.precision}"

    @staticmethod
    def from_variable(
        variable: Any, quantizer: Reader | None = None, precision: int | None = None
    ) -> QuantizedVariable:
        """Wrap a variable, which stays the latent one.

        Args:
            variable: A `keras.Variable`, or a `tf.Variable`, one of a distribution strategy included.
            quantizer: Takes the latent tensor, returns the quantized one.
            precision: Bits per value; taken from the quantizer if None.

        Raises:
            ValueError: An argument is of another type.
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
    """A Keras variable that is read quantized inside a scope; see `QuantizedVariable`.

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
        self._set_quantizer(quantizer, precision)
        super().__init__(initializer, **kwargs)

    @property
    def value(self) -> Any:
        """The tensor or native variable: quantized inside a quantized scope, latent outside."""
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
    """Let `QuantizedVariable.from_variable` wrap the native variables of Keras's backend.

    Args:
        wrapper: Takes the variable, the quantizer and the precision, as `from_variable` does.
    """
    _WRAPPERS.append(wrapper)
