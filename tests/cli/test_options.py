"""No option is ignored in silence: it changes the result, or a sentence refuses it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click
import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bnn2hw.cli.main import main
from bnn2hw.cli.options import ModelOptions
from tests.support import networks as net

PIXELS = ("--input", "uint8")

OF_MODEL = {f.name for f in fields(ModelOptions)}

GIVEN = {
    "target": ("--target", "xc7z020"),
    "board": ("--board", "orangecrab"),
    "fps": ("--fps", "1e6"),
    "folding": ("--folding", "{folder}/folding.json"),
    "latency": ("--latency", "60"),
    "dtype": ("--input", "uint4"),
    "scale": ("--scale", "1/255"),
    "offset": ("--offset", "-100"),
    "output": ("--output", "class"),
    "backend": ("--backend", "hls"),
    "calibration": ("--calibration", "{folder}/images.npy"),
    "bits": ("--bits", "6"),
    "loadable": ("--loadable",),
    "loadable_layer": ("--loadable-layer", "sum"),
    "imports": ("--import", "{folder}/own.py"),
}
"""A value of each option of the compiler that must change what is compiled."""

OTHERS = {
    "compile": {"out", "study", "point", "as_json"},
    "estimate": {"as_json"},
    "pareto": {"ratio", "as_json"},
    "explore": {
        *(
            "out",
            "dtype",
            "scale",
            "offset",
            "output",
            "target",
            "fps",
            "pixels",
            "ratio",
            "bits",
            "style",
            "images",
            "frames",
        ),
        *(
            "objective",
            "max_lut",
            "min_fps",
            "max_latency_us",
            "max_deviation",
            "min_accuracy",
            "synth",
            "scheduler",
            "workers",
        ),
        "as_json",
    }
    - OF_MODEL,
    "synth": {"out", "seeds", "clock", "baud", "scheduler", "workers", "as_json"},
    "report": {"out", "front", "as_json"},
    "summary": {"no_macs", "as_json"},
    "simulate": {"images", "frames", "stalls", "seed", "cells", "processes", "scheduler", "trace", "as_json"},
    "verify": {"images", "frames", "stalls", "seed", "workers", "as_json"},
    "prove": {"seconds", "as_json"},
    "predict": {"port", "virtual", "images", "frames", "as_json"},
    "deviation": {"original", "images", "frames", "as_json"},
    "evaluate": {"images", "frames", "original", "as_json"},
    "weights pack": {"out", "as_json"},
    "weights load": {"as_json"},
    "boards": {"as_json"},
    "doctor": {"as_json"},
}
"""Options of each command besides those of the compiler. One that has no effect in some cases is refused in `REFUSED`."""

REFUSED = {
    "pareto {model} --fps 10": "--fps has no effect: the list has all rates",
    "pareto {model} --latency 10": "--latency has no effect: 'bnn2hw estimate --latency' gives",
    "pareto {model} --backend hls": "--backend has no effect: costs are those of the Verilog sources",
    "pareto {model} --folding {folder}/folding.json": "--folding sets pe of layer 'sum', but the list goes over all",
    "summary {model} --json --no-macs": "--no-macs has no effect: JSON has all figures",
    "compile {model} --loadable --loadable-layer sum": "--loadable-layer has no effect: --loadable makes all layers",
    "compile {folder}/m.onnx --import {folder}/own.py": "custom objects have no effect; leave out --import",
    "simulate {folder}/hls --cells": "C++ sources name no cells and are simulated as they are; leave out --cells",
    "synth {folder}/hls": "HLS sources are synthesized by Vitis HLS",
    "simulate {folder}/hls --scheduler local": "a scheduler shares the frames among processes; say how many",
    "simulate {folder}/hls --scheduler here --processes 2": "scheduler must be 'local' or an address such as tcp",
    "synth {model} --input uint8 --scheduler local": "a scheduler shares the seeds of place and route; ask for",
    "synth {model} --input uint8 --seeds 2 --workers 2": "a number of workers has no effect without the scheduler",
    "synth {model} --input uint8 --target xc7z020 --seeds 2": "seeds are for place and route, and no open tool",
    "synth {model} --input uint8 --target xc7z020 --clock 50": "a clock is for place and route, and no open tool",
    "synth {model} --input uint8 --baud 9600": "a baud rate is for a board's serial line; name a board",
    "evaluate {folder}/verilog --images {folder}/images.npy --import {folder}/own.py": "--import has no effect: it belongs",
    "estimate {model} --scale 2": "--scale and --offset say what --input means",
    "estimate {model} --input uint8 --board icebreaker --target xc7z020": "name a board or a target, not both",
}
"""Commands with an option that could not have an effect, and a part of the message."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, two build folders, and the files that options name."""
    folder = tmp_path_factory.mktemp("options")
    model = net.chain((16,), keras.layers.Dense(8, activation="relu", name="sum"), keras.layers.Dense(3))
    model.save(folder / "m.keras")
    np.save(folder / "images.npy", np.full((4, 16), 7, np.uint8))
    (folder / "folding.json").write_text('{"sum": {"pe": 1}}')
    (folder / "own.py").write_text("print('own code')\n\n\ndef own(x):\n    return x\n")
    (folder / "m.onnx").write_bytes(b"")
    net.chain((6,), net.dense(4), net.norm(), net.dense(2)).save(folder / "binary.keras")
    for name, backend, of in (
        ("verilog", "verilog", "m"),
        ("hls", "hls", "m"),
        ("binary", "verilog", "binary"),
    ):
        made = run("compile", f"{folder}/{of}.keras", *PIXELS, "--backend", backend, "-o", f"{folder}/{name}")
        assert made.exit_code == 0, made.output
    return folder


