"""A study of the MNIST tutorial network on two workers of Dask, of which one is killed, and synthesis of its front.

    python benchmarks/figures.py study

The finished points are kept in build/study.csv, so that a second run resumes where one was stopped.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
from functools import cache
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import records

import bnn2hw
from bnn2hw.dataflow import insert
from bnn2hw.folding import search
from bnn2hw.folding.options import FoldingPoint
from bnn2hw.studies import points, space
from bnn2hw.studies import table as tables
from bnn2hw.studies.points import Row
from bnn2hw.studies.study import Study
from bnn2hw.targets import devices

MODEL = records.ROOT / "examples" / "mnist.keras"
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
TARGETS = ("xc7z045", "xc7z020", "xczu5ev", "ecp5-85k", "ecp5-45k")
STYLES = ("folded", "quant_dense_1")
RATIO = 1.17
MOST_LUTS = 10_000
SYNTHESIZED = 20
WORKERS = 2

RECORD = "study"
TABLE = records.ROOT / "build" / "study.csv"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    made = bnn2hw.compile(MODEL, input=PIXELS, target=TARGETS[0], fps=10_000)
    depends = records.hardware(made.design, records.yosys(), TARGETS, STYLES, RATIO, MOST_LUTS)
    numbers = map(str, range(1, SYNTHESIZED + 1))
    return {"study": {"tutorial network": depends}, "synthesis": dict.fromkeys(numbers, depends)}


class _Killer:
    """Kills a worker when a third of the points are done, and counts what happened."""

    def __init__(self, client: Any) -> None:
        self.client, self.finished, self.killed, self.start = client, 0, 0, time.monotonic()
        self.seconds = 0.0

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:7.1f} s {text}", flush=True)
        if not text.endswith(" points"):
            return
        self.finished += 1
        self.seconds = time.monotonic() - self.start
        done, count = (int(word) for word in text.split() if word.isdecimal())
        if done >= count // 3 and not self.killed:
            self.killed = next(iter(self.client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)


OPTIONS: dict[str, Any] = {
    "input": PIXELS,
    "targets": TARGETS,
    "styles": STYLES,
    "ratio": RATIO,
    "limits": {"max_lut": MOST_LUTS},
}


def _with_a_death() -> tuple[Study, _Killer]:
    """Explore the network anew, on workers of which one dies."""
    TABLE.unlink(missing_ok=True)
    distributed: Any = importlib.import_module("distributed")
    with (
        distributed.LocalCluster(WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        killer = _Killer(client)
        study = bnn2hw.explore(MODEL, TABLE, **OPTIONS, scheduler=cluster.scheduler_address, progress=killer)
    return study, killer


def _synthesized(number: int) -> Row:
    """Synthesize one of the points that are spread over the front, the slowest first."""
    front = sorted(bnn2hw.explore(MODEL, TABLE, **OPTIONS).front, key=lambda row: float(row["fps"] or 0))
    chosen = front[round((number - 1) * (len(front) - 1) / (SYNTHESIZED - 1))]
    return points.Evaluator(space.Setting(str(MODEL), PIXELS)).synthesized(chosen)


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Explore or synthesize; return the cells of a row and the versions of the tools."""
    if table == "study":
        return _whole(*_with_a_death()), records.versions("distributed")
    return _beside(_synthesized(int(row))), records.yosys()


def _whole(study: Study, killer: _Killer) -> dict[str, str]:
    states = [str(point["state"]) for point in study]
    return {
        "network": "tutorial network",
        "points": f"{len(study):,}",
        "fit, too large, refused": ", ".join(str(states.count(s)) for s in ("fits", "too large", "refused")),
        "evaluated in this run": f"{killer.finished:,}",
        "workers killed": str(int(killer.killed > 0)),
        "points lost": str(len(study) - len({row["key"] for row in tables.read(TABLE) if row["state"]})),
        "front": str(len(study.front)),
        "seconds": f"{killer.seconds:,.0f}",
    }


def _beside(point: Row) -> dict[str, str]:
    predicted, used = float(point["lut"] or 0), float(point["synth_lut"] or 0)
    return {
        "point": str(point["point"]),
        "target": str(point["target"]),
        "style": str(point["style"]),
        "frames/s": f"{point['fps']:,.0f}",
        "LUT of `pareto`": f"{_searched(point):,.0f}",
        "LUT predicted": f"{predicted:,.0f}",
        "LUT of Yosys": f"{used:,.0f}",
        "error": f"{predicted / used - 1:+.1%}",
        **{
            f"{name.upper()} predicted (Yosys)": f"{point[name]:,} ({point[f'synth_{name}']:,})"
            for name in ("ff", "bram")
        },
    }


@cache
def _front(target: str) -> list[FoldingPoint]:
    made = bnn2hw.compile(MODEL, input=PIXELS, target=target)
    return search.pareto(insert.remove_fifos(made.graph), made.device, ratio=RATIO)


def _searched(point: Row) -> float:
    """Return the LUTs of the slowest folding of the front of a device that is as fast as a point."""
    cycles = devices.device(str(point["target"])).clock_mhz * 1e6 / float(point["fps"] or 0)
    return min(p.cost.lut for p in _front(str(point["target"])) if p.interval <= cycles * (1 + 1e-9))
