# mypy: allow-untyped-decorators
"""Quantizing functions with pseudo-gradients.

The derivative of a step function is 0 wherever it exists, so layers below it would never learn.
Each function of this module computes the exact step in the forward pass and returns a chosen
*pseudo-gradient* in the backward pass. The functions use `keras.ops.custom_gradient`, so they run on
every backend. They take tensors and Keras variables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import math, utils

Gradient = Callable[[Any], Any]


def _layer_if_symbolic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Extend a function to symbolic tensors of functional models by calling its quantizer layer."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not keras.utils.is_keras_tensor(x):
            return function(x, *args, **kwargs)
        quantizer = keras.saving.get_registered_object(function.__name__)
        return quantizer(*args, **kwargs)(x)

    return call


def with_gradient(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any], x: Any) -> Any:
    """Evaluate ``forward(x)`` with ``backward(x, upstream)`` as vector-Jacobian product.

    Args:
        forward: Function for the forward pass.
        backward: Function from ``x`` and the upstream gradient to the gradient of ``x``.
        x: A tensor or variable of any shape.
    """

    @ops.custom_gradient
    def call(tensor: Any) -> tuple[Any, Gradient]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return backward(tensor, args[0] if upstream is None else upstream)

        return forward(tensor), gradient

    return call(ops.convert_to_tensor(x))


def _clipped(clip_value: float | None) -> Callable[[Any, Any], Any]:
    """Return the straight-through gradient: the upstream gradient where ``abs(x) <= clip_value``, else 0."""
    if clip_value is None:
        return lambda _, upstream: upstream
    return lambda x, upstream: ops.where(ops.abs(x) <= clip_value, upstream, ops.zeros_like(upstream))


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def ste_sign(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Return the sign, with the straight-through gradient; see `bnn2hw.nn.quantizers.SteSign`.

    Args:
        x: A float tensor of any shape.
        clip_value: Largest magnitude with a gradient; None for no limit.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; 0.0 and -0.0 give +1.
    """
    return with_gradient(math.sign, _clipped(clip_value), x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def approx_sign(x: Any) -> Any:
    """Return the sign, with a triangular gradient; see `bnn2hw.nn.quantizers.ApproxSign`.

    Args:
        x: A float tensor of any shape.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; 0.0 and -0.0 give +1.
    """

    def backward(tensor: Any, upstream: Any) -> Any:
        magnitude = ops.abs(tensor)
        return ops.where(magnitude <= 1.0, (1 - magnitude) * 2 * upstream, ops.zeros_like(upstream))

    return with_gradient(math.sign, backward, x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def swish_sign(x: Any, beta: float = 5.0) -> Any:
    """Return the sign, with the gradient of SignSwish; see `bnn2hw.nn.quantizers.SwishSign`.

    Args:
        x: A float tensor of any shape.
        beta: Steepness of SignSwish.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; 0.0 and -0.0 give +1.
    """

    def backward(tensor: Any, upstream: Any) -> Any:
        scaled = beta * tensor
        return upstream * beta * (2 - scaled * ops.tanh(scaled * 0.5)) / (1 + ops.cosh(scaled))

    return with_gradient(math.sign, backward, x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def ste_heaviside(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Return the unit step, with the straight-through gradient; see `bnn2hw.nn.quantizers.SteHeaviside`.

    Args:
        x: A float tensor of any shape.
        clip_value: Largest magnitude with a gradient; None for no limit.

    Returns:
        A tensor like ``x`` with values in {0, 1}; 0.0 and -0.0 give 0.
    """
    return with_gradient(math.heaviside, _clipped(clip_value), x)


@utils.register_function
@utils.set_precision(2)
@_layer_if_symbolic
def ste_tern(
    x: Any,
    threshold_value: float = 0.05,
    ternary_weight_networks: bool = False,
    clip_value: float | None = 1.0,
) -> Any:
    r"""Return -1, 0 or 1, with the straight-through gradient; see `bnn2hw.nn.quantizers.SteTern`.

    Args:
        x: A float tensor of any shape.
        threshold_value: Values of a smaller magnitude become 0; ignored if
            ``ternary_weight_networks``.
        ternary_weight_networks: True to use \\(0.7 \cdot \mathrm{mean}(|x|)\\) as threshold.
        clip_value: Largest magnitude with a gradient; None for no limit.

    Returns:
        A tensor like ``x`` with values in {-1, 0, 1}; a value at the threshold gives -1 or 1.
    """

    def forward(tensor: Any) -> Any:
        threshold = _mean_threshold(tensor) if ternary_weight_networks else threshold_value
        return ops.sign(ops.sign(tensor + threshold) + ops.sign(tensor - threshold))

    return with_gradient(forward, _clipped(clip_value), x)


def _mean_threshold(x: Any) -> Any:
    """Return 0.7 times the mean magnitude, in the order of operations of the paper."""
    return 0.7 * ops.sum(ops.abs(x)) / ops.cast(ops.size(x), x.dtype)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def magnitude_aware_sign(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Return the sign times the mean magnitude of its channel; see `bnn2hw.nn.quantizers.MagnitudeAwareSign`.

    Args:
        x: A float tensor whose last axis counts output channels.
        clip_value: Largest magnitude with a gradient; None for no limit.

    Returns:
        A tensor like ``x`` with the values \\(\pm s_c\\) in channel c; 0.0 and -0.0 give
        \\(+s_c\\).
    """
    x = ops.convert_to_tensor(x)
    scale = ops.stop_gradient(ops.mean(ops.abs(x), axis=list(range(len(x.shape) - 1))))
    return scale * ste_sign(x, clip_value)


def dorefa_activations(x: Any, k_bit: int = 2) -> Any:
    r"""Round to \\(2^k\\) levels between 0 and 1; see `bnn2hw.nn.quantizers.DoReFa`.

    Args:
        x: A float tensor of any shape.
        k_bit: Bits per value.

    Returns:
        A tensor like ``x`` with values in \\(\{0, 1/n, ..., 1\}\\), \\(n = 2^k - 1\\); 0 gives 0.
    """
    levels = 2**k_bit - 1

    def backward(tensor: Any, upstream: Any) -> Any:
        inside = ops.logical_and(tensor >= 0.0, tensor <= 1.0)
        return ops.where(inside, upstream, ops.zeros_like(upstream))

    return with_gradient(lambda t: ops.round(ops.clip(t, 0.0, 1.0) * levels) / levels, backward, x)


def dorefa_weights(x: Any, k_bit: int = 2) -> Any:
    r"""Apply tanh, divide by the largest magnitude, round to \\(2^k\\) levels; see `bnn2hw.nn.quantizers.DoReFa`.

    Args:
        x: A float tensor of any shape with all weights of a layer.
        k_bit: Bits per value.

    Returns:
        A tensor like ``x`` with values in \\(\{-1, -1 + 2/n, ..., 1\}\\), \\(n = 2^k - 1\\).
    """
    levels = 2**k_bit - 1

    def forward(tensor: Any) -> Any:
        squashed, double = _squash(tensor)
        normed = ops.divide_no_nan(squashed, double) + 0.5
        return 2.0 * (ops.round(normed * levels) / levels) - 1.0

    def backward(tensor: Any, upstream: Any) -> Any:
        squashed, double = _squash(tensor)
        return ops.divide_no_nan(2.0 * upstream, double) * (1.0 - squashed * squashed)

    return with_gradient(forward, backward, x)


def _squash(x: Any) -> tuple[Any, Any]:
    """Return tanh(x) and twice its largest magnitude."""
    squashed = ops.tanh(x)
    return squashed, 2.0 * ops.max(ops.abs(squashed))


BY_NAME: dict[str, Callable[..., Any]] = {
    "approx_sign": approx_sign,
    "magnitude_aware_sign": magnitude_aware_sign,
    "ste_heaviside": ste_heaviside,
    "ste_sign": ste_sign,
    "ste_tern": ste_tern,
    "swish_sign": swish_sign,
}
"""The functions by the names of their quantizers."""

utils.teach_keras("activations", BY_NAME)
