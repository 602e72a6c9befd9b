"""Build and run the simulator of a Verilog design: the verilated design and the harness in sim/."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnn2hw.backends.design import Design, Port
from bnn2hw.errors import ToolError
from bnn2hw.ir import Array, Cycles
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import verilator, waves

GRACE_CYCLES = 10_000
"""Cycles without any movement, beyond a few frames, after which the harness gives up."""

FINISHED, STUCK, BROKEN = 0, 3, 4
"""Exit statuses of the harness with which it writes its measurements."""


@dataclass(frozen=True)
class Drive:
    """Settings of a run.

    Attributes:
        frames: Number of frames.
        stalls: Cycles in 1000 in which a source offers nothing and, independently, a sink takes
            nothing.
        seed: Seed of the stalls and of the initial values of registers without a reset.
    """

    frames: int
    stalls: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """Figures that the harness measured.

    Attributes:
        first_in: By input, the cycle in which its first beat was taken.
        first_out: By output, the cycle in which its first beat was offered.
        ends: By output and frame, the cycle in which the last beat was taken.
        cycles: Clock cycles that were simulated.
        seconds: Processor time of these cycles.
        overhead: Share of `seconds` that was spent on feeding and recording; measured on a sample
            of the cycles.
    """

    first_in: tuple[int, ...]
    first_out: tuple[int, ...]
    ends: tuple[tuple[int, ...], ...]
    cycles: int
    seconds: float
    overhead: float

    @property
    def frame_ends(self) -> tuple[int, ...]:
        """By frame, the cycle in which its last output beat was taken; the latest one of several outputs."""
        return tuple(max(ends) for ends in zip(*self.ends, strict=False))

    @property
    def latency(self) -> int:
        """Cycles from the first input beat that was taken to the first beat that was offered on the first output."""
        return self.first_out[0] - min(self.first_in)


def run(
    design: Design,
    folder: Path,
    drive: Drive,
    predicted: Cycles,
    *,
    images: Sequence[tuple[int, Array]] = (),
    cells: bool = False,
    trace: Path | None = None,
    progress: Progress = silent,
) -> Measured:
    """Simulate a design in Verilator and record its streams.

    Args:
        design: Design that the Verilog backend rendered.
        folder: Holds the folder "inputs" with a file of beats for each input, and takes the beats
            of each stream in the folder "streams". The files are named by the number of the input
            or stream.
        drive: Frames, stalls and seed.
        predicted: Predicted cycles, from which the harness takes how long it waits for a beat.
        images: Weight images, each with the number of frames that are sent before it.
        cells: Whether the sources are simulated as they are (see `Design.simulated`).
        trace: File that takes the waveforms; None for none.
        progress: Called with the name of each step.

    Raises:
        MissingToolError: There is no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed, the design broke the stream protocol, or it
            refused an image.
    """
    form = waves.check(trace) if trace else None
    binary = build(design, progress, cells=cells, cycles=planned(predicted, drive.frames), form=form)
    progress(f"simulating {drive.frames} frames")
    write_files(design, folder / "rtl", only=".hex")
    patience = 4 * predicted.interval + predicted.latency + GRACE_CYCLES
    numbers = (drive.frames, patience, drive.stalls, drive.stalls, drive.seed)
    command = [str(binary), str(folder / "inputs"), str(folder / "streams"), *map(str, numbers)]
    command += _write_images(folder, images)
    with waves.written(design, trace) as environment:
        done = subprocess.run(
            command,
            cwd=folder / "rtl",
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (FINISHED, STUCK, BROKEN):
        raise ToolError(
            f"the simulation ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return _read(design, folder / "streams" / "run.json")


def planned(predicted: Cycles, frames: int) -> int:
    """Return the cycles that a run of so many frames takes at least."""
    return predicted.latency + frames * predicted.interval


def _write_images(folder: Path, images: Sequence[tuple[int, Array]]) -> list[str]:
    """Write weight images to files, and return the arguments of the harness that name them."""
    arguments: list[str] = []
    for i, (frame, image) in enumerate(images):
        image.astype("<u4").tofile(folder / f"image{i}")
        arguments += [str(frame), str(folder / f"image{i}")]
    return arguments


def _read(design: Design, path: Path) -> Measured:
    """Read the measurements of a run, and raise if the design broke a rule."""
    facts = json.loads(path.read_text())
    if facts["broken"]:
        names = ", ".join(f"'{design.streams[i].name}'" for i in facts["broken"])
        raise ToolError(
            f"the design broke the stream protocol: valid fell or data changed before ready on {names}"
        )
    if facts["frame_error"]:
        raise ToolError("the design broke the stream protocol: tlast does not mark the ends of the frames")
    if facts["load_failed"]:
        raise ToolError("the design refused a weight image")
    return Measured(
        first_in=tuple(facts["first_in"]),
        first_out=tuple(facts["first_out"]),
        ends=tuple(map(tuple, facts["frame_ends"])),
        cycles=facts["cycles"],
        seconds=facts["seconds"],
        overhead=1 - facts["design_share"],
    )


def write_files(design: Design, folder: Path, only: str = "") -> None:
    """Write the sources whose names end in `only` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in design.files.items():
        if name.endswith(only):
            (folder / name).write_text(text)


