# mypy: allow-subclassing-any, allow-untyped-decorators
r"""Quantizers: layers that reduce their input to a few values and define a gradient for training.

Write a quantizer as a string (``"ste_sign"``), as an object (``SteSign(clip_value=1.25)``) or as a
function (`ste_sign`). Any callable or Keras layer of your own works too, also one with trainable
weights. Use a quantizer as ``input_quantizer``, as ``kernel_quantizer`` or as an activation.

| class | name | values | at 0 | pseudo-gradient |
| --- | --- | --- | --- | --- |
| `SteSign` | ``ste_sign`` | -1, 1 | 1 | 1 inside the clip value |
| `ApproxSign` | ``approx_sign`` | -1, 1 | 1 | a triangle |
| `SwishSign` | ``swish_sign`` | -1, 1 | 1 | derivative of SignSwish |
| `SteHeaviside` | ``ste_heaviside`` | 0, 1 | 0 | 1 inside the clip value |
| `MagnitudeAwareSign` | ``magnitude_aware_sign`` | -s, s | s | s inside the clip value |
| `SteTern` | ``ste_tern`` | -1, 0, 1 | 0 | 1 inside the clip value |
| `DoReFa` | ``dorefa_quantizer`` | k-bit steps | 0 | 1 inside [0, 1] |
| `NoOp` | | unchanged | 0 | 1 |

Each of them takes ``metrics=["flip_ratio"]`` to record a `bnn2hw.nn.metrics.FlipRatio` of its
outputs. Without that argument, a kernel quantizer takes the metrics of the open
`bnn2hw.nn.context.metrics_scope`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import keras

from bnn2hw.nn import context, pseudo_gradients, utils
from bnn2hw.nn.pseudo_gradients import (
    approx_sign,
    dorefa_activations,
    dorefa_weights,
    magnitude_aware_sign,
    ste_heaviside,
    ste_sign,
    ste_tern,
    swish_sign,
)
from bnn2hw.nn.quantizers_base import ClippedQuantizer, MeasuredQuantizer, NoOp, Quantizer

__all__ = [
    "ApproxSign",
    "DoReFa",
    "DoReFaQuantizer",
    "MagnitudeAwareSign",
    "NoOp",
    "NoOpQuantizer",
    "Quantizer",
    "QuantizerType",
    "SteHeaviside",
    "SteSign",
    "SteTern",
    "SwishSign",
    "approx_sign",
    "deserialize",
    "get",
    "get_kernel_quantizer",
    "magnitude_aware_sign",
    "serialize",
    "ste_heaviside",
    "ste_sign",
    "ste_tern",
    "swish_sign",
]


@utils.register_alias("ste_sign")
@utils.register_keras_custom_object
class SteSign(ClippedQuantizer):
    r"""Binarize to -1 and 1, with the straight-through estimator as gradient.

    \\[ q(x) = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases} \qquad
    \frac{\partial q}{\partial x} := \begin{cases} 1 & |x| \leq c \\\ 0 & |x| > c \end{cases} \\]

    0.0 and -0.0 give +1. c is ``clip_value``.

    Args:
        clip_value: Largest magnitude with a gradient; None for no limit.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    References:
        [Binarized Neural Networks](https://arxiv.org/abs/1602.02830), Courbariaux et al., 2016
    """

    precision = 1

    def _quantize(self, inputs: Any) -> Any:
        return ste_sign(inputs, self.clip_value)


@utils.register_alias("approx_sign")
@utils.register_keras_custom_object
class ApproxSign(MeasuredQuantizer):
    r"""Binarize to -1 and 1, with a triangle as gradient.

    \\[ q(x) = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases} \qquad
    \frac{\partial q}{\partial x} := \begin{cases} 2 - 2|x| & |x| \leq 1 \\\ 0 & |x| > 1 \end{cases} \\]

    0.0 and -0.0 give +1, with a gradient of 2.

    Args:
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    References:
        [Bi-Real Net](https://arxiv.org/abs/1808.00278), Liu et al., 2018
    """

    precision = 1

    def _quantize(self, inputs: Any) -> Any:
        return approx_sign(inputs)


@utils.register_alias("ste_heaviside")
@utils.register_keras_custom_object
class SteHeaviside(ClippedQuantizer):
    r"""Binarize to 0 and 1, with the straight-through estimator as gradient.

    \\[ q(x) = \begin{cases} 0 & x \leq 0 \\\ 1 & x > 0 \end{cases} \qquad
    \frac{\partial q}{\partial x} := \begin{cases} 1 & |x| \leq c \\\ 0 & |x| > c \end{cases} \\]

    0.0 and -0.0 give 0. c is ``clip_value``. A product of such values is an AND, not an XNOR.

    Args:
        clip_value: Largest magnitude with a gradient; None for no limit.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.
    """

    precision = 1

    def _quantize(self, inputs: Any) -> Any:
        return ste_heaviside(inputs, self.clip_value)


@utils.register_alias("swish_sign")
@utils.register_keras_custom_object
class SwishSign(MeasuredQuantizer):
    r"""Binarize to -1 and 1, with the derivative of the SignSwish function as gradient.

    \\[ q(x) = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases} \qquad
    \frac{\partial q}{\partial x} := \frac{\beta (2 - \beta x \tanh(\beta x / 2))}{1 + \cosh(\beta x)} \\]

    0.0 and -0.0 give +1, with a gradient of \\(\beta\\). The gradient becomes slightly negative for large |x|.

    Args:
        beta: Steepness; a larger value approximates the sign more closely.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    References:
        [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800), Darabi et al., 2018
    """

    precision = 1

    def __init__(self, beta: float = 5.0, **kwargs: Any) -> None:
        self.beta = beta
        super().__init__(**kwargs)

    def _quantize(self, inputs: Any) -> Any:
        return swish_sign(inputs, self.beta)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal quantizer."""
        return {**super().get_config(), "beta": self.beta}


