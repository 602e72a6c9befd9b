"""Print a network as C++: the calls of its kernels, and the kernels themselves."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import jinja2

from bnn2hw.data_files import data_dir
from bnn2hw.ir import Graph
from bnn2hw.native import kernels, lut_kernel, matrix, signs  # noqa: F401 - they register their handlers
from bnn2hw.native.compiler import Compiler
from bnn2hw.native.program import ALIGNMENT, CPP_TYPES, SIZES, Port, Program
from bnn2hw.native.registry import HANDLERS
from bnn2hw.version import __version__

_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma")

VERSIONS = {
    "plain": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": _AVX512,
    "avx512vnni": (*_AVX512, "-mavx512vnni"),
    "avx512popcnt": (*_AVX512, "-mavx512vnni", "-mavx512bitalg"),
}
"""Options of the compiler by instruction set; all but the plain one are for x86-64."""

CACHED = 1 << 20
"""Bytes of working memory that a batch stays within if it can: a share of a second-level cache."""

MOST_IMAGES = 16
"""Images of a batch at most."""


def versions() -> tuple[str, ...]:
    """The instruction sets that are compiled on this machine's kind of processor."""
    return tuple(VERSIONS) if platform.machine() in ("x86_64", "AMD64") else ("plain",)


def capacity(program: Program) -> int:
    """Images that go through each kernel at once."""
    return int(max(1, min(MOST_IMAGES, CACHED // max(program.arena, 1))))


def kernel_files() -> dict[str, str]:
    """The sources of the kernels by file name."""
    return {p.name: p.read_text() for p in sorted(folder().iterdir()) if p.is_file()}


def folder() -> Path:
    """The folder of the sources of the kernels."""
    return data_dir("sim") / "native"


def compile_graph(graph: Graph, keep: frozenset[str] = frozenset()) -> Program:
    """Translate a streamed graph without its FIFOs and converters.

    Args:
        graph: The graph.
        keep: Edges whose values leave the program too, in the order of their names.

    Raises:
        UnsupportedError: The graph has ops that native code does not know.
    """
    return Compiler(graph, keep).run(HANDLERS)


def render(program: Program, name: str, prefix: str = "network") -> dict[str, str]:
    """Print a program as C++ sources, by file name.

    Args:
        program: The program.
        name: Name of the network, for comments.
        prefix: C identifier that the names of its functions and files begin with.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates") / "native"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - C++, not HTML
    )
    data: dict[tuple[int, str], str] = {}

    def constant(match: re.Match[str]) -> str:
        key = int(match[2]), match[1]
        return data.setdefault(key, f"c{len(data)}")

    def printed(argument: str) -> str:
        placed = re.sub(r"\b(at|words)\((\d+)\)", lambda m: f"{m[1]}({program.offsets[int(m[2])]})", argument)
        return re.sub(r"data<([\w:]+)>\((\d+)\)", constant, placed)

    steps = [{"kernel": s.kernel, "arguments": [printed(a) for a in s.arguments]} for s in program.steps]
    facts = {
        "name": name,
        "prefix": prefix,
        "version": __version__,
        "steps": steps,
        "data": list(data),
        "inputs": [_described(p) for p in program.inputs],
        "outputs": [_described(p) for p in program.outputs],
        "arena": program.arena,
        "constants": len(program.constants),
        "alignment": ALIGNMENT,
    }
    return {
        f"{prefix}.{kind}": environment.get_template(f"network.{kind}.j2").render(**facts)
        for kind in ("cpp", "hpp")
    }


def _described(port: Port) -> dict[str, object]:
    return {
        "name": port.name,
        "size": port.size,
        "bytes": port.size * SIZES[port.element],
        "c_type": CPP_TYPES[port.element].removeprefix("std::"),
    }
