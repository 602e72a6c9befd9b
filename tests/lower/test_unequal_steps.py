"""The finer stream keeps its bits where streams of unequal steps meet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.ir import Array
from bnn2hw.lower import kernels
from tests.support import long_runs
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
X = np.random.default_rng(0).integers(0, 256, (100, 12))


def signs(x: keras.KerasTensor) -> keras.KerasTensor:
    """A binary branch whose sums are never 0, so that no decision is a tie."""
    y = nn.layers.QuantDense(
        7, kernel_quantizer="ste_sign", bias_initializer=keras.initializers.Constant(0.0113)
    )(x)
    return layers.Activation("ste_sign")(y)


def head(branches: list[keras.KerasTensor], weights: float) -> keras.KerasTensor:
    """A dense layer on two branches; the weights of the second one are larger by a factor."""
    size = branches[0].shape[-1]
    layer = layers.Dense(3, name="head")
    y = layer(layers.Concatenate(name="joined")(branches))
    kernel, bias = layer.get_weights()
    kernel[size:] *= weights
    layer.set_weights([kernel, bias])
    return y


def signs_and_reals(weights: float) -> keras.Model:
    x = keras.Input((12,))
    return keras.Model(x, head([signs(x), layers.Dense(8, activation="relu")(x)], weights))


def wide_and_deep(weights: float) -> keras.Model:
    x = keras.Input((12,))
    deep = layers.Dense(6, activation="tanh")(layers.Dense(16, activation="relu")(x))
    return keras.Model(x, head([x, layers.Rescaling(1 / weights)(deep)], weights))


def accumulators_and_signs(weights: float) -> keras.Model:
    x = keras.Input((12,))
    return keras.Model(x, head([layers.Dense(5)(x), signs(x)], weights))


def reshaped(weights: float) -> keras.Model:
    x = keras.Input((12,))
    joined = layers.Concatenate()(
        [layers.Dense(7)(x), signs(x), layers.Rescaling(weights)(layers.Dense(4)(x))]
    )
    y = layers.Conv2D(3, 2)(layers.Reshape((3, 3, 2))(joined))
    return keras.Model(x, layers.Flatten()(y))


def maps(weights: float) -> keras.Model:
    x = keras.Input((12,))
    image = layers.Reshape((2, 2, 3))(x)
    real = layers.Rescaling(weights)(layers.Conv2D(2, 1, activation="relu")(image))
    y = layers.Flatten()(layers.Concatenate()([image, real]))
    return keras.Model(x, layers.Dense(3)(y))


def summed(weights: float) -> keras.Model:
    x = keras.Input((12,))
    return keras.Model(
        x, layers.Dense(3)(layers.Add()([layers.Dense(4)(x), layers.Rescaling(weights)(layers.Dense(4)(x))]))
    )


@pytest.mark.parametrize("weights", long_runs.after(2, [1e-4, 1e4, 1.0]))
@pytest.mark.parametrize(
    "build", [signs_and_reals, wide_and_deep, accumulators_and_signs, reshaped, maps, summed]
)
def test_branches_are_as_true_together_as_alone(
    build: Callable[[float], keras.Model], weights: float
) -> None:
    keras.utils.set_random_seed(3)
    model = build(weights)

    found = bnn2hw.compile(model, input=PIXELS, target="xc7z045", output="scores").predict(X)

    expected = net.said(model, (X / 255).astype(np.float32))
    assert np.abs(found - expected).max() < 2**-15 * np.ptp(expected)


def test_the_bound_of_a_rounded_kernel_holds() -> None:
    rng = np.random.default_rng(1)
    flat, largest = rng.normal(0, 1, (9, 4)), np.array([1.0, 1e-3, 50.0])
    scale = largest / np.array([1, 2**20, 255])

    stated = kernels.kernel_rounding(flat, largest, scale, 10)

    integers, units = kernels.rounded_columns(flat * np.tile(scale, 3)[:, None], 10)
    x: Array = np.tile(largest / scale, 3) * np.array(list(product([-1, 1], repeat=9)))
    off = np.abs(x @ (integers * np.asarray(units)) - x @ (flat * np.tile(scale, 3)[:, None])).max(0)
    assert np.allclose(off, stated.error)  # all signs are tried, so one of them takes the bound


def test_ordinary_kernels_keep_the_steps_of_their_input() -> None:
    model = net.chain((6, 6, 3), layers.Conv2D(8, 3), layers.ReLU(), layers.Flatten(), layers.Dense(5))

    accelerator = bnn2hw.compile(model, input=PIXELS, target="xc7z045", output="scores")

    kinds = [n.op.kind for n in accelerator.origin.lowered.graph if hasattr(n.op, "kind")]
    assert kinds.count("affine") == 2  # the relu and the scores
