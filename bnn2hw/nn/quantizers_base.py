# mypy: allow-subclassing-any, allow-untyped-decorators
"""Base classes of quantizers, and the quantizer that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from bnn2hw.nn import utils
from bnn2hw.nn.metrics import FlipRatio


class Quantizer(keras.layers.Layer):
    """Base class of quantizers: a layer whose output has the shape and dtype of its input.

    Attributes:
        precision: Bits per output value, or None if unknown. `bnn2hw.nn.models.summary` and the
            optimizers read it.
    """

    precision: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        """Return the shape of the input."""
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Return the inputs. A subclass quantizes, and may end in `return super().call(outputs)`."""
        return inputs


class MeasuredQuantizer(Quantizer):
    """A quantizer that can record metrics of its outputs.

    The variables belong to the metrics; the quantizer itself has no weights.

    Args:
        metrics: Metrics to record: ``["flip_ratio"]``, or ``[]`` for none. If None, a kernel
            quantizer takes the metrics of the open `bnn2hw.nn.context.metrics_scope`.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, metrics: Iterable[str] | None = None, **kwargs: Any) -> None:
        self._custom_metrics = None if metrics is None else list(metrics)
        super().__init__(**kwargs)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the metrics for values of this shape."""
        if "flip_ratio" in (self._custom_metrics or ()):
            self.flip_ratio = FlipRatio(name=f"flip_ratio/{self.name}")
            self.flip_ratio.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Quantize the inputs and update the metrics with the result."""
        outputs = self._quantize(inputs)
        if hasattr(self, "flip_ratio"):
            self.flip_ratio.update_state(outputs)
        return outputs

    def _quantize(self, inputs: Any) -> Any:
        """Return the quantized inputs."""
        raise NotImplementedError


class ClippedQuantizer(MeasuredQuantizer):
    """A quantizer with a straight-through gradient that is 0 beyond a clip value.

    Args:
        clip_value: Largest magnitude with a gradient; None for no limit.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.
    """

    def __init__(self, clip_value: float | None = 1.0, **kwargs: Any) -> None:
        self.clip_value = clip_value
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal quantizer."""
        return {**super().get_config(), "clip_value": self.clip_value}


@utils.register_keras_custom_object
class NoOp(MeasuredQuantizer):
    r"""Return the input unchanged and declare its number of bits.

    \\[ q(x) = x, \qquad \frac{\partial q}{\partial x} = 1, \qquad q(0) = 0 \\]

    Use it for variables that an optimizer such as `bnn2hw.nn.optimizers.Bop` keeps binary.

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
        """Return the constructor arguments of an equal quantizer."""
        return {**super().get_config(), "precision": self.precision}
