"""Random orders of layers: compiled or refused by name, values within their bounds, and as fast as predicted.

    python benchmarks/figures.py layer_orders

Networks have one to eight steps over all layers of docs/coverage.md, half of them with calibration data
(`tests/support/layer_orders.py`). The machines of a compiled network are stepped for some frames, and a hundred
networks run in Verilator. Two processes share the networks of a row.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import TypeVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import records

from tests.support.layer_orders import Compiled, compile_order, simulated

RECORD = "layer_orders"

T = TypeVar("T")

PROCESSES = 2
TASKS = 50
"""Tasks of five networks after which a process makes room for a new one: Keras keeps what it built."""


def _ranges(first: int, rows: int, each: int) -> dict[str, range]:
    """Return seeds by row."""
    starts = range(first, first + rows * each, each)
    return {f"{start:,} to {start + each - 1:,}": range(start, start + each) for start in starts}


ROWS = {"networks": _ranges(10_000, 8, 250), "simulated": _ranges(12_000, 10, 20)}
"""By table and row, the seeds of its networks."""

SIMULATED = 10
"""Networks of a row that run in Verilator: the first ones that compile."""


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    rooms = ("lower", "importers", "ops", "estimate", "dataflow", "error_bounds.py", "deviation.py")
    digest = records.sources(*(f"bnn2hw/{r}" for r in rooms), "tests/support/layer_orders.py")
    return {table: dict.fromkeys(rows, digest) for table, rows in ROWS.items()}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    seeds = ROWS[table][row]
    if table == "networks":
        return _networks(row, seeds), records.versions("numpy", "keras")
    compiled = [
        seed for seed, kinds in zip(seeds, _shared(kinds_of, seeds), strict=True) if "compiled" in kinds[0]
    ]
    found = _shared(simulate, compiled[:SIMULATED])
    cells = {"seeds": row, "simulated": str(len(found))}
    wrong = ("a stream that differs", "another interval", "another latency")
    cells |= {name: str(sum(not each[i] for each in found)) for i, name in enumerate(wrong)}
    return cells, records.versions("numpy", "keras", "verilator")


KINDS = (
    *("compiled", "with calibration", "refused by name", "refused for values beyond their bound"),
    *("raw exceptions", "values beyond their bound", "slower than predicted", "another latency"),
)
"""Columns of the table that count networks."""


def _networks(row: str, seeds: range) -> dict[str, str]:
    answers = _shared(kinds_of, seeds)
    found = Counter(kind for kinds, _, _ in answers for kind in kinds)
    cells = {"seeds": row, **{kind: f"{found[kind]:,}" for kind in KINDS}}
    changed, nearest = sum(c for _, c, _ in answers), max(n for _, _, n in answers)
    return {
        **cells,
        "frames with a changed decision": f"{changed:,}",
        "largest error": f"{nearest:.1%} of its bound",
    }


@cache
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(PROCESSES, get_context("spawn"), max_tasks_per_child=TASKS)


def _shared(work: Callable[[int], T], seeds: Iterable[int]) -> list[T]:
    """Return what a function returns for some seeds, in their order."""
    return list(_pool().map(work, seeds, chunksize=5))


def simulate(seed: int) -> tuple[bool, bool, bool]:
    """Return the answers of `simulated` for a network that compiles."""
    warnings.simplefilter("ignore")
    answer = compile_order(seed)
    return simulated(answer) if isinstance(answer, Compiled) else (False, False, False)


def kinds_of(seed: int) -> tuple[list[str], int, float]:
    """Return the columns in which a network counts, its frames with a changed decision, and its largest error."""
    warnings.simplefilter("ignore")
    try:
        answer = compile_order(seed)
    except Exception:  # the count says that there are none
        return ["raw exceptions"], 0, 0.0
    if not isinstance(answer, Compiled):
        beyond = "rounding explains" in answer
        return ["refused for values beyond their bound" if beyond else "refused by name"], 0, 0.0
    true = {
        "compiled": True,
        "with calibration": answer.calibrated,
        "values beyond their bound": bool(answer.beyond),
        "slower than predicted": answer.interval[1] > answer.interval[0],
        "another latency": len(set(answer.latency)) > 1,
    }
    return [kind for kind, holds in true.items() if holds], answer.changed, answer.nearest
