"""Kernels, quantizers, biases and activations of layers that have kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn2hw.importers.keras.calls import Call, Layer
from bnn2hw.importers.keras.functions import LayerError, WeightsError, array, function
from bnn2hw.importers.keras.half_precision import half_layers, in_float32
from bnn2hw.ir import Array
from bnn2hw.ops import real

NOT_POINTWISE = ("log_softmax", "sparsemax", "glu")
"""Activations that depend on several values."""


def quantized(call: Call, edge: str) -> str:
    """Append the input quantizer of a layer, if it has one, and return its output edge."""
    quantizer = getattr(call.layer, "input_quantizer", None)
    if quantizer is None:
        return edge
    return call.pointwise(f"{call.name}.input", function(quantizer), edge, uniform=True)


def kernel(layer: Layer, name: str = "kernel", quantizer: str = "kernel_quantizer") -> Array:
    """Return a kernel of a layer as its quantizer returns it.

    Args:
        layer: The layer.
        name: Attribute that holds the kernel.
        quantizer: Attribute that holds the quantizer.

    Returns:
        float32 of the kernel's own shape.

    Raises:
        WeightsError: The quantizer returns another shape, or NaN or infinite values.
        LayerError: The code of the quantizer raised an error.
    """
    quantize = getattr(layer, quantizer, None)
    with in_float32(half_layers(layer)):
        values = array(getattr(layer, name)).astype(np.float32)
    if quantize is None:
        return values
    made = function(quantize)(values)
    if made.shape != values.shape and name != "bias":  # a bias may be one number for all channels
        raise WeightsError(f"{quantizer} returns shape {made.shape} for weights of shape {values.shape}")
    ends = made.min(initial=0), made.max(initial=0)  # without a copy of the weights; NaN comes through
    if not np.isfinite(np.array(ends, np.float32)).all():
        raise WeightsError(f"{quantizer} returns NaN or infinite values for finite weights")
    return made


FINEST = 23
"""Largest number of bits behind the point of a kernel in binary fixed point."""


def dyadic_levels(weights: Array) -> real.Levels | None:
    """Return a kernel in binary fixed point as integers; None if it is all zeros, or no such kernel."""
    for bits in range(-FINEST, FINEST + 1):
        steps = weights.astype(np.float64) * 2.0**bits
        if np.any(steps) and np.all(steps == np.rint(steps)) and np.abs(steps).max() < 2**FINEST:
            return real.Levels(steps.astype(np.int64), 2.0**-bits)
    return None


def bias_and_activation(call: Call, edge: str) -> str:
    """Append the bias and the activation of a layer, if any, and return the output edge."""
    layer = call.layer
    if getattr(layer, "use_bias", False):
        bias = kernel(layer, "bias", "bias_quantizer")
        edge = call.pointwise(f"{call.name}.bias", lambda x: x + bias, edge, uniform=False)
    return activation(call, layer.activation, f"{call.name}.activation", edge)


def is_softmax(fn: Any, shape: tuple[int, ...]) -> bool:
    """True if a function or a layer is the softmax along the last axis, whatever its name.

    Args:
        fn: The function or the layer.
        shape: Shape of a sample that it is given in the model.
    """
    x = np.random.default_rng(0).normal(0, 2, (2, *(min(n, 3) for n in shape[:-1]), shape[-1]))
    powers = np.exp(x.astype(np.float32))
    try:
        found = function(fn)(x)
    except LayerError:
        return False
    expected = powers / powers.sum(-1, keepdims=True)
    return shape[-1] > 1 and found.shape == expected.shape and np.allclose(found, expected, 1e-4, 1e-6)


def activation(call: Call, fn: Any, name: str, edge: str) -> str:
    """Append an activation and return its output edge.

    Args:
        call: The call of the layer.
        fn: The activation; None for the identity.
        name: Name of the node.
        edge: Edge that it reads.
    """
    kind = getattr(fn, "__name__", "")
    if fn is None or kind == "linear":
        return edge
    if kind == "softmax" or is_softmax(fn, call.shape_of(edge)):
        return call.add(name, real.Softmax(function(fn), call.shape_of(edge)), edge)
    if kind in NOT_POINTWISE:
        call.problem(f"the activation {kind}", "activations of single values, softmax", "replace it")
        return edge
    return call.pointwise(name, function(fn), edge, uniform=True)
