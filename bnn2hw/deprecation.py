"""Warn about names that were renamed and still work for one version."""

from __future__ import annotations

import sys
import warnings

FACE = "bnn2hw.cli"
"""Callers of this room are users: the command line shows warnings that point there."""


def warn(message: str) -> None:
    """Issue a DeprecationWarning that points at the nearest caller outside of this package.

    Args:
        message: The old name, the new name, and how long the old one works.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back and _inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DeprecationWarning, stacklevel=level)


def renamed(old: str, new: str) -> None:
    """Warn that a name has a new one.

    Args:
        old: The name that was used.
        new: The name to use instead.
    """
    warn(f"{old} is now {new}; the old name works for one more version")


def _inside(module: str) -> bool:
    return module.partition(".")[0] == "bnn2hw" and not module.startswith(FACE)
