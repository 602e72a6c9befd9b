"""Step the machines of `ir.machine` in compiled code, some hundred times as fast as in Python."""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bnn2hw import compile_cache, tools
from bnn2hw.data_files import data_dir
from bnn2hw.ir import Array, Buffered, Gated, Queue, Steps, Timing

FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared")
SOURCE = "stepper.cpp"
LIBRARY = "stepper.so"

KEPT, PACE, MOST_KEPT = "pace", "pace.json", 2**22
"""Kind of the cache's entries that hold the ends of frames, their file, and the bytes that all may take."""

LONG = 10**6
"""Cycles times machines from which on the ends of frames are kept."""

PROCESS, RING, QUEUE = range(3)
"""Kinds of machines in sim/stepper.cpp."""


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
        ("credits", ctypes.c_int64),
        ("exit", ctypes.c_int64),
    )


class _Packed:
    """Machines in the memory layout of sim/stepper.cpp, with the arrays that they point to.

    Args:
        timings: Timings of the machines, each after those that it reads.
        inputs: For each machine, the numbers of those that it reads; −1, −2, … are the inputs of
            the design.
        supply: For each input of the design, the beats that it offers; −1 if it never stops.
    """

    def __init__(
        self, timings: Sequence[Timing], inputs: Sequence[Sequence[int]], supply: Sequence[int]
    ) -> None:
        self.ends, self.count = len(supply), len(timings)
        self._arrays: list[Array] = []  # the machines hold only their addresses
        self.ops = (_Op * self.count)(*map(self._op, timings, inputs))
        # Input −1 is the last source, −2 the one before it.
        self.supply = ctypes.c_void_p(self._at(supply[::-1], np.int64))

    def digest(self) -> str:
        """Return a hash of all that the machines do."""
        found = hashlib.sha256()
        for op in self.ops:
            numbers = [getattr(op, name) for name, kind in _Op._fields_ if kind is not ctypes.c_void_p]
            found.update(json.dumps(numbers).encode())
        for values in self._arrays:
            found.update(f"{values.dtype} {values.size} ".encode())
            found.update(values.tobytes())
        return found.hexdigest()

    def _at(self, values: object, kind: type[np.generic]) -> int:
        """Keep an array and return its address."""
        self._arrays.append(np.ascontiguousarray(values, kind))
        return int(self._arrays[-1].ctypes.data)

    def _op(self, timing: Timing, inputs: Sequence[int]) -> _Op:
        sources = self._at([s % (self.count + self.ends) for s in inputs], np.int64)
        if isinstance(timing, Buffered):
            frees = np.full(timing.need.size, -1)
            for output, kept in timing.frees:
                frees[output] = kept
            sizes = timing.latency, timing.store.size, timing.need.size, timing.capacity
            store, need = self._at(timing.store, np.uint8), self._at(timing.need, np.int64)
            return _Op(RING, 1, *sizes, sources, store, None, need, self._at(frees, np.int64))
        if isinstance(timing, Queue):
            return _Op(QUEUE, 1, 1, 1, 0, timing.depth, sources)
        if isinstance(timing, Steps):
            reads = self._at(np.stack(timing.inputs, axis=1), np.uint8)
            sizes = timing.latency, timing.reads.size, 0, 0
            made = _Op(PROCESS, len(inputs), *sizes, sources, reads, self._at(timing.writes, np.uint8))
            if isinstance(timing, Gated):
                made.credits, made.exit = timing.credits, timing.exit
            return made
        raise TypeError(f"{type(timing).__name__} has no machine")


