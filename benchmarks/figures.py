"""All recorded figures: which are stale, and measuring those anew.

    python benchmarks/figures.py --check    list the stale rows; exit status 1 if there are any
    python benchmarks/figures.py            measure stale rows, one by one; a second run resumes where one was stopped
    python benchmarks/figures.py xnor       of some benchmarks only
    python benchmarks/figures.py --pages    print the tables into their pages

A benchmark takes part if its module has `RECORD` (its name), `current()` (by table and row the hash of today) and
`measure(table, row)` (the cells, and the versions of the tools). If it has `draw(record)`, that draws plots.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # figures of speed are those of one thread

import records  # noqa: E402
from records import Record  # noqa: E402

BENCHMARKS = (
    "ablation",
    "boards",
    "folding",
    "foreign_files",
    "imagenet",
    "layer_orders",
    "layout",
    "mnist",
    "mutation",
    "networks",
    "one_cycle",
    "pixels",
    "proofs",
    "report",
    "simulation",
    "speed",
    "study",
    "training_speed",
    "unrolled",
    "xnor",
    "zoo",
)
"""Modules with recorded tables. `cost.py` keeps single figures of its own by the same rule."""


SOURCES = (
    "benchmarks/*.py",
    "bnn2hw/**/*",
    "examples/*",
    "sim/**/*",
    "synth/**/*",
    "templates/**/*",
    "tests/support/*",
)
"""All that a hash of today may depend on, besides packages, the machine and the folder of data."""


class Benchmark(Protocol):
    """The interface of a benchmark's module."""

    RECORD: str

    def current(self) -> Mapping[str, Mapping[str, str]]:
        """Return the hash of today by table and row."""

    def measure(self, table: str, row: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the cells of a row and the versions of the tools."""


def load(name: str) -> Benchmark:
    """Import a benchmark's module."""
    return cast(Benchmark, importlib.import_module(name))


def state() -> str:
    """Return a hash of all sources and packages, and of the machine."""
    files = sorted(p for pattern in SOURCES for p in records.ROOT.glob(pattern) if p.is_file())
    texts = [
        (str(p.relative_to(records.ROOT)), hashlib.sha256(p.read_bytes()).hexdigest())
        for p in files
        if p.suffix != ".pyc"
    ]
    packages = sorted(f"{d.name} {d.version}" for d in importlib.metadata.distributions())
    return records.hash_of(texts, packages, os.environ.get("BNN2HW_DATA", ""), records.machine())


def today(benchmark: Benchmark) -> Mapping[str, Mapping[str, str]]:
    """Return a benchmark's hashes of today.

    Most come from designs that are rendered, so those of unchanged sources are kept.
    """
    path = records.ROOT / "build" / "figures" / f"{benchmark.RECORD}.json"
    now = state()
    if path.is_file():
        known = json.loads(path.read_text())
        if known["state"] == now:
            return cast(Mapping[str, Mapping[str, str]], known["hashes"])
    hashes = benchmark.current()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"state": now, "hashes": hashes}) + "\n")
    return hashes


def stale(benchmark: Benchmark, record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield table, row and the hash of today for each row that is missing or belongs to other sources."""
    for table, rows in today(benchmark).items():
        for row, digest in rows.items():
            if record.rows(table).get(row, {}).get("depends") != digest:
                yield table, row, digest


def publish(benchmark: Benchmark, record: Record) -> None:
    """Print the tables of a record into its page, and draw its plots."""
    record.write_page()
    if draw := getattr(benchmark, "draw", None):
        draw(record)


def check(names: list[str]) -> int:
    """List stale rows; return how many there are."""
    count = 0
    for name in names:
        benchmark = load(name)
        record = Record.read(benchmark.RECORD)
        for table, row, _ in stale(benchmark, record):
            date = record.rows(table).get(row, {}).get("date", "never")
            print(f"{name}.{table}: {row} (measured: {date})")
            count += 1
    print(f"{count} stale rows")
    return count


def measure(names: list[str]) -> None:
    """Measure all stale rows, and print the pages."""
    for name in names:
        benchmark = load(name)
        record = Record.read(benchmark.RECORD)
        for table, row, digest in list(stale(benchmark, record)):
            print(f"measuring {name}.{table}: {row}", flush=True)
            cells, versions = benchmark.measure(table, row)
            record.add(table, row, cells, digest, versions)
        publish(benchmark, record)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="BENCHMARK")
    parser.add_argument("--check", action="store_true", help="list stale rows only")
    parser.add_argument("--pages", action="store_true", help="print the tables into their pages only")
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    if options.pages:
        for name in names:
            benchmark = load(name)
            publish(benchmark, Record.read(benchmark.RECORD))
    elif options.check:
        sys.exit(1 if check(names) else 0)
    else:
        measure(names)


if __name__ == "__main__":
    main()
