"""Results that build folders keep, and the command that makes the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.artifacts import records
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError
from bnn2hw.report.records import Measured, Simulation
from bnn2hw.synthesis.usage import Cells, Usage
from tests.support import networks as net


@pytest.fixture
def build(tmp_path: Path) -> Path:
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), fps=1000).write(tmp_path / "build")


def ran(*words: object) -> str:
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_simulation_is_kept_and_shown(build: Path) -> None:
    ran("simulate", build, "--frames", 3, "--seed", 9)

    text = (build / "report.html").read_text(encoding="utf-8")
    kept = json.loads((build / "simulation.json").read_text())
    assert "Bit-exact" in text
    assert "random frames of seed 9" in text
    assert [(run["frames"], run["stalls"], run["exact"]) for run in kept] == [(3, 0.0, True), (3, 0.25, True)]
    assert bnn2hw.load(build).name  # the manifest fits the files


def test_a_synthesis_stays_when_the_design_is_simulated_later(build: Path) -> None:
    made = bnn2hw.load(build)
    used = Usage(12_345, 2, 3, 4, 5, {}, {"first": Cells(43_210, 1, 0, 0, 0)})
    records.keep(build, made, measured=Measured.of(used, "ulx3s"))
    run = Simulation("frames", 2, 0.0, 0, True, (), 7, 10, 20, 30, "a simulator 1.0")

    records.keep(build, made, runs=[run])

    found = records.collect(build, made)
    assert found.runs == (run,)
    assert found.measured == Measured.of(used, "ulx3s")
    assert "43,210" in (build / "report.html").read_text(encoding="utf-8")


def test_results_go_when_the_folder_is_written_again(build: Path) -> None:
    before = (build / "report.html").read_bytes()
    ran("report", build, "--front")
    assert (build / "report.html").read_bytes() != before

    bnn2hw.load(build).write(build)

    assert (build / "report.html").read_bytes() == before
    assert not (build / records.FRONT).exists()


def test_the_report_command_writes_the_front_elsewhere(build: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere.html"

    said = json.loads(ran("report", build, "--front", "-o", out, "--json"))

    assert said == {"file": str(out)}
    assert re.search(r"\d+ points in all", out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["report.html", "report.txt", "mine.html"])
def test_a_report_may_be_written_into_a_build_folder(build: Path, name: str) -> None:
    made = bnn2hw.load(build)

    text = made.report(build / name, runs=[made.simulate(np.ones((2, 6)))])

    assert (build / name).read_text(encoding="utf-8") == text
    assert bnn2hw.load(build).name  # the manifest fits the files


def test_a_report_does_not_take_the_place_of_a_manifest(build: Path) -> None:
    with pytest.raises(InputError, match=r"lists the files of its folder; name another file"):
        bnn2hw.load(build).report(build / "manifest.json")


@pytest.mark.parametrize("name", ["graph.json", "rtl/bnn2hw_top.sv", "../m.keras"])
def test_a_report_takes_the_place_of_no_other_file(build: Path, name: str) -> None:
    (build.parent / "m.keras").write_text("a model")
    before = (build / name).read_bytes()

    done = CliRunner().invoke(main, ["report", str(build), "-o", str(build / name)])
    with pytest.raises(InputError, match="exists and is not a report; name another file, or delete it"):
        bnn2hw.load(build).report(build / name)

    assert done.exit_code == 2
    assert (build / name).read_bytes() == before
    assert bnn2hw.load(build).name


def test_a_report_takes_the_place_of_an_earlier_one(build: Path, tmp_path: Path) -> None:
    for _ in range(2):
        ran("report", build, "-o", tmp_path / "r.html")

    assert (tmp_path / "r.html").read_bytes() == (build / "report.html").read_bytes()


def test_a_report_of_a_place_that_is_no_build_folder_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path)])

    assert result.exit_code == 2
    assert "is not a build folder" in result.output


def test_a_folder_that_cannot_be_written_is_simulated_all_the_same(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bnn2hw.folders._exchange", full)

    assert "warning: the report does not show this: " in ran("simulate", build, "--frames", 2)


def replaced(build: Path, sign: int = 1, **options: object) -> dict[str, bytes]:
    """The files of a build folder into which another design was written: with other weights, or other options."""
    names = ("first", "norm", "last")
    model = net.chain((6,), net.dense(4, name=names[0]), net.norm(name=names[1]), net.dense(2, name=names[2]))
    model.layers[-1].kernel.assign(sign * model.layers[-1].kernel)
    bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), **{"fps": 1000, **options}).write(build)
    return {str(p.relative_to(build)): p.read_bytes() for p in build.rglob("*") if p.is_file()}


@pytest.mark.parametrize("options", [{"sign": -1}, {"target": "ecp5-25k"}], ids=["weights", "device"])
def test_results_of_a_design_that_was_replaced_are_not_kept(build: Path, options: dict[str, str]) -> None:
    made, run = (
        bnn2hw.load(build),
        Simulation("frames", 2, 0.0, 0, True, (), 7, 10, 20, 30, "a simulator 1.0"),
    )
    after = replaced(build, **options)

    with pytest.raises(records.OtherDesignError, match=r"another design was written to '.*build' meanwhile"):
        records.keep(build, made, runs=[run])

    assert {str(p.relative_to(build)): p.read_bytes() for p in build.rglob("*") if p.is_file()} == after


def test_a_simulation_during_which_its_design_is_replaced_ends_with_a_warning(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate = bnn2hw.Accelerator.simulate

    def slow(accelerator: bnn2hw.Accelerator, *inputs: object, **options: object) -> object:
        replaced(build, fps=2000)
        return simulate(accelerator, *inputs, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bnn2hw.Accelerator, "simulate", slow)
    result = CliRunner().invoke(main, ["simulate", str(build), "--frames", "2"])

    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("warning: the report does not show this: another design was written to")
    assert not (build / records.SIMULATION).exists()
