"""Draw tables as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

ABOVE, BELOW, SECTION, FOOT = tuple("┏━┳┓"), tuple("┡━╇┩"), tuple("├─┼┤"), tuple("└─┴┘")
"""Left end, line, crossing and right end of the lines around the head, between sections, and last."""


@dataclass
class Table:
    """A table with a title, a head and rows.

    Attributes:
        title: Text above the table.
        left: Names of the first columns, which are aligned on the left.
        right: Names of the other columns, which are aligned on the right.
        rows: Cells of the rows; an empty row begins a section.
    """

    title: str
    left: Sequence[str]
    right: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Append a row with a cell for each column."""
        self.rows.append(cells)

    def add_section(self) -> None:
        """Draw a line below the rows so far."""
        self.rows.append(())

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (*self.left, *self.right))
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows if row)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        caption = f'<caption style="text-align:left">{escape(self.title)}</caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __str__(self) -> str:
        names = (*self.left, *self.right)
        widths = [max(map(_width, column)) for column in zip(names, *filter(None, self.rows), strict=True)]
        body = [self._row("│", row, widths) if row else _line(SECTION, widths) for row in self.rows]
        head = (_line(ABOVE, widths), self._row("┃", names, widths), _line(BELOW, widths))
        lines = [self.title, *head, *body, _line(FOOT, widths)]
        return "".join(f"{line}\n" for line in lines)

    def _row(self, bar: str, cells: Sequence[str], widths: Sequence[int]) -> str:
        """Draw a row between vertical bars."""
        padded = []
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (width - _width(cell))
            padded.append(f" {cell}{space} " if i < len(self.left) else f" {space}{cell} ")
        return bar + bar.join(padded) + bar


def _line(ends: tuple[str, ...], widths: Sequence[int]) -> str:
    """Draw a horizontal line."""
    left, line, crossing, right = ends
    return left + crossing.join(line * (width + 2) for width in widths) + right


def _width(text: str) -> int:
    """Count the columns of a text on a terminal, where letters of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
