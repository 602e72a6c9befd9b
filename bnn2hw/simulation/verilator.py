"""Compile Verilog and a C++ main program into a simulator with Verilator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation.waves import Format

CFLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-DVL_TIME_CONTEXT")
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
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
"""Sources of Verilator's run-time library that a simulator needs."""

RUNTIME_HEADER = "verilated_pch.h"
SIMULATOR = "simulator"

LIBRARY_HEADERS = ("harness.hpp",)
"""Headers in sim/ that the files of a library include."""

UNIT_BYTES = 400_000
"""Size of the generated C++ that is compiled as one unit."""

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
        waves: Format of the waveforms that the simulator writes; None for none.
        progress: Called with the name of each step.

    Raises:
        MissingToolError: There is no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed.
    """
    flags = [*VERILATOR_FLAGS, *([] if strict else ["-Wno-fatal"]), *([waves.flag] if waves else [])]
    header = (waves.macro if waves else "") + INCLUDES + header
    ours = [(data_dir("sim") / n).read_text() for n in (harness, *library, *LIBRARY_HEADERS, "lint.vlt")]

    def make(folder: Path) -> None:
        progress("compiling the simulator")
        for source, text in sources.items():
            (folder / source).write_text(text)
        (folder / "directions.vlt").write_text(directions or NO_DIRECTIONS)
        (folder / "design.h").write_text(header)
        _compile(top, list(sources), flags, _Parts(data_dir("sim") / harness, library, waves), folder)

    texts = {name: compile_cache.code(text) for name, text in sources.items()}
    ingredients = [texts, ours, top, header, directions, CFLAGS, flags, *_tools()]
    return compile_cache.entry("verilator", ingredients, [SIMULATOR], make) / SIMULATOR


def _tools() -> list[tuple[str, ...]]:
    """Identify the tools that a simulator depends on."""
    return [tools.verilator().identity, tools.cxx().identity]


@dataclass(frozen=True)
class _Parts:
    """What is compiled and linked with a design; see `build`."""

    harness: Path
    library: Sequence[str]
    waves: Format | None

    @property
    def objects(self) -> list[str]:
        """Objects that do not depend on the design."""
        runtime = [str(_runtime() / _object(n)) for n in RUNTIME]
        return (
            runtime
            + [str(_compiled(n)) for n in self.library]
            + ([str(_waves(self.waves))] if self.waves else [])
        )

    @property
    def libraries(self) -> tuple[str, ...]:
        """Last arguments of the linker."""
        return (*tools.threads(), *(self.waves.libraries if self.waves else ()))


def _compile(top: str, sources: list[str], flags: list[str], parts: _Parts, folder: Path) -> None:
    """Make the simulator in the folder that holds the sources and "design.h"."""
    command = [tools.verilator().command, *flags, "--top-module", top, "--prefix", "Vtop", "--Mdir", "obj"]
    tools.run([*command, str(data_dir("sim") / "lint.vlt"), "directions.vlt", *sources], folder, "Verilator")
    work = folder / "obj"
    runtime = _runtime()
    units = _units(sorted(work.glob("*.cpp")), parts.harness, work)
    includes = ["-I.", "-I..", f"-I{data_dir('sim')}", "-include", str(runtime / RUNTIME_HEADER)]
    _compile_units(units, [*_flags(), *includes], work)
    objects = [*(_object(u) for u in units), *parts.objects]
    link = [tools.cxx().command, "-o", str(folder / SIMULATOR), *objects, *parts.libraries]
    tools.run(link, work, "linking the simulator")


def _units(generated: list[Path], harness: Path, folder: Path) -> list[Path]:
    """Bundle Verilator's many small files, because each compiled unit reads all headers again."""
    bundles: list[list[Path]] = [[harness]]
    size = 0
    for path in generated:
        size += path.stat().st_size
        if size > UNIT_BYTES:
            bundles.append([])
            size = 0
        bundles[-1].append(path)
    units = [folder / f"unit{i}.cc" for i in range(len(bundles))]
    for unit, bundle in zip(units, bundles, strict=True):
        unit.write_text("".join(f'#include "{p}"\n' for p in bundle))
    return units


def _compile_units(units: list[Path], flags: list[str], folder: Path) -> None:
    """Compile C++ files in parallel to objects of the same names in a folder."""

    def one(unit: Path) -> None:
        out = _object(unit)
        tools.run([tools.cxx().command, *flags, "-c", str(unit), "-o", out], folder, f"compiling {unit.name}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, units))


def _object(source: Path | str) -> str:
    """Return the name of the object file of a C++ source."""
    return Path(source).with_suffix(".o").name


def _flags() -> list[str]:
    """Return the compiler's flags for all files that include Verilator's headers."""
    include = _include_dir()
    return [*CFLAGS, f"-I{include}", f"-I{include / 'vltstd'}"]


@cache
def _include_dir() -> Path:
    """Return the folder of Verilator's C++ sources."""
    text = tools.run([tools.verilator().command, "--getenv", "VERILATOR_ROOT"], Path.cwd(), "Verilator")
    return Path(text.strip()) / "include"


@cache
def _runtime() -> Path:
    """Return a folder with Verilator's run-time library and precompiled header, compiled once."""

    def build(folder: Path) -> None:
        _compile_units([_include_dir() / n for n in RUNTIME], _flags(), folder)
        (folder / RUNTIME_HEADER).write_text('#include "verilated.h"\n')
        for made in tools.precompiled(RUNTIME_HEADER):
            command = [tools.cxx().command, *_flags(), "-x", "c++-header", RUNTIME_HEADER, "-o", made]
            tools.run(command, folder, "compiling Verilator's header")

    files = [*map(_object, RUNTIME), RUNTIME_HEADER, *tools.precompiled(RUNTIME_HEADER)]
    return compile_cache.entry("verilator-runtime", [*_tools(), _flags()], files, build)


@cache
def _waves(form: Format) -> Path:
    """Return the object file of the part of Verilator's library that writes waveforms, compiled once."""

    def build(folder: Path) -> None:
        _compile_units([_include_dir() / form.source], _flags(), folder)

    made = compile_cache.entry(
        "verilator-runtime", [*_tools(), _flags(), form.name], [_object(form.source)], build
    )
    return made / _object(form.source)


@cache
def _compiled(source: str) -> Path:
    """Return the object file of a file in sim/ that does not depend on a design, compiled once."""
    path = data_dir("sim") / source

    def build(folder: Path) -> None:
        _compile_units([path], [*_flags(), f"-I{path.parent}"], folder)

    texts = [p.read_text() for p in (path, *(path.parent / h for h in LIBRARY_HEADERS))]
    entry = compile_cache.entry("verilator-library", [*_tools(), _flags(), texts], [_object(path)], build)
    return entry / _object(path)
