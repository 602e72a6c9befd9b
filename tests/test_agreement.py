"""A model is compared with itself as a whole whenever it is compiled."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import golden, pipeline
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")
PIXELS = bnn2hw.Input("uint8", scale=1 / 255)


class Doubled(keras.Sequential):
    """A model whose layers say nothing of what it computes."""

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> object:
        return 2 * super().call(inputs, training=training)


def test_a_model_with_a_call_of_its_own_is_refused() -> None:
    inner = Doubled([keras.Input((8,)), net.dense(4), net.norm()], name="inner")
    model = net.chain((8,), inner, layers.Dense(3, name="last"))

    with pytest.raises(UnsupportedError, match=r"'last': the model as a whole returns other values"):
        bnn2hw.compile(model, input=SIGNS)


def test_without_data_the_deviation_is_measured_on_eight_frames() -> None:
    model = net.chain((6, 6, 2), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(3))

    accelerator = bnn2hw.compile(model, input=PIXELS, target="xc7z045")

    assert {d.frames for d in accelerator.measured.values()} == {8}
    assert 0 < max(d.largest for d in accelerator.measured.values()) < 1e-3
    assert "on random frames" in str(accelerator)


def test_large_networks_are_compared_on_fewer_frames() -> None:
    model = net.chain((224, 224, 3), layers.Conv2D(64, 3), layers.MaxPooling2D(8))
    imported = pipeline.read(model)
    made = pipeline.lower(imported, PIXELS, pipeline.recipe(imported, None, None, False))

    frames = pipeline.compared_frames(imported, made, None)

    assert 1 <= golden.frames(frames) < 8


def test_inputs_that_nothing_reads_and_dicts_of_inputs() -> None:
    inputs = {name: keras.Input((6,), name=name) for name in ("a", "b")}
    y = layers.Add()([net.dense(3, name="x")(inputs["a"]), net.dense(3, name="y")(inputs["b"])])
    model = net.shake(keras.Model(inputs, y))

    assert bnn2hw.compile(model, input=SIGNS).measured


def test_frames_with_a_changed_decision_are_told_from_the_others() -> None:
    """Two bits cannot hold this head: decisions behind it change, and the rest is off by its steps."""
    model = net.chain((12,), layers.Dense(16), layers.Activation("ste_sign"), net.dense(3), net.norm())
    x = np.random.default_rng(0).integers(0, 256, (64, 12))

    coarse, fine = (
        bnn2hw.compile(model, input=PIXELS, calibration=x, bits=b, output="scores").measured for b in (4, 18)
    )

    last, exact = (list(m.values())[-1] for m in (coarse, fine))
    assert 0 < last.changed < last.frames == 64
    assert last.steady < last.largest / 10
    assert exact.changed == 0
    assert exact.steady == exact.largest


def test_reloaded_weights_are_held_against_the_whole_model_too() -> None:
    def model(kind: type[keras.Sequential], seed: int) -> keras.Model:
        inner = kind([keras.Input((8,)), net.dense(4), net.norm()], name="inner")
        return net.chain((8,), inner, net.dense(3, name="last", input_quantizer="ste_sign"), seed=seed)

    accelerator = bnn2hw.compile(model(keras.Sequential, 0), input=SIGNS, loadable=True, output="scores")
    x = np.random.default_rng(0).choice([-1, 1], (16, 8))
    other = model(keras.Sequential, 1)

    reloaded = accelerator.reload(other)

    assert np.array_equal(np.asarray(reloaded.predict(x)), other(x.astype(np.float32)).numpy())
    assert sum(edge.beyond for edge in reloaded.measured.values()) == 0
    assert reloaded.measured
    strange = net.chain((8,), net.dense(4), net.norm(), net.dense(3, name="last"), seed=1)
    with pytest.raises(UnsupportedError, match="the model as a whole returns other values"):
        accelerator.reload(Tripled(strange.inputs, strange.outputs))


class Tripled(keras.Model):
    """A functional model that returns three times what its layers compute."""

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> object:
        return 3 * super().call(inputs, training=training)
