"""Run HLS C++ without the vendor's tool, as a concurrent simulation or as a fast emulator."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bnn2hw import compile_cache, golden, tools
from bnn2hw.backends.design import Design
from bnn2hw.data_files import data_dir
from bnn2hw.errors import ToolError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import effort as efforts
from bnn2hw.simulation.effort import Effort
from bnn2hw.simulation.harness import Drive

CXXFLAGS = ("-std=c++14", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")
"""Flags of every build. The sources hold pragmas and labels that only the HLS tool reads."""

SIMULATOR_FLAGS = ("-DBNN2HW_CONCURRENT",)
EMULATOR_FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-DBNN2HW_EMULATOR")

BENCH = "bench.hpp"
"""Header of the test bench, which does not depend on the design and is precompiled."""

PRECOMPILED = f"{BENCH}.pch"
"""What clang++ makes of it."""

HARNESS = {"harness.o": "harness.cpp", "scheduler.o": "streams/scheduler.cpp"}
"""Object files of the test bench, which do not depend on the design, and their sources in sim/hls."""

PROGRAM = "program"
"""File that a build makes: an executable or a shared library."""

WRONG_ENDS = 4
"""Exit status of the simulation if the design marks the ends of frames incorrectly."""


def include_flags() -> tuple[str, ...]:
    """Return the compiler's flags that find the headers.

    The streams are always ours, because only they are bounded and can be recorded. The integers are
    the vendor's if $XILINX_HLS names an installation, and ours otherwise.
    """
    vendor = _vendor()
    # g++ warns of uninitialized values in the vendor's integers, so its warnings must not stop the
    # build.
    installed = ("-isystem", str(vendor), "-Wno-error") if _has_integers(vendor) else ()
    # g++ searches -I before -isystem, and -idirafter last.
    return (f"-I{_ours() / 'streams'}", *installed, "-idirafter", str(_ours() / "types"))


def _vendor() -> Path:
    """Return the folder of the headers of an installation of Vitis HLS; it need not be there."""
    return Path(os.environ.get("XILINX_HLS", "")) / "include"


def _has_integers(folder: Path) -> bool:
    return (folder / "ap_int.h").is_file()


def run(design: Design, folder: Path, drive: Drive, cycles: int, progress: Progress) -> None:
    """Run the processes of an HLS design concurrently, and record its streams.

    Args:
        design: Design that the HLS backend rendered.
        folder: Holds the folder "inputs" with a file of beats for each input, and takes the beats
            of each stream in the folder "streams". The files are named by the number of the input
            or stream.
        drive: Frames, stalls and seed. A stall is a stream operation before which a process yields.
        cycles: Cycles that the hardware would take. A long run is worth a slower compilation.
        progress: Called with the name of each step.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed, the processes wait for each other, or the design marks the
            ends of frames incorrectly.
    """
    effort = chosen(cycles)
    flags = (*effort.flags, *SIMULATOR_FLAGS, *include_flags())
    binary = _build(design, ("design.cpp",), effort.compiler, flags, lambda: _bench(effort), progress)
    progress(f"simulating {drive.frames} frames")
    command = [str(binary), "inputs", "streams", *map(str, (drive.frames, drive.stalls, drive.seed))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == WRONG_ENDS:
        raise ToolError(
            "the design broke the stream protocol: tlast does not mark the ends of the frames, or tkeep is not set"
        )
    if done.returncode:
        raise ToolError(f"the C simulation ended with exit status {done.returncode}:\n{done.stderr}")


def chosen(cycles: int) -> Effort:
    """Return the way to compile a simulation: without optimization with clang++ if the run is short.

    The vendor's header is compiled with the compiler of everything else.

    Args:
        cycles: Cycles that the hardware would take.
    """
    other = tools.clang()
    if cycles < efforts.MEDIUM_RUN and other and not _has_integers(_vendor()):
        quick = Effort(other, True, ("-O0",))
        try:
            _bench(quick)
        except ToolError:  # installed without the headers of the standard library
            pass
        else:
            return quick
    return efforts.plain()


def emulate(design: Design, x: Batch, progress: Progress = silent) -> Batch:
    """Compute the outputs of an HLS design with its own sources, compiled for speed.

    Args:
        design: Design that the HLS backend rendered.
        x: Integers on the input, shape (frames, *shape); a mapping by name if there are several
            inputs.
        progress: Called with the name of each step.

    Returns:
        Integers of shape (frames, *output shape); a mapping by name if there are several outputs.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed, or a process read from an empty stream.
    """
    sources = ("emulator.cpp", f"{design.top}.cpp")
    # Our own integers are faster than the vendor's, which are made for synthesis.
    include = (f"-I{_ours() / 'streams'}", f"-I{_ours() / 'types'}")
    library = _build(design, sources, tools.cxx(), (*EMULATOR_FLAGS, *include), tuple, progress)
    progress(f"emulating {golden.frames(x)} frames")
    return _Emulator.of(library)(design, x)


class _Emulator:
    """A loaded emulator. It keeps its buffers between calls, so threads must take turns."""

    def __init__(self, library: Path) -> None:
        self._function = ctypes.CDLL(str(library)).bnn2hw_emulate
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self._function.argtypes = [pointer, size, pointer, ctypes.c_char_p, size]
        self._turn = threading.Lock()

    @staticmethod
    @cache
    def of(library: Path) -> _Emulator:
        """Load a library once per process."""
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
    """The addresses of arrays, as a C array."""
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


def _build(
    design: Design,
    sources: Sequence[str],
    compiler: tools.Tool,
    flags: Sequence[str],
    more: Callable[[], Sequence[str]],
    progress: Progress,
) -> Path:
    """Compile a design, or take the result from the cache of compiled programs.

    Args:
        design: Design that the HLS backend rendered.
        sources: Files of the design or of sim/hls that are compiled.
        compiler: The compiler.
        flags: Flags of the compiler.
        more: Returns further arguments of the compiler, and is called only if there is no entry.
        progress: Called with the name of each step.
    """
    texts = {
        n: t for n, t in {**design.files, **design.bench}.items() if n.endswith((".hpp", ".cpp", ".inc"))
    }
    machine = tools.processor() if "-march=native" in flags else ""

    def build(folder: Path) -> None:
        progress("compiling the C++")
        for file, text in texts.items():
            (folder / file).write_text(text)
        for file in ("design.cpp", "emulator.cpp"):
            shutil.copy(_ours() / file, folder)
        _compile(compiler, ("-I.", *flags, *more(), *sources, *tools.linker(), "-o", PROGRAM), folder)

    code = {name: compile_cache.code(text) for name, text in texts.items()}
    ingredients = [code, _our_texts(), CXXFLAGS, sources, flags, machine, compiler.identity]
    return compile_cache.entry("hls", ingredients, [PROGRAM], build) / PROGRAM


def _bench(effort: Effort) -> tuple[str, ...]:
    """Return the compiler's arguments for the test bench, whose own part is compiled once for all designs."""
    made = _header(effort)
    first = ("-include-pch", str(made / PRECOMPILED)) if effort.clang else ("-include", str(made / BENCH))
    return (f"-I{_ours()}", *first, *(str(_harness() / name) for name in HARNESS))


