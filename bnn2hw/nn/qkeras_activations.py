"""Quantized activations of QKeras as functions of float32, and quantizers to powers of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from bnn2hw.nn.qkeras_quantizers import QKerasQuantizer


def hard_sigmoid(x: Any) -> Any:
    """QKeras's sigmoid, which is not the one of Keras."""
    return ops.clip(0.5 * ops.cast(x, "float32") + 0.5, 0.0, 1.0)


def hard_tanh(x: Any) -> Any:
    """The input, clipped to -1 and 1."""
    return 2.0 * hard_sigmoid(x) - 1.0


def smooth_sigmoid(x: Any) -> Any:
    """A straight line for a sigmoid."""
    return ops.clip(0.1875 * ops.cast(x, "float32") + 0.5, 0.0, 1.0)


def smooth_tanh(x: Any) -> Any:
    """A straight line for a hyperbolic tangent."""
    return 2.0 * smooth_sigmoid(x) - 1.0


def binary_sigmoid(x: Any) -> Any:
    """0 or 1."""
    return ops.round(hard_sigmoid(x))


def binary_tanh(x: Any) -> Any:
    """-1 or 1."""
    return 2.0 * binary_sigmoid(x) - 1.0


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    f.__name__: f for f in (hard_sigmoid, hard_tanh, smooth_sigmoid, smooth_tanh, binary_sigmoid, binary_tanh)
}
"""Functions of QKeras without arguments."""


@dataclass(frozen=True)
class QuantizedRelu(QKerasQuantizer):
    """Fixed-point numbers from 0, or with a slope below 0."""

    kind: ClassVar[str] = "quantized_relu"
    bits: int = 8
    integer: int = 0
    use_sigmoid: int | bool = 0
    negative_slope: float = 0.0
    use_stochastic_rounding: bool = False
    relu_upper_bound: float | None = None
    is_quantized_clip: bool = True
    qnoise_factor: float = 1.0
    var_name: Any = None
    use_ste: bool = True
    use_variables: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        m, m_i = 2.0 ** (self.bits - (self.negative_slope != 0.0)), 2.0**self.integer
        p = hard_sigmoid(x / m_i) * m if self.use_sigmoid else x * m / m_i
        q = m_i * ops.clip(self._from_sigmoid(ops.round(p) / m), 0.0, 1.0 - 1.0 / m)
        if self.negative_slope > 0:
            part = ops.round(p * self.negative_slope) * (1 / (self.negative_slope * m))
            q = q + m_i * self.negative_slope * ops.clip(self._from_sigmoid(part), -1.0, 0.0)
        if self.relu_upper_bound and not self.is_quantized_clip:
            q = ops.minimum(q, self.relu_upper_bound)
        return q

    def _from_sigmoid(self, x: Any) -> Any:
        return 2.0 * x - 1.0 if self.use_sigmoid else x


@dataclass(frozen=True)
class QuantizedTanh(QKerasQuantizer):
    """Fixed-point numbers of a hyperbolic tangent."""

    kind: ClassVar[str] = "quantized_tanh"
    bits: int = 8
    use_stochastic_rounding: bool = False
    symmetric: bool = False
    use_real_tanh: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x, m = ops.cast(x, "float32"), 2.0 ** (self.bits - 1)
        p = ops.tanh(x) if self.use_real_tanh else hard_tanh(x)
        return ops.clip(ops.round(p * m) / m, -1.0 + int(self.symmetric) / m, 1.0 - 1.0 / m)


@dataclass(frozen=True)
class QuantizedSigmoid(QKerasQuantizer):
    """Fixed-point numbers of a sigmoid."""

    kind: ClassVar[str] = "quantized_sigmoid"
    bits: int = 8
    symmetric: bool = False
    use_real_sigmoid: bool = False
    use_stochastic_rounding: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x, m = ops.cast(x, "float32"), 2.0**self.bits
        p = ops.sigmoid(x) if self.use_real_sigmoid else hard_sigmoid(x)
        return ops.clip(ops.round(p * m) / m, int(self.symmetric) / m, 1.0 - 1.0 / m)


@dataclass(frozen=True)
class QuantizedUlaw(QKerasQuantizer):
    """Steps of a sigmoid, spaced by the mu-law."""

    kind: ClassVar[str] = "quantized_ulaw"
    bits: int = 8
    integer: int = 0
    symmetric: int | bool = 0
    u: float = 255.0

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        m, m_i = 2.0 ** (self.bits - 1), 2.0**self.integer
        steps = 2.0 * (ops.round(hard_sigmoid(ops.cast(x, "float32") / m_i) * m) / m) - 1.0
        law = ops.sign(steps) * ops.log(1 + self.u * ops.abs(steps)) / math.log(1 + self.u)
        return m_i * ops.clip(law, -1.0 + int(self.symmetric) / m, 1.0 - 1.0 / m)


def _exponents(x: Any, least: int, most: int, given: Any) -> Any:
    """The exponents of the powers of two that magnitudes become.

    Args:
        x: Magnitudes, float32.
        least: Smallest exponent.
        most: Largest exponent.
        given: The quantizer.
    """
    tiny = x < keras.config.epsilon()
    value = ops.maximum(x, keras.config.epsilon())
    if given.max_value is not None:
        value = ops.minimum(value, given.max_value)
    if given.quadratic_approximation:
        value = ops.sqrt(value)
    logs = ops.log(value) / math.log(2.0)
    logs = ops.floor(logs) if given.log2_rounding == "floor" else ops.round(logs)
    clipped = ops.clip(logs, least, most) * (2.0 if given.quadratic_approximation else 1.0)
    return ops.where(tiny, ops.ones_like(x) * least, clipped)


def _limits(bits: int, given: Any) -> tuple[int, int]:
    """The smallest and the largest exponent."""
    reach = 2 ** (bits - int(given.max_value is None or given.max_value > 1))
    return -reach, 2 * ((reach - 1) // 2) if given.quadratic_approximation else reach - 1


@dataclass(frozen=True)
class QuantizedPo2(QKerasQuantizer):
    """Powers of two with a sign."""

    kind: ClassVar[str] = "quantized_po2"
    bits: int = 8
    max_value: float | None = None
    use_stochastic_rounding: bool = False
    quadratic_approximation: bool = False
    log2_rounding: str = "rnd"
    qnoise_factor: float = 1.0
    var_name: Any = None
    use_ste: bool = True
    use_variables: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        least, most = _limits(self.bits - 1, self)
        sign = ops.where(x < 0, -ops.ones_like(x), ops.ones_like(x))
        return sign * ops.power(2.0, _exponents(ops.abs(x), least, most, self))


@dataclass(frozen=True)
class QuantizedReluPo2(QKerasQuantizer):
    """Powers of two; what is not positive becomes the smallest one, or negative with a slope."""

    kind: ClassVar[str] = "quantized_relu_po2"
    bits: int = 8
    max_value: float | None = None
    negative_slope: float = 0
    use_stochastic_rounding: bool = False
    quadratic_approximation: bool = False
    log2_rounding: str = "rnd"
    qnoise_factor: float = 1.0
    var_name: Any = None
    use_ste: bool = True
    use_variables: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        least, most = _limits(self.bits, self)
        positive = ops.power(2.0, _exponents(ops.relu(x), least, most, self))
        if self.negative_slope == 0:
            return positive
        below = _exponents(ops.relu(-x) * self.negative_slope, least, most, self)
        return ops.where(x >= 0, positive, -ops.power(2.0, below))
