# mypy: allow-subclassing-any
"""Callbacks that schedule a hyperparameter of an optimizer, and the fan-in of neurons."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import keras
from keras import ops

from bnn2hw.nn.fan_in_schedule import FanInSchedule

__all__ = ["FanInSchedule", "HyperparameterScheduler"]

_OLD_NAMES = {"lr": "learning_rate"}


class HyperparameterScheduler(keras.callbacks.Callback):
    """Set a hyperparameter of an optimizer before each epoch or each step.

    Example:
        ```python
        bop = Bop(threshold=1e-6, gamma=1e-3)
        HyperparameterScheduler(lambda epoch: 1e-3 * 0.1 ** (epoch // 30), "gamma", bop)
        ```

    Args:
        schedule: Function from the index of the epoch or step to the new value. If it has a second
            parameter, it also gets the current value.
        hyperparameter: Name of an attribute of the optimizer. ``"lr"`` means ``"learning_rate"``.
        optimizer: The optimizer; None for the optimizer of the model.
        update_freq: ``"epoch"`` or ``"step"``.
        verbose: 1 to print each change, 0 to print nothing.
        log_name: Name under which the callback logs the value at the end of each epoch; None for
            ``hyperparameter``.

    Raises:
        ValueError: ``update_freq`` is another string, or, when training starts, the optimizer does
            not have the attribute.
    """

    def __init__(
        self,
        schedule: Callable[..., Any],
        hyperparameter: str,
        optimizer: keras.optimizers.Optimizer | None = None,
        update_freq: str = "epoch",
        verbose: int = 0,
        log_name: str | None = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "step"):
            raise ValueError(f"`update_freq` must be 'epoch' or 'step'. Received: {update_freq!r}")
        self.schedule = schedule
        self.hyperparameter = hyperparameter
        self.optimizer = optimizer
        self.update_freq = update_freq
        self.verbose = verbose
        self.log_name = log_name or hyperparameter

    def set_model(self, model: keras.Model) -> None:
        """Use the optimizer of the model if none was given, and check that it has the hyperparameter."""
        super().set_model(model)
        if self.optimizer is None:
            self.optimizer = model.optimizer
        if not hasattr(self.optimizer, self._attribute()):
            raise ValueError(f'Optimizer must have a "{self.hyperparameter}" attribute.')

    def _attribute(self) -> str:
        """Return the name of the optimizer's attribute."""
        name = _OLD_NAMES.get(self.hyperparameter, self.hyperparameter)
        return name if hasattr(self.optimizer, name) else self.hyperparameter

    def _value(self) -> Any:
        """Return the current value as a Python number."""
        value = getattr(self.optimizer, self._attribute())
        return ops.convert_to_numpy(value).item() if hasattr(value, "dtype") else value

    def set_hyperparameter(self, t: int) -> Any:
        """Set the hyperparameter for an epoch or step.

        Args:
            t: Index of the epoch or step.

        Returns:
            The new value.
        """
        current = self._value()
        value = self.schedule(t, current) if _takes_two(self.schedule) else self.schedule(t)
        setattr(self.optimizer, self._attribute(), value)
        return self._value()

    def _update(self, kind: str, t: int) -> None:
        """Set the hyperparameter and print the new value if verbose."""
        value = self.set_hyperparameter(t)
        if self.verbose > 0:
            print(f"{kind} {t}: {self.log_name} is now {value}.")

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the hyperparameter for this step. Steps are counted over all epochs."""
        if self.update_freq == "step" and self.optimizer is not None:
            self._update("Step", int(ops.convert_to_numpy(self.optimizer.iterations)))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the hyperparameter for this epoch."""
        if self.update_freq == "epoch":
            self._update("Epoch", epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the value."""
        if logs is not None:
            logs[self.log_name] = self._value()


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Return True if a function accepts two positional arguments."""
    try:
        signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    return True
