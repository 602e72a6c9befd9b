# mypy: allow-subclassing-any
"""What our optimizers share: the part of Keras 2's interface that Keras 3 left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras


class Optimizer(keras.optimizers.Optimizer):
    """A Keras optimizer that has ``weights`` and, on TensorFlow, ``minimize``."""

    @property
    def weights(self) -> list[Any]:
        """The state without hyperparameters: the number of steps, and what is kept for each variable."""
        return state_of(self)

    def minimize(
        self, loss: Callable[[], Any] | Any, var_list: Sequence[Any] | Callable[[], Any], tape: Any = None
    ) -> None:
        """Compute the gradients of a loss and apply them.

        Args:
            loss: A function without arguments that returns the loss, or the loss itself, with its tape.
            var_list: The variables to train, Keras's or TensorFlow's, or a function that returns them.
            tape: The `tf.GradientTape` that recorded a loss which is no function.

        Raises:
            RuntimeError: The backend is not TensorFlow.
            ValueError: The loss is no function and there is no tape.
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
