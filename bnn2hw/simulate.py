"""Design to values and cycles: build once, run, and compare every stream with golden.

Verilog runs in Verilator; HLS C++ runs as it is (see `bnn2hw.csim`), where there are no cycles.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import csim, golden, tools
from bnn2hw.backends.design import Design, Stream
from bnn2hw.errors import MismatchError, ToolError
from bnn2hw.ir import Array, Cycles, Graph
from bnn2hw.resources import data_dir

CFLAGS = ("-std=c++17", "-O2", "-fno-strict-aliasing", "-DVL_TIME_CONTEXT")
VERILATOR_FLAGS = (
    "--cc",
    "--no-timing",
    "-O3",
    "-Wall",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--output-split",
    "20000",
)
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
UNIT_BYTES = 400_000
"""Generated C++ that is compiled as one unit."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Mismatch:
    """The first place where a stream of the hardware differs from golden."""

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
        at = f" position {self.position}," if self.position else ""
        return (
            f"stream '{self.stream}': frame {self.frame},{at} channel {self.channel}: "
            f"expected {self.expected}, found {self.found}"
        )


@dataclass(frozen=True)
class Run:
    """What a simulation gave.

    Attributes:
        outputs: values on the output, shape (frames, *shape).
        mismatches: by stream name, the first difference from golden, or None; in the design's order.
        predicted: interval and latency as the cycle model gives them.
        frame_ends: cycle in which each frame's last output beat was taken.
        latency: cycles from the first input beat taken to the first output offered; None without a clock.
        cycles: clock cycles simulated; None without a clock.
        stalled: whether the source and the sink paused at random.
    """

    outputs: Array
    mismatches: Mapping[str, Mismatch | None]
    predicted: Cycles
    frame_ends: tuple[int, ...]
    latency: int | None
    cycles: int | None
    stalled: bool

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


