"""What long-running functions call to say what they are doing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with a short text at the start of each step, for example "folding"."""


def silent(text: str) -> None:
    """Ignore the text: the default of every `progress` parameter."""
