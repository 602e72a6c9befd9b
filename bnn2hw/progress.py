"""Tell the caller of a long function what it is doing."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, TextIO

Progress = Callable[[str], None]
"""Function that is called with the name of each step when it begins, for example "folding".

A step that says how far the function is has two numbers with "of" between them, as in "3 of 20 points".
"""

SHARE = re.compile(r"(\d+) of (\d+)")


def silent(text: str) -> None:
    """Ignore the name of a step. This is the default of every parameter `progress`."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show the steps of a function: as a bar in a notebook, or with a spinner on a terminal.

    Nothing is shown elsewhere. Pass the yielded function on, as in
    `with bnn2hw.progress_bar() as bar: bnn2hw.compile(model, progress=bar)`.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        yield from _in_notebook()
    elif sys.stderr.isatty():
        yield from on_terminal(sys.stderr)
    else:
        yield silent


def _in_notebook() -> Iterator[Progress]:
    from IPython import display

    start = time.monotonic()
    shown: Any = display.display(display.HTML(bar("starting")), display_id=True)  # type: ignore[no-untyped-call]
    yield lambda text: shown.update(display.HTML(bar(text)))  # type: ignore[no-untyped-call]
    shown.update(display.HTML(bar(f"done in {time.monotonic() - start:.1f} s", done=True)))  # type: ignore[no-untyped-call]


def on_terminal(terminal: TextIO) -> Iterator[Progress]:
    """Yield a function that shows each step with a spinner.

    Args:
        terminal: The terminal.
    """
    from rich.console import Console

    with Console(file=terminal).status("starting") as status:
        yield lambda text: status.update(f"{text} …")


def bar(text: str, *, done: bool = False) -> str:
    """Return a step as a bar in HTML.

    Args:
        text: The step.
        done: True for a full bar; else it is as long as the text says, or moves.
    """
    found = SHARE.search(text)
    value, most = found.groups() if found else ("1", "1")
    length = f'value="{value}" max="{most}"' if found or done else ""
    return f'<progress {length} style="vertical-align:middle"></progress> {escape(text)}'
