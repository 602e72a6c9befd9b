"""Compile a program for this machine, once, and run it."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import jinja2
import numpy as np

from bnn2hw import golden, tools
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


def render(program: Program, name: str) -> dict[str, str]:
    """Print a program as C++ sources, by file name."""
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
        file: environment.get_template(f"{file}.j2").render(**facts)
        for file in ("network.cpp", "network.hpp")
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

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    compiler = tools.cxx()
    key = _key(sources, compiler.release)
    target = tools.cache_dir() / "native" / f"{key}.so"
    if target.exists():
        return target
    progress("compiling native code")
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        folder = Path(name)
        for file, text in sources.items():
            (folder / file).write_text(text)
        objects = [str(_kernels(version)) for version in versions()]
        ours = data_dir("sim") / "native"
        command = [compiler.command, *FLAGS, "-shared", f"-I{ours}", "network.cpp", str(ours / "choose.cpp")]
        tools.run([*command, *objects, "-o", "made.so"], folder, "compiling native code")
        tools.install(folder / "made.so", target)
    return target


def _kernels(version: str) -> Path:
    """The object file of the kernels for an instruction set."""
    ours = data_dir("sim") / "native"
    compiler = tools.cxx()
    texts = {p.name: p.read_text() for p in sorted(ours.iterdir())}
    key = _key(texts, compiler.release, version, *VERSIONS[version])
    target = tools.cache_dir() / "native" / f"{key}.o"
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
            folder = Path(name)
            for file in texts:
                shutil.copy(ours / file, folder)
            options = (*FLAGS, *VERSIONS[version], f"-DBNN2HW_VERSION={version}")
            command = [compiler.command, *options, "-c", "kernels.cpp", "-o", "made.o"]
            tools.run(command, folder, "compiling native kernels")
            tools.install(folder / "made.o", target)
    return target


def _key(texts: Mapping[str, str], *more: object) -> str:
    what = [sorted(texts.items()), __version__, FLAGS, *map(str, more), platform.machine()]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


@cache
def _library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.bnn2hw_memory.restype, library.bnn2hw_memory.argtypes = size, [size]
    library.bnn2hw_run.argtypes = [ctypes.c_char_p, pointer, pointer, size, pointer, size, pointer]
    library.bnn2hw_version.restype = ctypes.c_char_p
    return library


@dataclass(frozen=True, eq=False)
class NativeNetwork:
    """A compiled network.

    Attributes:
        program: Its calls and constants.
        library: The compiled library.
        shapes: By edge that leaves, the shape of one sample.
    """

    program: Program
    library: Path
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
        library = _library(self.library)
        some_in, some_out = ([a[frames] for a in arrays] for arrays in (inputs, outputs))
        capacity = max(1, min(self.capacity, frames.stop - frames.start))
        memory = np.empty(library.bnn2hw_memory(capacity), np.uint8)
        failed = library.bnn2hw_run(
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
    """Compile a graph without FIFOs and converters for this machine."""
    program = compile_graph(graph, keep)
    library = build(render(program, name), progress)
    return NativeNetwork(program, library, {p.name: graph.types[p.name].shape for p in program.outputs})
