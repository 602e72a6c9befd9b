"""Several outputs have Keras's names wherever users see them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import bnn2hw
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")
X = np.random.default_rng(0).choice([-1, 1], (50, 10))


def heads(**names: str) -> keras.Model:
    """Two heads and the scores between; the layers have the given names."""
    inputs = keras.Input((10,), name="x")
    hidden = net.dense(8)(inputs)
    colour = keras.layers.Softmax(name=names["colour"])(net.dense(4, use_bias=True, name="head")(hidden))
    digit = keras.layers.Softmax(name=names["digit"])(net.dense(4)(hidden))
    return net.shake(keras.Model(inputs, {"digit": digit, "colour": colour, "both": hidden}))


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    return bnn2hw.compile(heads(colour="x_head", digit="y_head"), input=SIGNS)


@pytest.mark.usefixtures("quick_emulator")
def test_the_keys_of_a_dict(accelerator: bnn2hw.Accelerator) -> None:
    model = heads(colour="x_head", digit="y_head")
    expected = {name: y.numpy() for name, y in model(X.astype(np.float32)).items()}

    for results in (accelerator.golden(X), accelerator.predict(X), accelerator.emulate(X)):
        assert set(results) == {"digit", "colour", "both"}
        assert np.array_equal(results["digit"], expected["digit"].argmax(-1))
        assert np.array_equal(results["colour"], expected["colour"].argmax(-1))
        assert np.array_equal(results["both"], expected["both"])


def test_ports_report_and_manifest(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    accelerator.write(tmp_path / "build")
    manifest = json.loads((tmp_path / "build" / "manifest.json").read_text())

    for name in ("digit", "colour", "both"):
        assert any(f"m_axis_{name}_tdata" in text for text in accelerator.design.files.values())
        assert f"out: {name}: " in str(accelerator)
        assert f"{name}: " in manifest["output"]
    assert set(bnn2hw.load(tmp_path / "build").golden(X)) == {"digit", "colour", "both"}


def test_the_names_of_layers() -> None:
    """An output may have the name of a layer that becomes several nodes, or of an input."""
    inputs = keras.Input((10,), name="x")
    hidden = net.dense(8, name="hidden")(inputs)
    first = net.dense(4, use_bias=True, name="first")(hidden)
    second = keras.layers.Dense(3, name="second")(hidden)
    model = net.shake(keras.Model(inputs, [second, first, hidden]))
    expected = [y.numpy() for y in model(X.astype(np.float32))]

    accelerator = bnn2hw.compile(model, input=SIGNS)

    found = accelerator.predict(X)
    assert tuple(found) == ("second", "first", "hidden") == tuple(model.output_names)
    assert all(np.allclose(found[n], y, atol=1e-3) for n, y in zip(found, expected, strict=True))
    assert all(d.share < 1e-3 for d in accelerator.deviation(X))
    assert set(accelerator.dequantize(accelerator.golden(X))) == set(found)


def test_the_name_of_an_input() -> None:
    inputs = keras.Input((10,), name="x")
    hidden = net.dense(8)(inputs)
    model = net.shake(keras.Model(inputs, {"x": hidden, "y": net.dense(4)(hidden)}))

    assert set(bnn2hw.compile(model, input=SIGNS).golden(X)) == {"x.output", "y"}


def test_outputs_of_one_layer() -> None:
    """Keras gives both outputs the name of the layer; a third one has the name that a number would make."""
    inputs = keras.Input((10,), name="x")
    layer = net.dense(10, name="l")
    first = layer(inputs)
    second = layer(first)
    model = net.shake(keras.Model(inputs, [first, second, net.dense(3, name="l_2")(second), first]))
    expected = [y.numpy() for y in model(X.astype(np.float32))]

    found = bnn2hw.compile(model, input=SIGNS).golden(X)

    assert tuple(found) == ("l", "l_3", "l_2", "l_4")
    assert all(np.array_equal(found[n], y) for n, y in zip(found, expected, strict=True))


def test_outputs_in_a_structure_have_the_names_of_their_layers() -> None:
    inputs = keras.Input((10,), name="x")
    a, b, c = (net.dense(3, name=name)(inputs) for name in "abc")
    model = net.shake(keras.Model(inputs, {"pair": [a, b], "one": c}))

    found = bnn2hw.compile(model, input=SIGNS).golden(X)

    assert tuple(found) == tuple(model.output_names)
    assert set(found) == {"a", "b", "c"}


def test_long_names_are_names_of_files(tmp_path: Path) -> None:
    inputs = keras.Input((10,), name="x")
    long = {end * 400: net.dense(3)(inputs) for end in "nm"} | {"n" * 401: net.dense(3)(inputs)}
    accelerator = bnn2hw.compile(net.shake(keras.Model(inputs, long)), input=SIGNS)

    assert set(bnn2hw.load(accelerator.write(tmp_path / "b")).golden(X)) == set(long)
    assert all(len(name) < 200 for name in accelerator.design.files)
