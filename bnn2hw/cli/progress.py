"""Progress on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bnn2hw.progress import Progress, silent


@contextmanager
def spinner(quiet: bool) -> Iterator[Progress]:
    """Show the name of each step next to a spinner on standard error.

    Args:
        quiet: Whether to show nothing. Nothing is shown either if standard error is not a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda text: status.update(f"{text} …")
