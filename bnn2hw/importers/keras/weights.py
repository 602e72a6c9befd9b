"""What layers with kernels share: quantizers, kernels, bias and activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn2hw.importers.keras.reader import Call, Layer, array, function
from bnn2hw.ir import Array
from bnn2hw.ops import real


def quantized(call: Call, attribute: str, edge: str) -> str:
    """The input quantizer of a layer as a node of its own."""
    quantizer = getattr(call.layer, attribute, None)
    if quantizer is None:
        return edge
    return call.pointwise(f"{call.name}.input", function(quantizer), edge, uniform=True)


def kernel(layer: Layer, name: str = "kernel", quantizer: str = "kernel_quantizer") -> Array:
    """A kernel of a layer, by the names of its attributes, as its quantizer gives it, float32."""
    quantize = getattr(layer, quantizer, None)
    values = array(getattr(layer, name)).astype(np.float32)
    return values if quantize is None else function(quantize)(values)


def after(call: Call, edge: str, *, name: str = "") -> str:
    """Bias and activation of a layer, as the layer itself adds them.

    Args:
        call: of the layer.
        edge: its product.
        name: of the activation's node; the layer's own name and ".activation" where it is empty.
    """
    layer = call.layer
    if getattr(layer, "use_bias", False):
        bias = array(layer.bias).astype(np.float32)
        edge = call.pointwise(f"{call.name}.bias", lambda x: x + bias, edge, uniform=False)
    if layer.activation is None or getattr(layer.activation, "__name__", "") == "linear":
        return edge
    return _activate(call, layer.activation, name or f"{call.name}.activation", edge)


def _activate(call: Call, fn: Any, name: str, edge: str) -> str:
    kind = getattr(fn, "__name__", "")
    if kind == "softmax":
        return call.add(name, real.Softmax(function(fn), call.reader.shapes[edge]), edge)
    if kind in ("log_softmax", "sparsemax", "glu"):
        call.problem(f"the activation {kind}", "activations of single values, softmax", "replace it")
        return edge
    return call.pointwise(name, function(fn), edge, uniform=True)
