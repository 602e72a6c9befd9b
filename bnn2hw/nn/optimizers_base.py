# mypy: allow-subclassing-any
"""Base class of the optimizers, with methods of Keras 2 that Keras 3 does not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras


class Optimizer(keras.optimizers.Optimizer):
    """A Keras optimizer that has ``weights`` and, on TensorFlow, ``minimize``."""

    @property
    def weights(self) -> list[Any]:
        """The state without hyperparameters: the number of steps, and the state of each variable."""
        return state_of(self)

    def minimize(
        self, loss: Callable[[], Any] | Any, var_list: Sequence[Any] | Callable[[], Any], tape: Any = None
    ) -> None:
        """Compute the gradients of a loss and apply them.

        Args:
            loss: A function without arguments that returns the loss, or the loss as a tensor.
            var_list: Keras or TensorFlow variables to train, or a function that returns them.
            tape: The `tf.GradientTape` that recorded the loss, if ``loss`` is a tensor.

        Raises:
            RuntimeError: The backend is not TensorFlow.
            ValueError: ``loss`` is a tensor and ``tape`` is None.
        """
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("`minimize` needs the TensorFlow backend; use `apply` with gradients.")
        if not callable(loss) and tape is None:
            raise ValueError("`tape` is required when `loss` is a tensor.")
        if callable(loss):
            import tensorflow as tf

            with tape or tf.GradientTape() as tape:
                loss = loss()
        variables = list(var_list() if callable(var_list) else var_list)
        natives = [v.value if isinstance(v, keras.Variable) else v for v in variables]
        self.apply(tape.gradient(loss, natives), variables)


def state_of(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Return the variables of an optimizer without its hyperparameters.

    Args:
        optimizer: Any Keras optimizer.
    """
    hypers = {id(getattr(optimizer, name, None)) for name in ("_learning_rate", "_threshold")}
    return [variable for variable in optimizer.variables if id(variable) not in hypers]
