"""Compilers and flags of simulators: quick to compile for a short run, quick to run for a long one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.errors import ToolError

MEDIUM_RUN, LONG_RUN = 100_000, 4_000_000
"""Cycles from which a run is worth some optimization, and all of it.

Both the seconds that the compiler takes and those of a cycle grow with the design, so their ratio does not.
"""

CFLAGS = ("-std=c++17", "-fno-strict-aliasing", "-DVL_TIME_CONTEXT")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
"""Sources of Verilator's run-time library that a simulator needs."""

HEADER = "verilated.h"
RUNTIME_HEADER = "verilated_pch.h"

LIBRARY_HEADERS = ("harness.hpp",)
"""Headers in sim/ that the files of a library include."""


@dataclass(frozen=True)
class Effort:
    """A way to compile the C++ of a design.

    Attributes:
        compiler: The compiler.
        clang: Whether it is clang++.
        flags: Flags that make the difference.
        unit_bytes: Size of the generated C++ that is compiled as one unit.
        precompiled: Whether Verilator's header is compiled ahead of time.
    """

    compiler: tools.Tool
    clang: bool
    flags: tuple[str, ...]
    unit_bytes: int = 400_000
    precompiled: bool = True

    @property
    def identity(self) -> tuple[str, ...]:
        """Everything that the machine code depends on besides the C++."""
        machine = tools.processor() if "-march=native" in self.flags else ""
        return (*self.compiler.identity, *self.flags, machine)

    def compile(self, units: Sequence[Path], flags: Sequence[str], folder: Path) -> list[str]:
        """Compile C++ files in parallel; return the names of the objects in the folder."""

        def one(unit: Path) -> str:
            command = [self.compiler.command, *CFLAGS, *self.flags, *include_flags(), *flags, "-c", str(unit)]
            tools.run([*command, "-o", object_of(unit)], folder, f"compiling {unit.name}")
            return object_of(unit)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, units))


def for_run(cycles: int) -> list[Effort]:
    """Return the efforts that suit a run, the one to compile with first, then those whose program is faster."""
    if cycles >= LONG_RUN:
        return [_fast()]
    if cycles >= MEDIUM_RUN:
        return [medium(), _fast()]
    return list(dict.fromkeys((_quick(), medium(), _fast())))


def _quick() -> Effort:
    """No optimization with clang++; g++ compiles no faster without it."""
    effort = medium()
    return replace(effort, flags=("-O0",)) if effort.clang else effort


@cache
def medium() -> Effort:
    """Clang++ if it is there and finds its headers: it compiles faster than g++, and its programs are as fast."""
    other = tools.clang()
    if other:
        effort = Effort(other, True, ("-O1",))
        try:
            _header(replace(effort, flags=("-O0",)))
        except ToolError:  # installed without the headers of the standard library
            pass
        else:
            return effort
    return plain()


def plain() -> Effort:
    """The compiler of everything else, for what is compiled once per machine."""
    return Effort(tools.cxx(), tools.is_clang(), ("-O1",))


def _fast() -> Effort:
    flags = ("-O3", "-march=native")
    return replace(medium(), flags=flags, unit_bytes=4_000_000, precompiled=False)


def header_flags(effort: Effort) -> tuple[str, ...]:
    """Return the flags that include Verilator's header, compiled ahead of time if that is worth it."""
    if not effort.precompiled:
        return ()
    folder = _header(effort)
    if effort.clang:
        return ("-include-pch", str(folder / f"{RUNTIME_HEADER}.pch"))
    return ("-include", str(folder / RUNTIME_HEADER))


@cache
def _header(effort: Effort) -> Path:
    """Return a folder with Verilator's header, compiled ahead of time once per machine.

    g++ looks for the result beside a header that includes it. clang++ checks the files that it was made from, so it is
    made from Verilator's own.
    """

    def build(folder: Path) -> None:
        (folder / RUNTIME_HEADER).write_text(f'#include "{HEADER}"\n')
        source = str(include_dir() / HEADER) if effort.clang else RUNTIME_HEADER
        options = (
            *CFLAGS,
            *effort.flags,
            *include_flags(),
            *(("-fpch-instantiate-templates",) * effort.clang),
        )
        command = [effort.compiler.command, *options, "-x", "c++-header", source, "-o", made]
        tools.run(command, folder, "compiling Verilator's header")

    made = f"{RUNTIME_HEADER}.{'pch' if effort.clang else 'gch'}"
    installed = max(file.stat().st_mtime_ns for file in include_dir().glob("*.h"))  # clang++ checks that, too
    ingredients = [tools.verilator().identity, str(include_dir()), installed, effort.identity, CFLAGS]
    return compile_cache.entry("verilator-header", ingredients, [RUNTIME_HEADER, made], build)


@cache
def runtime() -> list[str]:
    """Return the objects of Verilator's run-time library, compiled once per machine."""
    effort = plain()

    def build(folder: Path) -> None:
        effort.compile([include_dir() / n for n in RUNTIME], (), folder)

    files = [object_of(n) for n in RUNTIME]
    ingredients = [tools.verilator().identity, effort.identity, CFLAGS]
    folder = compile_cache.entry("verilator-runtime", ingredients, files, build)
    return [str(folder / n) for n in files]


@cache
def library(source: str) -> str:
    """Return the object of a file in sim/ that does not depend on a design, compiled once per machine."""
    path = data_dir("sim") / source
    effort = plain()

    def build(folder: Path) -> None:
        effort.compile([path], [f"-I{path.parent}"], folder)

    texts = [p.read_text() for p in (path, *(path.parent / h for h in LIBRARY_HEADERS))]
    ingredients = [tools.verilator().identity, effort.identity, CFLAGS, texts]
    return str(
        compile_cache.entry("verilator-library", ingredients, [object_of(path)], build) / object_of(path)
    )


@cache
def waves(source: str) -> str:
    """Return the object of a file of Verilator's library that writes waveforms, compiled once per machine."""
    effort = plain()

    def build(folder: Path) -> None:
        effort.compile([include_dir() / source], (), folder)

    ingredients = [tools.verilator().identity, effort.identity, CFLAGS, source]
    made = object_of(source)
    return str(compile_cache.entry("verilator-runtime", ingredients, [made], build) / made)


def object_of(source: Path | str) -> str:
    """Return the name of the object file of a C++ source."""
    return Path(source).with_suffix(".o").name


@cache
def include_dir() -> Path:
    """Return the folder of Verilator's C++ sources."""
    text = tools.run([tools.verilator().command, "--getenv", "VERILATOR_ROOT"], Path.cwd(), "Verilator")
    return Path(text.strip()) / "include"


def include_flags() -> tuple[str, ...]:
    """Return the compiler's flags that find Verilator's headers."""
    return (f"-I{include_dir()}", f"-I{include_dir() / 'vltstd'}")


@cache
def verilator() -> tuple[str, ...]:
    """Return the command of Verilator's own program, without the scripts that look for it and take longer than it."""
    root = include_dir().parent
    for binary in (
        root / "bin" / "verilator_bin",
        Path(tools.verilator().command).with_name("verilator_bin"),
    ):
        command = ("env", f"VERILATOR_ROOT={root}", str(binary))
        try:
            if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
                return command
        except OSError:  # no `env` here
            break
    return (tools.verilator().command,)
