"""Compile the sources of native code, let them check themselves, and compare them with golden on further frames."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bnn2hw import compile_cache, golden, tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import ToolError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.native import program
from bnn2hw.progress import Progress
from bnn2hw.simulation.compare import Comparison, Mismatch

CHECK, LIBRARY, OBJECT = "selfcheck", "network.so", "source.o"

FLAGS = ("-std=c++17", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror", "-fPIC", "-Iinclude", "-Isrc")


def run(design: Design, graph: Graph, x: Batch, progress: Progress) -> Comparison:
    """Run the sources of a design as they are.

    Args:
        design: Design that the native backend rendered from `graph`.
        graph: Graph in hardware form.
        x: Integers on the input, shape (frames, *shape); a mapping by name if there are several
            inputs.
        progress: Called with the name of each step.

    Returns:
        The outputs, and the first difference of each from golden.

    Raises:
        InputError: x does not fit the graph.
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed, or a recorded frame has another result.
    """
    arrays = golden.check(graph, x)
    library = build(design, progress)
    check = _check(design, library, progress)
    progress("running the self-check")
    tools.run([str(check)], check.parent, "the self-check of the native code")
    progress(f"comparing {golden.frames(arrays)} frames with golden")
    found = _computed(design, library, arrays)
    expected = golden.by_name(graph.outputs, golden.outputs(graph, golden.batch(arrays)), "output")
    return Comparison(
        golden.batch(found), {n: _difference(n, y, np.asarray(expected[n])) for n, y in found.items()}
    )


def build(design: Design, progress: Progress) -> Path:
    """Compile the C functions to a library for this processor, or take it from the cache.

    Args:
        design: Design that the native backend rendered.
        progress: Called with the name of each step.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    texts = {n: t for n, t in design.files.items() if n.startswith(("src/", "include/"))}
    sources = sorted(name for name in texts if name.endswith(".cpp"))
    objects = [_object(name, _read_by(name, texts), progress) for name in sources]

    def link(folder: Path) -> None:
        _compile(folder, "-shared", *map(str, objects), "-o", LIBRARY)

    return compile_cache.entry("native-design", _ingredients(texts), [LIBRARY], link) / LIBRARY


def _object(source: str, texts: Mapping[str, str], progress: Progress) -> Path:
    """Compile one source, or take its object from the cache.

    The kernels take nearly all of the time, and another network of the same name has the same.

    Args:
        source: Name of the source.
        texts: The source and the headers that it reads, by name.
        progress: Called with the name of the step.
    """

    def compile_one(folder: Path) -> None:
        progress("compiling the C++")
        _written(texts, folder)
        _compile(folder, "-c", source, "-o", OBJECT)

    return (
        compile_cache.entry("native-object", [source, *_ingredients(texts)], [OBJECT], compile_one) / OBJECT
    )


def _read_by(source: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Return a source and the headers that it includes, directly or not, by name."""
    found, waiting = {}, [source]
    while waiting:
        name = waiting.pop()
        found[name] = texts[name]
        included = re.findall(r'^#include "(.*)"', texts[name], re.MULTILINE)
        names = (f"{folder}/{each}" for each in included for folder in ("src", "include"))
        waiting += [n for n in names if n in texts and n not in found]
    return found


def _check(design: Design, library: Path, progress: Progress) -> Path:
    """Compile the program that compares recorded frames, and return its path."""
    texts = {n: t for n, t in design.files.items() if n.startswith(("check/", "include/"))}

    def compile_all(folder: Path) -> None:
        progress("compiling the self-check")
        _written(texts, folder)
        _compile(folder, "check/check.cpp", str(library), f"-Wl,-rpath,{library.parent}", "-o", CHECK)

    ingredients = [*_ingredients(texts), str(library)]
    return compile_cache.entry("native-check", ingredients, [CHECK], compile_all) / CHECK


def _written(texts: Mapping[str, str], folder: Path) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _ingredients(texts: Mapping[str, str]) -> list[object]:
    code = {name: compile_cache.code(text) for name, text in texts.items()}
    return [code, FLAGS, tools.processor(), tools.cxx().identity]


def _compile(folder: Path, *arguments: str) -> None:
    tools.run([tools.cxx().command, *FLAGS, *arguments], folder, "compiling the C++")


def _computed(design: Design, library: Path, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Call the C functions for a batch.

    Raises:
        ToolError: They find no memory, or refuse the frames.
    """
    frames = golden.frames(arrays)
    functions = ctypes.CDLL(str(library))
    create, run_, destroy = (functions[f"{design.top}_{name}"] for name in ("create", "run", "destroy"))
    create.restype, create.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_char_p]
    destroy.argtypes = [ctypes.c_void_p]
    given = [np.ascontiguousarray(arrays[s.name], program.dtype(s.tensor.ints)) for s in design.inputs]
    found = {
        s.name: np.empty((frames, *s.tensor.shape), program.dtype(s.tensor.ints)) for s in design.outputs
    }
    network = create(0, None)
    try:
        failed = not network or run_(
            ctypes.c_void_p(network), ctypes.c_size_t(frames), *_pointers([*given, *found.values()])
        )
    finally:
        destroy(network)
    if failed:
        raise ToolError("the native code refuses the frames, or finds no memory")
    return {name: golden.wide(values) for name, values in found.items()}


def _pointers(arrays: Sequence[Array]) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(a.ctypes.data) for a in arrays]


def _difference(name: str, found: Array, expected: Array) -> Mismatch | None:
    """The first value that differs."""
    wrong = np.argwhere(found != expected.reshape(found.shape))
    if not wrong.size:
        return None
    at = tuple(int(i) for i in wrong[0])
    right = int(expected.reshape(found.shape)[at])
    return Mismatch(name, at[0], at[1:-1], at[-1], right, int(found[at]))
