"""Blocks with branches, depthwise layers and overlapping pools at several pixels per cycle."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.folding import search
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
SHAPE = (8, 16, 2)
CLOCK = 200e6
FRAMES = 5
Block = Callable[[keras.KerasTensor], keras.KerasTensor]


def signs(x: keras.KerasTensor, filters: int, **options: object) -> keras.KerasTensor:
    """A binarized convolution of three by three pixels, with as many pixels as before."""
    x = net.conv(filters, padding="same", pad_values=1.0, **options)(x)
    return net.norm()(x)


def concatenated(x: keras.KerasTensor) -> keras.KerasTensor:
    """Branches of different widths, side by side."""
    return keras.layers.Concatenate(name="join")([signs(x, 4), signs(x, 2)])


def multiplied(x: keras.KerasTensor) -> keras.KerasTensor:
    """The product of two branches."""
    return keras.layers.Multiply(name="join")([signs(x, 4), signs(x, 4)])


def network(block: Block) -> keras.Model:
    """A model that begins with a block and ends with classes."""
    x = inputs = keras.Input(SHAPE)
    x = signs(x, 4, input_quantizer=None)
    x = block(x)
    x = net.norm()(x)
    x = net.conv(3)(x)
    x = keras.layers.Flatten()(x)
    return net.shake(keras.Model(inputs, net.dense(4)(x)), seed=3)


def check(acc: bnn2hw.Accelerator, period: int) -> None:
    """Compare the hardware of a period with golden and with the predicted cycles, without stalls and with them."""
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE))
    predicted = acc.estimate().cycles

    smooth = acc.simulate(x)

    smooth.check()
    acc.simulate(x, stalls=0.4, seed=1).check()
    assert smooth.interval == predicted.interval <= period
    assert smooth.latency == predicted.latency
    assert np.diff(smooth.frame_ends)[-1] == predicted.interval


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("block", [concatenated, multiplied], ids=lambda b: b.__name__)
def test_blocks_of_several_pixels_per_cycle(block: Block, each: int) -> None:
    period = (SHAPE[0] + 2) * (SHAPE[1] + 2) // each
    acc = bnn2hw.compile(network(block), input=PIXELS, target="xc7z045", fps=CLOCK / (period + 0.5))

    check(acc, period)
    found = search.of(acc.graph)
    assert found["join"].get("pixels", 1) == each
