"""Evaluate points, one after the other in this process or on the workers of Dask."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from bnn2hw import checks
from bnn2hw.errors import InputError, LinkError, MissingToolError
from bnn2hw.studies.points import Evaluator, Row
from bnn2hw.studies.space import Task

LOCAL = "local"
"""Scheduler that starts workers on this machine."""


def check(scheduler: str | None) -> None:
    """Check that a scheduler can be used.

    Args:
        scheduler: None for this process, "local" for workers on this machine, or the address of a scheduler.

    Raises:
        InputError: It is something else.
        MissingToolError: Dask is not installed.
    """
    if scheduler is None:
        return
    if scheduler != LOCAL and "://" not in scheduler:
        raise InputError(
            f"scheduler must be '{LOCAL}' or an address such as tcp://host:8786, not {scheduler!r}"
        )
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise MissingToolError(
            "a scheduler needs Dask: pip install distributed, or leave out scheduler"
        ) from error


def run(
    evaluate: Evaluator, tasks: Sequence[Task], scheduler: str | None, workers: int | None
) -> Iterator[Row]:
    """Yield the row of each point as soon as it is finished.

    A worker that dies loses only what it was working on: other workers do that again.

    Args:
        evaluate: Compiles a point.
        tasks: The points.
        scheduler: As in `check`.
        workers: Number of local workers; None for one per core.

    Raises:
        LinkError: The scheduler does not answer.
    """
    if workers is not None:
        checks.number("workers", workers, above=0, whole=True)
    if scheduler is None:
        yield from map(evaluate, tasks)
        return
    distributed: Any = importlib.import_module("distributed")

    try:
        client = (
            distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            if scheduler == LOCAL
            else distributed.Client(scheduler)
        )
    except (OSError, ValueError) as error:
        raise LinkError(f"the scheduler '{scheduler}' does not answer: {error}") from error
    with client:
        futures = [client.submit(_evaluated, evaluate, task, pure=False) for task in tasks]
        for future in distributed.as_completed(futures):
            yield future.result()


_known: dict[str, Evaluator] = {}
"""On a worker: the evaluators so far, which keep what points of equal bits have in common."""


def _evaluated(evaluate: Evaluator, task: Task) -> Row:
    return _known.setdefault(f"{evaluate.setting} {evaluate.data}", evaluate)(task)
