"""Random orders of layers: compiled or refused by name, values within their bounds, and as fast as predicted.

    python benchmarks/figures.py layer_orders

Networks have one to eight steps over all layers of docs/coverage.md, half of them with calibration data
(`tests/support/layer_orders.py`). The machines of a compiled network are stepped for some frames.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import records

from tests.support.layer_orders import Compiled, compile_order

RECORD = "layer_orders"

ROWS = {f"{first:,} to {first + 249:,}": range(first, first + 250) for first in range(10_000, 12_000, 250)}
"""By row, the seeds of its networks."""


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    rooms = ("lower", "importers", "ops", "estimate", "dataflow", "error_bounds.py", "deviation.py")
    digest = records.sources(*(f"bnn2hw/{r}" for r in rooms), "tests/support/layer_orders.py")
    return {"networks": dict.fromkeys(ROWS, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    warnings.simplefilter("ignore")
    found = Counter(kind for seed in ROWS[row] for kind in _kinds(seed))
    cells = {"seeds": row}
    cells |= {kind: f"{found[kind]:,}" for kind in KINDS}
    return cells, records.versions("numpy", "keras")


KINDS = (
    *("compiled", "with calibration", "refused by name", "refused for values beyond their bound"),
    *("raw exceptions", "values beyond their bound", "slower than predicted", "another latency"),
)
"""Columns of the table."""


def _kinds(seed: int) -> list[str]:
    """Return the columns in which a network counts."""
    try:
        answer = compile_order(seed)
    except Exception:  # the count says that there are none
        return ["raw exceptions"]
    if not isinstance(answer, Compiled):
        beyond = "rounding explains" in answer
        return ["refused for values beyond their bound" if beyond else "refused by name"]
    true = {
        "compiled": True,
        "with calibration": answer.calibrated,
        "values beyond their bound": bool(answer.beyond),
        "slower than predicted": answer.interval[1] > answer.interval[0],
        "another latency": len(set(answer.latency)) > 1,
    }
    return [kind for kind, holds in true.items() if holds]
