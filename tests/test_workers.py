"""Tasks in this process and on workers of Dask, some of which die."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from bnn2hw import workers
from bnn2hw.errors import InputError, LinkError


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
    assert list(workers.results(double, range(3), None, None)) == [0, 2, 4]


def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs Dask")
    deadly = Deadly(4, tmp_path / "dead")

    assert sorted(workers.results(deadly, range(8), "local", 2)) == [2 * n for n in range(8)]
    assert (tmp_path / "dead").exists()


def test_a_task_that_ends_every_worker() -> None:
    dask = pytest.importorskip("dask", reason="needs Dask")
    pytest.importorskip("distributed", reason="needs Dask")

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(LinkError, match="ended several workers one after the other"),
    ):
        list(workers.results(Deadly(0), range(1), "local", 1))


def test_a_scheduler_that_does_not_answer() -> None:
    pytest.importorskip("distributed", reason="needs Dask")

    with pytest.raises(LinkError, match="does not answer"):
        list(workers.results(double, range(1), "nosuch://host:1", None))


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
        workers.check(scheduler, count)
