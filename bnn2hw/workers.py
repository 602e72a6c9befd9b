"""Call a function on many tasks, one after the other in this process or on the workers of Dask."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from bnn2hw import checks
from bnn2hw.errors import InputError, LinkError, MissingToolError

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local"
"""Scheduler that starts workers on this machine."""


def check(scheduler: str | None, workers: int | None = None) -> None:
    """Check that a scheduler can be used.

    Args:
        scheduler: None for this process, "local" for workers on this machine, or the address of a scheduler.
        workers: Number of local workers; None for one per core.

    Raises:
        InputError: It is something else, or a number of workers has no effect.
        MissingToolError: Dask is not installed.
    """
    if workers is not None:
        checks.number("workers", workers, above=0, whole=True)
        if scheduler != LOCAL:
            raise InputError(f"a number of workers has no effect without the scheduler '{LOCAL}'")
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


def results(
    function: Callable[[Task], Result], tasks: Sequence[Task], scheduler: str | None, workers: int | None
) -> Iterator[Result]:
    """Yield the result of each task as soon as it is finished.

    A worker that dies loses only what it was working on: other workers do that again.

    Args:
        function: Called with each task. Each worker has one copy of it, which may keep what tasks have in common.
        tasks: The tasks.
        scheduler: As in `check`.
        workers: As in `check`.

    Raises:
        LinkError: The scheduler does not answer, or a task ended several workers.
    """
    check(scheduler, workers)
    if not tasks:
        return
    if scheduler is None:
        yield from map(function, tasks)
        return
    distributed: Any = importlib.import_module("distributed")
    with _client(distributed, scheduler, workers) as client:
        # As the result of a task, the function travels once to each worker, and is made again if a worker dies.
        held = client.submit(_same, function, pure=False)
        futures = [client.submit(_called, held, task, pure=False) for task in tasks]
        try:
            for future in distributed.as_completed(futures):
                yield future.result()
        except distributed.KilledWorker as error:
            raise LinkError(
                "a task ended several workers one after the other, perhaps for lack of memory; "
                "start fewer workers, or some with more memory"
            ) from error
        except (CancelledError, distributed.CommClosedError) as error:
            raise LinkError(f"the scheduler '{scheduler}' was lost: {error}") from error


def _client(distributed: Any, scheduler: str, workers: int | None) -> Any:
    """Connect to a scheduler, or start one with its workers.

    Raises:
        LinkError: The scheduler does not answer.
    """
    try:
        if scheduler == LOCAL:
            return distributed.Client(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
            )
        return distributed.Client(scheduler)
    except (OSError, ValueError) as error:
        raise LinkError(f"the scheduler '{scheduler}' does not answer: {error}") from error


def _same(function: Callable[[Task], Result]) -> Callable[[Task], Result]:
    return function


def _called(function: Callable[[Task], Result], task: Task) -> Result:
    return function(task)
