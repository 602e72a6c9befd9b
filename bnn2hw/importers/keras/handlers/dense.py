"""Dense layers."""

from __future__ import annotations

import keras

from bnn2hw.importers.keras import quantized_weights
from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.weights import bias_and_activation, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("QuantDense", "Dense", "QDense")
def dense(call: Call) -> str:
    """Read a product with a kernel, its bias and its activation."""
    if quantized_weights.refused(call):
        return call.edge
    edge = quantized(call, call.edge)
    product = quantized_weights.product(call, 1) if quantized_weights.has(call.layer) else _of_weights(call)
    return bias_and_activation(call, call.add(call.name, product, edge))


def _of_weights(call: Call) -> real.Dense:
    weights = kernel(call.layer)
    matrix = keras.ops.convert_to_tensor(weights)

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(tensor(x), matrix))

    return real.Dense(apply, call.shape, weights)
