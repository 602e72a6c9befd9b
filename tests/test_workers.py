"""Tasks in this process and on workers of Dask, some of which die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bnn2hw.errors import DoesNotFitError, InputError, LinkError, Problem, UnsupportedError
from bnn2hw.workers import Pool, called
from tests.support import ROOT


def double(task: int) -> int:
    return 2 * task


@dataclass
class Deadly:
    """Doubles its tasks; the process that gets a certain one first dies of it.

    Attributes:
        task: The task.
        trace: File that says that a process has died already; None for none that lives.
    """

    task: int
    trace: Path | None = None

    def __call__(self, task: int) -> int:
        if task == self.task and not (self.trace and self.trace.exists()):
            if self.trace:
                self.trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * task


def test_in_this_process() -> None:
    assert list(Pool().results(double, range(3))) == [0, 2, 4]


SCRIPT = """
from pathlib import Path
from bnn2hw.workers import Pool
from tests.test_workers import Deadly
print("the script runs")
print(Pool("local", 2).ordered(Deadly(4, Path("dead").resolve()), range(8)))
"""


def test_a_worker_that_dies_loses_nothing_and_none_runs_the_script(tmp_path: Path) -> None:
    """Users start workers from scripts that guard nothing."""
    pytest.importorskip("distributed", reason="needs Dask")
    (tmp_path / "script.py").write_text(SCRIPT)

    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == f"the script runs\n{[2 * n for n in range(8)]}\n"
    assert (tmp_path / "dead").exists()


def test_a_task_that_ends_every_worker() -> None:
    dask = pytest.importorskip("dask", reason="needs Dask")
    pytest.importorskip("distributed", reason="needs Dask")

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(LinkError, match="ended several workers one after the other"),
    ):
        list(Pool("local", 1).results(Deadly(0), range(1)))


def test_a_scheduler_that_does_not_answer() -> None:
    pytest.importorskip("distributed", reason="needs Dask")

    with pytest.raises(LinkError, match="does not answer"):
        list(Pool("nosuch://host:1").results(double, range(1)))


@pytest.mark.parametrize(
    ("scheduler", "count", "expected"),
    [
        ("here", None, "scheduler must be 'local' or an address"),
        (None, 2, "no effect without the scheduler 'local'"),
        ("local", 0, "workers must be"),
    ],
)
def test_what_makes_no_sense_is_refused(scheduler: str | None, count: int | None, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Pool(scheduler, count).check()


@pytest.mark.parametrize("threads", [1, 3])
def test_results_in_the_order_of_the_tasks(threads: int) -> None:
    assert Pool().ordered(double, range(7), threads=threads) == [2 * n for n in range(7)]


def test_a_worker_of_another_version_is_refused() -> None:
    with pytest.raises(InputError, match=r"has bnn2hw .*, not 0\.0\.1; install the same there"):
        called(double, 1, "0.0.1")


@pytest.mark.parametrize(
    "error",
    [
        DoesNotFitError("a-device", {"LUT": (7, 5)}, "choose another", ", of which 2 fit", 8.0),
        UnsupportedError([Problem("dense", "found", "supported", "way out")]),
    ],
)
def test_errors_travel(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
