"""Call a function on many tasks, one after the other in this process or on the workers of Dask."""

from __future__ import annotations

import importlib
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from bnn2hw import checks
from bnn2hw.errors import InputError, LinkError, MissingToolError
from bnn2hw.version import __version__

Task = TypeVar("Task")
Result = TypeVar("Result")

IDLE = "600s"
"""Time without a task after which a scheduler on this machine ends: nobody waits for it any more."""

LOCAL = "local"
"""Scheduler that starts workers on this machine."""


@dataclass(frozen=True)
class Pool:
    """The processes that work on tasks.

    Attributes:
        scheduler: None for this process, "local" for workers on this machine, or the address of a scheduler.
        workers: Number of local workers; None for one per core.
    """

    scheduler: str | None = None
    workers: int | None = None

    def check(self) -> None:
        """Check that it can be used, as far as that can be seen without the scheduler.

        Raises:
            InputError: The scheduler is something else, or a number of workers has no effect.
            MissingToolError: Dask is not installed.
        """
        if self.workers is not None:
            checks.number("workers", self.workers, above=0, whole=True)
            if self.scheduler != LOCAL:
                raise InputError(f"a number of workers has no effect without the scheduler '{LOCAL}'")
        if self.scheduler is None:
            return
        if self.scheduler != LOCAL and "://" not in str(self.scheduler):
            raise InputError(
                f"scheduler must be '{LOCAL}' or an address such as tcp://host:8786, not {self.scheduler!r}"
            )
        try:
            importlib.import_module("distributed")
        except ImportError as error:
            raise MissingToolError(
                "a scheduler needs Dask: pip install distributed, or leave out scheduler"
            ) from error

    def results(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield the result of each task as soon as it is finished.

        A worker that dies loses only what it was working on: other workers do that again.

        Args:
            function: Called with each task. Each worker has one copy of it, which may keep what tasks have in
                common.
            tasks: The tasks.

        Raises:
            InputError: As in `check`, or a worker has another version of bnn2hw.
            LinkError: The scheduler does not answer, or a task ended several workers.
        """
        self.check()
        if not tasks:
            return
        if self.scheduler is None:
            yield from map(function, tasks)
            return
        distributed: Any = importlib.import_module("distributed")
        with self._client(distributed) as client:
            # As the result of a task, the function travels once to each worker, and is made again if a worker dies.
            held = client.submit(_same, function, pure=False)
            futures = [client.submit(called, held, task, __version__, pure=False) for task in tasks]
            try:
                for future in distributed.as_completed(futures):
                    yield future.result()
            except distributed.KilledWorker as error:
                raise LinkError(
                    "a task ended several workers one after the other, perhaps for lack of memory; "
                    "start fewer workers, or some with more memory"
                ) from error
            except (CancelledError, distributed.CommClosedError) as error:
                raise LinkError(f"the scheduler '{self.scheduler}' was lost: {error}") from error

    def ordered(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], *, threads: int = 1
    ) -> list[Result]:
        """Return the results of all tasks in their order.

        Args:
            function: As in `results`.
            tasks: The tasks.
            threads: Tasks that this process works on at the same time, without a scheduler: for tasks that start
                a program and wait for it.

        Raises:
            InputError: As in `results`.
            LinkError: As in `results`.
        """
        if self.scheduler is None and threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(function, tasks))
        found = dict(self.results(partial(_numbered, function), list(enumerate(tasks))))
        return [found[number] for number in range(len(tasks))]

    @contextmanager
    def _client(self, distributed: Any) -> Iterator[Any]:
        """Connect to the scheduler, or start one with its workers.

        Local workers are programs of their own, so that none of them runs the script of the user once more.

        Raises:
            LinkError: The scheduler does not answer.
        """
        with ExitStack() as stack:
            try:
                at = (
                    self.scheduler
                    if self.scheduler != LOCAL
                    else stack.enter_context(self._local(distributed))
                )
                client = stack.enter_context(distributed.Client(at))
            except (OSError, ValueError, RuntimeError) as error:
                raise LinkError(f"the scheduler '{self.scheduler}' does not answer: {error}") from error
            yield client

    def _local(self, distributed: Any) -> Any:
        """Start a scheduler and its workers. They end by themselves if this process is killed."""
        return distributed.SubprocessCluster(
            n_workers=self.workers,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"idle_timeout": IDLE},
            silence_logs=logging.CRITICAL,
        )


HERE = Pool()
"""This process."""


def _numbered(function: Callable[[Task], Result], task: tuple[int, Task]) -> tuple[int, Result]:
    return task[0], function(task[1])


def _same(function: Callable[[Task], Result]) -> Callable[[Task], Result]:
    return function


def called(function: Callable[[Task], Result], task: Task, version: str) -> Result:
    """Work on a task, as the version of bnn2hw that asks for it does.

    Raises:
        InputError: This worker has another version.
    """
    if version != __version__:
        raise InputError(
            f"the worker on {platform.node()} has bnn2hw {__version__}, not {version}; install the same there"
        )
    return function(task)
