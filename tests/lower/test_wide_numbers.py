"""Numbers of up to 32 bits: sums that fit into 62 bits are computed right, others are refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.ir import HardwareOp, Ints, Tensor
from bnn2hw.ops import Add, Depthwise, Mac, Multiply
from tests.support import networks as net
from tests.support.networks import chain

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
BOARD = "xc7z045"
HALF = Ints(-(2**30), 2**30)
LARGE = np.full((8, 1), 2**30, np.int32)


@pytest.mark.parametrize(
    ("op", "inputs", "what"),
    [
        (Mac(LARGE), [Tensor((8,), HALF)], "sums of 65 bits"),
        (Depthwise(LARGE, axes=2), [Tensor((8, 1), HALF)], "sums of 65 bits"),
        (Multiply(), [Tensor((1,), Ints(-(2**32), 2**32))] * 2, "products of 66 bits"),
        (Add(), [Tensor((1,), Ints(-(2**61), 2**61 - 1))] * 2, "sums of 63 bits"),
    ],
    ids=["mac", "depthwise", "multiply", "add"],
)
def test_integers_that_could_overflow_are_refused(op: HardwareOp, inputs: list[Tensor], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what}, but 62 are possible"):
        op.infer(*inputs)


@pytest.mark.parametrize(
    "op", [Mac(LARGE[:2], axes=2), Depthwise(LARGE[:2], axes=2)], ids=["mac", "depthwise"]
)
def test_the_largest_sums_are_right(op: Mac | Depthwise) -> None:
    x = np.array([[[2**29], [2**29 - 1]], [[-(2**29)], [1 - 2**29]]])

    assert op.infer(Tensor((2, 1), Ints(-(2**29), 2**29))).ints.bits == 62
    assert op.golden(x).ravel().tolist() == [2**30 * (2**30 - 1), -(2**30) * (2**30 - 1)]


def branches() -> keras.Model:
    x = keras.Input((5, 5, 2))
    a, b = layers.Conv2D(3, 3)(x), layers.Conv2D(3, 3, activation="relu")(x)
    y = layers.Multiply()([a, b])
    return net.shake(keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.DepthwiseConv2D(2)(y)))))


MODELS = {
    "dense": lambda: chain((40,), layers.Dense(16, activation="relu"), layers.Dense(16), layers.Dense(3)),
    "curve": lambda: chain((20,), layers.Dense(8, activation="tanh"), layers.Dense(3)),
    "products": branches,
}


@pytest.mark.parametrize("name", MODELS)
def test_more_bits_are_more_true(name: str) -> None:
    """From 25 bits on, float32 itself is what differs."""
    model = MODELS[name]()

    off = {
        bits: list(
            bnn2hw.compile(model, input=PIXELS, target=BOARD, bits=bits, output="scores").measured.values()
        )[-1]
        for bits in (16, 25, 32)
    }

    assert off[25].largest < off[16].largest / 30
    assert off[32].largest < max(off[25].largest, 1e-5 * off[32].size)


def test_the_report_says_how_many_bits_are_left_to_a_kernel() -> None:
    model = chain((40,), layers.Dense(16, activation="relu"), layers.Dense(200), layers.Dense(3, name="last"))

    accelerator = bnn2hw.compile(model, input=PIXELS, target=BOARD, bits=32, output="scores")

    assert "a kernel of 22 bits" in accelerator.fidelity["last"].why
    assert max(t.ints.bits for t in accelerator.graph.types.values()) <= 62


def test_wide_hardware_equals_golden() -> None:
    model = chain((6,), layers.Dense(4, activation="relu"), layers.Dense(3), layers.Dense(2))
    x = np.random.default_rng(0).integers(0, 256, (8, 6))

    bnn2hw.compile(model, input=PIXELS, target=BOARD, bits=32, output="scores").simulate(x).check()
