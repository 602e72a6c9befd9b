"""Dense layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, function, tensor
from bnn2hw.importers.keras.weights import bias_and_activation, dyadic_levels, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("QuantDense", "Dense", "QDense")
def dense(call: Call) -> str:
    """Read a product with a kernel, its bias and its activation."""
    edge = quantized(call, call.edge)
    if getattr(call.layer, "quantization_mode", None):
        product = _of_quantized_weights(call)
    else:
        product = of_weights(kernel(call.layer), call.shape)
    return bias_and_activation(call, call.add(call.name, product, edge))


def of_weights(weights: Array, shape: tuple[int, ...], *, dyadic: bool = False) -> real.Dense:
    """Return the product with a kernel.

    Args:
        weights: The kernel, of shape (in, out), as the layer uses it.
        shape: Shape of a sample of the output.
        dyadic: True if the weights are numbers in binary fixed point.
    """
    matrix = keras.ops.convert_to_tensor(weights)

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(tensor(x), matrix))

    return real.Dense(apply, shape, weights, dyadic_levels(weights) if dyadic else None)


def _of_quantized_weights(call: Call) -> real.Dense:
    """The product of a layer after `quantize`. Its kernel is what the layer makes of unit vectors."""
    product = function(call.layer)

    def apply(x: Array) -> Array:
        with _bare(call.layer):
            return product(x)

    weights = apply(np.eye(call.before[-1], dtype=np.float32))
    x = np.random.default_rng(0).normal(0, 2, (2, len(weights))).astype(np.float32)
    expected = x @ weights
    rounds = not np.allclose(apply(x), expected, 0, 1e-5 * float(np.abs(expected).max()))
    return real.Dense(apply, call.shape, weights, rounds_input=rounds)


@contextmanager
def _bare(layer: Any) -> Iterator[None]:
    """Take the bias and the activation off a layer for a while."""
    own = {name: getattr(layer, name) for name in ("bias", "activation")}
    try:
        for name in own:
            setattr(layer, name, None)
        yield
    finally:
        for name, value in own.items():
            setattr(layer, name, value)
