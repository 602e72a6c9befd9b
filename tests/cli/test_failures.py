"""Failures around each command: one line, the right exit status, and nothing half-written."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw import tools
from bnn2hw.cli.main import main
from bnn2hw.errors import MissingToolError
from tests.cli.test_exit_codes import NOWHERE
from tests.support import networks as net


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `m.keras`, its build folder `b`, an empty folder `none`, and `other` with a file in it."""
    made = tmp_path_factory.mktemp("place")
    model = net.chain((6,), net.dense(4), net.norm(), net.dense(2))
    model.save(made / "m.keras")
    bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), loadable=True).write(made / "b")
    for name in ("none", "other"):
        (made / name).mkdir()
    (made / "other" / "precious").write_text("kept")
    np.savez(made / "x.npz", x=np.ones((2, 6), int), y=np.zeros(2, int))
    np.save(made / "x.npy", np.ones((2, 6), int))
    (made / "w.bin").write_bytes(bytes(8))
    return made


def run(place: Path, command: str) -> Result:
    return CliRunner().invoke(main, shlex.split(command.format(p=place, nowhere=NOWHERE)))


def contents(folder: Path) -> dict[str, bytes]:
    """By name, all files below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check(done: Result, status: int) -> None:
    """Check that a command ended as it should, with one line."""
    assert done.exit_code == status, (done.output, done.exception)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output


ON_A_FOLDER = (
    "simulate {f}",
    "verify {f}",
    "prove {f}",
    "report {f}",
    "estimate {f}",
    "pareto {f}",
    "synth {f} -o {p}/new",
    "predict {f} --images {p}/x.npy",
    "predict {f} --virtual --images {p}/x.npy",
    "evaluate {f} --images {p}/x.npz",
    "deviation {f} --model {p}/m.keras --images {p}/x.npz",
    "weights pack {f} {p}/m.keras -o {p}/new",
    "weights load {f} /dev/null {p}/w.bin",
)
"""Commands on a build folder {f}."""


@pytest.mark.parametrize("folder", ["none", "other", "missing"])
@pytest.mark.parametrize("command", ON_A_FOLDER)
def test_a_folder_that_is_no_build(place: Path, command: str, folder: str) -> None:
    before = contents(place)

    check(run(place, command.replace("{f}", f"{{p}}/{folder}")), 2)
    assert contents(place) == before


@pytest.mark.parametrize(
    "command",
    [
        "compile {p}/m.keras --input bipolar -o {nowhere}",
        "synth {p}/b -o {nowhere}",
        "report {p}/b -o {nowhere}",
        "explore {p}/m.keras --input bipolar -o {nowhere}.csv",
        "weights pack {p}/b {p}/m.keras -o {nowhere}",
        "simulate {p}/b --trace {nowhere}.vcd",
    ],
)
def test_places_that_cannot_be_written(place: Path, command: str) -> None:
    before = contents(place)

    check(run(place, command), 3)
    assert contents(place) == before


@pytest.mark.parametrize(
    "command",
    [
        "compile {p}/no.keras -o {p}/new",
        "estimate {p}/no.keras",
        "pareto {p}/no.onnx",
        "summary {p}/no.keras",
        "explore {p}/no.keras -o {p}/new.csv",
        "synth {p}/no.keras -o {p}/new",
        "compile {p}/m.keras --input bipolar --folding {p}/no.toml -o {p}/new",
        "compile {p}/m.keras --input bipolar --calibration {p}/no.npz -o {p}/new",
        "compile {p}/m.keras --target {p}/no.toml -o {p}/new",
        "compile {p}/m.keras --from {p}/no.csv --point 1 -o {p}/new",
        *(f"{name} {{p}}/b --images {{p}}/no.npz" for name in ("simulate", "verify", "predict", "evaluate")),
        "deviation {p}/b --model {p}/m.keras --images {p}/no.npz",
        "deviation {p}/b --model {p}/no.keras --images {p}/x.npz",
    ],
)
def test_files_that_are_not_there(place: Path, command: str) -> None:
    before = contents(place)

    check(run(place, command), 2)
    assert contents(place) == before


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("simulate {p}/b", "verilator"),
        ("verify {p}/b", "verilator"),
        ("prove {p}/b", "yosys"),
        ("synth {p}/b -o {p}/new", "yosys"),
        ("predict {p}/b --virtual --images {p}/x.npy", "verilator"),
    ],
)
def test_tools_that_are_missing(
    place: Path, command: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> tools.Tool:
        raise MissingToolError(f"{missing} was not found")

    monkeypatch.setattr(tools, missing, absent)
    before = contents(place / "b")
    done = run(place, command)

    check(done, 3)
    assert f"{missing} was not found" in done.stderr
    assert contents(place / "b") == before


def test_output_of_a_program_need_not_be_text(tmp_path: Path) -> None:
    """Verilator shortens the names of some signals to bytes."""
    program = [sys.executable, "-c", r"import sys; sys.stderr.buffer.write(b'Signal CO_\x98_1')"]

    assert tools.run(program, tmp_path, "Verilator") == "Signal CO_\ufffd_1"
