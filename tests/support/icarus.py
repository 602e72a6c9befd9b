"""Run the self-checking bench of a design in Icarus Verilog: a second simulator, with four states."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends import verilog_bench
from bnn2hw.backends.design import Design
from bnn2hw.estimate import cycles
from bnn2hw.golden import Batch
from bnn2hw.ir import Graph
from tests.support.machine import tool_or_skip


def run(design: Design, graph: Graph, x: Batch, folder: Path, *, cells: bool = False) -> str:
    """Return what the bench prints. Sources and sinks pause at random; registers start unknown.

    Args:
        design: The rendered design.
        graph: The streamed graph.
        x: Input frames.
        folder: An empty folder.
        cells: Whether the cells of the device family are simulated.
    """
    rtl, bench = folder / "rtl", folder / "tb"
    rtl.mkdir()
    bench.mkdir()
    texts = design.simulated(cells=cells)
    for name, text in texts.items():
        (rtl / name).write_text(text)
    for name, text in verilog_bench.bench(graph, x, cycles.cycles(graph), design).items():
        (bench / name).write_text(text)
    return simulate(rtl, [*(n for n in texts if n.endswith(".sv")), "../tb/testbench.sv"])


def simulate(rtl: Path, sources: list[str]) -> str:
    """Compile a bench in the folder of the memory files, and return what it prints."""
    compiler, simulator = tool_or_skip("iverilog"), tool_or_skip("vvp")
    tools.run([compiler, "-g2012", "-s", "testbench", "-o", "bench.vvp", *sources], rtl, "Icarus Verilog")
    done = subprocess.run(
        [simulator, "bench.vvp"], cwd=rtl, capture_output=True, text=True, check=False, timeout=600
    )
    return done.stdout + done.stderr
