"""Products by an equation, which are dense layers."""

from __future__ import annotations

import math

import keras
import numpy as np

from bnn2hw.importers.keras import quantized_weights
from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.handlers.dense import of_weights
from bnn2hw.importers.keras.weights import activation
from bnn2hw.ir import Array
from bnn2hw.ops import real

LARGEST = 2**20
"""Entries of the largest matrix that stands for a product by an equation."""


@handles("EinsumDense")
def einsum_dense(call: Call) -> str:
    """Read a product by an equation as a dense layer."""
    if quantized_weights.refused(call):
        return call.edge
    layer = call.layer
    bias = None if layer.bias is None else array(layer.bias)
    weights = None if quantized_weights.has(layer) else array(layer.kernel)
    edge = einsum(call, call.edge, weights, bias)
    return call.reshape(f"{call.name}.shape", call.shape, edge)


def einsum(call: Call, edge: str, kernel: Array | None, bias: Array | None, *, dyadic: bool = False) -> str:
    """Append a product by an equation with its bias and its activation, and return the output edge.

    Args:
        call: The call of the layer.
        edge: Edge that it reads.
        kernel: Kernel, as the layer uses it; None for one that Keras has quantized.
        bias: Bias, as the layer uses it; None for none.
        dyadic: True if the weights are numbers in binary fixed point.
    """
    layer = call.layer
    found = _product(call, kernel, dyadic=dyadic) or _of_all_values(call, kernel, dyadic=dyadic)
    if found is None:
        call.problem(
            f"the equation {layer.equation} from {math.prod(call.before):,} to {math.prod(call.shape):,} values",
            f"sums over the last axes, as in 'abc,cd->abd', or matrices of up to {LARGEST:,} entries without "
            "quantization by Keras",
            "use Dense",
        )
        return edge
    product, summed = found
    kept = call.before[: len(call.before) - summed]
    edge = call.reshape(f"{call.name}.flat", (*kept, len(product.kernel)), edge)
    edge = call.add(call.name, product, edge)
    if bias is not None:
        flat = np.broadcast_to(bias, call.shape[len(kept) :]).reshape(-1).astype(np.float32)
        edge = call.pointwise(f"{call.name}.bias", lambda x: x + flat, edge, uniform=False)
    return activation(call, layer.activation, f"{call.name}.activation", edge)


def _product(call: Call, weights: Array | None, *, dyadic: bool) -> tuple[real.Dense, int] | None:
    """The product with the kernel and the number of axes that are summed; None for another equation."""
    layer = call.layer
    first, kernel, last = layer.equation.replace(" ", "").replace("->", ",").split(",")
    spare = "".join(c for c in "ABCDEFGH" if c not in layer.equation)
    open_axes = spare[: len(call.before) + 1 - len(first.replace("...", ""))]
    first, last = (side.replace("...", open_axes) for side in (first, last))
    summed = [c for c in first if c not in last]
    new = [c for c in last if c not in first]
    kept = first[: len(first) - len(summed)]
    bias = () if layer.bias is None else tuple(layer.bias.shape)[: -len(new) or None]
    plain = "".join(summed) == first[len(kept) :] and last == kept + "".join(new)
    if not (plain and summed and new and sorted(kernel) == sorted(summed + new)) or math.prod(bias) != 1:
        return None
    if weights is None:
        return quantized_weights.product(call, len(summed)), len(summed)
    values = weights.astype(np.float32).transpose([kernel.index(c) for c in (*summed, *new)])
    matrix = values.reshape(math.prod(values.shape[: len(summed)]), -1)
    shape = (*call.before[: len(call.before) - len(summed)], matrix.shape[1])
    return of_weights(matrix, shape, dyadic=dyadic), len(summed)


def _of_all_values(call: Call, weights: Array | None, *, dyadic: bool) -> tuple[real.Dense, int] | None:
    """The product with the matrix from all values of a sample to all of the output, and the number of its axes.

    Returns:
        None if the matrix is too large, or if its weights are not known.
    """
    inputs, outputs = math.prod(call.before), math.prod(call.shape)
    if weights is None or inputs * outputs > LARGEST:
        return None
    each = np.eye(inputs, dtype=np.float32).reshape(inputs, *call.before)
    made = keras.ops.einsum(call.layer.equation, tensor(each), tensor(weights))
    matrix = array(made).reshape(inputs, outputs)
    return of_weights(matrix, (outputs,), dyadic=dyadic), len(call.before)
