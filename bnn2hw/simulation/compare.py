"""Compare recorded streams with golden, and name the first value that differs on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import golden
from bnn2hw.backends.design import Design, Stream
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph

SLICE_VALUES = 2**26
"""Number of values of all streams that are compared at a time; it bounds the memory needed."""


@dataclass(frozen=True)
class Mismatch:
    """The first place where a stream differs from golden.

    Attributes:
        stream: Name of the stream.
        frame: Number of the frame.
        position: Position in the frame, without the channel; empty for vectors.
        channel: Number of the channel; negative if only padding differs, which must be 0.
        expected: Value in golden; None if the stream carries more beats than the frames hold.
        found: Value on the stream; None if the stream ends after `frame` whole frames.
    """

    stream: str
    frame: int
    position: tuple[int, ...]
    channel: int
    expected: int | None
    found: int | None

    def __str__(self) -> str:
        if self.found is None:
            return f"stream '{self.stream}': only {self.frame} whole frames came out"
        if self.expected is None:
            return f"stream '{self.stream}': more beats came out than {self.frame} frames hold"
        if self.channel < 0:
            return f"stream '{self.stream}': frame {self.frame}: the padding of a beat is not 0"
        at = f" position {self.position}," if self.position else ""
        return (
            f"stream '{self.stream}': frame {self.frame},{at} channel {self.channel}: "
            f"expected {self.expected}, found {self.found}"
        )


@dataclass(frozen=True)
class Comparison:
    """Recorded streams next to golden.

    Attributes:
        outputs: Integers on the output, shape (frames, *shape); a mapping by name if there are
            several outputs.
        mismatches: By stream in the order of the design, the first difference, or None if there is
            none.
    """

    outputs: Batch
    mismatches: Mapping[str, Mismatch | None]


def first_slice(design: Design, graphs: Sequence[tuple[int, Graph]], x: Batch) -> Mapping[str, Array]:
    """Return all edges in golden of the frames that `compare` looks at first, while the design still runs.

    Args:
        design: Design that runs.
        graphs: As in `compare`.
        x: As in `compare`.
    """
    start, end, graph = next(_slices(graphs, golden.frames(x), _step(design)))
    return golden.run(graph, golden.part(x, slice(start, end)))


def compare(
    design: Design,
    graphs: Sequence[tuple[int, Graph]],
    x: Batch,
    folder: Path,
    first: Mapping[str, Array] | None = None,
) -> Comparison:
    """Compare all recorded streams of a design with golden.

    Args:
        design: Design that ran.
        graphs: Streamed graphs, each with the first frame for which its weights are loaded, in
            rising order.
        x: Integers on the input, shape (frames, *shape); a mapping by name if there are several
            inputs.
        folder: Holds a file of beats for each stream, named by the number of the stream in the
            design.
        first: Edges of the first frames, from `first_slice`.
    """
    recorded = {s.name: _recorded(folder / str(i)) for i, s in enumerate(design.streams)}
    found: dict[str, Mismatch | None] = {s.name: None for s in design.streams}
    for start, end, graph in _slices(graphs, golden.frames(x), _step(design)):
        edges, first = first or golden.run(graph, golden.part(x, slice(start, end))), None
        packed: dict[tuple[Any, ...], Array] = {}
        for stream in design.streams:
            values = edges[stream.name]
            key = id(values), stream.lanes, stream.vector, stream.filled, stream.tensor.ints
            if key not in packed:  # a FIFO carries the beats of the stream before it
                packed[key] = stream.pack(values)
            found[stream.name] = found[stream.name] or _first_difference(
                stream, recorded[stream.name], values, packed[key], start
            )
    for stream in design.streams:
        found[stream.name] = found[stream.name] or _excess(stream, recorded[stream.name], golden.frames(x))
    files = {s.id: recorded[s.name] for s in design.streams}
    outputs = {s.name: _values(s, files[s.id], golden.frames(x)) for s in design.outputs}
    return Comparison(golden.batch(outputs), found)


def _recorded(path: Path) -> Array:
    """The bytes of a stream, read from the file as they are needed."""
    return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)


def _step(design: Design) -> int:
    """Number of frames that are compared at a time."""
    return max(1, SLICE_VALUES // sum(s.tensor.size for s in design.streams))


def _slices(graphs: Sequence[tuple[int, Graph]], frames: int, step: int) -> Iterator[tuple[int, int, Graph]]:
    """Yield ranges of at most `step` frames, each with the graph whose weights are loaded."""
    ends = [first for first, _ in graphs[1:]] + [frames]
    for (first, graph), end in zip(graphs, ends, strict=True):
        for start in range(first, end, step):
            yield start, min(start + step, end), graph


def _values(stream: Stream, recorded: Array, frames: int) -> Array:
    """Decode the whole frames of a stream."""
    whole = min(frames, recorded.size // (stream.beats * stream.bytes)) * stream.beats
    return stream.unpack(np.array(recorded[: whole * stream.bytes]).reshape(whole, stream.bytes))


def _first_difference(
    stream: Stream, recorded: Array, expected: Array, packed: Array, start: int
) -> Mismatch | None:
    """Compare frames of a stream as bytes, and decode them only if they differ.

    Args:
        stream: The stream.
        recorded: All its bytes.
        expected: Values in golden, shape (frames, *shape).
        packed: The same as beats, shape (beats, bytes).
        start: Number of the first of these frames.
    """
    frame = stream.beats * stream.bytes
    found = recorded[start * frame : (start + len(expected)) * frame]
    whole = found.size // frame
    beats = np.array(found[: whole * frame]).reshape(-1, stream.bytes)
    if whole == len(expected) and np.array_equal(stream.compared(beats), packed):
        return None
    values = stream.unpack(beats)
    wrong = np.argwhere(values != expected[:whole])
    if wrong.size:
        at = tuple(int(i) for i in wrong[0])
        return Mismatch(stream.name, start + at[0], at[1:-1], at[-1], int(expected[at]), int(values[at]))
    if whole < len(expected):
        return Mismatch(stream.name, start + whole, (), 0, 0, None)
    padding = np.flatnonzero((stream.compared(beats) != packed).any(axis=1))[0]
    return Mismatch(stream.name, start + int(padding) // stream.beats, (), -1, 0, 1)


def _excess(stream: Stream, recorded: Array, frames: int) -> Mismatch | None:
    """Report a stream that carries more beats than the frames hold."""
    if recorded.size > frames * stream.beats * stream.bytes:
        return Mismatch(stream.name, frames, (), 0, None, 0)
    return None
