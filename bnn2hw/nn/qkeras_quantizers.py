"""Quantizers of QKeras as functions of float32, as they compute at inference.

QKeras returns ``x + (q - x)`` for the sake of gradients, which differs from q by float32 rounding. The
functions here return q itself, a value of the quantizer's grid.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import keras
from keras import ops

ROUNDS = 5
"""Rounds of least squares in which QKeras finds a scale that is a power of two."""

LEFT = {"qnoise_factor": 1.0, "elements_per_scale": None, "min_po2_exponent": None, "max_po2_exponent": None}
"""Arguments that are supported with the value that QKeras gives them if the user gives none."""


@dataclass(frozen=True)
class QKerasQuantizer:
    """Base of the quantizers. The fields are QKeras's arguments, in QKeras's order.

    Attributes:
        kind: The quantizer's name in QKeras.
    """

    kind: ClassVar[str] = ""

    @property
    def needs_frame(self) -> bool:
        """True if its scale comes from the values."""
        return isinstance(getattr(self, "alpha", None), str)

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if name in LEFT and value != LEFT[name]:
                raise ValueError(f"{self.kind} has {name}={value!r}, but only {LEFT[name]!r} is supported")
        alpha = getattr(self, "alpha", None)
        known = alpha in ("auto", "auto_po2") if isinstance(alpha, str) else True
        if not known or not isinstance(alpha, str | int | float | None):
            raise ValueError(
                f"{self.kind} has alpha={alpha!r}: give None, a number, 'auto' or 'auto_po2'; scale arrays "
                "belong into a BatchNormalization"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of an equal quantizer."""
        return asdict(self)


def _power_of_two(scale: Any) -> Any:
    """Round a scale to a power of two."""
    return ops.power(2.0, ops.round(ops.log(scale + keras.config.epsilon()) / math.log(2.0)))


def _axes(x: Any, kept: int | list[int] | None = None) -> list[int]:
    """The axes that share a scale: all but the last, or but those kept."""
    count = len(x.shape)
    keep = [count - 1] if kept is None else [kept] if isinstance(kept, int) else kept
    return [axis for axis in range(count) if axis not in keep]


def _least_squares(alpha: str, x: Any, q: Any, kept: int | list[int] | None = None) -> Any:
    """The scale with which q comes closest to x, by channel; by value for a vector."""
    qx, qq = x * q, q * q
    if len(x.shape) > 1:
        axes = _axes(x, kept)
        qx, qq = ops.mean(qx, axes, keepdims=True), ops.mean(qq, axes, keepdims=True)
    scale = qx / (qq + keras.config.epsilon())
    return _power_of_two(scale) if alpha == "auto_po2" else scale


def _sign(x: Any) -> Any:
    """-1 or 1; 1 for 0."""
    signs = ops.sign(x)
    return signs + (1.0 - ops.abs(signs))


def _ones_where(condition: Any) -> Any:
    return ops.cast(condition, "float32")


@dataclass(frozen=True)
class QuantizedBits(QKerasQuantizer):
    """Fixed-point numbers."""

    kind: ClassVar[str] = "quantized_bits"
    bits: int = 8
    integer: int = 0
    symmetric: int | bool = 0
    keep_negative: bool = True
    alpha: Any = None
    use_stochastic_rounding: bool = False
    scale_axis: Any = None
    qnoise_factor: float = 1.0
    var_name: Any = None
    use_ste: bool = True
    use_variables: bool = False
    elements_per_scale: Any = None
    min_po2_exponent: Any = None
    max_po2_exponent: Any = None
    post_training_scale: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.alpha, str) and self.bits < 2:
            raise ValueError(f"quantized_bits has one bit and alpha='{self.alpha}': use binary")

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        if isinstance(self.alpha, str):
            return self._scaled(x)
        scale = 1.0 if self.alpha is None else float(self.alpha)
        unsigned = self.bits - int(self.keep_negative)
        if unsigned == 0:
            return scale * _sign(x)
        m, m_i = 2.0**unsigned, 2.0**self.integer
        least = int(self.keep_negative) * (-m + int(self.symmetric))
        return scale * (m_i * ops.clip(ops.round(x * m / m_i), least, m - 1) / m)

    def _scaled(self, x: Any) -> Any:
        """Quantize with a scale from the values themselves: rounded half away from zero, symmetric."""
        m, m_i = 2.0 ** (self.bits - int(self.keep_negative)), 2.0**self.integer
        x = x / m_i
        largest = float(2 ** (self.bits - 1) - 1)
        scale = self._scale(x, largest, m)
        return (scale * m) * (m_i * self._steps(x, scale, largest) / m)

    def _scale(self, x: Any, largest: float, m: float) -> Any:
        """The scale by channel."""
        if self.post_training_scale is not None:
            return ops.cast(ops.convert_to_tensor(self.post_training_scale), "float32") / m
        axes = _axes(x, self.scale_axis) if len(x.shape) > 1 else [0]
        scale = (ops.max(ops.abs(x), axes, keepdims=True) * 2.0) / (2.0 * largest)
        if self.alpha == "auto":
            return scale
        scale = _power_of_two(scale)
        for _ in range(ROUNDS):
            scale = _least_squares("auto_po2", x, self._steps(x, scale, largest), self.scale_axis)
        return scale

    @staticmethod
    def _steps(x: Any, scale: Any, largest: float) -> Any:
        steps = ops.floor(ops.abs(x) / scale + 0.5)
        return ops.sign(x) * ops.where(steps < largest, steps, ops.ones_like(steps) * largest)


