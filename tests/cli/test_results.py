"""Results on the command line, and what the command line says and keeps to itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw.cli.main import main
from bnn2hw.deploy.simulated_board import VirtualBoard
from tests.support import EXAMPLES, ROOT
from tests.support import networks as net


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build in `b`, and images in `x.npz` and `x.npy`."""
    place = tmp_path_factory.mktemp("results")
    acc = bnn2hw.compile(net.tutorial_like(), input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1))
    acc.write(place / "b")
    images = np.random.default_rng(0).integers(0, 256, (6, 11, 11), np.uint8)
    np.savez(place / "x.npz", x=images, y=np.asarray(acc.golden(images)) + np.array([0, 0, 1, 0, 0, 0]))
    np.save(place / "x.npy", images)
    return place


def test_results_of_this_machine(built: Path) -> None:
    classes = bnn2hw.load(built / "b").golden(np.load(built / "x.npy"))

    plain = run("predict", built / "b", "--images", built / "x.npy")
    labelled = run("predict", built / "b", "--images", built / "x.npz", "--frames", "3", "--json")
    accuracy = run("evaluate", built / "b", "--images", built / "x.npz")
    facts = run("evaluate", built / "b", "--images", built / "x.npz", "--json")

    assert (plain.exit_code, plain.stderr) == (0, "")
    assert plain.stdout.split() == [str(c) for c in classes]
    assert json.loads(labelled.stdout) == {"results": classes[:3].tolist(), "accuracy": pytest.approx(2 / 3)}
    assert accuracy.stdout == "accuracy on these 6 images: 83.33%\n"
    assert json.loads(facts.stdout) == {"frames": 6, "accuracy": pytest.approx(5 / 6)}


def test_results_of_a_board(built: Path) -> None:
    acc = bnn2hw.load(built / "b")
    classes = acc.golden(np.load(built / "x.npy"))

    with VirtualBoard(acc) as board:
        new = run("predict", board.folder, "--port", board.port, "--images", built / "x.npy", "--json")
        old = run("predict", board.folder, board.port, "--images", built / "x.npy")
        both = run("predict", board.folder, board.port, "--port", board.port, "--images", built / "x.npy")
        none = run("predict", board.folder, "--images", built / "x.npy")

    facts = json.loads(new.stdout)
    assert facts["results"] == classes.tolist()
    assert facts["line"]["images"] == 6
    assert new.stderr == ""
    assert old.stdout.split() == [str(c) for c in classes]
    assert old.stderr == (
        "warning: 'bnn2hw predict FOLDER PORT' is now '--port PORT'; the old form works for one more version\n"
    )
    assert both.stderr == "error: give the port of the board once, with --port\n"
    assert none.stderr.startswith(f"error: '{board.folder}' holds a bitstream; give the port of the board")


def test_images_that_cannot_be_used(built: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 11, 11), np.uint8), y=np.zeros(0, int))
    np.savez(tmp_path / "labels.npz", x=np.zeros((2, 11, 11), np.uint8), y=np.zeros(3, int))
    np.savez(tmp_path / "other.npz", z=np.zeros(3))
    np.save(tmp_path / "one.npy", np.zeros(()))
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty.npy").write_bytes(b"")

    def told(name: str, command: str = "predict") -> str:
        done = run(command, built / "b", "--images", tmp_path / name)
        assert done.exit_code == 2, done.output
        return done.stderr.replace(str(tmp_path), "").removeprefix("error: ").strip()

    for command in ("predict", "evaluate", "simulate"):
        assert told("none.npz", command) == "'/none.npz' holds no images"
    assert told("one.npy") == "'/one.npy' holds no images"
    assert told("labels.npz") == "'/labels.npz' holds 2 images and 3 labels"
    assert told("other.npz") == "'/other.npz' holds no array image, x, x_test or images; it holds z"
    assert told("bad.npz") == "'/bad.npz' is not a .npy or .npz file of plain arrays"
    assert told("empty.npy") == "'/empty.npy' is not a .npy or .npz file of plain arrays"
    np.save(tmp_path / "x.npy", np.zeros((2, 11, 11), np.uint8))
    assert "holds no labels; give an .npz file with an array y or" in told("x.npy", "evaluate")
    few = run("predict", built / "b", "--images", tmp_path / "x.npy", "--frames", "9")
    assert "holds 2 images, fewer than the 9 asked for" in few.stderr


