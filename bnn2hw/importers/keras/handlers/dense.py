"""Dense layers."""

from __future__ import annotations

import keras

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.weights import bias_and_activation, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("QuantDense", "Dense")
def dense(call: Call) -> str:
    """Read a product with a kernel, its bias and its activation."""
    edge = quantized(call, call.edge)
    weights = kernel(call.layer)
    matrix = keras.ops.convert_to_tensor(weights)

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(tensor(x), matrix))

    edge = call.add(call.name, real.Dense(apply, call.shape, weights), edge)
    return bias_and_activation(call, edge)
