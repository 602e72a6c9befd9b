"""What the commands of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from bnn2hw.progress import Progress, silent


@contextmanager
def spinner(quiet: bool) -> Iterator[Progress]:
    """A spinner on the terminal's error stream that says what is being done."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield silent
        return
    with console.status("starting") as status:
        yield lambda text: status.update(f"{text} …")
