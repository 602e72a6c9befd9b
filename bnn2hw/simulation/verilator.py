"""Verilog and a harness in C++ to a program, with Verilator; what was built before comes from a cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.progress import Progress, silent

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
HEADER = "verilated_pch.h"
SIMULATOR = "simulator"
UNIT_BYTES = 400_000
"""Generated C++ that is compiled as one unit."""

HEAD = '#include "Vtop.h"\n#include "Vtop___024root.h"\n'


def build(
    top: str,
    sources: Mapping[str, str],
    harness: str,
    *,
    header: str,
    directions: str = "",
    strict: bool = True,
    progress: Progress = silent,
) -> Path:
    """The compiled simulator of some sources.

    Args:
        top: the top module, which becomes the class Vtop.
        sources: texts by file name.
        harness: a file of sim/ with the main program.
        header: what the harness includes as "design.h", less the headers of Vtop.
        directions: for Verilator: which signals to keep readable.
        strict: whether a warning is an error, as it must be for what we write ourselves.
        progress: told what is being done.

    Raises:
        MissingToolError: no Verilator or no C++ compiler.
        ToolError: one of them failed.
    """
    flags = [*VERILATOR_FLAGS, *([] if strict else ["-Wno-fatal"])]
    ours = [(data_dir("sim") / n).read_text() for n in (harness, "lint.vlt")]

    def make(folder: Path) -> None:
        progress("compiling the simulator")
        for source, text in sources.items():
            (folder / source).write_text(text)
        (folder / "directions.vlt").write_text(directions or "`verilator_config\n")
        _compile(top, list(sources), flags, HEAD + header, data_dir("sim") / harness, folder)

    ingredients = [dict(sources), ours, top, header, directions, CFLAGS, flags, *_tools()]
    return compile_cache.entry("verilator", ingredients, [SIMULATOR], make) / SIMULATOR


def _tools() -> list[tuple[str, ...]]:
    return [tools.verilator().identity, tools.cxx().identity]


def _compile(
    top: str, sources: list[str], flags: list[str], header: str, harness: Path, folder: Path
) -> None:
    """Make the simulator in a folder that holds the sources."""
    command = [tools.verilator().command, *flags, "--top-module", top, "--prefix", "Vtop", "--Mdir", "obj"]
    tools.run([*command, str(data_dir("sim") / "lint.vlt"), "directions.vlt", *sources], folder, "Verilator")
    work = folder / "obj"
    (work / "design.h").write_text(header)
    runtime = _runtime()
    units = _units(sorted(work.glob("*.cpp")), harness, work)
    _compile_units(units, [*_flags(), "-I.", "-include", str(runtime / HEADER)], work)
    objects = [u.with_suffix(".o").name for u in units]
    objects += [str(runtime / Path(n).with_suffix(".o").name) for n in RUNTIME]
    link = [tools.cxx().command, "-o", str(folder / SIMULATOR), *objects, "-pthread"]
    tools.run(link, work, "linking the simulator")


def _units(generated: list[Path], harness: Path, folder: Path) -> list[Path]:
    """Bundle the many small files that Verilator writes, since each alone would pay for the headers again."""
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
    def one(unit: Path) -> None:
        out = unit.with_suffix(".o").name
        tools.run([tools.cxx().command, *flags, "-c", str(unit), "-o", out], folder, f"compiling {unit.name}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, units))


def _flags() -> list[str]:
    include = _include_dir()
    return [*CFLAGS, f"-I{include}", f"-I{include / 'vltstd'}"]


@cache
def _include_dir() -> Path:
    """Verilator's own C++ sources."""
    text = tools.run([tools.verilator().command, "--getenv", "VERILATOR_ROOT"], Path.cwd(), "Verilator")
    return Path(text.strip()) / "include"


@cache
def _runtime() -> Path:
    """Return a folder with Verilator's run-time library and its precompiled header, which all designs share."""

    def build(folder: Path) -> None:
        _compile_units([_include_dir() / n for n in RUNTIME], _flags(), folder)
        (folder / HEADER).write_text('#include "verilated.h"\n')
        header = [tools.cxx().command, *_flags(), "-x", "c++-header", HEADER, "-o", f"{HEADER}.gch"]
        tools.run(header, folder, "compiling Verilator's header")

    files = [*(Path(n).with_suffix(".o").name for n in RUNTIME), HEADER, f"{HEADER}.gch"]
    return compile_cache.entry("verilator-runtime", [*_tools(), _flags()], files, build)