def build(
    design: Design,
    progress: Progress = silent,
    *,
    cells: bool = False,
    cycles: int = 0,
    form: waves.Format | None = None,
) -> Path:
    """Return the compiled simulator of a design.

    The simulator reads memory files when it starts, so designs that differ only in weights share
    one simulator.

    Args:
        design: Design that the Verilog backend rendered.
        progress: Called with the name of each step.
        cells: Whether the sources are simulated as they are, without fast forms of modules.
        cycles: Cycles of the planned run. A long one is worth a slower compilation.
        form: Format of the waveforms that the simulator writes; None for none.
    """
    texts = design.simulated(cells=cells)
    return verilator.build(
        design.top,
        {name: text for name, text in sorted(texts.items()) if not name.endswith(".hex")},
        "design.cpp",
        library=("harness.cpp",),
        header=_header(design),
        directions=_directions(design),
        strict=not design.netlist,
        cycles=cycles,
        waves=form,
        progress=progress,
    )


def _directions(design: Design) -> str:
    """Directions for Verilator that keep the signals of all streams readable from outside."""
    lines = [
        f'public_flat_rd -module "{design.top}" -var "{s.id}_{part}"'
        for s in design.streams
        for part in ("data", "valid", "ready")
        if not design.netlist
    ]
    return "\n".join(["`verilator_config", *lines, ""])


def _header(design: Design) -> str:
    """The header "design.h", whose function tells the harness the streams and ports of a design."""
    number = {s.id: i for i, s in enumerate(design.streams)}
    calls = [f"stream({{{facts}}})" for facts in _streams(design)]
    calls += [f"source({{{_input(p)}}})" for p in Port.of(design.inputs)]
    calls += [f"sink({{{number[p.stream.id]}, {_axis('m', p)}, {p.beats}}})" for p in Port.of(design.outputs)]
    if design.load:
        port = ", ".join(f"&top.s_load_t{signal}" for signal in ("data", "valid", "ready", "last"))
        calls += [f"load({{{port}, 4, 1}})", "load_failed = &top.load_failed"]
    body = [f"  design.{call};" for call in calls]
    return "\n".join(["inline void describe(Vtop& top, Design& design) {", *body, "}", ""])


def _input(port: Port) -> str:
    """The addresses of an input's signals, bytes per beat, and beats per frame."""
    return f"{_axis('s', port, 'data')}, {port.stream.bytes}, {port.beats}"


def _streams(design: Design) -> list[str]:
    """By stream, the name, the addresses of its signals, bytes per beat, and beats per frame.

    A netlist keeps no names inside, so its streams are those of its ports.
    """
    if design.netlist:
        sides = [("s", p) for p in Port.of(design.inputs)] + [("m", p) for p in Port.of(design.outputs)]
        return [
            f'"{p.stream.id}", {_addresses(side, p, "data", "valid", "ready")}, {p.stream.bytes}, {p.beats}'
            for side, p in sides
        ]
    inside = f"&top.rootp->{design.top}__DOT__"
    return [
        f'"{s.id}", {inside}{s.id}_data, {inside}{s.id}_valid, {inside}{s.id}_ready, {s.bytes}, {s.beats}'
        for s in design.streams
    ]


def _axis(side: str, port: Port, *first: str) -> str:
    """Addresses of the handshake signals of an AXI4-Stream port, after those in `first`."""
    return _addresses(side, port, *first, "valid", "ready", "last")


def _addresses(side: str, port: Port, *signals: str) -> str:
    return ", ".join(f"&top.{side}_axis{port.suffix}_t{signal}" for signal in signals)