def _header(effort: Effort) -> Path:
    """Return a folder with the header of the test bench, compiled ahead of time.

    clang++ checks the files that the result was made from, so it is made from our own, and their dates do not count.
    """
    flags = (*effort.flags, *SIMULATOR_FLAGS, f"-I{_ours()}", *include_flags())
    made = (PRECOMPILED,) if effort.clang else tools.precompiled(BENCH)

    def build(folder: Path) -> None:
        shutil.copy(_ours() / BENCH, folder)
        source = str(_ours() / BENCH) if effort.clang else BENCH
        more = ("-fpch-instantiate-templates", "-Xclang", "-fno-pch-timestamp") if effort.clang else ()
        for name in made:
            _compile(effort.compiler, (*flags, *more, "-x", "c++-header", source, "-o", name), folder)

    ingredients = [_our_texts(), CXXFLAGS, flags, effort.identity]
    return compile_cache.entry("hls-bench", ingredients, [BENCH, *made], build)


def _harness() -> Path:
    """Return a folder with the object files of the test bench."""
    effort = efforts.plain()
    flags = (*effort.flags, *SIMULATOR_FLAGS, f"-I{_ours()}", *include_flags())

    def build(folder: Path) -> None:
        for name, source in HARNESS.items():
            _compile(effort.compiler, (*flags, "-c", str(_ours() / source), "-o", name), folder)

    ingredients = [_our_texts(), CXXFLAGS, flags, effort.identity]
    return compile_cache.entry("hls-harness", ingredients, list(HARNESS), build)


def _compile(compiler: tools.Tool, arguments: Sequence[str], folder: Path) -> None:
    tools.run([compiler.command, *CXXFLAGS, *arguments], folder, "compiling the C++")


def _ours() -> Path:
    """Return the folder of our C++ sources."""
    return data_dir("sim") / "hls"


def _our_texts() -> list[str]:
    return [p.read_text() for p in sorted(_ours().rglob("*")) if p.is_file()]
