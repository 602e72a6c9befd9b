"""Design to values and cycles: build once, run, and compare every stream with golden.

Verilog runs in Verilator; HLS C++ runs as it is (see `bnn2hw.simulation.hls_csim`), where there are no cycles.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import golden
from bnn2hw.backends.design import Design, Port, Stream
from bnn2hw.errors import InputError, MismatchError, ToolError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Cycles, Graph
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import hls_csim, verilator


@dataclass(frozen=True)
class Mismatch:
    """The first place where a stream of the hardware differs from golden; in padding where `channel` is below 0."""

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
            return f"stream '{self.stream}': frame {self.frame}: padding that must be 0 is not"
        at = f" position {self.position}," if self.position else ""
        return (
            f"stream '{self.stream}': frame {self.frame},{at} channel {self.channel}: "
            f"expected {self.expected}, found {self.found}"
        )


@dataclass(frozen=True)
class Run:
    """What a simulation gave.

    Attributes:
        outputs: values on the output, shape (frames, *shape); where there are several, by name.
        mismatches: by stream name, the first difference from golden, or None; in the design's order.
        predicted: interval and latency as the cycle model gives them.
        frame_ends: cycle in which each frame's last output beat was taken, of the last output to get there.
        latency: cycles from the first input beat taken to the first beat offered on the first output; None
            without a clock.
        cycles: clock cycles simulated; None without a clock.
        stalled: whether the source and the sink paused at random.
        seconds: of processor time that the simulated clock ran; None without a clock.
        overhead: about which share of them was spent on feeding and recording, not on the design.
    """

    outputs: Batch
    mismatches: Mapping[str, Mismatch | None]
    predicted: Cycles
    frame_ends: tuple[int, ...]
    latency: int | None
    cycles: int | None
    stalled: bool
    seconds: float | None = None
    overhead: float | None = None

    @property
    def exact(self) -> bool:
        """Whether every stream equals golden."""
        return not any(self.mismatches.values())

    @cached_property
    def interval(self) -> int | None:
        """Cycles between the last two frames, or None with fewer than two or without a clock."""
        return self.frame_ends[-1] - self.frame_ends[-2] if len(self.frame_ends) > 1 else None

    def check(self) -> None:
        """Raise on the first difference.

        Raises:
            MismatchError: a stream differs from golden; the message names the first one in the design's order.
        """
        for mismatch in self.mismatches.values():
            if mismatch:
                raise MismatchError(f"hardware and golden model differ: {mismatch}")


@dataclass(frozen=True)
class Reload:
    """Memories that are written between frames.

    Attributes:
        frame: the first that meets them.
        image: what is sent (see `backends.loading`).
        graph: streamed, whose weights they are.
    """

    frame: int
    image: Array
    graph: Graph


def simulate(
    design: Design,
    graph: Graph,
    x: Batch,
    predicted: Cycles,
    *,
    stalls: float = 0.0,
    seed: int = 0,
    reloads: Sequence[Reload] = (),
    cells: bool = False,
    progress: Progress = silent,
) -> Run:
    """Run frames through the design and compare every stream with golden.

    Args:
        design: what the backend rendered from `graph`.
        graph: the streamed graph.
        x: input integers, shape (frames, *input shape); where there are several inputs, by name.
        predicted: the cycle model's figures, kept beside the measured ones.
        stalls: share of the cycles in which a source offers nothing and, independently, a sink takes nothing;
            in HLS, of the stream operations before which a process waits for no reason.
        seed: of the stalls and of the registers' initial noise.
        reloads: images of the memories that are sent while earlier frames are still under way, in rising order.
        cells: of Verilog, whether every cell of the family is simulated (see `Design.simulated`).
        progress: told what is being done.

    Raises:
        InputError: x does not fit the graph.
        MissingToolError: no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed, the design broke the stream protocol, or its processes
            wait for each other.
    """
    arrays = golden.check(graph, x)
    if reloads and not design.load:
        raise InputError("the memories of this design cannot be written; compile it with loadable=True")
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        folder = Path(name)
        (folder / "streams").mkdir()
        (folder / "inputs").mkdir()
        for i, stream in enumerate(design.inputs):
            stream.pack(arrays[stream.name]).tofile(folder / "inputs" / str(i))
        frames, share = golden.frames(arrays), round(1000 * stalls)
        if design.backend == "hls":
            report = hls_csim.run(design, folder, frames, predicted, share, seed, progress)
        else:
            loads = _write_images(folder, reloads)
            binary = build(design, progress, cells=cells)
            report = _run_verilated(design, binary, folder, frames, predicted, share, seed, progress, loads)
        progress(f"comparing {len(design.streams)} streams")
        parts = [(0, graph), *((r.frame, r.graph) for r in reloads)]
        return _compare(design, parts, arrays, folder / "streams", report, predicted, stalled=stalls > 0)


def _write_images(folder: Path, reloads: Sequence[Reload]) -> list[str]:
    """The images as files, in the words of the harness's command line."""
    words: list[str] = []
    for i, reload in enumerate(reloads):
        reload.image.astype("<u4").tofile(folder / f"image{i}")
        words += [str(reload.frame), str(folder / f"image{i}")]
    return words


