# mypy: allow-subclassing-any, allow-untyped-decorators
"""Encoders: layers that turn numbers into bits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bnn2hw.nn import utils


@utils.register_keras_custom_object
class Thermometer(keras.layers.Layer):
    """Compare each value with thresholds: 1 where it reaches a threshold, else -1.

    The output has all values compared with the first threshold, then all with the second, and so on.
    Thresholds are the same for all values, or `adapt` gives each value its own from data, so that its
    bits are equally often 1 (a distributive thermometer, as in Bacellar et al., 2024).

    Args:
        thresholds: Ascending thresholds for all values, or the number of thresholds that `adapt` finds.

    Shapes:
        ``(batch, inputs)`` to ``(batch, thresholds * inputs)``.

    Raises:
        ValueError: The thresholds do not ascend, or there are none.
    """

    def __init__(self, thresholds: int | Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = None if isinstance(thresholds, int) else [float(t) for t in thresholds]
        self.levels = thresholds if isinstance(thresholds, int) else len(given or ())
        if self.levels < 1 or (given and any(a >= b for a, b in itertools.pairwise(given))):
            raise ValueError(
                f"layer '{self.name}' needs ascending thresholds, or their number, not {thresholds!r}"
            )
        self.given = given

    def build(self, input_shape: Any) -> None:
        """Create the thresholds, of shape (thresholds, inputs)."""
        shape = (self.levels, input_shape[-1])
        self.thresholds = self.add_weight(
            name="thresholds", shape=shape, initializer="zeros", trainable=False
        )
        if self.given:
            self.thresholds.assign(np.repeat(np.array(self.given, np.float32)[:, None], shape[1], axis=1))

    def adapt(self, data: Any) -> None:
        """Give each value thresholds that split its samples into parts of equal size.

        Args:
            data: Samples of shape (samples, inputs).
        """
        values = np.asarray(data, np.float32)
        if not self.built:
            self.build(values.shape)
        shares = np.arange(1, self.levels + 1) / (self.levels + 1)
        self.thresholds.assign(np.quantile(values, shares, axis=0, method="higher"))

    def call(self, inputs: Any) -> Any:
        """Compare."""
        x = ops.cast(inputs, self.compute_dtype)
        reached = ops.cast(x[:, None, :] >= self.thresholds, self.compute_dtype) * 2 - 1
        return ops.reshape(reached, (-1, self.levels * inputs.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return (*input_shape[:-1], self.levels * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        return {**super().get_config(), "thresholds": self.given or self.levels}
