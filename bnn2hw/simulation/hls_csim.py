"""HLS C++ on this machine, without the vendor's tool: concurrent simulation, and a fast emulator."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import compile_cache, golden, tools
from bnn2hw.backends.design import Design
from bnn2hw.data_files import data_dir
from bnn2hw.errors import ToolError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Cycles
from bnn2hw.progress import Progress, silent

CXXFLAGS = ("-std=c++14", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")
"""Pragmas and labels are there for the HLS tool: it reads the ones and reports loops by the others."""

SIMULATOR_FLAGS = ("-O1", "-DBNN2HW_CONCURRENT")
PROGRAM = "program"
EMULATOR_FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-DBNN2HW_EMULATOR")


def include_flags() -> tuple[str, ...]:
    """Where the headers are found.

    Streams are ours, since only they are bounded and can be recorded; integers are the vendor's where
    $XILINX_HLS names an installation.
    """
    ours = data_dir("sim") / "hls"
    vendor = Path(os.environ.get("XILINX_HLS", "")) / "include"
    # The vendor's integers look uninitialised to g++, whose warnings on them are no errors of ours.
    installed = ("-isystem", str(vendor), "-Wno-error") if (vendor / "ap_int.h").is_file() else ()
    # -I is searched before -isystem, and -idirafter last.
    return (f"-I{ours / 'streams'}", *installed, "-idirafter", str(ours / "types"))


def run(
    design: Design,
    folder: Path,
    frames: int,
    predicted: Cycles,
    stalls: int,
    seed: int,
    progress: Progress,
) -> Mapping[str, Any]:
    """Record the streams of an HLS design in `folder`/streams; what is returned is empty, for there is no clock.

    Args:
        design: what the HLS backend rendered.
        folder: holds the folders "inputs" and "streams".
        frames: how many are in the inputs.
        predicted: not needed, since a deadlock is found without waiting.
        stalls: per mille of the stream operations before which a process gives way.
        seed: of these.
        progress: told what is being done.

    Raises:
        ToolError: the compiler failed, or the processes wait for each other.
    """
    binary = _build(design, SIMULATOR_FLAGS, ("harness.cpp",), include_flags(), progress)
    progress(f"simulating {frames} frames")
    command = [str(binary), "inputs", "streams", str(frames), str(stalls), str(seed)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 4:
        raise ToolError("tlast does not mark the ends of the frames, or tkeep is not set")
    if done.returncode:
        raise ToolError(f"the C simulation ended with exit status {done.returncode}:\n{done.stderr}")
    return {}


def emulate(design: Design, x: Batch, progress: Progress = silent) -> Batch:
    """Outputs of an HLS design, compiled for speed.

    Args:
        design: what the HLS backend rendered.
        x: integers of shape (frames, *input shape); where there are several inputs, by name.
        progress: told what is being done.

    Returns:
        Integers of shape (frames, *output shape); where there are several outputs, by name.

    Raises:
        MissingToolError: there is no C++ compiler.
        ToolError: the compiler failed, or a stream ran empty.
    """
    sources = ("emulator.cpp", f"{design.top}.cpp")
    # Always our own integers: the vendor's are made for synthesis, not for speed.
    ours = data_dir("sim") / "hls"
    include = (f"-I{ours / 'streams'}", f"-I{ours / 'types'}")
    library = _build(design, EMULATOR_FLAGS, sources, include, progress)
    progress(f"emulating {golden.frames(x)} frames")
    return _Emulator.of(library)(design, x)


class _Emulator:
    """A loaded emulator. It keeps its buffers between calls, so calls take turns."""

    def __init__(self, library: Path) -> None:
        self._function = ctypes.CDLL(str(library)).bnn2hw_emulate
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self._function.argtypes = [pointer, size, pointer, ctypes.c_char_p, size]
        self._turn = threading.Lock()

    @staticmethod
    @cache
    def of(library: Path) -> _Emulator:
        return _Emulator(library)

    def __call__(self, design: Design, x: Batch) -> Batch:
        frames = golden.frames(x)
        arrays = golden.by_name(tuple(s.name for s in design.inputs), x)
        inputs = [np.ascontiguousarray(s.pack(arrays[s.name])) for s in design.inputs]
        outputs = [np.zeros((frames * s.beats, s.bytes), np.uint8) for s in design.outputs]
        message = ctypes.create_string_buffer(500)
        with self._turn:
            failed = self._function(_pointers(inputs), frames, _pointers(outputs), message, len(message))
        if failed:
            raise ToolError(f"the emulator stopped: {message.value.decode()}")
        return golden.batch({s.name: s.unpack(b) for s, b in zip(design.outputs, outputs, strict=True)})


def _pointers(arrays: list[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


def _build(
    design: Design, flags: Sequence[str], sources: Sequence[str], include: Sequence[str], progress: Progress
) -> Path:
    """Return a program or library compiled from a design, through the cache of compiled programs."""
    texts = {
        n: t for n, t in {**design.files, **design.bench}.items() if n.endswith((".hpp", ".cpp", ".inc"))
    }
    ours = [p.read_text() for p in sorted((data_dir("sim") / "hls").rglob("*")) if p.is_file()]
    machine = _native() if "-march=native" in flags else ""
    command = [tools.cxx().command, *CXXFLAGS, *flags, "-I.", *include, *sources, "-o", PROGRAM]

    def build(folder: Path) -> None:
        progress("compiling the C++")
        for file, text in texts.items():
            (folder / file).write_text(text)
        for file in ("harness.cpp", "emulator.cpp"):
            shutil.copy(data_dir("sim") / "hls" / file, folder)
        tools.run(command, folder, "compiling the C++")

    ingredients = [texts, ours, command, machine, tools.cxx().identity]
    return compile_cache.entry("hls", ingredients, [PROGRAM], build) / PROGRAM


@cache
def _native() -> str:
    """What the compiler knows of this processor, so that a cache on a shared disk serves each machine its own."""
    command = [tools.cxx().command, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    return tools.run(command, Path.cwd(), "the C++ compiler")
