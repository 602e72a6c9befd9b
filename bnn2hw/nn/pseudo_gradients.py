# mypy: allow-untyped-decorators
"""Quantizing functions with the gradients that training uses in place of their own.

A step function has a derivative of 0 wherever it has one, so nothing below it would ever learn.
Each function here is exact on the forward pass and hands a chosen *pseudo-gradient* back. They are written
with
`keras.ops.custom_gradient`, thus run on every backend, and take tensors or Keras variables.
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
    """Let a function take the symbolic tensors of functional models: its quantizer becomes a layer."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not keras.utils.is_keras_tensor(x):
            return function(x, *args, **kwargs)
        quantizer = keras.saving.get_registered_object(function.__name__)
        return quantizer(*args, **kwargs)(x)

    return call


def with_gradient(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any], x: Any) -> Any:
    """Evaluate ``forward(x)`` with ``backward(x, upstream)`` as its vector-Jacobian product.

    Args:
        forward: The function of the forward pass.
        backward: Takes ``x`` and the upstream gradient, returns the gradient for ``x``.
        x: A tensor or variable of any shape.
    """

    @ops.custom_gradient
    def call(tensor: Any) -> tuple[Any, Gradient]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return backward(tensor, args[0] if upstream is None else upstream)

        return forward(tensor), gradient

    return call(ops.convert_to_tensor(x))


def _clipped(clip_value: float | None) -> Callable[[Any, Any], Any]:
    """Return the straight-through gradient: upstream where ``abs(x) <= clip_value``, else 0."""
    if clip_value is None:
        return lambda _, upstream: upstream
    return lambda x, upstream: ops.where(ops.abs(x) <= clip_value, upstream, ops.zeros_like(upstream))


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def ste_sign(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Sign with the straight-through gradient; see `bnn2hw.nn.quantizers.SteSign`.

    Args:
        x: A float tensor of any shape.
        clip_value: The gradient passes where \\(|x| \leq\\) ``clip_value``; everywhere if None.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; both zeros give +1.
    """
    return with_gradient(math.sign, _clipped(clip_value), x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def approx_sign(x: Any) -> Any:
    """Sign with a triangular gradient; see `bnn2hw.nn.quantizers.ApproxSign`.

    Args:
        x: A float tensor of any shape.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; both zeros give +1.
    """

    def backward(tensor: Any, upstream: Any) -> Any:
        magnitude = ops.abs(tensor)
        return ops.where(magnitude <= 1.0, (1 - magnitude) * 2 * upstream, ops.zeros_like(upstream))

    return with_gradient(math.sign, backward, x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def swish_sign(x: Any, beta: float = 5.0) -> Any:
    """Sign with the gradient of the SignSwish function; see `bnn2hw.nn.quantizers.SwishSign`.

    Args:
        x: A float tensor of any shape.
        beta: Steepness of the function whose gradient is taken.

    Returns:
        A tensor like ``x`` with values in {-1, 1}; both zeros give +1.
    """

    def backward(tensor: Any, upstream: Any) -> Any:
        scaled = beta * tensor
        return upstream * beta * (2 - scaled * ops.tanh(scaled * 0.5)) / (1 + ops.cosh(scaled))

    return with_gradient(math.sign, backward, x)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def ste_heaviside(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Unit step with the straight-through gradient; see `bnn2hw.nn.quantizers.SteHeaviside`.

    Args:
        x: A float tensor of any shape.
        clip_value: The gradient passes where \\(|x| \leq\\) ``clip_value``; everywhere if None.

    Returns:
        A tensor like ``x`` with values in {0, 1}; both zeros give 0.
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
    r"""Three-valued sign with the straight-through gradient; see `bnn2hw.nn.quantizers.SteTern`.

    Args:
        x: A float tensor of any shape.
        threshold_value: Values nearer to 0 than this become 0; used if not ``ternary_weight_networks``.
        ternary_weight_networks: Take \\(0.7 \cdot \mathrm{mean}(|x|)\\) as the threshold instead.
        clip_value: The gradient passes where \\(|x| \leq\\) ``clip_value``; everywhere if None.

    Returns:
        A tensor like ``x`` with values in {-1, 0, 1}; at the threshold itself the outer value.
    """

    def forward(tensor: Any) -> Any:
        threshold = _mean_threshold(tensor) if ternary_weight_networks else threshold_value
        return ops.sign(ops.sign(tensor + threshold) + ops.sign(tensor - threshold))

    return with_gradient(forward, _clipped(clip_value), x)


def _mean_threshold(x: Any) -> Any:
    """Return 0.7 times the mean magnitude, summed first as the paper writes it."""
    return 0.7 * ops.sum(ops.abs(x)) / ops.cast(ops.size(x), x.dtype)


@utils.register_function
@utils.set_precision(1)
@_layer_if_symbolic
def magnitude_aware_sign(x: Any, clip_value: float | None = 1.0) -> Any:
    r"""Sign times the mean magnitude of each output channel; see `bnn2hw.nn.quantizers.MagnitudeAwareSign`.

    Args:
        x: A float tensor whose last axis counts output channels.
        clip_value: The gradient passes where \\(|x| \leq\\) ``clip_value``; everywhere if None.

    Returns:
        A tensor like ``x`` with the values \\(\pm s_c\\) in channel c; both zeros give \\(+s_c\\).
    """
    x = ops.convert_to_tensor(x)
    scale = ops.stop_gradient(ops.mean(ops.abs(x), axis=list(range(len(x.shape) - 1))))
    return scale * ste_sign(x, clip_value)


def dorefa_activations(x: Any, k_bit: int = 2) -> Any:
    r"""Round to \\(2^k\\) equal steps between 0 and 1; see `bnn2hw.nn.quantizers.DoReFa`.

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
    r"""Squash by tanh, norm by the largest, round to \\(2^k\\) steps; see `bnn2hw.nn.quantizers.DoReFa`.

    Args:
        x: A float tensor of any shape: all the weights of a layer.
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
"""The functions under the names by which their quantizers are known."""

utils.teach_keras("activations", BY_NAME)
