"""Proofs of small instances of all ops: which properties hold for all inputs and all stalls.

make prove                              prove all, print the table and write record and page
python benchmarks/figures.py proofs     prove anew what is stale
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import records  # noqa: E402

from bnn2hw import tools  # noqa: E402
from bnn2hw.formal import SECONDS  # noqa: E402
from bnn2hw.formal import prove as formal  # noqa: E402
from bnn2hw.formal.harness import Harness  # noqa: E402
from bnn2hw.formal.instances import Instance, instances  # noqa: E402

RECORD = "proofs"

WORKERS = 2
"""Ops at the same time."""


def _hash(instance: Instance) -> str:
    op, x = instance
    harness = Harness.of(op, *x)
    own = {name: records.without_comments(text) for name, text in harness.files.items()}
    return records.hash_of(sorted(own.items()), SECONDS)


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    return {"ops": {name: _hash(instance) for name, instance in instances().items()}}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    op, x = instances()[row]
    proofs = formal.prove(Harness.of(op, *x), seconds=SECONDS)
    cells = {p.name: str(p) for p in proofs}
    return {**cells, "seconds": f"{sum(p.seconds for p in proofs):.0f}"}, versions()


def versions() -> dict[str, str]:
    """Return the versions of the tools that decide."""
    return {**records.yosys(), "abc": tools.abc().release}


def _rows() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Prove all instances, and yield the cells of each in order."""
    names = list(instances())
    with ThreadPoolExecutor(WORKERS) as pool:
        for name, (cells, _) in zip(names, pool.map(lambda n: measure("ops", n), names), strict=True):
            yield name, cells


def main() -> int:
    """Prove all, print a line each, and write the record and its page; return the number of refuted properties."""
    record, digests, refuted = records.Record.read(RECORD), current()["ops"], 0
    for name, cells in _rows():
        print(f"{name:22}", ", ".join(f"{column}: {cell}" for column, cell in cells.items()), flush=True)
        record.add("ops", name, cells, digests[name], versions())
        refuted += sum(cell.startswith("refuted") for cell in cells.values())
    record.write_page()
    return refuted


if __name__ == "__main__":
    sys.exit(main() > 0)
