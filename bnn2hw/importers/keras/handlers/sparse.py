"""Layers of neurons with few inputs, and sums of groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array
from bnn2hw.importers.keras.handlers.dense import of_weights
from bnn2hw.importers.keras.weights import bias_and_activation, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real

ROUNDING = 2.0**-20
"""Share of the terms of a neuron's function that bounds its float32 rounding."""


@handles("MaskedDense")
def masked_dense(call: Call) -> str:
    """Read a product with a kernel of which a mask hides a part."""
    layer, mask = call.layer, array(call.layer.mask)
    problem = _wrong_mask(mask, array(layer.kernel), layer.fan_in)
    if problem:
        call.problem(*problem)
        return call.edge
    edge = quantized(call, call.edge)
    product = of_weights(kernel(layer) * mask, call.shape)
    return bias_and_activation(call, call.add(call.name, product, edge))


def _wrong_mask(mask: Array, weights: Array, fan_in: int) -> tuple[str, str, str] | None:
    """Say what is found, supported and to be done if a mask does not fit its layer.

    Args:
        mask: The mask.
        weights: The latent kernel.
        fan_in: Inputs of a neuron that the layer allows.
    """
    others = mask[(mask != 0) & (mask != 1)]
    if others.size:
        return f"a mask with the value {others.flat[0]:g}", "masks of 0 and 1", "set them with thin()"
    if mask.shape != weights.shape:
        return (
            f"a mask of shape {mask.shape} for a kernel of shape {weights.shape}",
            "equal shapes",
            "build the layer again",
        )
    most = int(mask.sum(0).max(initial=0))
    if fan_in > len(mask) or most > fan_in:
        return (
            f"a neuron of {most} inputs where fan_in={fan_in} and {len(mask)} inputs are there",
            f"at most {min(fan_in, len(mask))} inputs per neuron",
            "train with nn.callbacks.FanInSchedule to its end, or call thin(fan_in)",
        )
    hidden = int(np.count_nonzero(weights[mask == 0]))
    if hidden:
        return (
            f"{hidden} weights other than 0 where its mask is 0",
            "masks that agree with their kernel",
            "call apply_mask() before you save the model, as FanInSchedule does when training ends",
        )
    return None


@handles("GatheredDense")
def gathered_dense(call: Call) -> str:
    """Read neurons with inputs and functions of their own."""
    layer = call.layer
    wires, weights = array(layer.wires).astype(np.int64), array(layer.kernel)
    if wires.min() < 0 or wires.max() >= call.before[-1]:
        call.problem(
            f"a neuron that reads input {wires.max()}", f"inputs 0 to {call.before[-1] - 1}", "rebuild it"
        )
        return call.edge
    terms = np.abs(weights).sum(1)
    inner = bias = outer = np.zeros(0, np.float32)
    if layer.hidden:
        inner, bias, outer = (array(v) for v in (layer.inner, layer.inner_bias, layer.outer))
        terms = terms + (np.abs(outer) * (1 + np.abs(inner).sum(2) + np.abs(bias))).sum(1)

    def function(values: Array) -> Array:
        if layer.signs:
            values = np.where(values > 0, 1, -1).astype(np.float32)
        y: Array = (values * weights).sum(-1)
        if layer.hidden:
            y = y + (np.tanh(np.einsum("sof,ohf->soh", values, inner) + bias) * outer).sum(-1)
        return y.astype(np.float32)

    return _few_inputs(call, wires, function, ROUNDING * float(terms.max()))


@handles("Thermometer")
def thermometer(call: Call) -> str:
    """Read comparisons of each value with several thresholds."""
    thresholds = array(call.layer.thresholds)
    levels, inputs = thresholds.shape
    flat = thresholds.reshape(-1)

    def function(values: Array) -> Array:
        return np.where(values[:, :, 0] >= flat, 1.0, -1.0).astype(np.float32)

    return _few_inputs(call, np.tile(np.arange(inputs), levels)[:, None], function, 0.0)


def _few_inputs(call: Call, wires: Array, function: Callable[[Array], Array], noise: float) -> str:
    def apply(x: Array) -> Array:
        flat = function(x.reshape(-1, x.shape[-1])[:, wires])
        return flat.reshape(*x.shape[:-1], len(wires))

    return call.add(call.name, real.FewInputs(apply, call.shape, wires, function, noise), call.edge)


@handles("GroupSum")
def group_sum(call: Call) -> str:
    """Read sums of groups as a product with ones and zeros, then their integers and their scale."""
    inputs, groups = call.before[-1], call.layer.groups
    ones = np.repeat(np.eye(groups, dtype=np.float32), inputs // groups, axis=0)
    edge = call.add(call.name, of_weights(ones, call.shape), call.edge)
    scale = array(call.layer.scale).astype(np.float32)
    if not call.layer.use_bias:
        return call.pointwise(f"{call.name}.scale", lambda x: x * scale, edge, uniform=True)
    bias = call.layer.integers(inputs)
    return call.pointwise(f"{call.name}.scale", lambda x: (x + bias) * scale, edge, uniform=False)
