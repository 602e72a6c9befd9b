"""The test bench that is written beside a design passes in a simulator, and fails when the design is wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import bnn2hw
from bnn2hw import tools
from tests.support import networks as net
from tests.support.machine import tool_or_skip


def run(folder: Path) -> str:
    work = folder / "rtl"
    command = [tools.verilator().command, "--binary", "-Wno-fatal", "-f", "../tb/files.f"]
    tools.run([*command, "--top-module", "testbench"], work, "Verilator")
    done = subprocess.run(
        [work / "obj_dir" / "Vtestbench"], cwd=work, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_testbench(tmp_path: Path) -> None:
    tool_or_skip("make")  # Verilator's --binary uses it
    accelerator = bnn2hw.compile(
        net.tutorial_like(), input=bnn2hw.Input("uint8", 1 / 127.5, -1.0), output="scores", target="ecp5-25k"
    )
    folder = accelerator.write(tmp_path / "build")

    (output,) = accelerator.design.outputs
    beats = 4 * output.tensor.size // output.lanes
    assert f"PASS: {beats} beats equal the golden model" in run(folder)

    [weights] = (folder / "rtl").glob("quant_dense*_scores.table.hex")
    lines = weights.read_text().split()
    weights.write_text("\n".join(lines[::-1]) + "\n")
    assert "FAIL" in run(folder)
