"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bnn2hw.cli.main import main
from bnn2hw.tables import columns_of
from tests.support import EXAMPLES, ROOT
from tests.support import networks as net

PIXELS = ("--input", "uint8", "--scale", "1/127.5", "--offset", "-1")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnn2hw", "boards", "--nosuch"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: bnn2hw boards ")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net.tutorial_like().save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def test_compile_then_simulate(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    images = np.random.default_rng(0).integers(0, 256, (6, 11, 11), np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.zeros(6, int))

    compiled = run("compile", model, *PIXELS, "-o", folder)
    simulated = run("simulate", folder, "--images", tmp_path / "images.npz", "--json")

    assert compiled.exit_code == 0, compiled.output
    assert "fps at 100 MHz" in compiled.output
    assert (folder / "rtl" / "bnn2hw_top.sv").is_file()
    assert (folder / "report.txt").read_text() in compiled.output
    report = json.loads(simulated.stdout)
    assert (report["frames"], report["images"]) == (6, "real")
    for kind in ("smooth", "stalled"):
        assert report[kind]["exact"]
        assert report[kind]["mismatches"] == []
    assert report["smooth"]["interval"] == report["smooth"]["predicted"]["interval"]
    assert report["smooth"]["latency"] == report["smooth"]["predicted"]["latency"]
    assert 0 <= report["accuracy"] <= 1


def test_a_design_is_verified_op_by_op(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    net.chain((6,), net.dense(4), net.norm(), net.dense(3)).save(tmp_path / "small.keras")
    run("compile", tmp_path / "small.keras", "--input", "bipolar", "-o", folder)

    said = run("verify", folder, "--frames", "1", "--json")

    assert json.loads(said.output)["exact"] is True


def test_estimate_of_a_model_and_of_a_folder(model: Path, tmp_path: Path) -> None:
    run("compile", model, *PIXELS, "--fps", "100e3", "-o", tmp_path / "out")

    of_folder = json.loads(run("estimate", tmp_path / "out", "--json").stdout)
    of_model = json.loads(run("estimate", model, *PIXELS, "--fps", "100e3", "--json").stdout)

    assert of_folder == of_model
    assert of_model["fps"] >= 100e3


def test_the_front_of_a_model_and_of_a_folder(model: Path, tmp_path: Path) -> None:
    run("compile", model, *PIXELS, "-o", tmp_path / "out")

    table = run("pareto", tmp_path / "out", "--ratio", "2").stdout
    front = json.loads(run("pareto", model, *PIXELS, "--ratio", "2", "--json").stdout)
    wrong = run("pareto", tmp_path / "out", "--ratio", "0.5")

    assert "foldings on ecp5-85k at 100 MHz" in table
    assert "no folding is cheaper at these rates" in table
    intervals = [p["interval"] for p in front]
    assert intervals == sorted(intervals, reverse=True)
    assert all(f"{i:,}" in table for i in intervals)
    assert all(p["gap"] == 0 for p in front)
    built = json.loads(run("estimate", tmp_path / "out", "--json").stdout)
    assert (front[-1]["folding"], front[-1]["cost"]) == (built["folding"], built["cost"])
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("error: the ratio of rates from one point to the next must be at least 1")


def test_folding_files(model: Path, tmp_path: Path) -> None:
    names = list(json.loads(run("estimate", model, *PIXELS, "--json").stdout)["folding"])
    layer = next(n for n in names if "dense" in n)
    (tmp_path / "f.toml").write_text(f'["{layer}"]\npe = 4\nsimd = 6\n')

    report = json.loads(run("estimate", model, *PIXELS, "--folding", tmp_path / "f.toml", "--json").stdout)

    assert report["folding"][layer] == {"pe": 4, "simd": 6}


def test_summary_of_the_tutorial_network() -> None:
    result = run("summary", EXAMPLES / "mnist.keras")

    assert result.exit_code == 0
    assert "13.19 KiB" in result.output
    assert "0.9303" in result.output


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_summary_fits_the_terminal(width: int) -> None:
    result = CliRunner().invoke(main, ["summary", str(EXAMPLES / "mnist.keras")], env={"COLUMNS": str(width)})

    lines = result.stdout.splitlines()
    assert max(map(columns_of, lines)) <= width
    assert all(figure in result.stdout for figure in ("93,088", "13.19", "2,599,552", "194,688"))
    assert ("not shown at this width: output, input bits, 32-bit weights" in lines) == (width == 80)
    assert any("quant_conv2d_1 " in line and "11×11×64" in line for line in lines) == (width == 200)


def test_the_summary_leaves_operations_out(model: Path) -> None:
    assert "MACs" in run("summary", model).stdout
    assert "MACs" not in run("summary", model, "--no-macs").stdout


@pytest.mark.parametrize(("name", "kind"), [("digits_brevitas.onnx", "an ONNX file"), ("", "a folder")])
def test_a_summary_is_of_keras_files(name: str, kind: str) -> None:
    result = CliRunner().invoke(main, ["summary", str(EXAMPLES / name)])

    assert result.exit_code == 2
    assert f"is {kind}" in result.output
    assert f"bnn2hw estimate {EXAMPLES / name}" in result.output


def test_old_names_of_commands_work_and_warn(tmp_path: Path) -> None:
    binary = net.chain((6,), net.dense(4), net.norm(), net.dense(2))
    binary.save(tmp_path / "m.keras")
    run("compile", tmp_path / "m.keras", "--input", "bipolar", "--loadable", "-o", tmp_path / "out")

    new = run("weights", "pack", tmp_path / "out", tmp_path / "m.keras", "-o", tmp_path / "new.bin")
    old = run("image", tmp_path / "out", tmp_path / "m.keras", "-o", tmp_path / "old.bin")
    load = run("load", tmp_path / "out", "no port", tmp_path / "none.bin")

    assert (new.exit_code, new.stderr) == (0, "")
    assert old.exit_code == 0
    assert (tmp_path / "old.bin").read_bytes() == (tmp_path / "new.bin").read_bytes()
    works = "the old name works for one more version\n"
    assert old.stderr == f"warning: 'bnn2hw image' is now 'bnn2hw weights pack'; {works}"
    assert load.stderr.startswith(f"warning: 'bnn2hw load' is now 'bnn2hw weights load'; {works}error: ")
    names = [line.split()[0] for line in run("--help").stdout.split("Commands:\n")[1].splitlines()]
    assert "weights" in names
    assert not {"image", "load"} & set(names)


def test_options_of_the_compiler_are_refused_for_a_build_folder(model: Path, tmp_path: Path) -> None:
    run("compile", model, *PIXELS, "-o", tmp_path / "out")

    result = run("estimate", tmp_path / "out", "--fps", "10")

    assert result.exit_code == 2
    assert result.stderr == (
        f"error: '{tmp_path / 'out'}' is compiled already, so --fps has no effect; "
        "give --fps to 'bnn2hw compile'\n"
    )


def test_help_needs_no_compiler() -> None:
    text = "import sys; from bnn2hw.cli import main; print('numpy' in sys.modules, 'rich' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "False False\n"


def test_doctor() -> None:
    findings = {f["name"]: f for f in json.loads(run("doctor", "--json").stdout)}

    assert findings["keras"]["found"].startswith("keras 3.")
    assert findings["verilator"]["found"]
    assert run("doctor").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("compile", "none.keras"), "error: there is no file 'none.keras'"),
        (
            ("simulate", "nowhere"),
            "error: there is no folder 'nowhere'; compile a model into it first",
        ),
        (
            ("estimate", "{model}", "--scale", "2"),
            "error: --scale and --offset say what --input means; give --input too, such as --input uint8",
        ),
        (("estimate", "{model}", "--target", "fpga"), "error: unknown target 'fpga'; known targets: "),
        (
            ("estimate", "{model}", "--folding", "none.toml"),
            "error: the folding file 'none.toml' cannot be read: No such file or directory",
        ),
        (("estimate", "{model}", "--fps", "many"), "'many' is no number"),
        (("estimate", "{model}", "--fps", "1/0"), "'1/0' is no number"),
        (("estimate", "{model}", "--input", "uint8", "--scale", "1,x"), "'x' is no number"),
        (("compile", "{model}", "--backend", "vhdl"), "error: unknown backend 'vhdl'; known backends: "),
    ],
)
def test_bad_input_gives_one_line_and_status_2(
    model: Path, arguments: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*(a.format(model=model) for a in arguments))

    assert result.exit_code == 2
    assert expected in result.stderr
    assert "Traceback" not in result.output
