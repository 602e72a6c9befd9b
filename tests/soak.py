"""Run the long tests, in groups, in this process or on workers of Dask.

    python -m tests.soak                                all of them, one group after the other
    python -m tests.soak --scheduler local              on all cores
    python -m tests.soak tests/test_fuzz.py --scheduler tcp://host:8786

Workers on other machines need the same checkout under the same path. If one dies, others run its group again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bnn2hw.errors import InputError
from bnn2hw.workers import Pool
from tests.support import ROOT

GROUP = 20
"""Tests of one function that run in one process of their own: each process imports Keras first."""

PYTEST = (sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-m", "soak")

NOTHING = 5
"""Exit status of pytest if it finds no test."""


@dataclass(frozen=True)
class Outcome:
    """The result of a group of tests.

    Attributes:
        tests: Their names.
        passed: Whether none of them failed.
        output: What pytest printed.
    """

    tests: tuple[str, ...]
    passed: bool
    output: str


@dataclass(frozen=True)
class Soak:
    """The long tests of a checkout.

    Attributes:
        root: Folder of the checkout.
    """

    root: Path = ROOT

    def groups(self, paths: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the names of the tests in groups.

        Args:
            paths: Files, folders or names of tests; none for all.

        Raises:
            InputError: pytest does not find them.
        """
        done = self._pytest("--collect-only", *paths)
        if done.returncode not in (0, NOTHING):
            raise InputError(f"the tests cannot be collected:\n{done.stdout}{done.stderr}")
        names = [line for line in done.stdout.splitlines() if "::" in line]
        for _, alike in groupby(names, key=lambda name: name.partition("[")[0]):
            those = tuple(alike)
            yield from (those[i : i + GROUP] for i in range(0, len(those), GROUP))

    def __call__(self, tests: tuple[str, ...]) -> Outcome:
        """Run a group of tests."""
        done = self._pytest(*tests)
        return Outcome(tests, done.returncode == 0, done.stdout + done.stderr)

    def _pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PYTEST, *arguments], cwd=self.root, capture_output=True, text=True, check=False
        )


def run(soak: Soak, paths: Sequence[str], pool: Pool) -> bool:
    """Run the long tests and print what fails; return whether all passed.

    Raises:
        InputError: There is no such test, or the pool makes no sense.
    """
    pool.check()
    groups = list(soak.groups(paths))
    if not groups:
        raise InputError("there is no long test here; leave out the paths for all of them")
    failed = 0
    for number, outcome in enumerate(pool.results(soak, groups), 1):
        verdict = "passed" if outcome.passed else "FAILED"
        print(f"[{number} of {len(groups)}] {verdict}: {outcome.tests[0]} ({len(outcome.tests)})", flush=True)
        if not outcome.passed:
            failed += 1
            print(outcome.output, flush=True)
    print(f"{len(groups) - failed} of {len(groups)} groups passed")
    return not failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or names of tests; none for all")
    parser.add_argument("--scheduler", help="local, or the address of a scheduler of Dask")
    parser.add_argument("--workers", type=int, help="number of local workers")
    given = parser.parse_args()
    sys.exit(0 if run(Soak(), given.paths, Pool(given.scheduler, given.workers)) else 1)


if __name__ == "__main__":
    main()
