"""Run a design on frames and compare every stream with golden.

A Verilog design runs in Verilator, cycle by cycle. An HLS design runs as a C++ program without a
clock, and so does native code, whose streams are its arrays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bnn2hw import checks, golden
from bnn2hw.backends.design import Design
from bnn2hw.backends.loading import FIXED
from bnn2hw.errors import InputError, storing
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Cycles, Graph
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import compare, harness, hls_csim, native_check, splitter, waves
from bnn2hw.simulation.harness import Drive, Measured
from bnn2hw.simulation.run import Run
from bnn2hw.workers import LOCAL, Pool


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


def check_stalls(stalls: float, seed: int) -> None:
    """Check the share of the cycles in which a run pauses, and the seed of the pauses.

    Raises:
        InputError: One of them is no number, or out of range.
    """
    checks.number("stalls", stalls)
    if not 0 <= stalls < 1:
        raise InputError(f"stalls must be at least 0 and below 1, not {stalls}")
    checks.number("seed", seed, whole=True)


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
    processes: int = 1,
    scheduler: str | None = None,
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
        processes: Number of processes that share the frames. Each starts with an empty design, and
            has its own pauses.
        scheduler: "local" or the address of a scheduler of Dask, whose workers run the shares. By default
            threads of this process do, each of which starts a program and waits for it.
        trace: File that takes the waveforms of a Verilog simulation, .vcd or .fst; None for none.
        progress: Called with the name of each step.

    Raises:
        InputError: x does not fit the graph, an option is out of range, or the weights of the design cannot be loaded.
        MissingToolError: There is no Verilator or no C++ compiler, or no Dask.
        ToolError: Verilator or the compiler failed, the design broke the stream protocol, or its
            processes wait for each other.
        LinkError: The scheduler does not answer.
        StorageError: The folder for temporary files cannot be written.
    """
    _check(design, stalls, seed, reloads, cells, processes, trace)
    _check_scheduler(scheduler, processes)
    if predicted is None:
        return _native(design, graph, x, stalls, progress)
    arrays = golden.check(graph, x)
    parts = splitter.split(golden.frames(arrays), processes)
    work = Work(design, graph, predicted, round(1000 * stalls), seed, tuple(reloads), cells, trace)
    if len(parts) == 1:
        return replace(simulate_part(work, arrays, progress), stalls=stalls)
    if design.backend == "verilog" and scheduler in (None, LOCAL):
        longest = max(p.stop - p.start for p in parts)
        harness.build(design, progress, cells=cells, cycles=harness.planned(predicted, longest))
    progress(f"simulating {parts[-1].stop} frames in {len(parts)} processes")
    shares = [(seed + i * splitter.SEED_STEP, golden.part(arrays, part)) for i, part in enumerate(parts)]
    pool = Pool(scheduler, len(parts) if scheduler == LOCAL else None)
    runs = pool.ordered(Share(work), shares, threads=len(parts))
    return replace(splitter.joined(runs, parts, seed), stalls=stalls)


@dataclass(frozen=True)
class Work:
    """All that a process needs besides its frames.

    Attributes:
        design: Design that a backend rendered from `graph`.
        graph: Streamed graph.
        predicted: Interval and latency that the cycle model predicts.
        stalls: Cycles in 1000 in which source and sink pause.
        seed: Seed of the process.
        reloads: Weight images in the order of their frames.
        cells: Whether the sources are simulated as they are.
        trace: File that takes the waveforms; None for none.
    """

    design: Design
    graph: Graph
    predicted: Cycles
    stalls: int
    seed: int
    reloads: tuple[Reload, ...]
    cells: bool
    trace: Path | None


@dataclass(frozen=True)
class Share:
    """Simulates the frames of one process, which come with the seed of its pauses.

    Attributes:
        work: All that the processes have in common.
    """

    work: Work

    def __call__(self, share: tuple[int, Batch]) -> Run:
        """Return the run of the frames."""
        seed, x = share
        return simulate_part(replace(self.work, seed=seed), x)


def simulate_part(work: Work, x: Batch, progress: Progress = silent) -> Run:
    """Run some frames through a design in one process, and compare every stream with golden.

    Golden computes while the simulator is compiled and runs.

    Args:
        work: All that the process needs besides its frames.
        x: Integers on the input, shape (frames, *shape); a mapping by name if there are several
            inputs.
        progress: Called with the name of each step.
    """
    design = work.design
    arrays = golden.by_name(tuple(s.name for s in design.inputs), x)
    graphs = [(0, work.graph), *((r.frame, r.graph) for r in work.reloads)]
    with (
        storing(tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="bnn2hw-") as name,
        ThreadPoolExecutor(1) as other,
    ):
        folder = Path(name)
        (folder / "streams").mkdir()
        (folder / "inputs").mkdir()
        for i, stream in enumerate(design.inputs):
            stream.pack(arrays[stream.name]).tofile(folder / "inputs" / str(i))
        expected = other.submit(compare.first_slice, design, graphs, arrays)
        measured = _executed(work, golden.frames(arrays), folder, progress)
        progress(f"comparing {len(design.streams)} streams")
        found = compare.compare(design, graphs, arrays, folder / "streams", expected.result())
    stalled = work.stalls > 0
    return Run(
        found.outputs, found.mismatches, work.predicted, stalled, measured, work.stalls / 1000, work.seed
    )


def _executed(work: Work, frames: int, folder: Path, progress: Progress) -> Measured | None:
    """Run the design on the inputs in a folder; return the figures of a run with a clock."""
    drive = Drive(frames, work.stalls, work.seed)
    if work.design.backend == "hls":
        hls_csim.run(work.design, folder, drive, harness.planned(work.predicted, frames), progress)
        return None
    images = [(r.frame, r.image) for r in work.reloads]
    return harness.run(
        work.design,
        folder,
        drive,
        work.predicted,
        images=images,
        cells=work.cells,
        trace=work.trace,
        progress=progress,
    )


def _check(
    design: Design,
    stalls: float,
    seed: int,
    reloads: Sequence[Reload],
    cells: bool,
    processes: int,
    trace: Path | None,
) -> None:
    """Raise if an option is out of range or does not suit the design."""
    check_stalls(stalls, seed)
    checks.number("processes", processes, above=0, whole=True)
    if cells and design.backend != "verilog":
        raise InputError("C++ sources name no cells and are simulated as they are; leave out cells")
    if trace is not None:
        if design.backend != "verilog":
            raise InputError("C++ sources have no clock and no waveforms; leave out trace")
        if processes > 1:
            raise InputError("waveforms are those of one process; leave out processes or trace")
        waves.check(trace)
    if processes > 1 and design.backend == "native":
        raise InputError("native code computes in threads of one process; leave out processes")
    if reloads and not design.load:
        raise InputError(FIXED)
    if reloads and processes > 1:
        raise InputError("new weights are sent to a design that runs in one process; leave out processes")


def _check_scheduler(scheduler: str | None, processes: int) -> None:
    """Raise if a scheduler cannot be used, or has nothing to share."""
    Pool(scheduler).check()
    if scheduler is not None and processes == 1:
        raise InputError("a scheduler shares the frames among processes; say how many, such as processes=4")


def _native(design: Design, graph: Graph, x: Batch, stalls: float, progress: Progress) -> Run:
    """Run native code, whose arrays are no streams that could stall.

    Raises:
        InputError: x does not fit the graph, or `stalls` is not 0.
    """
    if stalls:
        raise InputError("native code has no streams that could stall; leave out stalls")
    found = native_check.run(design, graph, x, progress)
    return Run(found.outputs, found.mismatches, None, stalled=False)
