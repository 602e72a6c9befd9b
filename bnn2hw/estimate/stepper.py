"""The machines of `ir.machine` stepped by compiled code, some hundred times as fast."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.ir import Array, Buffered, Queue, Steps, Timing

FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared")
SOURCE = "stepper.cpp"
LIBRARY = "stepper.so"

PROCESS, RING, QUEUE = range(3)


class _Op(ctypes.Structure):
    """One machine, as sim/stepper.cpp reads it."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("ports", ctypes.c_int32),
        ("latency", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("capacity", ctypes.c_int64),
        ("sources", ctypes.c_void_p),
        ("reads", ctypes.c_void_p),
        ("writes", ctypes.c_void_p),
        ("need", ctypes.c_void_p),
        ("frees", ctypes.c_void_p),
    )


def first_output(
    timings: Sequence[Timing], inputs: Sequence[Sequence[int]], last: int, limit: int
) -> int | None:
    """Cycles until a machine offers its first output, or None after `limit` cycles.

    Args:
        timings: of the machines, each after those that it reads.
        inputs: by machine, those that it reads; −1, −2, … stand for the inputs of the design.
        last: the machine that makes the design's output.
        limit: cycles to wait.

    Raises:
        MissingToolError: there is no C++ compiler.
        ToolError: it failed.
    """
    ends = -min(s for sources in inputs for s in sources)
    arrays: list[Array] = []  # held while they are in use

    def at(values: object, kind: type[np.generic]) -> int:
        arrays.append(np.ascontiguousarray(values, kind))
        return int(arrays[-1].ctypes.data)

    def op(timing: Timing, sources: Sequence[int]) -> _Op:
        of = at([s % (len(timings) + ends) for s in sources], np.int64)
        if isinstance(timing, Buffered):
            frees = np.full(timing.need.size, -1)
            for output, kept in timing.frees:
                frees[output] = kept
            sizes = timing.latency, timing.store.size, timing.need.size, timing.capacity
            rings = at(timing.store, np.uint8), None, at(timing.need, np.int64), at(frees, np.int64)
            return _Op(RING, 1, *sizes, of, *rings)
        if isinstance(timing, Queue):
            return _Op(QUEUE, 1, 1, 1, 0, timing.depth, of)
        if isinstance(timing, Steps):
            reads = at(np.stack(timing.inputs, axis=1), np.uint8)
            return _Op(
                PROCESS,
                len(sources),
                timing.latency,
                timing.reads.size,
                0,
                0,
                of,
                reads,
                at(timing.writes, np.uint8),
            )
        raise TypeError(f"{type(timing).__name__} has no machine")

    ops = (_Op * len(timings))(*map(op, timings, inputs))
    found = int(library().bnn2hw_first_output(ops, len(timings), ends, last, ctypes.c_int64(limit)))
    return None if found < 0 else found


@cache
def library() -> ctypes.CDLL:
    """Load the compiled stepper."""
    source = (data_dir("sim") / SOURCE).read_text()

    def build(folder: Path) -> None:
        (folder / SOURCE).write_text(source)
        tools.run([tools.cxx().command, *FLAGS, SOURCE, "-o", LIBRARY], folder, "compiling the stepper")

    folder = compile_cache.entry("steppers", [source, tools.cxx().identity, FLAGS], [LIBRARY], build)
    library = ctypes.CDLL(str(folder / LIBRARY))
    library.bnn2hw_first_output.restype = ctypes.c_int64
    return library
