"""Compile Verilog and a C++ main program into a simulator with Verilator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import effort as efforts
from bnn2hw.simulation.effort import Effort
from bnn2hw.simulation.waves import Format

VERILATOR_FLAGS = (
    "--cc",
    "--no-timing",
    "-O3",
    "-Wall",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--output-split",
    "20000",
    "--unroll-count",
    "8",
)
SIMULATOR = "simulator"

INCLUDES = '#include "Vtop.h"\n#include "Vtop___024root.h"\n'
"""Headers of the generated class, at the head of every "design.h"."""

NO_DIRECTIONS = "`verilator_config\n"


def build(
    top: str,
    sources: Mapping[str, str],
    harness: str,
    *,
    header: str,
    library: Sequence[str] = (),
    directions: str = "",
    strict: bool = True,
    cycles: int = 0,
    waves: Format | None = None,
    progress: Progress = silent,
) -> Path:
    """Return the path of a simulator, compiled or taken from the cache of compiled programs.

    Args:
        top: Name of the top module, which becomes the C++ class Vtop.
        sources: Verilog texts by file name.
        harness: File in sim/, or an absolute path, that includes "design.h".
        header: Text of the file "design.h", without the includes of Vtop.
        library: Files in sim/ that do not depend on the design. Each is compiled once per machine.
        directions: Configuration file for Verilator, which names the signals that stay readable.
        strict: Whether a warning of Verilator is an error. False for sources that other tools
            wrote.
        cycles: Cycles of the planned run. A long one is worth a slower compilation.
        waves: Format of the waveforms that the simulator writes; None for none.
        progress: Called with the name of each step.

    Raises:
        MissingToolError: There is no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed.
    """
    flags = [*VERILATOR_FLAGS, *([] if strict else ["-Wno-fatal"]), *([waves.flag] if waves else [])]
    header = (waves.macro if waves else "") + INCLUDES + header
    ours = [
        (data_dir("sim") / n).read_text() for n in (harness, *library, *efforts.LIBRARY_HEADERS, "lint.vlt")
    ]
    texts = {name: compile_cache.code(text) for name, text in sources.items()}
    common = [texts, ours, top, header, directions, efforts.CFLAGS, flags, tools.verilator().identity]

    def make(effort: Effort, folder: Path) -> None:
        progress("compiling the simulator")
        for source, text in sources.items():
            (folder / source).write_text(text)
        (folder / "directions.vlt").write_text(directions or NO_DIRECTIONS)
        (folder / "design.h").write_text(header)
        _compile(top, list(sources), flags, _Parts(data_dir("sim") / harness, library, waves), effort, folder)

    best, *faster = efforts.for_run(cycles)
    found = [compile_cache.find("verilator", [*common, e.identity], [SIMULATOR]) for e in faster]
    made = next(filter(None, found), None) or compile_cache.entry(
        "verilator", [*common, best.identity], [SIMULATOR], partial(make, best)
    )
    return made / SIMULATOR


@dataclass(frozen=True)
class _Parts:
    """Files that are compiled and linked with a design; see `build`."""

    harness: Path
    library: Sequence[str]
    waves: Format | None

    @property
    def objects(self) -> list[str]:
        """Objects that do not depend on the design."""
        made = [*efforts.runtime(), *map(efforts.library, self.library)]
        return [*made, efforts.waves(self.waves.source)] if self.waves else made

    @property
    def libraries(self) -> tuple[str, ...]:
        """Arguments of the linker behind the objects."""
        return self.waves.libraries if self.waves else ()


def _compile(
    top: str, sources: list[str], flags: list[str], parts: _Parts, effort: Effort, folder: Path
) -> None:
    """Make the simulator in the folder that holds the sources and "design.h"."""
    command = [*efforts.verilator(), *flags, "--top-module", top, "--prefix", "Vtop", "--Mdir", "obj"]
    tools.run([*command, str(data_dir("sim") / "lint.vlt"), "directions.vlt", *sources], folder, "Verilator")
    work = folder / "obj"
    units = _units(sorted(work.glob("*.cpp")), parts.harness, work, effort.unit_bytes)
    found = ["-I.", "-I..", f"-I{data_dir('sim')}", *efforts.header_flags(effort)]
    objects = effort.compile(units, found, work)
    objects += parts.objects
    link = [tools.cxx().command, *tools.linker(), "-o", str(folder / SIMULATOR), *objects]
    tools.run([*link, *parts.libraries, *tools.threads(clang=effort.clang)], work, "linking the simulator")


def _units(generated: list[Path], harness: Path, folder: Path, most: int) -> list[Path]:
    """Bundle Verilator's many small files, because each compiled unit reads all headers again.

    Args:
        generated: Verilator's files.
        harness: The file that connects the design.
        folder: Takes the units.
        most: Bytes of the generated C++ that are one unit.
    """
    bundles: list[list[Path]] = [[harness]]
    size = 0
    for path in generated:
        size += path.stat().st_size
        if size > most:
            bundles.append([])
            size = 0
        bundles[-1].append(path)
    units = [folder / f"unit{i}.cc" for i in range(len(bundles))]
    for unit, bundle in zip(units, bundles, strict=True):
        unit.write_text("".join(f'#include "{p}"\n' for p in bundle))
    return units