@utils.register_alias("magnitude_aware_sign")
@utils.register_keras_custom_object
class MagnitudeAwareSign(ClippedQuantizer):
    r"""Binarize each output channel to plus and minus its mean magnitude.

    \\[ q(x)_{..c} = s_c \, \mathrm{sign}(x_{..c}), \quad s_c = \mathrm{mean}(|x_{..c}|) \qquad
    \frac{\partial q}{\partial x} := \begin{cases} s_c & |x| \leq c \\\ 0 & |x| > c \end{cases} \\]

    0.0 and -0.0 give \\(+s_c\\). No gradient flows through \\(s_c\\). The index c counts the last axis; the bound
    c of the gradient is ``clip_value``.

    Args:
        clip_value: Largest magnitude with a gradient; None for no limit.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    References:
        [Bi-Real Net](https://arxiv.org/abs/1808.00278), Liu et al., 2018, section 3.3
    """

    precision = 1

    def _quantize(self, inputs: Any) -> Any:
        return magnitude_aware_sign(inputs, self.clip_value)


@utils.register_alias("ste_tern")
@utils.register_keras_custom_object
class SteTern(ClippedQuantizer):
    r"""Reduce to -1, 0 and 1, with the straight-through estimator as gradient.

    \\[ q(x) = \begin{cases} 1 & x \geq \Delta \\\ 0 & |x| < \Delta \\\ -1 & x \leq -\Delta \end{cases} \qquad
    \frac{\partial q}{\partial x} := \begin{cases} 1 & |x| \leq c \\\ 0 & |x| > c \end{cases} \\]

    \\(\Delta\\) is ``threshold_value``, or for ternary weight networks
    \\(\frac{0.7}{n} \sum |x_i|\\). No gradient flows through \\(\Delta\\). c is ``clip_value``.

    Args:
        threshold_value: \\(\Delta\\), if ``ternary_weight_networks`` is false.
        ternary_weight_networks: True to compute \\(\Delta\\) from the values.
        clip_value: Largest magnitude with a gradient; None for no limit.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    References:
        [Ternary Weight Networks](https://arxiv.org/abs/1605.04711), Li et al., 2016
    """

    precision = 2

    def __init__(
        self,
        threshold_value: float = 0.05,
        ternary_weight_networks: bool = False,
        clip_value: float | None = 1.0,
        **kwargs: Any,
    ) -> None:
        self.threshold_value = threshold_value
        self.ternary_weight_networks = ternary_weight_networks
        super().__init__(clip_value=clip_value, **kwargs)

    def _quantize(self, inputs: Any) -> Any:
        return ste_tern(inputs, self.threshold_value, self.ternary_weight_networks, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal quantizer."""
        own = {
            "threshold_value": self.threshold_value,
            "ternary_weight_networks": self.ternary_weight_networks,
        }
        return {**super().get_config(), **own}


@utils.register_alias("dorefa_quantizer")
@utils.register_keras_custom_object
class DoReFa(MeasuredQuantizer):
    r"""Round activations in [0, 1] or weights in [-1, 1] to k bits.

    With \\(n = 2^k - 1\\) and rounding to the nearest level, ties to even, activations become

    \\[ q(x) = \frac{1}{n} \mathrm{round}(n \, \mathrm{clip}(x, 0, 1)) \qquad
    \frac{\partial q}{\partial x} := \begin{cases} 1 & 0 \leq x \leq 1 \\\ 0 & \text{else} \end{cases} \\]

    and weights, where the constant M is the largest \\(|\tanh w|\\) of the layer, become

    \\[ q(w) = \frac{2}{n} \mathrm{round}\left(n \left(\frac{\tanh w}{2M} + \frac12\right)\right) - 1 \qquad
    \frac{\partial q}{\partial w} := \frac{1 - \tanh^2 w}{M} \\]

    An activation of 0 gives 0. A weight of 0 is halfway between two levels, because n is odd, and
    rounds to the even one: +1/3 for two bits.

    Args:
        k_bit: Bits per value.
        mode: ``"activations"`` or ``"weights"``.
        **kwargs: ``metrics``, and the arguments of `keras.layers.Layer`.

    Raises:
        ValueError: ``mode`` is not ``"activations"`` or ``"weights"``.

    References:
        [DoReFa-Net](https://arxiv.org/abs/1606.06160), Zhou et al., 2016, section 2.3
    """

    def __init__(self, k_bit: int = 2, mode: str = "activations", **kwargs: Any) -> None:
        self.precision = k_bit
        self.mode = mode
        self._function()
        super().__init__(**kwargs)

    def _function(self) -> Callable[[Any, int], Any]:
        """Return the quantizing function for ``mode``."""
        functions = {"activations": dorefa_activations, "weights": dorefa_weights}
        if self.mode not in functions:
            raise ValueError(
                f"Invalid DoReFa quantizer mode {self.mode}. Valid values are 'activations' and 'weights'."
            )
        return functions[self.mode]

    def _quantize(self, inputs: Any) -> Any:
        return self._function()(inputs, self.precision or 0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal quantizer."""
        return {**super().get_config(), "k_bit": self.precision, "mode": self.mode}


NoOpQuantizer = NoOp
DoReFaQuantizer = DoReFa
QuantizerType = Quantizer | Callable[[Any], Any]


def serialize(quantizer: QuantizerType, use_legacy_format: bool = False) -> Any:
    """Return a quantizer as plain data.

    Args:
        quantizer: A quantizer object or a registered function.
        use_legacy_format: True to return only ``class_name`` and ``config``, as Keras 2 does.
    """
    config = _by_its_name(quantizer) or keras.saving.serialize_keras_object(quantizer)
    if use_legacy_format:
        return {key: config[key] for key in ("class_name", "config")}
    return config


def _by_its_name(quantizer: QuantizerType) -> dict[str, Any] | None:
    """Return a wrapped function, as `tf.custom_gradient` makes one, as Keras describes functions.

    Keras describes such an object by the class of the wrapper, which it cannot read again.
    """
    plain = isinstance(quantizer, type | types.FunctionType) or hasattr(quantizer, "get_config")
    if plain or not hasattr(quantizer, "__name__"):
        return None
    name = keras.saving.get_registered_name(quantizer)
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def deserialize(
    config: Any, custom_objects: dict[str, Any] | None = None, use_legacy_format: bool = False
) -> Any:
    """Return a quantizer from its name or from the output of `serialize`.

    Args:
        config: A name, or a dictionary with at least ``class_name`` and ``config``.
        custom_objects: Additional classes and functions by name.
        use_legacy_format: Ignored, and accepted because Larq has it. Both formats are recognized.

    Raises:
        ValueError: The quantizer is unknown.
    """
    if isinstance(config, str):
        return _by_name(config, custom_objects or {})
    if isinstance(config["config"], str):
        return _by_name(config["config"], custom_objects or {})
    if config.get("registered_name") is None and config["class_name"] != "function":
        target = _find(config["class_name"], custom_objects or {})
        if target is not None:
            return target.from_config(config["config"])
    return keras.saving.deserialize_keras_object(config, custom_objects=custom_objects)


def _find(name: str, custom_objects: dict[str, Any]) -> Any:
    """Return the class or function that is registered under a name, or None."""
    return custom_objects.get(name) or keras.saving.get_registered_object(name) or globals().get(name)


def _by_name(name: str, custom_objects: dict[str, Any]) -> Any:
    """Return the quantizer with a name."""
    target = _find(name, custom_objects)
    if isinstance(target, type) and target is not NoOp:
        return target()
    if target is None or target is NoOp or not callable(target):
        raise ValueError(
            f"Could not interpret quantization function identifier: {name}. "
            f"Write one of {', '.join(sorted([*pseudo_gradients.BY_NAME, 'dorefa_quantizer']))}, "
            "or pass an object or a function."
        )
    return target


def get(identifier: Any) -> Any:
    """Return the quantizer that an identifier refers to.

    Args:
        identifier: None, a name, the output of `serialize`, or a callable, which is returned
            unchanged. Of a class, an object is made without arguments, as Keras does.

    Raises:
        ValueError: The identifier has another type, or the name is unknown.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str | dict):
        return deserialize(identifier)
    if callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    raise ValueError(f"Could not interpret quantization function identifier: {identifier}")


def get_kernel_quantizer(identifier: Any) -> Any:
    """Return the quantizer that an identifier refers to, with the metrics of the open scope.

    Args:
        identifier: As for `get`.

    Raises:
        ValueError: As for `get`.
    """
    quantizer = get(identifier)
    if isinstance(quantizer, MeasuredQuantizer) and quantizer._custom_metrics is None:
        quantizer._custom_metrics = list(context.get_training_metrics())
    return quantizer
