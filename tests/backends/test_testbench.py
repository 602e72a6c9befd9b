"""The test bench that is written beside a design passes in simulators, and fails when the design is wrong."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, tools
from bnn2hw.backends import frames
from tests.support import EXAMPLES, icarus
from tests.support import networks as net
from tests.support.machine import tool_or_skip

PIXELS = bnn2hw.Input("uint8", 1 / 127.5, -1.0)
QUICKLY = ("env", "MAKEFLAGS= -- OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0")
"""Compiles Verilator's library without optimization, which takes longer than these benches run."""


def arguments(folder: Path) -> list[str]:
    """Return the words behind --binary of the command in a bench's head."""
    head = (folder / "tb" / "testbench.sv").read_text()
    found = re.search(r"^//   \$ verilator --binary (.*)$", head, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def compiled(folder: Path) -> Path:
    """Compile a bench as its head says, and return the program."""
    tool_or_skip("make")  # Verilator's --binary uses it
    work = folder / "rtl"
    tools.run([*QUICKLY, tools.verilator().command, "--binary", *arguments(folder)], work, "Verilator")
    return work / "obj_dir" / "Vtestbench"


def printed(program: Path, folder: Path) -> str:
    return subprocess.run([program], cwd=folder, capture_output=True, text=True, check=False).stdout


def damaged(folder: Path, count: int) -> Iterator[Path]:
    """Damage the memory files of a folder, one at a time: a bit, a digit, or two words exchanged."""
    rng = np.random.default_rng(0)
    files = sorted(folder.glob("*.hex"))
    for number in range(count):
        path = files[rng.integers(len(files))]
        text = path.read_text()
        lines = text.split()
        at, to = rng.integers(len(lines), size=2)
        digit = int(rng.integers(len(lines[at])))
        value = int(lines[at][digit], 16)
        if number % 5 == 4 and lines[at] != lines[to]:
            lines[at], lines[to] = lines[to], lines[at]
        else:
            other = value ^ (1 << int(rng.integers(4))) if number % 5 < 3 else (value + 7) % 16
            lines[at] = f"{lines[at][:digit]}{other:x}{lines[at][digit + 1 :]}"
        path.write_text("\n".join(lines) + "\n")
        yield path
        path.write_text(text)


def in_icarus(folder: Path) -> str:
    """Compile and run a bench in Icarus, which takes a second."""
    return icarus.simulate(folder / "rtl", ["-f", "../tb/files.f"])


def in_verilator(folder: Path) -> str:
    """Run a bench that was compiled once."""
    program = folder / "rtl" / "obj_dir" / "Vtestbench"
    return printed(program if program.exists() else compiled(folder), folder / "rtl")


@pytest.mark.parametrize(
    ("run", "damages"), [(in_icarus, 3), pytest.param(in_verilator, 20, marks=pytest.mark.soak)]
)
def test_testbench(run: Callable[[Path], str], damages: int, tmp_path: Path) -> None:
    """It passes, finds each damaged memory, and without its look at the files finds what changes a stream."""
    accelerator = bnn2hw.compile(net.tutorial_like(), input=PIXELS, output="scores", target="ecp5-25k")
    folder = accelerator.write(tmp_path / "build")
    (output,) = accelerator.design.outputs
    beats = 4 * output.tensor.size // output.lanes

    assert f"PASS: {beats} beats equal the golden model" in run(folder)
    for path in damaged(folder / "rtl", damages):
        text = run(folder)
        assert "FAIL" in text, path
        assert f"{path.name} is not the file that was written" in text
    weights = next((folder / "rtl").glob("quant_conv2d*.weights.hex"))
    digits = weights.read_text()
    weights.write_text(f"{int(digits[0], 16) ^ 1:x}{digits[1:]}")
    layer = weights.name.partition(".")[0]
    assert f"stream {layer} differs inside the design" in run(folder)


def test_verilator_reads_a_bench_by_the_line_in_its_head(tmp_path: Path) -> None:
    folder = bnn2hw.compile(net.tutorial_like(), input=PIXELS).write(tmp_path / "build")

    tools.run([tools.verilator().command, "--lint-only", *arguments(folder)], folder / "rtl", "Verilator")


def test_the_bench_of_a_class_sends_frames_of_several_classes() -> None:
    accelerator = bnn2hw.compile(str(EXAMPLES / "digits.keras"), input=PIXELS)

    x = frames.distinct(accelerator.graph, 4)

    assert len(np.unique(golden.outputs(accelerator.graph, x))) == 4


def test_the_bench_of_a_build_folder_runs_in_icarus(tmp_path: Path) -> None:
    folder = bnn2hw.compile(net.tutorial_like(), input=PIXELS).write(tmp_path / "build")

    for sources in ("../tb/files.f", "../tb/cells.f"):
        assert "PASS" in icarus.simulate(folder / "rtl", ["-f", sources])


@pytest.mark.soak
def test_the_bench_of_mnist_finds_every_damaged_memory(tmp_path: Path) -> None:
    folder = bnn2hw.compile(str(EXAMPLES / "mnist.keras"), input=PIXELS).write(tmp_path / "build")

    program = compiled(folder)

    assert "PASS" in printed(program, folder / "rtl")
    for path in damaged(folder / "rtl", 50):
        assert "FAIL" in printed(program, folder / "rtl"), path
