"""Compile a program for this machine, once, and run it."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from bnn2hw import compile_cache, golden, tools
from bnn2hw.data_files import data_dir
from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.native.compiler import Compiler
from bnn2hw.native.kernels import HANDLERS
from bnn2hw.native.program import ALIGNMENT, CPP_TYPES, SIZES, TYPES, Port, Program
from bnn2hw.progress import Progress, silent
from bnn2hw.version import __version__

FLAGS = ("-std=c++17", "-O3", "-Wall", "-Wextra", "-Werror", "-fPIC")

_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma")
LIBRARY, OBJECT = "network.so", "kernels.o"

VERSIONS = {
    "plain": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": _AVX512,
    "avx512popcnt": (*_AVX512, "-mavx512vpopcntdq"),
}
"""Options of the compiler by instruction set; all but the plain one are for x86-64."""

CACHED = 1 << 20
"""Bytes of working memory that a batch stays within if it can: a share of a second-level cache."""

MOST_IMAGES = 16
"""Images of a batch at most."""


def versions() -> tuple[str, ...]:
    """The instruction sets that are compiled on this machine's kind of processor."""
    return tuple(VERSIONS) if platform.machine() in ("x86_64", "AMD64") else ("plain",)


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


def build(sources: Mapping[str, str], progress: Progress = silent) -> Path:
    """Compile sources and kernels to a library, from the cache if they were compiled before.

    Args:
        sources: Texts by file name.
        progress: Told what is being done.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    objects = [_kernels(version, progress) for version in versions()]
    ours = data_dir("sim") / "native"

    def link(folder: Path) -> None:
        progress("compiling native code")
        for file, text in sources.items():
            (folder / file).write_text(text)
        texts = [name for name in sources if name.endswith(".cpp")] + [str(ours / "choose.cpp")]
        command = [tools.cxx().command, *FLAGS, "-shared", f"-I{ours}", *texts, *map(str, objects)]
        tools.run([*command, "-o", LIBRARY], folder, "compiling native code")

    ingredients = [*_ingredients(), sorted(sources.items())]
    return compile_cache.entry("native", ingredients, [LIBRARY], link) / LIBRARY


def _kernels(version: str, progress: Progress) -> Path:
    """The object file of the kernels for an instruction set."""

    def compile_kernels(folder: Path) -> None:
        progress(f"compiling native kernels for {version}")
        options = (*FLAGS, *VERSIONS[version], f"-DBNN2HW_VERSION={version}")
        source = str(data_dir("sim") / "native" / "kernels.cpp")
        tools.run(
            [tools.cxx().command, *options, "-c", source, "-o", OBJECT], folder, "compiling native kernels"
        )

    ingredients = [*_ingredients(), version, VERSIONS[version]]
    return compile_cache.entry("native-kernels", ingredients, [OBJECT], compile_kernels) / OBJECT


def _ingredients() -> list[Any]:
    """Return the ingredients of all compiled native code."""
    texts = [(p.name, p.read_text()) for p in sorted((data_dir("sim") / "native").iterdir())]
    return [texts, FLAGS, tools.cxx().command, tools.cxx().release, platform.machine()]


@dataclass(frozen=True)
class _Functions:
    """The functions of a network in a loaded library."""

    memory: Any
    run: Any


@cache
def _functions(path: Path, prefix: str) -> _Functions:
    library = ctypes.CDLL(str(path))
    made = _Functions(library[f"{prefix}_memory"], library[f"{prefix}_run"])
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    made.memory.restype, made.memory.argtypes = size, [size]
    made.run.argtypes = [ctypes.c_char_p, pointer, pointer, size, pointer, size, pointer]
    return made


@dataclass(frozen=True, eq=False)
class NativeNetwork:
    """A compiled network.

    Attributes:
        program: Its calls and constants.
        library: The compiled library.
        prefix: Beginning of its functions' names.
        shapes: By edge that leaves, the shape of one sample.
    """

    program: Program
    library: Path
    prefix: str
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def _constants(self) -> Array:
        data = np.empty(len(self.program.constants) + ALIGNMENT, np.uint8)
        first = -data.ctypes.data % ALIGNMENT
        aligned = data[first : first + len(self.program.constants)]
        aligned[:] = np.frombuffer(self.program.constants, np.uint8)
        return aligned

    @property
    def capacity(self) -> int:
        """Images that go through each kernel at once."""
        return int(max(1, min(MOST_IMAGES, CACHED // max(self.program.arena, 1))))

    def run(self, x: Batch, threads: int | None = None, version: str = "") -> dict[str, Array]:
        """Compute a batch.

        Args:
            x: Integers of shape (frames, *input shape), by name where there are several inputs.
            threads: How many work on the batch; as many as there are processors by default.
            version: Instruction set; the best one of this processor by default.

        Returns:
            Integers of shape (frames, *edge shape) by name of each edge that leaves.

        Raises:
            InputError: The processor lacks the instruction set.
        """
        arrays = golden.by_name(tuple(p.name for p in self.program.inputs), x)
        inputs = [_contiguous(arrays[p.name], p) for p in self.program.inputs]
        frames = len(inputs[0])
        outputs = [np.empty((frames, p.size), _dtype(p)) for p in self.program.outputs]
        workers = min(threads or os.cpu_count() or 1, max(1, frames // self.capacity))
        edges = np.linspace(0, frames, workers + 1).astype(int)
        parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
        if workers == 1:
            self._part(inputs, outputs, parts[0], version)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda part: self._part(inputs, outputs, part, version), parts))
        return {
            p.name: values.reshape(frames, *self.shapes[p.name])
            for p, values in zip(self.program.outputs, outputs, strict=True)
        }

    def _part(self, inputs: list[Array], outputs: list[Array], frames: slice, version: str) -> None:
        functions = _functions(self.library, self.prefix)
        some_in, some_out = ([a[frames] for a in arrays] for arrays in (inputs, outputs))
        capacity = max(1, min(self.capacity, frames.stop - frames.start))
        memory = np.empty(functions.memory(capacity), np.uint8)
        failed = functions.run(
            version.encode() or None,
            self._constants.ctypes.data,
            memory.ctypes.data,
            capacity,
            _addresses(some_in),
            frames.stop - frames.start,
            _addresses(some_out),
        )
        if failed:
            raise InputError(f"this processor does not run '{version}'; versions: {', '.join(versions())}")


def _contiguous(values: Array, port: Port) -> Array:
    return np.ascontiguousarray(values, _dtype(port))


def _dtype(port: Port) -> np.dtype[np.generic]:
    return np.dtype(TYPES[port.element])


def _addresses(arrays: list[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


def network(
    graph: Graph, name: str, keep: frozenset[str] = frozenset(), progress: Progress = silent
) -> NativeNetwork:
    """Compile a graph without FIFOs and converters for this machine.

    Args:
        graph: The graph.
        name: Name of the network.
        keep: Edges whose values leave too.
        progress: Told what is being done.

    Raises:
        UnsupportedError: The graph has ops that native code does not know.
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    return networks({name: graph}, {name: keep}, progress)[name]


def networks(
    graphs: Mapping[str, Graph], keep: Mapping[str, frozenset[str]], progress: Progress = silent
) -> dict[str, NativeNetwork]:
    """Compile several graphs into one library; see `network`."""
    programs = {name: compile_graph(graph, keep[name]) for name, graph in graphs.items()}
    prefixes = {name: f"network{i or ''}" for i, name in enumerate(programs)}
    sources: dict[str, str] = {}
    for name, program in programs.items():
        sources |= render(program, name, prefixes[name])
    library = build(sources, progress)
    return {
        name: NativeNetwork(
            program,
            library,
            prefixes[name],
            {p.name: graphs[name].types[p.name].shape for p in program.outputs},
        )
        for name, program in programs.items()
    }
