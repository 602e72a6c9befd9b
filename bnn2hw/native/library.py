"""Compile a program for this machine, once, and run it."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import compile_cache, golden, tools
from bnn2hw.errors import InputError, ToolError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.native import sources as native_sources
from bnn2hw.native.memory import Memory, Shaped, address, pointers
from bnn2hw.native.program import ALIGNMENT, Program
from bnn2hw.native.sources import VERSIONS, capacity, compile_graph, render, versions
from bnn2hw.progress import Progress, silent

FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror", "-fPIC")

LIBRARY, OBJECT, UNIT = "network.so", "made.o", "unit.cc"


PROBE = """#include "kernels.hpp"
extern "C" int bnn2hw_runs(const char* version) { return bnn2hw::runs(version); }
"""


def fastest(progress: Progress = silent) -> str:
    """Return the fastest instruction set of this processor.

    Args:
        progress: Told what is being done.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed, or what it made cannot be loaded.
    """
    return next(v for v in reversed(versions()) if runs(v, progress))


def runs(version: str, progress: Progress = silent) -> bool:
    """True if this processor has an instruction set; see `fastest`."""
    name = "processor.so"

    def compile_probe(folder: Path) -> None:
        (folder / "probe.cpp").write_text(PROBE)
        ours = native_sources.folder()
        progress("compiling native code")
        texts = ["-shared", f"-I{ours}", "probe.cpp", str(ours / "processor.cpp"), "-o", name]
        tools.run([tools.cxx().command, *FLAGS, *texts], folder, "compiling native code")

    path = compile_cache.entry("native-processor", [*_ingredients(), PROBE], [name], compile_probe) / name
    return bool(_loaded(path).bnn2hw_runs(version.encode()))


def build(sources: Mapping[str, str], version: str, progress: Progress = silent) -> Path:
    """Compile sources and kernels to a library, from the cache if they were compiled before.

    Args:
        sources: Texts by file name.
        version: Instruction set of the kernels.
        progress: Told what is being done.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    objects = [compiled_kernels(version, progress), _calls(sources, progress)]
    ours = native_sources.folder()
    texts = [ours / "choose.cpp", ours / "processor.cpp", *objects]
    chosen = f"-DBNN2HW_ONLY={version}"

    def link(folder: Path) -> None:
        command = [tools.cxx().command, *FLAGS, chosen, "-shared", f"-I{ours}", *map(str, texts)]
        tools.run([*command, "-o", LIBRARY], folder, "compiling native code")

    ingredients = [*_ingredients(), version, sorted(sources.items())]
    return compile_cache.entry("native", ingredients, [LIBRARY], link) / LIBRARY


def _calls(sources: Mapping[str, str], progress: Progress) -> Path:
    """The object file of networks, which call the kernels of any instruction set.

    They are one unit: the headers take longer to read than a network takes to compile.
    """
    unit = "".join(map(_included, (Path(name) for name in sources if name.endswith(".cpp"))))

    def compile_calls(folder: Path) -> None:
        progress("compiling native code")
        for file, text in {**sources, UNIT: unit}.items():
            (folder / file).write_text(text)
        command = [tools.cxx().command, *FLAGS, "-c", f"-I{native_sources.folder()}", UNIT, "-o", OBJECT]
        tools.run(command, folder, "compiling native code")

    ingredients = [*_ingredients(), unit, sorted(sources.items())]
    return compile_cache.entry("native-calls", ingredients, [OBJECT], compile_calls) / OBJECT


def _included(source: Path) -> str:
    """Include a network in a unit, where the function that all networks have needs a name of its own."""
    return f'#define batch {source.stem}_batch\n#include "{source.name}"\n#undef batch\n'


def compiled_kernels(version: str, progress: Progress) -> Path:
    """The object file of the kernels for an instruction set."""

    def compile_kernels(folder: Path) -> None:
        progress(f"compiling native kernels for {version}")
        options = (*FLAGS, *VERSIONS[version], f"-DBNN2HW_VERSION={version}")
        source = str(native_sources.folder() / "kernels.cpp")
        tools.run(
            [tools.cxx().command, *options, "-c", source, "-o", OBJECT], folder, "compiling native kernels"
        )

    ingredients = [*_ingredients(), version, VERSIONS[version]]
    return compile_cache.entry("native-kernels", ingredients, [OBJECT], compile_kernels) / OBJECT


def _ingredients() -> list[Any]:
    """Return the ingredients of all compiled native code."""
    return [
        native_sources.kernel_files(),
        FLAGS,
        tools.cxx().command,
        tools.cxx().release,
        platform.machine(),
    ]


@dataclass(frozen=True)
class _Functions:
    """The functions of a network in a loaded library."""

    memory: Any
    run: Any