def simulate(
    design: Design,
    graph: Graph,
    x: Array,
    predicted: Cycles,
    *,
    stalls: float = 0.0,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Run:
    """Run frames through the design and compare every stream with golden.

    Args:
        design: what the backend rendered from `graph`.
        graph: the streamed graph.
        x: input integers, shape (frames, *input shape).
        predicted: the cycle model's figures, kept beside the measured ones.
        stalls: share of the cycles in which the source offers nothing and, independently, the sink takes nothing;
            in HLS, of the stream operations before which a process waits for no reason.
        seed: of the stalls and of the registers' initial noise.
        progress: told what is being done.

    Raises:
        InputError: x does not fit the graph.
        MissingToolError: no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed, the design broke the stream protocol, or its processes
            wait for each other.
    """
    golden.check(graph, x)
    run = csim.run if design.backend == "hls" else _run_verilated
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        folder = Path(name)
        (folder / "streams").mkdir()
        design.input.pack(x).tofile(folder / "input")
        report = run(design, folder, len(x), predicted, round(1000 * stalls), seed, progress)
        progress(f"comparing {len(design.streams)} streams")
        return _compare(design, graph, x, folder / "streams", report, predicted, stalled=stalls > 0)


def _run_verilated(
    design: Design,
    folder: Path,
    frames: int,
    predicted: Cycles,
    stalls: int,
    seed: int,
    progress: Progress,
) -> Mapping[str, Any]:
    """Record the streams of a verilated design in `folder`/streams and return the harness's report."""
    binary = build(design, progress)
    progress(f"simulating {frames} frames")
    write_files(design, folder / "rtl", only=".hex")
    patience = 4 * predicted.interval + predicted.latency + 10_000
    command = [str(binary), str(folder / "input"), str(folder / "streams"), str(frames), str(patience)]
    done = subprocess.run(
        [*command, str(stalls), str(stalls), str(seed)],
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
    latency = report["first_out"] - report["first_in"]
    return {"frame_ends": report["frame_ends"], "latency": latency, "cycles": report["cycles"]}


def _compare(
    design: Design,
    graph: Graph,
    x: Array,
    folder: Path,
    report: Mapping[str, Any],
    predicted: Cycles,
    *,
    stalled: bool,
) -> Run:
    """Hold the recorded streams against golden, in slices of frames that fit in memory."""
    mismatches: dict[str, Mismatch | None] = {s.name: None for s in design.streams}
    recorded = {
        s.name: np.memmap(folder / str(i), np.uint8, "r")
        if (folder / str(i)).stat().st_size
        else np.zeros(0, np.uint8)
        for i, s in enumerate(design.streams)
    }
    slice_frames = max(1, 2**26 // sum(s.tensor.size for s in design.streams))
    for start in range(0, len(x), slice_frames):
        edges = golden.run(graph, x[start : start + slice_frames])
        for stream in design.streams:
            if mismatches[stream.name] is None:
                mismatches[stream.name] = _first_difference(
                    stream, recorded[stream.name], edges[stream.name], start
                )
    for stream in design.streams:
        if (
            mismatches[stream.name] is None
            and recorded[stream.name].size > len(x) * stream.beats * stream.bytes
        ):
            mismatches[stream.name] = Mismatch(stream.name, len(x), (), 0, None, 0)
    out = recorded[design.output.name]
    whole = min(len(x), out.size // (design.output.beats * design.output.bytes)) * design.output.beats
    return Run(
        outputs=design.output.unpack(
            np.array(out[: whole * design.output.bytes]).reshape(whole, design.output.bytes)
        ),
        mismatches=mismatches,
        predicted=predicted,
        frame_ends=tuple(report.get("frame_ends", ())),
        latency=report.get("latency"),
        cycles=report.get("cycles"),
        stalled=stalled,
    )


def _first_difference(stream: Stream, recorded: Array, expected: Array, start: int) -> Mismatch | None:
    """Where the beats of these frames first differ; only then are they decoded."""
    frame = stream.beats * stream.bytes
    found = recorded[start * frame : (start + len(expected)) * frame]
    if found.size == len(expected) * frame and np.array_equal(found, stream.pack(expected).reshape(-1)):
        return None
    whole = found.size // frame
    values = stream.unpack(np.array(found[: whole * frame]).reshape(-1, stream.bytes))
    wrong = np.argwhere(values != expected[:whole])
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


def build(design: Design, progress: Progress = lambda _: None) -> Path:
    """The compiled simulator of a design, from the cache where it was built before.

    Only sources count: the same structure with other weights is the same simulator, since memories are
    read when it starts.
    """
    texts = {**design.files, **design.bench}
    sources = {name: text for name, text in sorted(texts.items()) if not name.endswith(".hex")}
    ours = [(data_dir("sim") / n).read_text() for n in ("harness.cpp", "lint.vlt")]
    ours += [_monitors(design), _design_header(design), *CFLAGS, *VERILATOR_FLAGS]
    ours += [tools.verilator().release, tools.cxx().command, tools.cxx().release]
    key = hashlib.sha256(json.dumps([sources, ours]).encode()).hexdigest()[:24]
    target = tools.cache_dir() / "simulators" / key
    if not target.exists():
        progress("compiling the simulator")
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
            made = _compile(design, sources, Path(name))
            tools.install(made, target)
    return target


def _compile(design: Design, sources: Mapping[str, str], folder: Path) -> Path:
    for name, text in sources.items():
        (folder / name).write_text(text)
    (folder / "monitors.vlt").write_text(_monitors(design))
    lint = data_dir("sim") / "lint.vlt"
    command = [tools.verilator().command, *VERILATOR_FLAGS, "--top-module", design.top, "--prefix", "Vtop"]
    tools.run([*command, "--Mdir", "obj", str(lint), "monitors.vlt", *sources], folder, "Verilator")
    work = folder / "obj"
    (work / "design.h").write_text(_design_header(design))
    runtime = _runtime()
    units = _units(sorted(work.glob("*.cpp")), data_dir("sim") / "harness.cpp", work)
    _compile_units(units, [*_flags(), "-I.", "-include", str(runtime / "verilated_pch.h")], work)
    objects = [u.with_suffix(".o").name for u in units]
    objects += [str(runtime / Path(n).with_suffix(".o").name) for n in RUNTIME]
    tools.run([tools.cxx().command, "-o", "simulator", *objects, "-pthread"], work, "linking the simulator")
    return work / "simulator"


def _units(generated: list[Path], harness: Path, folder: Path) -> list[Path]:
    """Bundle the many small files that Verilator writes, since each alone would pay for the headers again."""
    bundles: list[list[Path]] = [[harness]]
    size = 0
    for path in generated:
        size += path.stat().st_size
        if size > UNIT_BYTES:
            bundles.append([])
            size = 0
        bundles[-1].append(path)
    units = [folder / f"unit{i}.cc" for i in range(len(bundles))]
    for unit, bundle in zip(units, bundles, strict=True):
        unit.write_text("".join(f'#include "{p}"\n' for p in bundle))
    return units


def _compile_units(units: list[Path], flags: list[str], folder: Path) -> None:
    def one(unit: Path) -> None:
        out = unit.with_suffix(".o").name
        tools.run([tools.cxx().command, *flags, "-c", str(unit), "-o", out], folder, f"compiling {unit.name}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, units))


def _flags() -> list[str]:
    include = _include_dir()
    return [*CFLAGS, f"-I{include}", f"-I{include / 'vltstd'}"]


@cache
def _include_dir() -> Path:
    """Verilator's own C++ sources."""
    text = tools.run([tools.verilator().command, "--getenv", "VERILATOR_ROOT"], Path.cwd(), "Verilator")
    return Path(text.strip()) / "include"


@cache
def _runtime() -> Path:
    """A folder with Verilator's run-time library and its precompiled header, made once for all designs."""
    what = json.dumps([tools.verilator().release, tools.cxx().release, tools.cxx().command, _flags()])
    folder = tools.cache_dir() / "runtime" / hashlib.sha256(what.encode()).hexdigest()[:16]
    names = [Path(n).with_suffix(".o").name for n in RUNTIME] + ["verilated_pch.h.gch", "verilated_pch.h"]
    if not all((folder / n).exists() for n in names):
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
            work = Path(name)
            _compile_units([_include_dir() / n for n in RUNTIME], _flags(), work)
            (work / "verilated_pch.h").write_text('#include "verilated.h"\n')
            header = [tools.cxx().command, *_flags(), "-x", "c++-header", "verilated_pch.h"]
            tools.run([*header, "-o", "verilated_pch.h.gch"], work, "compiling Verilator's header")
            for n in names:
                tools.install(work / n, folder / n)
    return folder


def _monitors(design: Design) -> str:
    """Verilator's directions to keep the streams' signals readable from outside."""
    lines = [
        f'public_flat_rd -module "{design.top}" -var "{s.id}_{part}"'
        for s in design.streams
        for part in ("data", "valid", "ready")
    ]
    return "\n".join(["`verilator_config", *lines, ""])


def _design_header(design: Design) -> str:
    """What the harness needs to know of a design."""
    rows = [
        f'      {{"{s.id}", &r.{design.top}__DOT__{s.id}_data, &r.{design.top}__DOT__{s.id}_valid, '
        f"&r.{design.top}__DOT__{s.id}_ready, {s.bytes}}},"
        for s in design.streams
    ]
    return "\n".join(
        [
            '#include "Vtop.h"',
            '#include "Vtop___024root.h"',
            "using Top = Vtop;",
            f"constexpr size_t INPUT_BYTES = {design.input.bytes};",
            f"constexpr uint64_t OUTPUT_BEATS = {design.output.beats};",
            "inline std::vector<Stream> top_streams(Top& top) {",
            "  auto& r = *top.rootp;",
            "  return {",
            *rows,
            "  };",
            "}",
            "",
        ]
    )
