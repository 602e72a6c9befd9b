"""Verilator before and after: the real forms of all modules beside the fast ones, and the efforts of the compilation.

    python benchmarks/figures.py simulation

A row has the portable sources of one design, with and without the forms for simulation. Both are compiled with -O1 in
the same run, both simulate the same frames with 25 % stalls, and the row is refused unless all recorded streams are
equal byte by byte and all cycles are equal. Seconds are of processor time, those of the compilation without Verilator's
run-time library, which is compiled once per machine.
"""

from __future__ import annotations

import filecmp
import os
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import networks
import records

from bnn2hw import golden, tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.estimate import cycles
from bnn2hw.ir import Cycles, Graph
from bnn2hw.simulation import effort, harness
from bnn2hw.simulation.harness import Drive, Measured
from tests.support import random_frames

RECORD = "simulation"

FRAMES = {"tutorial": 40, "lfc": 40, "cnv": 3}
STALLS, SEED = 250, 1

EFFORTS = {
    "quick": effort.for_run(0)[0],
    "medium": effort.for_run(effort.MEDIUM_RUN)[0],
    "long": effort.for_run(effort.LONG_RUN)[0],
}


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources(
        "bnn2hw/simulation", *records.SIMULATOR, "templates/verilog", more=[tools.verilator().release]
    )
    return {"forms": dict.fromkeys(FRAMES, digest), "efforts": dict.fromkeys(EFFORTS, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    cells = _forms(row) if table == "forms" else _effort(row)
    compiler = EFFORTS["medium"].compiler
    found = {"verilator": tools.verilator().release, Path(compiler.command).name: compiler.release}
    return cells, {**records.versions(), **found}


@dataclass(frozen=True)
class Timed:
    """A simulator that was compiled, and its run.

    Attributes:
        build: Processor seconds of the compilation.
        measured: Figures of the run.
        streams: Folder with the recorded streams.
    """

    build: float
    measured: Measured
    streams: Path

    @property
    def cycle(self) -> float:
        """Microseconds of a cycle."""
        return 1e6 * self.measured.seconds / self.measured.cycles


def children() -> float:
    """Processor seconds of all programs that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def network(name: str) -> tuple[Graph, Design, Cycles]:
    """A network as portable sources, and what is predicted of it."""
    accelerator, _ = networks.compiled(name)
    return accelerator.graph, verilog.render(accelerator.graph), cycles.cycles(accelerator.graph)


def simulated(
    made: tuple[Graph, Design, Cycles], how: effort.Effort, folder: Path, frames: int, *, cells: bool = False
) -> Timed:
    """Compile a simulator with nothing of it in the cache, and run it."""
    graph, design, predicted = made
    for part in ("inputs", "streams"):
        (folder / part).mkdir(parents=True)
    x = golden.check(graph, random_frames(graph, frames, SEED))
    for i, stream in enumerate(design.inputs):
        stream.pack(x[stream.name]).tofile(folder / "inputs" / str(i))
    prepare(how)
    with (
        mock.patch.dict(os.environ, BNN2HW_CACHE=str(folder / "cache")),
        mock.patch.object(effort, "for_run", return_value=[how]),
    ):
        began = children()
        harness.build(design, cells=cells)
        build = children() - began
        drive = Drive(frames, STALLS, SEED)
        return Timed(build, harness.run(design, folder, drive, predicted, cells=cells), folder / "streams")


def prepare(how: effort.Effort) -> None:
    """Compile what is compiled once per machine."""
    effort.header_flags(how)
    effort.runtime()
    effort.library("harness.cpp")


def _forms(name: str) -> dict[str, str]:
    made = network(name)
    with tempfile.TemporaryDirectory() as scratch:
        run: Callable[[bool], Timed] = lambda cells: simulated(  # noqa: E731
            made, EFFORTS["medium"], Path(scratch) / str(cells), FRAMES[name], cells=cells
        )
        real, fast = run(True), run(False)
        files = [str(i) for i in range(len(made[1].streams))]
        same, *others = filecmp.cmpfiles(real.streams, fast.streams, files, shallow=False)
    if any(others) or _cycles(real.measured) != _cycles(fast.measured):
        raise SystemExit(f"{name}: the forms differ")
    return {
        "network": networks.NETWORKS[name].title,
        "cycles per frame": f"{made[2].interval:,}",
        "compiled: real, s": f"{real.build:.1f}",
        "compiled: fast, s": f"{fast.build:.1f}",
        "fast ÷ real": f"{fast.build / real.build:.2f}",
        "cycle: real, µs": f"{real.cycle:.2f}",
        "cycle: fast, µs": f"{fast.cycle:.2f}",
        "times as fast": f"**{real.cycle / fast.cycle:.1f}**",
        "equal streams": f"{len(same)} of {len(files)}",
        "equal cycles": f"{fast.measured.cycles:,}",
    }


def _cycles(measured: Measured) -> tuple[object, ...]:
    return measured.frame_ends, measured.latency, measured.cycles


def _effort(row: str) -> dict[str, str]:
    how = EFFORTS[row]
    least = {"quick": "0", "medium": f"{effort.MEDIUM_RUN:,}", "long": f"{effort.LONG_RUN:,}"}
    with tempfile.TemporaryDirectory() as scratch:
        found = simulated(network("tutorial"), how, Path(scratch) / "run", FRAMES["tutorial"])
    return {
        "planned cycles from": least[row],
        "compiler": f"{Path(how.compiler.command).name} {' '.join(how.flags)}",
        "compiled, s": f"{found.build:.1f}",
        "cycle, µs": f"{found.cycle:.2f}",
    }