def written(folder: Path) -> dict[str, bytes]:
    """The files of a build folder, without those that list the options themselves."""
    telling = ("manifest.json", "report.html")
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in telling)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def commands() -> dict[str, click.Command]:
    """The commands that the help shows, by name; those of a group with the name of the group."""
    shown = {n: c for n, c in main.commands.items() if not c.hidden}
    groups = {n: c for n, c in shown.items() if isinstance(c, click.Group)}
    inner = {f"{n} {m}": c for n, group in groups.items() for m, c in group.commands.items()}
    return {n: c for n, c in shown.items() if n not in groups} | inner


def options(command: click.Command) -> set[str]:
    """The options of a command without those that say how much it prints, which all have (`test_volume`)."""
    return {str(p.name) for p in command.params if isinstance(p, click.Option)} - {"quiet", "verbose"}


def test_each_option_of_each_command_is_in_a_table() -> None:
    assert {name: options(c) - OF_MODEL for name, c in commands().items()} == OTHERS
    assert set(GIVEN) == OF_MODEL


@pytest.mark.parametrize("option", GIVEN)
def test_each_option_of_the_compiler_changes_what_is_compiled(
    option: str, folder: Path, tmp_path: Path
) -> None:
    given = [a.format(folder=folder) for a in GIVEN[option]]

    name, plain = ("binary", "binary") if option == "loadable" else ("m", "verilog")

    done = run("compile", f"{folder}/{name}.keras", *PIXELS, *given, "-o", f"{tmp_path}/out")

    assert done.exit_code == 0, done.output
    assert written(tmp_path / "out") != written(folder / plain) or "own code" in done.stderr


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("command", ["estimate", "pareto", "synth"])
def test_a_build_folder_refuses_options_of_the_compiler(
    command: str, option: str, folder: Path, tmp_path: Path
) -> None:
    if command == "synth" and option in ("target", "board"):
        return  # synthesis goes to a device or a board, whatever the design was compiled for
    given = [a.format(folder=folder) for a in GIVEN[option]]
    place = ("-o", f"{tmp_path}/out") if command == "synth" else ()

    done = run(command, f"{folder}/verilog", *given, *place)

    assert done.exit_code == 2
    assert f"is compiled already, so {given[0]} has no effect" in done.stderr


@pytest.mark.parametrize("typed", REFUSED)
def test_an_option_without_effect_is_refused(
    typed: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = run(*typed.format(folder=folder, model=f"{folder}/m.keras").split())

    assert done.exit_code == 2, done.output
    assert REFUSED[typed] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_foldings_keeps_a_style(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "style.json").write_text('{"sum": {"style": "unrolled"}}')
    model = net.chain((6,), net.dense(4, name="sum"), net.norm(), net.dense(2))
    model.save(tmp_path / "m.keras")

    plain = run("pareto", f"{tmp_path}/m.keras", *PIXELS, "--json")
    styled = run("pareto", f"{tmp_path}/m.keras", *PIXELS, "--folding", f"{tmp_path}/style.json", "--json")

    assert styled.exit_code == 0, styled.output
    assert styled.stdout != plain.stdout