@dataclass(frozen=True)
class QuantizedLinear(QKerasQuantizer):
    """Fixed-point numbers, rounded after they are clipped."""

    kind: ClassVar[str] = "quantized_linear"
    bits: int = 8
    integer: int = 0
    symmetric: int | bool = 1
    keep_negative: bool = True
    alpha: Any = None
    use_stochastic_rounding: bool = False
    scale_axis: Any = None
    qnoise_factor: float = 1.0
    var_name: Any = None
    use_variables: bool = False

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        scale = self._scale(x) if isinstance(self.alpha, str) else self._given_scale()
        return self._steps(x, scale) * scale

    def _given_scale(self) -> float:
        alpha = 1.0 if self.alpha is None else float(self.alpha)
        return float(alpha * 2.0 ** (self.integer - self.bits + int(self.keep_negative)))

    @property
    def _is_sign(self) -> bool:
        return self.bits == 1 and self.keep_negative

    def _range(self) -> tuple[float, float]:
        """The smallest and the largest step."""
        if self._is_sign:
            return -0.5, 0.5
        largest = 2.0 ** (self.bits - int(self.keep_negative))
        return int(self.keep_negative) * (-largest + int(self.symmetric)), largest - 1.0

    def _steps(self, x: Any, scale: Any) -> Any:
        shift = 0.5 if self._is_sign else 0.0
        return ops.round(ops.clip(x / scale, *self._range()) - shift) + shift

    def _scale(self, x: Any) -> Any:
        """The scale by channel."""
        axes, (least, largest) = _axes(x, self.scale_axis), self._range()
        if self.keep_negative:
            scale = ops.max(ops.abs(x), axes, keepdims=True) * 2.0 / (largest - least)
        else:
            scale = ops.max(x, axes, keepdims=True) / (largest - least)
        scale = ops.maximum(scale, keras.config.epsilon())
        if self.alpha == "auto":
            return scale
        scale = _power_of_two(scale)
        # QKeras stops when the scales stay, which further rounds do not change.
        for _ in range(1 if self._is_sign else ROUNDS):
            scale = _least_squares("auto_po2", x, self._steps(x, scale), self.scale_axis)
        return scale


@dataclass(frozen=True)
class Binary(QKerasQuantizer):
    """The sign, or 0 and 1."""

    kind: ClassVar[str] = "binary"
    use_01: bool = False
    alpha: Any = None
    training: bool = False
    use_stochastic_rounding: bool = False
    scale_axis: Any = None
    elements_per_scale: Any = None
    min_po2_exponent: Any = None
    max_po2_exponent: Any = None

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        signs = (_sign(x) + 1.0) / 2.0 if self.use_01 else _sign(x)
        if isinstance(self.alpha, str):
            return _least_squares(self.alpha, x, signs, self.scale_axis) * signs
        return signs if self.alpha is None else float(self.alpha) * signs


@dataclass(frozen=True)
class StochasticBinary(QKerasQuantizer):
    """The sign: chance has a part in training only."""

    kind: ClassVar[str] = "stochastic_binary"
    alpha: Any = None
    temperature: float = 6.0
    use_real_sigmoid: bool = True

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        return Binary(alpha=self.alpha)(x)


@dataclass(frozen=True)
class Ternary(QKerasQuantizer):
    """-1, 0 and 1, times a scale."""

    kind: ClassVar[str] = "ternary"
    alpha: Any = None
    threshold: Any = None
    use_stochastic_rounding: bool = False
    number_of_unrolls: int = 5

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        x = ops.cast(x, "float32")
        if isinstance(self.alpha, str):
            return self._scaled(x)
        threshold = 0.33 if self.threshold is None else self.threshold
        q = _ones_where(ops.abs(x) >= threshold) * ops.sign(x)
        return q if self.alpha is None else float(self.alpha) * q

    def _scaled(self, x: Any) -> Any:
        """Quantize with a scale and a threshold from the values themselves."""
        q, axes = x, _axes(x) or None
        scale = 2.0 * ops.max(ops.abs(x), axes, keepdims=True) / 3.0
        if self.alpha == "auto_po2":
            scale = _power_of_two(scale)
        for _ in range(self.number_of_unrolls):
            threshold, ratio = scale / 2.0, x / scale
            v = scale * (ratio + (-ratio + ops.round(ratio)))
            q = _ones_where(ops.abs(v) >= threshold) * ops.sign(x)
            scale = _least_squares(self.alpha, x, q)
        return scale * q


@dataclass(frozen=True)
class StochasticTernary(QKerasQuantizer):
    """-1, 0 and 1: chance has a part in training only."""

    kind: ClassVar[str] = "stochastic_ternary"
    alpha: Any = None
    threshold: Any = None
    temperature: float = 8.0
    use_real_sigmoid: bool = True
    number_of_unrolls: int = 5

    def __call__(self, x: Any) -> Any:
        """Return the values of the grid."""
        return Ternary(self.alpha, self.threshold, number_of_unrolls=self.number_of_unrolls)(x)
