"""Products of layers after Keras's `quantize`: weights of 8 or 4 bits with real scales."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bnn2hw.importers.keras.calls import Call, Layer
from bnn2hw.importers.keras.functions import array, function
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.base.channels import uniform

LARGEST = 127
"""Largest integer of Keras's quantizer of activations, unless the layer states another."""

NEAR = 1e-3
"""Largest distance from integers of weights that are multiples of a scale."""


def has(layer: Layer) -> bool:
    """Return true if `quantize` has changed a layer."""
    return getattr(layer, "quantization_mode", None) is not None


def refused(call: Call) -> bool:
    """Note the problem of a layer that computes in floating point of 8 bits, and return true for one."""
    if getattr(call.layer, "quantization_mode", None) != "float8":
        return False
    call.problem(
        "computes in floating point of 8 bits, since quantize('float8') has changed how it computes",
        "quantize('int8') and quantize('int4')",
        "compile the model before it is quantized, or quantize it to integers",
    )
    return True


def product(call: Call, summed: int) -> real.Dense:
    """Return the product of a layer with its kernel, which is what the layer makes of unit vectors.

    Args:
        call: The call of the layer.
        summed: Number of the last axes over which it sums.
    """
    layer, sample = call.layer, call.before
    at = len(sample) - summed
    kept, inputs = sample[:at], math.prod(sample[at:])
    outputs = math.prod(call.shape[at:])
    layers = function(layer)

    def apply(x: Array) -> Array:
        with _bare(layer):
            return layers(x.reshape(len(x), *sample)).reshape(len(x), *kept, outputs)

    units = np.eye(inputs, dtype=np.float32).reshape(inputs, *(1,) * at, inputs)
    weights = apply(np.broadcast_to(units, (inputs, *kept, inputs))).reshape(inputs, -1, outputs)[:, 0]
    largest = _largest(layer) if _rounds(apply, weights, kept) else 0
    return real.Dense(apply, (*kept, outputs), weights, _levels(layer, weights), largest)


def _rounds(apply: Any, weights: Array, kept: tuple[int, ...]) -> bool:
    """True if a product rounds its input."""
    x = np.random.default_rng(0).normal(0, 2, (2, *kept, len(weights))).astype(np.float32)
    expected = x @ weights
    return not np.allclose(apply(x), expected, 0, 1e-5 * float(np.abs(expected).max()))


def _largest(layer: Layer) -> int:
    """Return the largest integer to which a layer rounds its input."""
    return int(getattr(getattr(layer, "inputs_quantizer", None), "value_range", (0, LARGEST))[1])


def _levels(layer: Layer, weights: Array) -> real.Levels | None:
    """Return a kernel as integers and a scale for each output; None if its scales differ within an output."""
    factors = array(layer.kernel_scale).reshape(-1).astype(np.float64)
    if factors.size != weights.shape[1] or not np.all(factors > 0):
        return None
    integers = np.rint(weights * factors)
    if np.abs(weights * factors - integers).max() > NEAR or np.abs(integers).max() > 2**7:
        return None
    return real.Levels(integers.astype(np.int64), uniform(1 / factors))


@contextmanager
def _bare(layer: Layer) -> Iterator[None]:
    """Take the bias and the activation off a layer for a while."""
    own = {name: getattr(layer, name) for name in ("bias", "activation")}
    try:
        for name in own:
            setattr(layer, name, None)
        yield
    finally:
        for name, value in own.items():
            setattr(layer, name, value)
