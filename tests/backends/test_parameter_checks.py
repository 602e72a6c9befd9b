"""Modules stop elaboration if a parameter is wrong, in Verilator and in Yosys' own front end."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.data_files import data_dir
from bnn2hw.errors import ToolError
from bnn2hw.ops.base.popcount_trees import Chains
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families

TEMPLATES = [
    p
    for folder in ("verilog", "shell", "amd")
    for p in sorted((data_dir("templates") / folder).rglob("*.sv.j2"))
    if re.search(r"^    parameter int", p.read_text(), re.MULTILINE)
]

FREE = {"START", "LIMIT", "OUT_FIRST", "STEP", "OUT_LO", "OUT_HI", "BOTH", "ALONE"}
FREE |= {f"{side}_{n}" for side in "AB" for n in ("FACTOR", "OFFSET", "STEP", "ZERO")}
"""Parameters that may have any value: they are codes, factors and constants."""

WRONG = [
    ("last_beat", {"BEATS": 0}, "BEATS must be at least 1; it is 0"),
    ("fifo", {"DEPTH": 1}, "DEPTH must be at least 2; it is 1"),
    ("fifo_register", {"DEPTH": 2}, "DEPTH must be 1; it is 2"),
    ("width_converter", {"RATIO": 2, "LAST": 3}, "LAST must be at most RATIO; it is 3"),
    ("accumulator", {"BITS": -1}, "BITS must be at least 1; it is -1"),
    ("count", {"LANES": 9}, "LANES must be at most 8, since a table has 2^LANES entries; it is 9"),
]


def sources(module: str, parameters: Mapping[str, int]) -> dict[str, str]:
    """A module with other defaults, so that it can be the top."""
    text = verilog.module(module)
    for name, value in parameters.items():
        text, count = re.subn(rf"(parameter int {name} = )[^,\n ]+", rf"\g<1>{value}", text)
        assert count == 1
    return {f"bnn2hw_{module}.sv": text}


def lint(module: str, parameters: Mapping[str, int], folder: Path) -> tuple[int, str]:
    """Elaborate a module with all warnings of Verilator; return its exit status and its messages."""
    for name, text in sources(module, parameters).items():
        (folder / name).write_text(text)
    rules = str(data_dir("sim") / "lint.vlt")
    command = [tools.verilator().command, "--lint-only", "-Wall", "--top-module", f"bnn2hw_{module}"]
    command += [rules, f"bnn2hw_{module}.sv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: f"{p.parent.name}/{p.name.split('.')[0]}")
def test_every_module_checks_its_numbers(path: Path) -> None:
    """Each parameter that has a least value is compared with it; offsets and codes may have any value."""
    text = path.read_text()
    numbers = set(re.findall(r"^    parameter int (\w+)", text, re.MULTILINE))
    if path.parent.name == "cells":
        return
    checked = {
        n
        for call in re.findall(r"check\.at_least\(\d+, (.*?)\) }}", text)
        for n in re.findall(r'"(\w+)"', call)
    }
    checked |= set(re.findall(r'check\.that\((?:".*?"|\w+), "(\w+)"', text))

    assert checked <= numbers
    missing = numbers - checked - FREE - ({"FIRST"} if path.name == "pad.sv.j2" else set())
    assert not missing


@pytest.mark.parametrize(("module", "wrong", "message"), WRONG)
def test_verilator_stops(module: str, wrong: Mapping[str, int], message: str, tmp_path: Path) -> None:
    assert lint(module, {}, tmp_path) == (0, "")

    status, said = lint(module, wrong, tmp_path)

    assert status
    assert message in said


@pytest.mark.usefixtures("yosys")
@pytest.mark.parametrize("widths", [(7,), (7, 15)])
def test_a_count_of_another_width_than_those_drawn(widths: tuple[int, ...], tmp_path: Path) -> None:
    family = families.family("ecp5")
    header, shapes = Header(target=family), {"popcount": [Chains(width) for width in widths]}
    files = {
        "popcount.sv": verilog.module("popcount", header, shapes),
        "adder_chain.sv": verilog.module("adder_chain"),
    }

    def elaborate(lanes: int) -> None:
        ports = ".clk(clk), .enable(1'b1), .a(a), .b(a), .count(count)"
        top = (
            f"module top(input logic clk, input logic [{lanes - 1}:0] a, output logic [7:0] count);\n"
            f"  bnn2hw_popcount #(.LANES({lanes})) dut ({ports});\nendmodule\n"
        )
        design = Design("top", {**files, "top.sv": top}, (), (), ())
        synthesize.run_yosys(
            design, tmp_path / f"n{lanes}", ["hierarchy -top top", "tee -o read.txt stat"], "read.txt"
        )

    for width in widths:
        elaborate(width)
    with pytest.raises(ToolError, match="LANES must have a plan"):
        elaborate(9)


@pytest.mark.usefixtures("yosys")
def test_yosys_stops(tmp_path: Path) -> None:
    module, wrong, message = WRONG[1]
    top = f"bnn2hw_{module}"
    passes = [f"hierarchy -top {top}", "tee -o read.txt stat"]
    right, bad = (Design(top, sources(module, p), (), (), ()) for p in ({}, wrong))

    synthesize.run_yosys(right, tmp_path / "right", passes, "read.txt")
    with pytest.raises(ToolError, match=re.escape(message.split(";")[0])):
        synthesize.run_yosys(bad, tmp_path / "wrong", passes, "read.txt")