LABELS = {
    "one-hot": (lambda y: np.eye(5)[y], 1.0),
    "in columns": (lambda y: y[:, None], 1.0),
    "floats": (lambda y: y * 1.0, 1.0),
    "fractions": (lambda y: y + 0.5, "labels must be numbers of classes, counted from 0, or one-hot rows"),
    "negative": (lambda y: -1 - y, "labels must be numbers of classes, counted from 0, or one-hot rows"),
    "words": (lambda y: y.astype(str), "labels has dtype <U"),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("command", ["predict", "evaluate", "simulate"])
def test_labels_mean_the_same_to_every_command(built: Path, tmp_path: Path, command: str, kind: str) -> None:
    """Five labels for five classes: one-hot rows and columns have shapes that NumPy would broadcast."""
    data = np.load(built / "x.npz")
    make, expected = LABELS[kind]
    right = bnn2hw.load(built / "b").golden(data["x"][:5])
    np.savez(tmp_path / "x.npz", x=data["x"][:5], y=make(np.asarray(right)))

    done = run(command, built / "b", "--images", tmp_path / "x.npz", "--json")

    if isinstance(expected, str):
        assert (done.exit_code, done.stderr[: len(expected) + 7]) == (2, f"error: {expected}")
    else:
        assert json.loads(done.stdout)["accuracy"] == expected


@pytest.mark.parametrize("outputs", ["scores", "class"])
def test_labels_of_models_without_one_class(tmp_path: Path, outputs: str) -> None:
    """A single score, or two classes, have no accuracy."""
    inputs = keras.Input((6,), name="image")
    heads = [net.dense(3)(inputs), net.dense(4)(inputs)] if outputs == "class" else net.dense(1)(inputs)
    model = net.shake(keras.Model(inputs, heads))
    bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), output=outputs).write(tmp_path / "b")
    np.savez(tmp_path / "x.npz", x=np.ones((3, 6), int), y=np.zeros(3))

    done = run("simulate", tmp_path / "b", "--images", tmp_path / "x.npz", "--json")

    assert json.loads(done.stdout)["accuracy"] is None