def _run_verilated(
    design: Design,
    binary: Path,
    folder: Path,
    frames: int,
    predicted: Cycles,
    stalls: int,
    seed: int,
    progress: Progress,
    loads: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Record the streams of a verilated design in `folder`/streams and return the harness's report."""
    progress(f"simulating {frames} frames")
    write_files(design, folder / "rtl", only=".hex")
    patience = 4 * predicted.interval + predicted.latency + 10_000
    command = [str(binary), str(folder / "inputs"), str(folder / "streams"), str(frames), str(patience)]
    done = subprocess.run(
        [*command, str(stalls), str(stalls), str(seed), *loads],
        cwd=folder / "rtl",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3, 4):
        raise ToolError(
            f"the simulation ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    report: dict[str, Any] = json.loads((folder / "streams" / "run.json").read_text())
    if report["broken"]:
        names = ", ".join(design.streams[i].name for i in report["broken"])
        raise ToolError(f"valid fell or data changed before ready on the streams {names}")
    if report["frame_error"]:
        raise ToolError("tlast does not mark the ends of the frames")
    if report["load_failed"]:
        raise ToolError("the design refused an image of its memories")
    latency = report["first_out"] - report["first_in"]
    seconds = report["seconds"]
    overhead = 1 - report["design_share"]
    counts = {"frame_ends": report["frame_ends"], "latency": latency, "cycles": report["cycles"]}
    return {**counts, "seconds": seconds, "overhead": overhead}


def _compare(
    design: Design,
    graphs: Sequence[tuple[int, Graph]],
    x: Batch,
    folder: Path,
    report: Mapping[str, Any],
    predicted: Cycles,
    *,
    stalled: bool,
) -> Run:
    """Hold the recorded streams against golden, in slices of frames that fit in memory.

    `graphs` are those whose weights hold, each from some frame on.
    """
    mismatches: dict[str, Mismatch | None] = {s.name: None for s in design.streams}
    recorded = {
        s.name: np.memmap(folder / str(i), np.uint8, "r")
        if (folder / str(i)).stat().st_size
        else np.zeros(0, np.uint8)
        for i, s in enumerate(design.streams)
    }
    frames = golden.frames(x)
    slice_frames = max(1, 2**26 // sum(s.tensor.size for s in design.streams))
    ends = [first for first, _ in graphs[1:]] + [frames]
    pieces = [
        (start, min(start + slice_frames, end), graph)
        for (first, graph), end in zip(graphs, ends, strict=True)
        for start in range(first, end, slice_frames)
    ]
    for start, end, graph in pieces:
        edges = golden.run(graph, golden.part(x, slice(start, end)))
        for stream in design.streams:
            if mismatches[stream.name] is None:
                mismatches[stream.name] = _first_difference(
                    stream, recorded[stream.name], edges[stream.name], start
                )
    for stream in design.streams:
        if (
            mismatches[stream.name] is None
            and recorded[stream.name].size > frames * stream.beats * stream.bytes
        ):
            mismatches[stream.name] = Mismatch(stream.name, frames, (), 0, None, 0)
    files = {s.id: recorded[s.name] for s in design.streams}
    return Run(
        outputs=golden.batch({s.name: _values(s, files[s.id], frames) for s in design.outputs}),
        mismatches=mismatches,
        predicted=predicted,
        frame_ends=tuple(report.get("frame_ends", ())),
        latency=report.get("latency"),
        cycles=report.get("cycles"),
        stalled=stalled,
        seconds=report.get("seconds"),
        overhead=report.get("overhead"),
    )


def _values(stream: Stream, recorded: Array, frames: int) -> Array:
    """What was recorded of a stream, in whole frames."""
    whole = min(frames, recorded.size // (stream.beats * stream.bytes)) * stream.beats
    return stream.unpack(np.array(recorded[: whole * stream.bytes]).reshape(whole, stream.bytes))


def _first_difference(stream: Stream, recorded: Array, expected: Array, start: int) -> Mismatch | None:
    """Where the beats of these frames first differ; only then are they decoded."""
    frame = stream.beats * stream.bytes
    found = recorded[start * frame : (start + len(expected)) * frame]
    whole = found.size // frame
    beats = np.array(found[: whole * frame]).reshape(-1, stream.bytes)
    if whole == len(expected) and np.array_equal(stream.compared(beats), stream.pack(expected)):
        return None
    values = stream.unpack(beats)
    wrong = np.argwhere(values != expected[:whole])
    if not wrong.size and whole == len(expected):
        padding = np.flatnonzero((beats != stream.pack(expected)).any(axis=1))[0]
        return Mismatch(stream.name, start + int(padding) // stream.beats, (), -1, 0, 1)
    if not wrong.size:
        return Mismatch(stream.name, start + whole, (), 0, 0, None)
    at = tuple(int(i) for i in wrong[0])
    return Mismatch(stream.name, start + at[0], at[1:-1], at[-1], int(expected[at]), int(values[at]))


def write_files(design: Design, folder: Path, only: str = "") -> None:
    """Write the sources whose names end in `only` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in design.files.items():
        if name.endswith(only):
            (folder / name).write_text(text)


def build(design: Design, progress: Progress = silent, *, cells: bool = False) -> Path:
    """The compiled simulator of a design, from the cache where it was built before.

    Only sources count: the same structure with other weights is the same simulator, since memories are
    read when it starts.
    """
    texts = design.simulated(cells=cells)
    sources = {name: text for name, text in sorted(texts.items()) if not name.endswith(".hex")}
    return verilator.build(
        design.top,
        sources,
        "harness.cpp",
        header=_design_header(design),
        directions=_monitors(design),
        strict=not design.netlist,
        progress=progress,
    )


def _monitors(design: Design) -> str:
    """Verilator's directions to keep the streams' signals readable from outside."""
    lines = [
        f'public_flat_rd -module "{design.top}" -var "{s.id}_{part}"'
        for s in design.streams
        for part in ("data", "valid", "ready")
        if not design.netlist
    ]
    return "\n".join(["`verilator_config", *lines, ""])


def _design_header(design: Design) -> str:
    """What the harness needs to know of a design."""
    inside = f"&top.rootp->{design.top}__DOT__"
    rows = [
        f'      {{"{s.id}", {inside}{s.id}_data, {inside}{s.id}_valid, {inside}{s.id}_ready, '
        f"{s.bytes}, {s.beats}}},"
        for s in design.streams
    ]
    if design.netlist:
        rows = [_port_row("s", p) for p in Port.of(design.inputs)] + [
            _port_row("m", p) for p in Port.of(design.outputs)
        ]
    inputs = [
        f"      {{{_axis('s', p, 'data')}, {p.stream.bytes}, {p.beats}}}," for p in Port.of(design.inputs)
    ]
    number = {s.id: i for i, s in enumerate(design.streams)}
    outputs = [
        f"      {{{number[p.stream.id]}, {_axis('m', p)}, {p.beats}}}," for p in Port.of(design.outputs)
    ]
    loads = ["      {&top.s_load_tdata, &top.s_load_tvalid, &top.s_load_tready, &top.s_load_tlast, 4, 1},"]
    failed = "top.load_failed" if design.load else "false"
    lines = [
        "using Top = Vtop;",
        f"inline bool top_load_failed([[maybe_unused]] Top& top) {{ return {failed}; }}",
    ]
    for kind, name, items in (
        ("Stream", "stream", rows),
        ("Source", "source", inputs),
        ("Source", "load", loads if design.load else []),
        ("Sink", "sink", outputs),
    ):
        lines += [
            f"inline std::vector<{kind}> top_{name}s([[maybe_unused]] Top& top) {{",
            "  return {",
            *items,
            "  };",
            "}",
        ]
    return "\n".join([*lines, ""])


def _port_row(side: str, port: Port) -> str:
    """A stream as its port shows it."""
    signals = ", ".join(f"&top.{side}_axis{port.suffix}_t{signal}" for signal in ("data", "valid", "ready"))
    return f'      {{"{port.stream.id}", {signals}, {port.stream.bytes}, {port.beats}}},'


def _axis(side: str, port: Port, *first: str) -> str:
    """Addresses of the signals of an AXI4-Stream port."""
    signals = (*first, "valid", "ready", "last")
    return ", ".join(f"&top.{side}_axis{port.suffix}_t{signal}" for signal in signals)
