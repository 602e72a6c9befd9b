# mypy: allow-subclassing-any
"""A callback that thins the masks of layers while they train."""

from __future__ import annotations

from typing import Any

import keras

from bnn2hw.nn.sparse import MaskedDense


class FanInSchedule(keras.callbacks.Callback):
    """Reduce the inputs of each neuron from all to `fan_in` along a cubic, by the size of the weights.

    It sets the masks of all `MaskedDense` layers of a model. After the share s of the schedule, a neuron has
    ``fan_in + (inputs - fan_in) * (1 - s)**3`` inputs (Zhu and Gupta, To prune, or not to prune, 2017). When
    training ends, hidden weights become 0.

    Args:
        share: Share of all steps after which the masks are final.
        every: Steps between two changes of the masks.

    Raises:
        ValueError: ``share`` is not between 0 and 1, or ``every`` is less than 1.
    """

    def __init__(self, share: float = 0.75, every: int = 25) -> None:
        super().__init__()
        if not 0 < share <= 1 or every < 1:
            raise ValueError(
                f"`share` must be above 0 and at most 1, and `every` at least 1. Received: {share}, {every}"
            )
        self.share, self.every = share, every
        self._step, self._last, self._thinning = 0, 1.0, True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Count the steps of the schedule."""
        self._step, self._thinning = 0, True
        self._last = max(1.0, self.share * self.params["epochs"] * (self.params.get("steps") or 1))

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Thin the masks, if it is time."""
        if self._thinning and (self._step % self.every == 0 or self._step >= self._last):
            self._thin(min(1.0, self._step / self._last))
            self._thinning = self._step < self._last
        self._step += 1

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Set hidden weights to 0. Masks are thinned only if training ended before the schedule did."""
        if self._thinning:
            self._thin(1.0)
        for layer in self._layers():
            layer.apply_mask()

    def _thin(self, share: float) -> None:
        for layer in self._layers():
            inputs = int(layer.kernel.shape[0])
            layer.thin(round(layer.fan_in + (inputs - layer.fan_in) * (1 - share) ** 3))

    def _layers(self) -> list[MaskedDense]:
        return [layer for layer in self.model._flatten_layers() if isinstance(layer, MaskedDense)]
