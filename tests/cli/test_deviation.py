"""The deviation of compiled models and of build folders, on the command line and in Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw import origins
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError
from tests.support import mlp, random_frames
from tests.support import networks as net

SCALED = ("--input", "uint8", "--scale", "1/255")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model `m`, its build folders `b`, and `c` with calibration images, images, and another model `n`."""
    folder = tmp_path_factory.mktemp("deviation")
    rng = np.random.default_rng(0)
    real = {"input_quantizer": None, "kernel_quantizer": None}
    for seed, name in enumerate("mn"):
        model = net.chain((6,), net.dense(4, **real), net.dense(3, **real), seed=seed)
        model.save(folder / f"{name}.keras")
    np.save(folder / "x.npy", rng.integers(0, 256, (20, 6), np.uint8))
    images = ("--calibration", folder / "x.npy")
    for name, options in {"b": ("--bits", "9"), "c": images}.items():
        made = run("compile", folder / "m.keras", *SCALED, *options, "-o", folder / name)
        assert made.exit_code == 0, made.output
    return folder


def test_a_folder_deviates_as_its_model_does(place: Path) -> None:
    images = ("--images", place / "x.npy", "--json")
    of_model = run("deviation", place / "m.keras", *SCALED, "--bits", "9", *images)
    of_folder = run("deviation", place / "b", "--model", place / "m.keras", *images)

    assert of_model.exit_code == of_folder.exit_code == 0, of_folder.output
    facts = json.loads(of_folder.stdout)
    assert facts == json.loads(of_model.stdout)
    assert any(edge["largest"] > 0 for edge in facts)
    assert all(edge["frames"] == 20 for edge in facts)


def test_a_calibrated_folder_needs_its_images(place: Path) -> None:
    asked = ("deviation", place / "c", "--model", place / "m.keras", "--images", place / "x.npy")
    without, given = run(*asked), run(*asked, "--calibration", place / "x.npy")
    needless = run("deviation", place / "b", *asked[2:], "--calibration", place / "x.npy")

    assert without.stderr == (
        "error: the design was compiled with calibration images; give the same ones with --calibration\n"
    )
    assert (given.exit_code, given.stderr) == (0, "")
    assert "deviation from the model on 20 frames" in given.stdout
    assert needless.stderr.startswith("error: the design was compiled without calibration images")


def test_the_accuracy_of_the_model_stands_next_to_that_of_the_hardware(place: Path, tmp_path: Path) -> None:
    x = np.load(place / "x.npy")
    meaning = ("--input", "uint8", "--scale", "1/255", "--offset", "-0.4")
    made = run("compile", place / "m.keras", *meaning, "-o", tmp_path / "b")
    scores = keras.models.load_model(place / "m.keras").predict(
        x / np.float32(255) - np.float32(0.4), verbose=0
    )
    labels = np.where(np.arange(20) < 13, scores.argmax(1), (scores.argmax(1) + 1) % 3)
    np.savez(tmp_path / "xy.npz", x=x, y=labels)
    asked = ("evaluate", tmp_path / "b", "--images", tmp_path / "xy.npz", "--model")

    told = run(*asked, place / "m.keras")
    facts = json.loads(run(*asked, place / "m.keras", "--json").stdout)
    other = run(*asked, place / "n.keras")

    assert made.exit_code == 0, made.output
    assert len(set(scores.argmax(1))) > 1
    assert told.stdout.splitlines()[1:] == ["accuracy of the model on them: 65.00%"]
    assert facts["model"] == 0.65
    assert (other.exit_code, other.stderr[:28]) == (2, "error: this is another model")


@pytest.mark.parametrize("output", ["top2", "class"])
def test_the_accuracy_of_a_model_that_is_here(place: Path, output: str) -> None:
    model = keras.models.load_model(place / "m.keras")
    made = bnn2hw.compile(model, input=bnn2hw.Input("uint8", 1 / 255, -0.4), output=output)
    x = np.load(place / "x.npy")
    order = np.argsort(-model.predict(x / np.float32(255) - np.float32(0.4), verbose=0), axis=1)

    assert made.evaluate_model(x, order[:, 0]) == 1.0
    assert made.evaluate_model(x, order[:, 1]) == (1.0 if output == "top2" else 0.0)
    assert made.evaluate_model(x, order[:, 2]) == 0.0


def test_another_model_is_refused(place: Path) -> None:
    done = run("deviation", place / "b", "--model", place / "n.keras", "--images", place / "x.npy")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: this is another model: its inputs or outputs")
    assert done.stderr.count("\n") == 1


def test_other_weights_are_found_on_the_first_edge_that_differs() -> None:
    design = mlp(8, 6, 4)
    model = design.map_ops({"fc1": replace(design["fc1"].op, weights=-design["fc1"].op.weights)})
    x = {"x": random_frames(design, 4)}

    origins.compare(design, design, x)
    with pytest.raises(InputError, match=r"another model, or it was compiled .* 'fc1' has other values"):
        origins.compare(design, model, x)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("{place}/b",), "error: '{place}/b' holds no model to compare with; give the one"),
        (("{place}/m.keras", "--model", "{place}/m.keras"), "error: --model has no effect: "),
        (
            ("{place}/b", "--model", "{place}/m.keras", "--bits", "4"),
            "error: '{place}/b' is compiled already, so --bits",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(place: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = run("deviation", *(a.format(place=place) for a in arguments), "--images", place / "x.npy")

    assert done.exit_code == 2
    assert done.stderr.startswith(expected.format(place=place))


def test_the_model_of_an_accelerator_that_has_one_is_refused(place: Path) -> None:
    accelerator = bnn2hw.compile(place / "m.keras", input=bnn2hw.Input("uint8"))

    with pytest.raises(InputError, match="has its model; leave out the arguments after x"):
        accelerator.deviation(np.load(place / "x.npy"), place / "m.keras")


def test_bits_by_layer_are_read_back(place: Path) -> None:
    model = net.chain(
        (6,),
        net.dense(4, name="a, (8)", kernel_quantizer=None),
        net.dense(3, kernel_quantizer=None, name="b"),
    )
    x = np.random.default_rng(0).integers(0, 256, (5, 6))
    made = bnn2hw.compile(model, input=bnn2hw.Input("uint8"), bits={"a, (8)": 7, "b": 9})
    loaded = bnn2hw.load(made.write(place / "d"))

    found = loaded.deviation(x, model)

    assert found == made.deviation(x)
    assert "\n" not in repr(found)
    assert found._repr_html_().count("<tr>") == len(found) + 1
