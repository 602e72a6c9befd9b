# mypy: allow-subclassing-any, allow-untyped-decorators
"""Metrics of training: the fraction of weights that change their sign."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import utils


@utils.register_alias("flip_ratio")
@utils.register_keras_custom_object
class FlipRatio(keras.metrics.Metric):
    """The mean fraction of entries that change between one update and the next.

    In a binarized network a weight either flips or stays, so this fraction is the speed of
    learning. It is large at first and approaches 0 as the network settles. If it stays high, the
    training is unstable. The first update, and the first one after each `reset_state`, only stores
    the values.

    Example:
        ```python
        m = FlipRatio()
        m.update_state([1, 1])   # result: 0
        m.update_state([2, 2])   # result: 1
        m.update_state([1, 2])   # result: 0.75
        ```

    Args:
        values_dtype: Dtype to which values are cast before they are compared.
        name: Name of the metric.
        dtype: Dtype of the mean.
    """

    stateful = True

    def __init__(
        self, values_dtype: str = "int8", name: str = "flip_ratio", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.built = False
        self.values_dtype = keras.backend.standardize_dtype(values_dtype)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the variables of the mean and one stored value per entry.

        Args:
            input_shape: Shape of the observed values, without unknown axes.

        Raises:
            ValueError: A dimension is unknown.
        """
        shape = tuple(input_shape)
        if None in shape:
            raise ValueError(
                f"The metric '{self.name}' compares values entry by entry and needs a fully known shape, "
                f"not {shape}. Give the model's Input a batch_size."
            )
        self._previous_values = self.add_variable(
            shape=shape, initializer="zeros", dtype=self.values_dtype, name="previous_values"
        )
        self.total = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="total")
        self.count = self.add_variable(shape=(), initializer="zeros", dtype=self.dtype, name="count")
        self.size = prod(shape)  # type: ignore[arg-type]
        self.built = True

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Compare values with those of the previous update.

        Args:
            values: A tensor with the same shape in every update.
            sample_weight: Not used.
        """
        values = ops.cast(values, self.values_dtype)
        if not self.built:
            self.build(tuple(values.shape))
        same = ops.cast(ops.count_nonzero(ops.equal(self._previous_values, values)), self.dtype)
        flipped = 1 - same / self.size
        self.total.assign(self.total + flipped * ops.sign(self.count))
        self.count.assign(self.count + 1)
        self._previous_values.assign(values)

    def result(self) -> Any:
        """Return the mean fraction since the last reset, or 0 before the second update."""
        if not self.built:
            return ops.zeros((), dtype=self.dtype)
        return ops.divide_no_nan(ops.convert_to_tensor(self.total), self.count - 1)

    def reset_state(self) -> None:
        """Start a new mean and keep the values of the last update."""
        if self.built:
            self.total.assign(0)
            self.count.assign(0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal metric."""
        return {**super().get_config(), "values_dtype": self.values_dtype}
