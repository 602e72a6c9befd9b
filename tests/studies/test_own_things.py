"""Studies over devices of the user's own, and of models with the user's own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw import nn
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError
from bnn2hw.studies import points, space, table
from bnn2hw.targets.records import DATA
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")
RATES = [1e4]
OWN = "import keras\n\n\ndef my_sign(x):\n    return keras.ops.where(x >= {least}, 1.0, -1.0)\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def device(path: Path, clock: int) -> Path:
    text = (DATA / "devices" / "ecp5-25k.toml").read_text()
    path.write_text(text.replace("clock_mhz = 100", f"clock_mhz = {clock}"))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.keras"
    net.chain((8,), net.dense(4), net.norm(), net.dense(3)).save(path)
    return path


def test_a_device_that_changes_is_explored_again(model: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "own.toml", tmp_path / "s.csv"
    explored = [
        bnn2hw.explore(model, out, input=SIGNS, targets=["ecp5-45k", device(own, clock)], fps=RATES)
        for clock in (100, 50)
    ]

    (there, first), (again, second) = explored[0].rows, explored[1].rows

    assert there == again
    assert (first["target"], second["target"]) == (str(own), str(own))
    assert first["key"] != second["key"]
    assert float(first["fps"] or 0) == 2 * float(second["fps"] or 0)


def test_a_point_of_a_device_that_changed_is_refused(model: Path, tmp_path: Path) -> None:
    own, out = device(tmp_path / "own.toml", 100), tmp_path / "s.csv"
    bnn2hw.explore(model, out, input=SIGNS, targets=[own], fps=RATES)
    point = ("compile", model, "--from", out, "--point", "0", "-o", tmp_path / "b")

    built = run(*point)
    device(own, 50)
    changed = run(*point)
    own.unlink()
    gone = run(*point)

    assert built.exit_code == 0, built.output
    assert bnn2hw.load(tmp_path / "b").device.name == "own"
    assert changed.exit_code == gone.exit_code == 2
    assert "own.toml' describes another device than when the study was started" in changed.stderr
    assert "own.toml' cannot be read: No such file" in gone.stderr


def test_a_worker_without_the_file_of_a_device_refuses_no_point(model: Path, tmp_path: Path) -> None:
    """The device is missing on that machine; the point may well be possible."""
    own = str(device(tmp_path / "own.toml", 100))
    setting = space.Setting(str(model), SIGNS, devices=space.own_devices([own]))
    Path(own).unlink()

    with pytest.raises(InputError, match=r"own.toml' cannot be read"):
        points.Evaluator(setting)(space.Task(own, None, "folded", RATES[0]))


def test_own_code_in_studies_images_and_summaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that reads a model file takes the user's own code."""
    monkeypatch.chdir(tmp_path)
    Path("own_signs.py").write_text(OWN.format(least=0.5))
    from bnn2hw.cli import own_code

    own = own_code.objects(["own_signs.py"])
    made = net.chain((8,), net.dense(4, input_quantizer=own["my_sign"]), net.norm(), net.dense(3))
    made.save("m.keras")
    code, wire = ("--import", "own_signs.py"), ("--input", "int4")
    bnn2hw.compile("m.keras", input=bnn2hw.Input("int4"), loadable=True, custom_objects=own).write("b")

    study = run("explore", "m.keras", *wire, *code, "--fps", "1e4", "-o", "s.csv")
    point = run("compile", "m.keras", "--from", "s.csv", "--point", "0", *code, "-o", "c")
    image = run("weights", "pack", "b", "m.keras", *code, "-o", "w.bin")
    counted = run("summary", "m.keras", *code, "--json")
    shared = run("explore", "m.keras", *wire, *code, "-o", "t.csv", "--scheduler", "local")

    for done in (study, point, image, counted):
        assert done.exit_code == 0, done.output
    assert [row["state"] for row in table.read(Path("s.csv"))] == ["fits"]
    assert json.loads(counted.stdout)
    assert "custom objects have no effect; leave out --scheduler" in shared.stderr


def test_code_that_changes_is_another_study() -> None:
    def first(x: object) -> object:
        return x

    def second(x: object) -> object:
        return nn, x

    facts = [space.Setting("m", custom_objects={"f": f}).facts("ecp5-85k") for f in (first, second, first)]

    assert facts[0] == facts[2] != facts[1]
