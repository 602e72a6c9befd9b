# mypy: allow-subclassing-any, allow-untyped-decorators
"""The base of quantizers, those with metrics, those with a clip value, and the one that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.metrics import FlipRatio


class Quantizer(keras.layers.Layer):
    """Base of quantizers: a layer whose output has the shape and dtype of its input.

    Attributes:
        precision: Bits per output value, or None if unknown; `bnn2hw.nn.models.summary` and the
            optimizers read it.
    """

    precision: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        """Return the input's shape."""
        return input_shape


class MeasuredQuantizer(Quantizer):
    """A quantizer that can keep metrics of its outputs.

    Their variables are the metrics' own; the quantizer has no weights.

    Args:
        metrics: Metrics to keep, ``["flip_ratio"]`` or none; None takes those of the open
            `bnn2hw.nn.context.metrics_scope` if this is a kernel quantizer.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, metrics: Iterable[str] | None = None, **kwargs: Any) -> None:
        self._custom_metrics = None if metrics is None else list(metrics)
        super().__init__(**kwargs)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the metrics for values of this shape."""
        if "flip_ratio" in (self._custom_metrics or ()):
            self.flip_ratio = FlipRatio(name=f"flip_ratio/{self.name}")
            self.flip_ratio.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Quantize, and show the result to the metrics."""
        outputs = self._quantize(inputs)
        if hasattr(self, "flip_ratio"):
            self.flip_ratio.update_state(outputs)
        return outputs

    def _quantize(self, inputs: Any) -> Any:
        """Return the quantized inputs."""
        raise NotImplementedError


class ClippedQuantizer(MeasuredQuantizer):
    """A quantizer whose straight-through gradient ends at a clip value.

    Args:
        clip_value: Magnitude up to which the gradient passes; None lets it pass everywhere.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.
    """

    def __init__(self, clip_value: float | None = 1.0, **kwargs: Any) -> None:
        self.clip_value = clip_value
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal quantizer."""
        return {**super().get_config(), "clip_value": self.clip_value}


@utils.register_keras_custom_object
class NoOp(MeasuredQuantizer):
    r"""Change nothing, but declare how many bits a value has.

    \\[ q(x) = x, \qquad \frac{\partial q}{\partial x} = 1, \qquad q(0) = 0 \\]

    It marks variables that an optimizer like `bnn2hw.nn.optimizers.Bop` keeps binary by itself.

    Args:
        precision: Bits per value.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.
    """

    def __init__(self, precision: int, **kwargs: Any) -> None:
        self.precision = precision
        super().__init__(**kwargs)

    def _quantize(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal quantizer."""
        return {**super().get_config(), "precision": self.precision}
