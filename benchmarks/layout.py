"""Seconds of the layout of streams, and the intervals that networks keep beside those that it promises.

    python benchmarks/figures.py layout

Networks are built in hardware form with random weights, folded for the rate that their table names. "Layout" inserts
width converters and FIFOs, sizes the FIFOs, and predicts interval and latency. Seconds are of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import folding as search_benchmark
import plots
import records

import bnn2hw
from bnn2hw import backends
from bnn2hw.dataflow import connect, fifo_depths, insert
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.ir import Graph, hardware_nodes
from bnn2hw.ops import Fifo
from bnn2hw.simulation import simulate
from bnn2hw.targets import devices
from tests.support import graphs, random_frames

RECORD = "layout"

DEVICE, SLACK = "xcu250", 4
"""Networks are folded for this multiple of their fastest interval."""

Made = TypeVar("Made")
Maker = Callable[[int], Graph]

KINDS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "dense": (lambda n: search_benchmark.dense(256, *[64] * n), (25, 50, 100, 200)),
    "convolutions": (search_benchmark.plain, (25, 50, 100)),
    "residual": (search_benchmark.residual, (25, 50, 100)),
    "dense blocks": (search_benchmark.densely, (25, 50)),
}
"""By kind of network, how one of a number of layers is built, and the numbers of layers."""

SEARCHES: dict[str, tuple[Maker, range]] = {
    "branching, stepped": (graphs.branching, range(10_000, 12_000)),
    "chains, stepped": (graphs.chain, range(10_000, 12_000)),
}
VERILATED = {"branching, in Verilator": (graphs.branching, range(20_000, 20_100))}
"""By row, how a random network is made, and the seeds."""

FRAMES = 40
VERILATOR_FRAMES = 10
"""Frames in which a random network must become steady: stepped, and in Verilator."""

LARGE = ("BinaryDenseNet28", "BinaryDenseNet45")
LARGE_FRAMES = 12


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    rooms = ("dataflow", "estimate", "ir", "ops", "folding")
    digest = records.sources(*(f"bnn2hw/{r}" for r in rooms), "sim/stepper.cpp", "tests/support/graphs.py")
    sizes = [f"{kind}, {layers} layers" for kind, (_, numbers) in KINDS.items() for layers in numbers]
    return {
        "seconds": dict.fromkeys(sizes, digest),
        "random": dict.fromkeys((*SEARCHES, *VERILATED), digest),
        "large": dict.fromkeys(LARGE, digest),
    }


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    if table == "seconds":
        return _seconds(row), records.versions("numpy")
    if table == "large":
        return _large(row), records.versions("numpy", "keras")
    return (_stepped(row) if row in SEARCHES else _verilated(row)), records.versions("numpy", "verilator")


def draw(record: records.Record) -> None:
    """Draw the seconds of the layout over the ops of a network."""
    points: list[dict[str, float | str]] = [
        {
            "ops": int(row["cells"]["ops"].replace(",", "")),
            "processor seconds": float(row["cells"]["layout, s"]),
            "network": name.split(",")[0],
        }
        for name, row in record.rows("seconds").items()
    ]
    plots.draw(RECORD, plots.Plot(points, "ops", "processor seconds", "network"))


def timed(work: Callable[[], Made]) -> tuple[Made, float]:
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def laid_out(kind: str, layers: int) -> tuple[Graph, float]:
    """Return a streamed network and the seconds of its layout and prediction."""
    graph = KINDS[kind][0](layers)
    folded = search.for_rate(graph, SLACK * search.fastest(graph), devices.device(DEVICE))

    def layout() -> Graph:
        made = connect.connect(folded)
        cycles.cycles(made)
        return made

    return timed(layout)


def fifo_bits(graph: Graph) -> int:
    """Return the bits that all FIFOs of a graph hold."""
    held = 0
    for node, op in hardware_nodes(graph):
        if isinstance(op, Fifo):
            held += op.depth * graph.beats(node.name).lanes * graph.types[node.name].ints.bits
    return held


def _seconds(row: str) -> dict[str, str]:
    kind, size = row.removesuffix(" layers").rsplit(", ", 1)
    graph, seconds = laid_out(kind, int(size))
    numbers = KINDS[kind][1]
    half = laid_out(kind, int(size) // 2)[1] if int(size) > numbers[0] else None
    return {
        "network": row,
        "ops": f"{sum(1 for _ in hardware_nodes(graph)):,}",
        "cycles per frame": f"{cycles.interval(graph):,}",
        "FIFO bits": f"{fifo_bits(graph):,}",
        "layout, s": f"{seconds:.2f}",
        "× of half the layers": f"{seconds / half:.2f}" if half else "–",
    }


def _ratios(intervals: Iterable[tuple[float, int]]) -> dict[str, str]:
    """Return the cells that compare measured with predicted intervals."""
    ratios = [measured / predicted for measured, predicted in intervals]
    return {
        "networks": f"{len(ratios):,}",
        "slower than predicted": str(sum(r > 1 for r in ratios)),
        "largest interval ÷ predicted": f"{max(ratios):.3f}",
    }


def _stepped(row: str) -> dict[str, str]:
    """Step random networks; one that stops counts as endlessly slow."""
    make, seeds = SEARCHES[row]

    def pace_of(seed: int) -> tuple[float, int]:
        graph = fifo_depths.deepen(insert.insert_fifos(make(seed)))
        pace = cycles.pace(graph, FRAMES)
        stopped = not pace.steady and len(pace.ends) < FRAMES
        return float("inf") if stopped else pace.interval, cycles.interval(graph)

    return {"search": row, **_ratios(map(pace_of, seeds))}


def _verilated(row: str) -> dict[str, str]:
    """Simulate random networks, and check every stream."""
    make, seeds = VERILATED[row]

    def interval_of(seed: int) -> tuple[float, int]:
        graph = connect.connect(make(seed))
        predicted = cycles.cycles(graph)
        frames = random_frames(graph, VERILATOR_FRAMES)
        run = simulate.simulate(backends.render("verilog", graph), graph, frames, predicted)
        run.check()
        ends = run.frame_ends
        return float(ends[-1] - ends[-2]), predicted.interval

    return {"search": row, **_ratios(map(interval_of, seeds))}


def _large(name: str) -> dict[str, str]:
    """Step an ImageNet network until its pace is steady, and list the intervals before that."""
    import keras

    from bnn2hw.nn import zoo

    keras.utils.set_random_seed(1)
    model = getattr(zoo, name)()
    pixels = bnn2hw.Input("uint8", scale=1 / 255)
    graph = bnn2hw.compile(model, input=pixels, target=DEVICE, fps=250).graph
    pace, seconds = timed(lambda: cycles.pace(graph, LARGE_FRAMES))
    intervals = [b - a for a, b in zip(pace.ends, pace.ends[1:], strict=False)]
    settled = next(i for i in range(len(intervals)) if len(set(intervals[i:])) == 1)
    return {
        "network": name,
        "ops": f"{sum(1 for _ in hardware_nodes(graph)):,}",
        "predicted interval": f"{cycles.interval(graph):,}",
        "steady interval": f"{intervals[-1]:,}",
        "intervals before that": ", ".join(f"{i:,}" for i in intervals[:settled]) or "none",
        "FIFO bits": f"{fifo_bits(graph):,}",
        "stepping, s": f"{seconds:.0f}",
    }
