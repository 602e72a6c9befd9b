# mypy: allow-subclassing-any, allow-untyped-decorators
"""Bop, an optimizer for binary weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import math, utils
from bnn2hw.nn.optimizers_base import Optimizer

Schedule = keras.optimizers.schedules.LearningRateSchedule


@utils.register_keras_custom_object
class Bop(Optimizer):
    r"""Train binary weights without latent weights, by flipping them.

    For each weight, Bop keeps an exponential moving average m of the gradient. It flips the weight
    if the average has the sign of the weight and its magnitude exceeds a threshold:

    \\[ m \leftarrow m + \gamma (g - m), \qquad w \leftarrow -w \text{ if } w m > \tau, \text{ else } w \\]

    The exact formula is \\(w \leftarrow \mathrm{sign}(-\mathrm{sign}(w m - \tau) w)\\), so a weight
    with \\(w m = \tau\\) becomes +1. Weights that start as real numbers become -1 or 1 in the first
    step.

    Both hyperparameters may be schedules of `keras.optimizers.schedules`. Gamma is the learning
    rate of this optimizer: callbacks that set ``learning_rate`` set gamma.

    Args:
        threshold: \\(\tau\\), the average that a flip requires. If it is too high, no weight
            flips; if it is too low, noise flips weights.
        gamma: \\(\gamma\\), the weight of the newest gradient, between 0 and 1.
        name: Name of the optimizer.
        **kwargs: Arguments of `keras.optimizers.Optimizer`.

    References:
        [Latent Weights Do Not Exist](https://arxiv.org/abs/1906.02107), Helwegen et al., 2019
    """

    def __init__(self, threshold: Any = 1e-8, gamma: Any = 1e-4, name: str = "Bop", **kwargs: Any) -> None:
        super().__init__(learning_rate=_number(gamma), name=name, **kwargs)
        self._threshold = threshold
        if not isinstance(threshold, Schedule):
            self._threshold = self.add_variable(
                shape=(),
                initializer=keras.initializers.Constant(threshold),
                name="threshold",
                aggregation="only_first_replica",
            )

    @property
    def gamma(self) -> Any:
        """The weight of the newest gradient: a variable, or a schedule."""
        return self._learning_rate

    @gamma.setter
    def gamma(self, value: Any) -> None:
        self.learning_rate = _number(value)

    @property
    def threshold(self) -> Any:
        """The average that a flip requires: a variable, or a schedule."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: Any) -> None:
        self._threshold.assign(value)

    def _get_hyper(self, name: str) -> Any:
        """Return a hyperparameter by name. Code that was written for Larq calls this method."""
        return getattr(self, name)

    def build(self, variables: Sequence[Any]) -> None:
        """Create a moving average for each variable."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "m")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update the average and flip the weights whose average exceeds the threshold.

        Args:
            gradient: Gradient of the loss.
            variable: The binary variable.
            learning_rate: The current gamma.
        """
        gamma = ops.cast(learning_rate, variable.dtype)
        threshold = ops.cast(self._current_threshold(), variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        average = self._momentums[self._get_variable_index(variable)]
        self.assign_add(average, gamma * (gradient - average))
        self.assign(variable, math.sign(-ops.sign(variable * average - threshold) * variable))

    def _current_threshold(self) -> Any:
        """Return the threshold for the current step."""
        return self._threshold(self._iterations) if isinstance(self._threshold, Schedule) else self._threshold

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal optimizer."""
        config = super().get_config()
        config["gamma"] = config.pop("learning_rate")
        return {**config, "threshold": _serialized(self._threshold)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Bop:
        """Return an optimizer from the output of `get_config`.

        Args:
            config: The constructor arguments.
            custom_objects: Additional classes of schedules by name.
        """
        known = {
            name: keras.optimizers.schedules.deserialize(value, custom_objects=custom_objects)
            if isinstance(value, dict)
            else value
            for name, value in config.items()
        }
        return cls(**known)

    @staticmethod
    def is_binary_variable(var: Any) -> bool:
        """Return True if the precision of a variable is one bit. Use it as a predicate of `CaseOptimizer`.

        Args:
            var: A variable.
        """
        return getattr(var, "precision", 32) == 1


def _number(value: Any) -> Any:
    """Return an integer as a float and any other value unchanged."""
    return float(value) if isinstance(value, int) else value


def _serialized(hyper: Any) -> Any:
    """Return a hyperparameter as plain data."""
    if isinstance(hyper, Schedule):
        return keras.optimizers.schedules.serialize(hyper)
    return float(ops.convert_to_numpy(hyper))
