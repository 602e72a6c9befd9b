"""Try a mutant on tests, in a process of its own that begins with all large packages imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.mutation.mutant import Mutant

KILLED, LINTED, STOPPED, SURVIVED, UNTESTED = "killed", "lint", "time", "survived", "untested"
"""Verdicts: a test failed, Verilator warned of the source, the time was over, all tests passed, there is none."""

FAILED = "failed"
"""No verdict: the tests could not be run."""

WALL = 5
"""Seconds on the clock for each of processor time, on a machine that does other things, too."""

TEXT = 4000
"""Letters that are kept of what the tests printed."""


@dataclass(frozen=True)
class Trial:
    """The result of a trial.

    Attributes:
        mutant: The mutant.
        verdict: One of the verdicts.
        seconds: Wall-clock seconds.
        detail: The test that failed, or what it printed.
    """

    mutant: Mutant
    verdict: str
    seconds: float
    detail: str = ""


Tests = Callable[[Mutant], tuple[str, str]]
"""Tries a mutant, in its process; returns the verdict and details."""


def run(mutant: Mutant, tests: Tests, seconds: int) -> Trial:
    """Try a mutant in a forked process.

    Args:
        mutant: The mutant.
        tests: Tries it.
        seconds: Limit of the processor time; a mutant that needs more is found by that.
    """
    with tempfile.TemporaryDirectory(prefix="bnn2hw-mutant-", ignore_cleanup_errors=True) as folder:
        return _run(mutant, tests, seconds, Path(folder))


def _run(mutant: Mutant, tests: Tests, seconds: int, folder: Path) -> Trial:
    """Try a mutant in a process that keeps its files in a folder."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _in_child(mutant, tests, theirs, seconds, folder)
    theirs.close()
    verdict, detail = STOPPED, ""
    try:
        if ours.poll(seconds * WALL):
            verdict, detail = ours.recv()
    except EOFError:  # the process ended
        verdict = KILLED
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    ours.close()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        verdict = STOPPED
    return Trial(mutant, verdict, time.monotonic() - started, detail[-TEXT:])


def _in_child(mutant: Mutant, tests: Tests, connection: Connection, seconds: int, folder: Path) -> None:
    """Try a mutant, send the verdict, and end without what the parent would do at its end."""
    os.setsid()
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + 2 * seconds))
    printed = folder / "printed"
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    tempfile.tempdir = str(folder)
    try:
        found = tests(mutant)
    except BaseException as error:
        found = KILLED, repr(error)
    sys.stdout.flush()
    connection.send((found[0], found[1] or printed.read_text()))
    os._exit(0)