def first_output(
    timings: Sequence[Timing],
    inputs: Sequence[Sequence[int]],
    supply: Sequence[int],
    last: int,
    limit: int,
) -> int | None:
    """Step machines until one of them offers its first output.

    Args:
        timings: Timings of the machines, each after those that it reads.
        inputs: For each machine, the numbers of those that it reads; −1, −2, … are the inputs of
            the design.
        supply: For each input of the design, the beats of one frame: later ones delay none of its
            outputs.
        last: Number of the machine that makes the design's output.
        limit: Largest number of cycles to step.

    Returns:
        The cycle of the first output, or None if there is none within `limit` cycles.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    packed = _Packed(timings, inputs, supply)
    where = packed.count, packed.ends, packed.supply, last, ctypes.c_int64(limit)
    found = int(library().bnn2hw_first_output(packed.ops, *where))
    return None if found < 0 else found


def frame_ends(
    timings: Sequence[Timing],
    inputs: Sequence[Sequence[int]],
    outputs: Mapping[int, int],
    limit: int,
    frames: int,
) -> tuple[list[int], bool]:
    """Do what `ir.machine.frame_ends` does.

    Args:
        timings: Timings of the machines, each after those that it reads.
        inputs: For each machine, the numbers of those that it reads; −1, −2, … are the inputs of
            the design.
        outputs: By number of each machine that makes an output of the design, its beats per frame.
        limit: Largest number of cycles to step.
        frames: Largest number of frames to record.

    Returns:
        The cycles in which frames end, and whether the pace is steady.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    ends = -min(s for sources in inputs for s in sources)
    packed = _Packed(timings, inputs, [-1] * ends)
    key = [_source(), packed.digest(), sorted(outputs.items()), limit, frames]
    if folder := compile_cache.find(KEPT, key, [PACE]):
        try:
            recorded, steady = json.loads((folder / PACE).read_text())
            return [int(end) for end in recorded], bool(steady)
        except (OSError, ValueError, TypeError):
            compile_cache.drop(folder)
    found = _stepped(packed, outputs, limit, frames)
    if found[0] and found[0][-1] * packed.count >= LONG:
        text = json.dumps(found)
        compile_cache.keep(KEPT, key, [PACE], lambda to: _write(to / PACE, text), MOST_KEPT)
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _stepped(packed: _Packed, outputs: Mapping[int, int], limit: int, frames: int) -> tuple[list[int], bool]:
    """Step machines until frames end at a steady pace; see `frame_ends`."""
    steady = ctypes.c_int32()
    recorded, numbers, beats = (
        np.array(a, np.int64) for a in ([0] * frames, [*outputs], [*outputs.values()])
    )
    found = library().bnn2hw_frame_ends(
        packed.ops,
        packed.count,
        packed.ends,
        packed.supply,
        len(outputs),
        ctypes.c_void_p(numbers.ctypes.data),
        ctypes.c_void_p(beats.ctypes.data),
        *map(ctypes.c_int64, (limit, frames)),
        ctypes.c_void_p(recorded.ctypes.data),
        ctypes.byref(steady),
    )
    return recorded[: int(found)].tolist(), bool(steady.value)


def first_frame(
    timings: Sequence[Timing], inputs: Sequence[Sequence[int]], beats: Sequence[int], limit: int
) -> list[tuple[int, int]] | None:
    """Step machines until each has handed over its first frame.

    Args:
        timings: Timings of the machines, each after those that it reads.
        inputs: For each machine, the numbers of those that it reads; −1, −2, … are the inputs of
            the design.
        beats: Beats of a frame, by machine and then by input of the design, the last one first.
        limit: Largest number of cycles to step.

    Returns:
        In the same order, the cycles of the first and the last beat; None if they take more cycles.

    Raises:
        MissingToolError: There is no C++ compiler.
        ToolError: The compiler failed.
    """
    count, ends = len(timings), len(beats) - len(timings)
    packed = _Packed(timings, inputs, [-1] * ends)
    wanted, first, last = (np.array(a, np.int64) for a in (beats, [0] * len(beats), [0] * len(beats)))
    where = (ctypes.c_void_p(a.ctypes.data) for a in (first, last))
    done = library().bnn2hw_first_frame(
        packed.ops,
        count,
        ends,
        packed.supply,
        ctypes.c_void_p(wanted.ctypes.data),
        ctypes.c_int64(limit),
        *where,
    )
    return list(zip(first.tolist(), last.tolist(), strict=True)) if done else None


@cache
def _source() -> str:
    return (data_dir("sim") / SOURCE).read_text()


@cache
def library() -> ctypes.CDLL:
    """Load the compiled stepper."""
    source = _source()

    def build(folder: Path) -> None:
        (folder / SOURCE).write_text(source)
        tools.run([tools.cxx().command, *FLAGS, SOURCE, "-o", LIBRARY], folder, "compiling the stepper")

    folder = compile_cache.entry("steppers", [source, tools.cxx().identity, FLAGS], [LIBRARY], build)
    library = ctypes.CDLL(str(folder / LIBRARY))
    for function in (library.bnn2hw_first_output, library.bnn2hw_frame_ends):
        function.restype = ctypes.c_int64
    library.bnn2hw_first_frame.restype = ctypes.c_int32
    return library
