"""Rows of docs/coverage.md: layers of neurons with few inputs, and encoders."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

import bnn2hw
from bnn2hw import nn
from tests.importers.case import Build, Case, it
from tests.support import networks as net

PLAIN_PIXELS = {"input": bnn2hw.Input("uint8")}


def few_inputs() -> Iterator[Case]:
    at, of = "Neurons with few inputs", nn.layers
    masked, two = of.MaskedDense(8, 6), of.GatheredDense(8, 6)
    yield Case(at, "MaskedDense", "before a quantizer", before_a_sign(masked))
    yield Case(at, "MaskedDense", "thinner than its mask", before_a_sign(masked, thin=False))
    yield Case(at, "GatheredDense", "before a quantizer", before_a_sign(two))
    yield Case(at, "GatheredDense", "hidden=4", before_a_sign(of.GatheredDense(8, 6, 4)))
    yield Case(at, "GatheredDense", "without a quantizer", before_a_sign(two, sign=False))
    yield Case(at, "Thermometer", "two thresholds", before_a_sign(of.Thermometer([9.0, 128.0])), PLAIN_PIXELS)
    yield Case(at, "GroupSum", "", before_a_sign(of.GroupSum(2), sign=False))
    yield Case(at, "GroupSum", "use_bias", before_a_sign(of.GroupSum(2, use_bias=True), sign=False))


def before_a_sign(layer: layers.Layer, *, thin: bool = True, sign: bool = True) -> Build:
    """Return a model with the layer between the input and a sign."""

    def build() -> keras.Model:
        inputs = keras.Input((24,), name="image")
        tested = it(layer)
        x = tested(inputs)
        if sign:
            x = nn.layers.QuantDense(2, input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="last")(
                x
            )
        model = keras.Model(inputs, x)
        if isinstance(tested, nn.layers.MaskedDense):
            tested.thin(tested.fan_in if thin else tested.fan_in + 1)
            tested.apply_mask()
            return model
        return (
            model if isinstance(tested, nn.layers.GatheredDense | nn.layers.Thermometer) else net.shake(model)
        )

    return build
