"""Layers that return NaN or infinity for a value that reaches them are named, with that value or with the cause."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import bnn2hw
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

SIGNED = bnn2hw.Input("int8")

FUNCTIONS = {
    "log": (ops.log, "NaN as the result for -"),
    "sqrt": (ops.sqrt, "NaN as the result for -"),
    "reciprocal": (lambda x: 1 / x, "infinity as the result for 0,"),
    "exp": (lambda x: ops.exp(ops.exp(x)), "infinity as the result for "),
}


def refusal(model: Any, **options: Any) -> str:
    with pytest.raises(UnsupportedError) as caught:
        bnn2hw.compile(model, input=SIGNED, **options)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def in_front_of_real(fn: Any) -> keras.Model:
    return net.chain((6,), layers.Activation(fn, name="it"), layers.Dense(3))


def at_the_end(fn: Any) -> keras.Model:
    return net.chain(
        (6,), layers.ReLU(max_value=200), layers.Lambda(lambda x: x - 100), layers.Activation(fn, name="it")
    )


def behind_real(fn: Any) -> keras.Model:
    summed = layers.Dense(4, use_bias=False)
    return net.chain((6,), summed, layers.Activation(fn, name="it"), layers.Dense(3))


def in_a_sum(fn: Any) -> keras.Model:
    x = keras.Input((6,))
    return keras.Model(x, layers.Add(name="sum")([layers.Activation(fn, name="it")(x), x]))


@pytest.mark.parametrize("build", [in_front_of_real, at_the_end, behind_real, in_a_sum])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_layer_and_the_value_are_named(build: Any, name: str) -> None:
    fn, words = FUNCTIONS[name]

    found = refusal(build(fn), output="scores")

    assert f"layer 'it': {words}" in found


def test_infinity_that_becomes_a_number_again_is_none() -> None:
    model = net.chain(
        (6,), layers.Activation(lambda x: 1 / (1 + ops.exp(-100 * x))), net.dense(3, name="last")
    )

    assert bnn2hw.compile(model, input=SIGNED).fidelity["last"].kind == "exact"


def normalized(layer: keras.Layer) -> keras.Model:
    return net.chain((6,), layers.Dense(4), layer, layers.Dense(3))


@pytest.mark.parametrize(("variance", "epsilon"), [(-1.0, 1e-3), (-1e-3, 1e-3), (0.0, 0.0)])
def test_variances_without_a_root_are_named(variance: float, epsilon: float) -> None:
    layer = layers.BatchNormalization(name="norm", epsilon=epsilon)
    model = normalized(layer)
    layer.moving_variance.assign([1, 1, variance, 1])

    found = refusal(model)

    assert (
        f"layer 'norm': the variance {variance:g} in channel 2, which an epsilon of {epsilon:g} does not"
        in found
    )


def test_variances_that_epsilon_mends_are_none() -> None:
    layer = layers.BatchNormalization(name="norm", epsilon=0.5)
    model = normalized(layer)
    layer.moving_variance.assign([1, 1, -0.25, 0])
    x = np.random.default_rng(0).integers(-128, 128, (32, 6))

    scores = bnn2hw.compile(model, input=SIGNED, output="scores").predict(x)

    expected = net.said(model, x.astype(np.float32))
    assert np.abs(scores - expected).max() < 2**-14 * np.ptp(expected)


def test_variances_of_data_are_checked_too() -> None:
    layer = layers.Normalization(mean=[0.0] * 4, variance=[1.0, -4.0, 1.0, 1.0], name="data")

    assert "layer 'data': the variance -4 in channel 1" in refusal(normalized(layer))