@dataclass(frozen=True, eq=False)
class Library:
    """Sources that are compiled when they are first used.

    Attributes:
        sources: Texts by file name.
        progress: Told what is being done.
    """

    sources: Mapping[str, str]
    progress: Progress = silent

    @cached_property
    def fastest(self) -> Path:
        """The file with the kernels for the fastest instruction set of this processor."""
        return build(self.sources, fastest(self.progress), self.progress)

    def of(self, version: str) -> Path:
        """Return the file with the kernels for one instruction set; the fastest if it has no name.

        Raises:
            InputError: The processor lacks the instruction set.
        """
        if not version:
            return self.fastest
        if not runs(version, self.progress):
            raise InputError(f"this processor does not run '{version}'; versions: {', '.join(versions())}")
        return build(self.sources, version, self.progress)


@cache
def _loaded(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:  # compiled on another machine of a cache that is shared
        raise ToolError(f"the compiled native code cannot be loaded: {error}") from error


@cache
def _functions(path: Path, prefix: str) -> _Functions:
    library = _loaded(path)
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
        library: The library that it is a part of.
        prefix: Beginning of its functions' names.
        shapes: By edge that leaves, the shape of one sample.
    """

    program: Program
    library: Library
    prefix: str
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def _constants(self) -> Array:
        data = np.empty(len(self.program.constants) + ALIGNMENT, np.uint8)
        first = -data.ctypes.data % ALIGNMENT
        aligned = data[first : first + len(self.program.constants)]
        aligned[:] = np.frombuffer(self.program.constants, np.uint8)
        return aligned

    @cached_property
    def _data(self) -> int:
        """The address of the constants."""
        return address(self._constants)

    @cached_property
    def _free(self) -> list[Memory]:
        """Working memory that no call uses."""
        return []

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self._inputs)

    @cached_property
    def _inputs(self) -> list[Shaped]:
        return [Shaped.of(p) for p in self.program.inputs]

    @cached_property
    def _outputs(self) -> list[Shaped]:
        return [Shaped.of(p, self.shapes[p.name]) for p in self.program.outputs]

    @cached_property
    def capacity(self) -> int:
        """Images that go through each kernel at once."""
        return capacity(self.program)

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
        arrays = golden.by_name(self._names, x)
        inputs = [np.ascontiguousarray(arrays[p.name], p.dtype) for p in self._inputs]
        frames = len(inputs[0])
        outputs = [np.empty((frames, *p.shape), p.dtype) for p in self._outputs]
        library = self.library.of(version)
        self._share(library, list(map(address, inputs)), list(map(address, outputs)), frames, threads)
        return {p.name: values for p, values in zip(self._outputs, outputs, strict=True)}

    def _share(
        self, library: Path, inputs: list[int], outputs: list[int], frames: int, threads: int | None
    ) -> None:
        """Divide frames among threads.

        Args:
            library: The file with the compiled network.
            inputs: Addresses of the arrays that enter.
            outputs: Addresses of the arrays that leave.
            frames: How many there are.
            threads: How many work on them at most, or None.
        """
        workers = frames // self.capacity and min(threads or os.cpu_count() or 1, frames // self.capacity)
        if workers <= 1:
            self._part(library, inputs, outputs, 0, frames)
            return
        edges = np.linspace(0, frames, workers + 1).astype(int).tolist()
        with ThreadPoolExecutor(workers) as pool:
            list(
                pool.map(
                    lambda part: self._part(library, inputs, outputs, part[0], part[1]),
                    itertools.pairwise(edges),
                )
            )

    def _part(self, library: Path, inputs: list[int], outputs: list[int], begin: int, end: int) -> None:
        functions = _functions(library, self.prefix)
        capacity = max(1, min(self.capacity, end - begin))
        memory = self._memory(functions, capacity)
        failed = functions.run(
            None,
            self._data,
            memory.address,
            capacity,
            pointers(inputs, self._inputs, begin),
            end - begin,
            pointers(outputs, self._outputs, begin),
        )
        self._free.append(memory)
        if failed:
            raise ToolError("the compiled native code has no kernels for this processor")

    def _memory(self, functions: _Functions, capacity: int) -> Memory:
        """Take working memory for some images, which nobody else uses."""
        try:
            memory = self._free.pop()
        except IndexError:
            return Memory.of(capacity, functions.memory(capacity))
        return memory if memory.capacity >= capacity else Memory.of(capacity, functions.memory(capacity))


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
        ToolError: The compiler failed, or what it made cannot be loaded.
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
    library = Library(sources, progress)
    for prefix in prefixes.values():
        _functions(library.fastest, prefix)
    return {
        name: NativeNetwork(
            program,
            library,
            prefixes[name],
            {p.name: graphs[name].types[p.name].shape for p in program.outputs},
        )
        for name, program in programs.items()
    }
