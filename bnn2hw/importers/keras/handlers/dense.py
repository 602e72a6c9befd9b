"""Dense layers."""

from __future__ import annotations

import keras

from bnn2hw.importers.keras import quantized_weights
from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.weights import bias_and_activation, dyadic_levels, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("QuantDense", "Dense", "QDense")
def dense(call: Call) -> str:
    """Read a product with a kernel, its bias and its activation."""
    if quantized_weights.refused(call):
        return call.edge
    edge = quantized(call, call.edge)
    if quantized_weights.has(call.layer):
        product = quantized_weights.product(call, 1)
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
