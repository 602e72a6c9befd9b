"""Tell the caller of a long function what it is doing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Function that is called with the name of each step when it begins, for example "folding"."""


def silent(text: str) -> None:
    """Ignore the name of a step. This is the default of every parameter `progress`."""
