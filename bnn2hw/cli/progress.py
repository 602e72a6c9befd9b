"""Progress on the terminal."""

from __future__ import annotations

import os
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

    # A descriptor of its own: `frameworks.quiet` takes that of standard error away for a while.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal,
        Console(file=terminal).status("starting") as status,
    ):
        yield lambda text: status.update(f"{text} …")
