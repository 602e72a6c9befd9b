"""Run a design on frames and compare every stream with golden.

A Verilog design runs in Verilator, cycle by cycle. An HLS design runs as a C++ program without a
clock, and so does native code, whose streams are its arrays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from bnn2hw import checks, golden, ir
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError, MismatchError, storing
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Cycles, Graph
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import compare, harness, hls_csim, native_check, waves
from bnn2hw.simulation.compare import Mismatch
from bnn2hw.simulation.harness import Drive, Measured
from bnn2hw.tables import Table


@dataclass(frozen=True)
class Run:
    """The result of a simulation.

    Attributes:
        outputs: Integers on the output, shape (frames, *shape); a mapping by name if there are
            several outputs.
        mismatches: By stream in the order of the design, the first difference from golden, or None
            if there is none.
        predicted: Interval and latency that the cycle model predicts; None for native code.
        stalled: Whether sources and sinks paused at random.
        measured: Figures that need a clock; None for C++.
        stalls: Share of the cycles in which they paused.
        seed: Seed of the pauses.
    """

    outputs: Batch
    mismatches: Mapping[str, Mismatch | None]
    predicted: Cycles | None
    stalled: bool
    measured: Measured | None = None
    stalls: float = 0.0
    seed: int = 0

    def __repr__(self) -> str:
        return f"<Run: {self._verdict()}{'' if self.interval is None else f', interval {self.interval:,} cycles'}>"

    def _repr_html_(self) -> str:
        rows = [("streams", self._verdict(), "equal to golden")]
        if self.measured and self.predicted:
            for name in ("interval", "latency"):
                found = getattr(self, name)
                measured = "one frame has none" if found is None else f"{found:,} cycles"
                rows.append((name, measured, f"{getattr(self.predicted, name):,} cycles"))
        how = f"with stalls in {self.stalls:.0%} of the cycles" if self.stalled else "without stalls"
        table = Table(f"simulation {how}", ("", "measured", "predicted"), (), list[tuple[str, ...]](rows))
        wrong = "".join(f"<p>{escape(str(m))}</p>" for m in self.mismatches.values() if m)
        return table._repr_html_() + wrong

    def _verdict(self) -> str:
        """The comparison with golden in words."""
        frames = golden.frames(self.outputs)
        bad = sum(map(bool, self.mismatches.values()))
        found = "all exact" if self.exact else f"{bad} NOT EXACT"
        return f"{frames} frame{'s' * (frames != 1)}, {len(self.mismatches)} streams, {found}"

    @property
    def exact(self) -> bool:
        """True if every stream equals golden."""
        return not any(self.mismatches.values())

    @property
    def frame_ends(self) -> tuple[int, ...]:
        """By frame, the cycle in which its last output beat was taken. Empty for HLS."""
        return self.measured.frame_ends if self.measured else ()

    @property
    def intervals(self) -> tuple[int, ...]:
        """Cycles between the ends of neighbouring frames. Empty for HLS."""
        return tuple(after - before for before, after in pairwise(self.frame_ends))

    @property
    def interval(self) -> int | None:
        """Cycles between the ends of the last two frames. None for one frame and for HLS."""
        return self.intervals[-1] if self.intervals else None

    @property
    def startup(self) -> tuple[int, ...]:
        """Cycles between the ends of the first frames, before these are as far apart as the last two."""
        return ir.startup(self.intervals)

    @property
    def latency(self) -> int | None:
        """Cycles from the first input beat to the first output beat. None for HLS."""
        return self.measured.latency if self.measured else None

    @property
    def cycles(self) -> int | None:
        """Clock cycles that were simulated. None for HLS."""
        return self.measured.cycles if self.measured else None

    @property
    def seconds(self) -> float | None:
        """Processor time of the simulated cycles. None for HLS."""
        return self.measured.seconds if self.measured else None

    @property
    def overhead(self) -> float | None:
        """Share of `seconds` that was spent on feeding and recording. None for HLS."""
        return self.measured.overhead if self.measured else None

    def check(self) -> None:
        """Raise if a stream differs from golden.

        Raises:
            MismatchError: A stream differs. The message names the first one in the order of the
                design.
        """
        for mismatch in self.mismatches.values():
            if mismatch:
                raise MismatchError(f"hardware and golden model differ: {mismatch}")


@dataclass(frozen=True)
class Reload:
    """New weights that are sent to a design while it runs.

    Attributes:
        frame: First frame that is computed with them.
        image: Weight image, 32-bit words (see `backends.loading`).
        graph: Streamed graph with these weights.
    """

    frame: int
    image: Array
    graph: Graph


def simulate(
    design: Design,
    graph: Graph,
    x: Batch,
    predicted: Cycles | None,
    *,
    stalls: float = 0.0,
    seed: int = 0,
    reloads: Sequence[Reload] = (),
    cells: bool = False,
    trace: Path | None = None,
    progress: Progress = silent,
) -> Run:
    """Run frames through a design and compare every stream with golden.

    Args:
        design: Design that a backend rendered from `graph`.
        graph: Streamed graph.
        x: Integers on the input, shape (frames, *shape); a mapping by name if there are several
            inputs.
        predicted: Interval and latency that the cycle model predicts; None for native code.
        stalls: Share of the cycles, from 0 to below 1, in which a source offers nothing and,
            independently, a sink takes nothing. For HLS, the share of the stream operations before
            which a process yields.
        seed: Seed of the stalls and of the initial values of registers without a reset.
        reloads: Weight images in the order of their frames. Each is sent while earlier frames are
            still in the design.
        cells: Whether a Verilog simulation takes the sources as they are (see
            `Design.simulated`).
        trace: File that takes the waveforms of a Verilog simulation, .vcd or .fst; None for none.
        progress: Called with the name of each step.

    Raises:
        InputError: x does not fit the graph, an option is out of range, or the weights of the design cannot be loaded.
        MissingToolError: There is no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed, the design broke the stream protocol, or its
            processes wait for each other.
        StorageError: The folder for temporary files cannot be written.
    """
    checks.number("stalls", stalls)
    if not 0 <= stalls < 1:
        raise InputError(f"stalls must be at least 0 and below 1, not {stalls}")
    checks.number("seed", seed, whole=True)
    if cells and design.backend != "verilog":
        raise InputError("C++ sources name no cells and are simulated as they are; leave out cells")
    if trace is not None:
        if design.backend != "verilog":
            raise InputError("C++ sources have no clock and no waveforms; leave out trace")
        waves.check(trace)
    if predicted is None:
        return _native(design, graph, x, stalls, progress)
    arrays = golden.check(graph, x)
    if reloads and not design.load:
        raise InputError("the memories of this design cannot be written; compile it with loadable=True")
    drive = Drive(golden.frames(arrays), round(1000 * stalls), seed)
    with storing(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        folder = Path(name)
        (folder / "streams").mkdir()
        (folder / "inputs").mkdir()
        for i, stream in enumerate(design.inputs):
            stream.pack(arrays[stream.name]).tofile(folder / "inputs" / str(i))
        measured = None
        if design.backend == "hls":
            hls_csim.run(design, folder, drive, progress)
        else:
            images = [(r.frame, r.image) for r in reloads]
            measured = harness.run(
                design, folder, drive, predicted, images=images, cells=cells, trace=trace, progress=progress
            )
        progress(f"comparing {len(design.streams)} streams")
        graphs = [(0, graph), *((r.frame, r.graph) for r in reloads)]
        found = compare.compare(design, graphs, arrays, folder / "streams")
    return Run(found.outputs, found.mismatches, predicted, stalls > 0, measured, stalls, seed)


def _native(design: Design, graph: Graph, x: Batch, stalls: float, progress: Progress) -> Run:
    """Run native code, whose arrays are no streams that could stall.

    Raises:
        InputError: x does not fit the graph, or `stalls` is not 0.
    """
    if stalls:
        raise InputError("native code has no streams that could stall; leave out stalls")
    found = native_check.run(design, graph, x, progress)
    return Run(found.outputs, found.mismatches, None, stalled=False)
