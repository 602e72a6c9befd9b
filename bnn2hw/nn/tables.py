"""Numbers and tables formatted as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = Sequence[Any]


def number_as_readable_str(number: float) -> str:
    """Return a number with three significant digits and a suffix k, M, B or T.

    Args:
        number: A count.

    Returns:
        For example ``"93.6 k"``. Numbers below 1000 have no trailing zeros; from 1e15 on they are
        in scientific notation.
    """
    number = float(f"{number:.3g}")
    if number < 1000:
        return f"{number:f}".rstrip("0").rstrip(".")
    if number >= 1e15:
        return f"{number:.2E}"
    magnitude = 0
    while number >= 1000 and magnitude < 4:
        number, magnitude = number / 1000, magnitude + 1
    return f"{number:.3g} {'kMBT'[magnitude - 1]}"


def cell(value: Any) -> str:
    """Return the text of a table entry: floats with two decimals, unknown values as ``?``."""
    if value is None:
        return "?"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def draw(title: str, rows: Sequence[Row], *, framed: bool, right: bool) -> str:
    """Return a table drawn with plain characters.

    Args:
        title: Text in the upper border.
        rows: Entries; an entry may contain line breaks.
        framed: True to separate the first and the last row by rules.
        right: True to align all columns but the first to the right.

    Returns:
        The table without a final line break.
    """
    texts = [[cell(value).split("\n") for value in row] for row in rows]
    widths = [max(len(line) for row in texts for line in row[i]) for i in range(len(texts[0]))]
    rule = "+" + "-" * (sum(widths) + 2 * len(widths)) + "+"
    drawn = ["\n".join(_lines(row, widths, right)) for row in texts]
    if framed and len(drawn) > 1:
        drawn = [drawn[0], rule, *drawn[1:-1], rule, drawn[-1]]
    return "\n".join([f"+{title}{rule[len(title) + 1 :]}", *drawn, rule])


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int], right: bool) -> list[str]:
    """Return the lines of one row of a table."""
    lines = []
    for number in range(max(len(entry) for entry in row)):
        texts = [entry[number] if number < len(entry) else "" for entry in row]
        padded = [
            f" {text:>{width}} " if right and column else f" {text:<{width}} "
            for column, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        lines.append(f"|{''.join(padded)}|")
    return lines
