"""The XNOR matrix-vector unit alone: LUTs per synapse and clock, over foldings and two families.

    python benchmarks/xnor.py               all foldings; an hour on two cores
    python benchmarks/xnor.py 32x64 16x16   these only
    python benchmarks/xnor.py --area …      without place and route

MW 1024, MH 512. Yosys maps the unit by itself; for the clock nextpnr places it in a shell of registers that feed
and read its streams, so that pins do not matter.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import Source, Xnor
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.targets import devices, families
from bnn2hw.targets.families import Family

MW, MH = 1024, 512
FOLDINGS = ("16x16", "32x32", "32x64", "64x64")
ROUTER, _ = toolchains.router(devices.device("ecp5-85k"))
GRADES = {"6": 250, "8": 300}
"""Speed grades of ECP5, and the clocks in MHz that are asked for."""

SHELL = """module shell(input logic clk, input logic in, output logic out);
  logic [INPUT+2:0] feed;
  logic [OUTPUT-1:0] data, seen;
  logic [OUTPUT/8-1:0] folded;
  logic valid, last, error, ready, taken, flags;
  always_ff @(posedge clk) begin
    feed <= {feed[INPUT+1:0], in};
    taken <= feed[0];
    seen <= data;
    flags <= valid ^ last ^ error ^ ready;
  end
  for (genvar i = 0; i < OUTPUT / 8; i++) begin : g_fold
    always_ff @(posedge clk) folded[i] <= (i == 0 ? flags : folded[i==0?0 : i-1]) ^ (^seen[8*i+:8]);
  end
  assign out = folded[OUTPUT/8-1];
  TOP dut (
      .aclk(clk), .aresetn(feed[INPUT]),
      .s_axis_tdata(feed[INPUT-1:0]), .s_axis_tvalid(feed[INPUT+1]), .s_axis_tready(ready),
      .s_axis_tlast(feed[INPUT+2]),
      .m_axis_tdata(data), .m_axis_tvalid(valid), .m_axis_tready(taken), .m_axis_tlast(last), .frame_error(error)
  );
endmodule
"""


def render(pe: int, simd: int, family: Family) -> Design:
    weights = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (MW, MH))
    x, op = Tensor((2, MW), BIPOLAR), Xnor(weights, pe=pe, simd=simd)
    return verilog.render(Graph((Node("x", Source(x, simd)), Node("y", op, ("x",))), ("y",)), family=family)


def packed(folder: Path) -> int:
    """Yosys' estimate of the physical LUT6s of a mapped netlist, into which two small ones go together."""
    script = folder / "packed.ys"
    script.write_text("read_json netlist.json\ntee -q -o packed.txt stat -tech xilinx\n")
    tools.run([*tools.yosys().start, script.name], folder, "Yosys")
    return int(re.findall(r"Estimated number of LCs: +(\d+)", (folder / "packed.txt").read_text())[-1])


def clocks(design: Design, folder: Path) -> Iterator[float]:
    """What nextpnr reaches in each speed grade, in MHz."""
    shell = re.sub(r"\bTOP\b", design.top, SHELL)
    shell = shell.replace("INPUT", str(8 * design.input.bytes)).replace(
        "OUTPUT", str(8 * design.output.bytes)
    )
    placed = replace(design, top="shell", files={**design.files, "shell.sv": shell})
    synthesize.mapped(placed, families.family("ecp5"), folder, ["hierarchy -top shell"])
    for grade, goal in GRADES.items():
        command = [*tools.nextpnr("ecp5").start, "--85k", "--package", "CABGA381", "--speed", grade]
        command += [
            "--json",
            "netlist.json",
            "--report",
            f"timing{grade}.json",
            "--freq",
            str(goal),
            "--seed",
            "1",
        ]
        tools.run([*command, "--timing-allow-fail", *ROUTER.arguments], folder, "nextpnr")
        report = json.loads((folder / f"timing{grade}.json").read_text())
        yield min(float(c["achieved"]) for c in report["fmax"].values())


def row(folding: str, folder: Path, *, route: bool) -> str:
    """A line of the table."""
    pe, simd = map(int, folding.split("x"))
    cells = [f"{pe}×{simd}"]
    for family in (families.family("xilinx"), families.family("ecp5")):
        design = render(pe, simd, family)
        usage = synthesize.area(design, family, folder / family.name, only="bnn2hw_xnor")
        cells += [f"{usage.lut:,}", f"**{usage.lut / pe / simd:.2f}**"]
        if family is families.family("xilinx"):
            estimate = packed(folder / family.name)
            cells += [f"{estimate:,}", f"{estimate / pe / simd:.2f}"]
        cells += [f"{usage.ff:,}", f"{usage.bram}"]
        if family is families.family("ecp5"):
            found = clocks(design, folder / "clock") if route else iter(())
            cells += [f"{clock:.0f}" for clock in found] or ["–"] * len(GRADES)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    asked = [a for a in sys.argv[1:] if a in FOLDINGS] or FOLDINGS
    print(f"MW {MW}, MH {MH}; Yosys {tools.yosys().release}", end="\n\n")
    print(
        "| PE×SIMD | xc7 LUT cells | per synapse | packed | per synapse | FF | BRAM18 "
        "| ECP5 LUT4 | per synapse | FF | DP16KD | MHz grade 6 | MHz grade 8 |"
    )
    print("| --- |" + " ---: |" * 12)
    for folding in asked:
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
            print(row(folding, Path(folder), route="--area" not in sys.argv), flush=True)


if __name__ == "__main__":
    main()