@pytest.fixture(scope="module")
def of_two_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model `m.keras` of the inputs x and b, its design in `d`, and frames in `x.npz`."""
    place = tmp_path_factory.mktemp("two")
    first, second = keras.Input((4,), name="x"), keras.Input((3,), name="b")
    joined = keras.layers.Concatenate()([keras.layers.Dense(2)(first), second])
    model = keras.Model([first, second], keras.layers.Dense(3, activation="softmax")(joined))
    net.shake(model).save(place / "m.keras")
    bnn2hw.compile(model, input=bnn2hw.Input("int8", scale=1 / 128)).write(place / "d")
    rng = np.random.default_rng(0)
    np.savez(
        place / "x.npz",
        x=rng.integers(-128, 128, (5, 4)),
        b=rng.integers(-128, 128, (5, 3)),
        y=np.arange(5) % 3,
    )
    return place


def test_images_of_several_inputs(of_two_inputs: Path) -> None:
    """An .npz file has an array for each input under its name."""
    place, images = of_two_inputs, ("--images", of_two_inputs / "x.npz")
    data = dict(np.load(place / "x.npz"))
    labels = data.pop("y")
    expected = np.asarray(bnn2hw.load(place / "d").golden(data))

    predicted = run("predict", place / "d", *images, "--json")
    few = run("predict", place / "d", *images, "--frames", "2", "--json")

    share = float(np.mean(expected == labels))
    assert json.loads(predicted.stdout) == {"results": expected.tolist(), "accuracy": share}
    assert json.loads(few.stdout)["results"] == expected[:2].tolist()
    assert json.loads(run("evaluate", place / "d", *images, "--json").stdout) == {
        "frames": 5,
        "accuracy": share,
    }
    assert json.loads(run("simulate", place / "d", *images, "--json").stdout)["accuracy"] == share
    assert run("verify", place / "d", *images).exit_code == 0


def test_calibration_of_several_inputs(of_two_inputs: Path, tmp_path: Path) -> None:
    place = of_two_inputs
    data = np.load(place / "x.npz")
    model = keras.Sequential([keras.Input((4,), name="image"), keras.layers.Dense(3)])
    model.save(tmp_path / "one.keras")
    np.savez(tmp_path / "image.npz", image=data["x"], labels=data["y"])
    np.savez(tmp_path / "other.npz", other=data["x"])
    options = ("--input", "int8", "--scale", "1/128", "--calibration")

    named = run("compile", tmp_path / "one.keras", *options, tmp_path / "image.npz", "-o", tmp_path / "d")
    other = run("compile", tmp_path / "one.keras", *options, tmp_path / "other.npz", "-o", tmp_path / "e")
    study = run(
        "explore", tmp_path / "one.keras", "--images", tmp_path / "image.npz", "-o", tmp_path / "t.csv"
    )

    assert named.exit_code == 0, named.output
    assert (other.exit_code, other.stderr.count("\n")) == (2, 1)
    assert "arrays are given for 'other', expected the inputs 'image'" in other.stderr
    assert "holds image; a study measures images x of models of one input" in study.stderr


def test_floats_beyond_the_input(built: Path, tmp_path: Path) -> None:
    """Floats are values of the model: the message gives both numbers, and the way out."""
    np.save(tmp_path / "x.npy", np.load(built / "x.npy").astype(float))

    done = run("predict", built / "b", "--images", tmp_path / "x.npy")

    assert done.exit_code == 2
    assert "holds floats from 0 to 255, which are values of the model: v · 0.00784314 + -1" in done.stderr
    assert done.stderr.endswith("for v in 0…255; give v itself as integers\n")


QUIET = """
import sys
from bnn2hw.cli.main import main
for command in (
    ["compile", sys.argv[1], *sys.argv[2:], "-o", "out"],
    ["summary", sys.argv[1]],
    ["estimate", sys.argv[1], *sys.argv[2:]],
):
    main(command, standalone_mode=False)
"""


def test_nothing_on_standard_error(tmp_path: Path) -> None:
    """TensorFlow writes there from C++ when it is imported, so this needs a process of its own."""
    net.chain((6,), net.dense(4), net.norm(), net.dense(2), name="small").save(tmp_path / "m.keras")
    plain = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path / "m.keras"), "--input", "bipolar"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**plain, "PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Model size: 36.00 B" in done.stdout
    assert done.stdout.count("fps at 100 MHz") == 2
    assert "\x1b" not in done.stdout
    assert "\x1b" not in (tmp_path / "out/report.txt").read_text()


def test_a_backend_of_keras_that_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnn2hw.cli.main", "summary", str(EXAMPLES / "mnist.keras")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "foo"},
        check=False,
    )

    assert done.returncode == 3
    assert done.stderr.startswith(
        "error: Keras and its backend are needed to read models and do not start with KERAS_BACKEND=foo: "
    )
    assert done.stderr.count("\n") == 1


def test_every_command_that_prints_facts_prints_json(built: Path, tmp_path: Path) -> None:
    binary = net.chain((6,), net.dense(4), net.norm(), net.dense(2), name="small")
    binary.save(tmp_path / "m.keras")
    run("compile", tmp_path / "m.keras", "--input", "bipolar", "--loadable", "-o", tmp_path / "out")

    summary = json.loads(run("summary", tmp_path / "m.keras", "--json").stdout)
    out = tmp_path / "w.bin"
    pack = json.loads(
        run("weights", "pack", tmp_path / "out", tmp_path / "m.keras", "-o", out, "--json").stdout
    )

    assert summary["name"] == "small"
    assert [layer["name"] for layer in summary["layers"]] == [layer.name for layer in binary.layers]
    assert summary["memory_bits"] > 0
    assert pack["words"] == out.stat().st_size // 4
    assert len(pack["image"]) == 8
