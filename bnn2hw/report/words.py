"""Figures, shapes and times as reports print them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bnn2hw.tables import counted

NBSP, THIN = "\u00a0", "\u202f"


def count(value: float) -> str:
    """Return a whole number with separators of thousands."""
    return f"{value:,.0f}".replace("-", "−")


def share(value: float) -> str:
    """Return a share in per cent, with two digits below ten."""
    if not value:
        return f"0{THIN}%"
    if math.isinf(value):
        return "more than all"
    words = f"{value:.0%}" if value >= 0.095 else f"{value:.1%}" if value >= 0.0005 else "<0.1%"
    return words.replace("%", f"{THIN}%")


def deviation(value: float | None) -> str:
    """Return a mean deviation in per cent or ppm; empty if there is none."""
    if value is None:
        return ""
    if not value:
        return "0"
    if value < 0.001:
        return f"{value * 1e6:,.0f}{THIN}ppm" if value >= 1e-6 else f"<1{THIN}ppm"
    return f"{value:.1%}".replace("%", f"{THIN}%")


def time(us: float) -> str:
    """Return a time in microseconds, or in milliseconds from a thousand on."""
    return f"{us / 1000:,.2f}{NBSP}ms" if us >= 1000 else f"{us:,.1f}{NBSP}µs"


def shape(dims: Sequence[int]) -> str:
    """Return the shape of a frame."""
    return "×".join(map(str, dims))


def values(text: str, bits: int) -> str:
    """Return a range of integers with real minus signs, or the bits of long ones.

    Args:
        text: The range as types print it.
        bits: Bits of a value.
    """
    if len(text) > 14:
        return f"{bits} bit"
    found = re.fullmatch(r"(-?\d+)…(-?\d+)( by \d+)?", text)
    return f"{int(found[1]):,}…{int(found[2]):,}{found[3] or ''}".replace("-", "−") if found else text


def wrapped(command: str, width: int = 66) -> str:
    """Return a command on lines that a person can read and paste.

    Args:
        command: The command.
        width: Letters per line.
    """
    lines = [""]
    for word in re.split(r" (?=-[^0-9])", command):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names in words: "a, b and c", or "a, b, c and 4 others".

    Args:
        names: The names, at least one.
        most: Names that are written out.
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {counted(len(names) - most, 'other')}"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
