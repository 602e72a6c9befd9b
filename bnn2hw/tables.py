"""Draw tables as plain text, whole or as wide as a terminal."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape

ABOVE, BELOW, SECTION, FOOT = tuple("┏━┳┓"), tuple("┡━╇┩"), tuple("├─┼┤"), tuple("└─┴┘")
"""Left end, line, crossing and right end of the lines around the head, between sections, and last."""

BRIEF = (
    ("batch_normalization", "batch_norm"),
    ("average_pooling", "avg_pool"),
    ("max_pooling", "max_pool"),
    ("global_", "gl_"),
    ("depthwise", "dw"),
    ("FIFOs and converters", "FIFOs etc."),
)
"""Long words in names, and short ones in their place."""

INDENT = "    "
"""Beginning of the second line of a broken one, and of those after it."""

LETTERS, LEAST = 16, 8
"""Letters that a name keeps while columns can be left out, and those that it keeps always."""

WORD = (5, 4, 3, 2, 1)
"""Letters to which the words of a name are shortened, where a cut does not keep names distinct."""


@dataclass
class Table:
    """A table with a title, a head and rows.

    Attributes:
        title: Text above the table.
        left: Names of the first columns, which are aligned on the left.
        right: Names of the other columns, which are aligned on the right.
        rows: Cells of the rows; an empty row begins a section.
        brief: Shorter names of columns, for terminals that are too narrow.
        drops: Columns that may be left out there, the first one first. The others hold figures, which
            are never shortened.
    """

    title: str
    left: Sequence[str]
    right: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    brief: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    drops: Sequence[str] = field(default=(), kw_only=True)

    def add(self, *cells: str) -> None:
        """Append a row with a cell for each column."""
        self.rows.append(cells)

    def add_section(self) -> None:
        """Draw a line below the rows so far."""
        self.rows.append(())

    def _repr_html_(self) -> str:
        sides = ["left"] * len(self.left) + ["right"] * len(self.right)
        names = zip((*self.left, *self.right), sides, strict=True)
        head = "".join(f'<th scope="col" style="text-align:{s}">{escape(name)}</th>' for name, s in names)
        rows = ("".join(map(_cell, row, sides)) for row in self.rows if row)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        caption = f'<caption style="text-align:left">{escape(self.title)}</caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def fitted(self, width: int | None) -> str:
        """Return the table as text that is no wider than a terminal, if its figures alone are not.

        First the names of columns become shorter, then those in the first column, then columns are left out.

        Args:
            width: Columns of the terminal; None for the whole table.
        """
        titled = replace(self, title=wrapped([self.title], width))
        if width is None or self._total <= width:
            return str(titled)
        made = replace(titled, left=self._briefly(self.left), right=self._briefly(self.right))
        gone = 0
        while gone < len(self.drops) and made._room(width) < min(LETTERS, made._widths[0]):
            made = made._without(*made._briefly(self.drops[gone : gone + 1]))
            gone += 1
        if self.left:
            made = made._with_names(max(made._room(width), LEAST))
        missing = wrapped([f"not shown at this width: {', '.join(self.drops[:gone])}"], width)
        return f"{made}{missing}\n" if gone else str(made)

    def _room(self, width: int) -> int:
        """Return the columns of a terminal that are left for the first column."""
        return width - self._total + self._widths[0]

    @property
    def _widths(self) -> list[int]:
        """The width of each column."""
        columns = zip((*self.left, *self.right), *filter(None, self.rows), strict=True)
        return [max(map(columns_of, column)) for column in columns]

    @property
    def _total(self) -> int:
        """The width of the whole, with its lines."""
        return sum(width + 3 for width in self._widths) + 1

    def _briefly(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.brief.get(name, name) for name in names)

    def _without(self, name: str) -> Table:
        """Return the table without a column."""
        at = [*self.left, *self.right].index(name)
        left, right = ([n for n in names if n != name] for names in (self.left, self.right))
        return replace(self, left=left, right=right, rows=[(*r[:at], *r[at + 1 :]) for r in self.rows])

    def _with_names(self, limit: int) -> Table:
        """Return the table with short names in its first column."""
        names = list(dict.fromkeys(row[0] for row in self.rows if row))
        short = dict(zip(names, shortened(names, limit), strict=True))
        return replace(self, rows=[(short[row[0]], *row[1:]) if row else row for row in self.rows])

    def __str__(self) -> str:
        names, widths = (*self.left, *self.right), self._widths
        body = [self._row("│", row, widths) if row else _line(SECTION, widths) for row in self.rows]
        head = (_line(ABOVE, widths), self._row("┃", names, widths), _line(BELOW, widths))
        lines = [self.title, *head, *body, _line(FOOT, widths)]
        return "".join(f"{line}\n" for line in lines)

    def _row(self, bar: str, cells: Sequence[str], widths: Sequence[int]) -> str:
        """Draw a row between vertical bars."""
        padded = []
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (width - columns_of(cell))
            padded.append(f" {cell}{space} " if i < len(self.left) else f" {space}{cell} ")
        return bar + bar.join(padded) + bar


def _cell(text: str, side: str) -> str:
    """Return a cell as HTML. Notebooks align cells on the right."""
    return (
        f'<td style="text-align:left">{escape(text)}</td>' if side == "left" else f"<td>{escape(text)}</td>"
    )


def _line(ends: tuple[str, ...], widths: Sequence[int]) -> str:
    """Draw a horizontal line."""
    left, line, crossing, right = ends
    return left + crossing.join(line * (width + 2) for width in widths) + right


def shortened(names: Sequence[str], limit: int) -> list[str]:
    """Return short forms of names, of which as many as possible are distinct.

    A part is cut out of the middle of each name, or else the beginning that they share is left out
    and their words become shorter.

    Args:
        names: The names.
        limit: Most letters of each.
    """
    heads = sorted(range(1, limit), key=lambda head: abs(head - limit // 2))
    forms = [[short(name, limit, head) for name in names] for head in heads]
    if len(names) > len(max(map(set, forms), key=len, default=())):
        forms += [_abbreviated(names, limit, letters) for letters in WORD]
    return max(forms, key=lambda form: len(set(form)))


def _abbreviated(names: Sequence[str], limit: int, letters: int) -> list[str]:
    """Return names, of which the long ones have short words and lack the words that most of them begin with.

    Args:
        names: The names.
        limit: Most letters of each.
        letters: Most letters of each word. Digits stay.
    """
    long = [name for name in names if len(name) > limit]
    shared = _shared(long)
    words = re.compile(rf"([^\W\d_]{{{letters}}})[^\W\d_]+")
    cut = (f"…{name[len(shared) :]}" if shared and name.startswith(shared) else name for name in long)
    briefly = dict(zip(long, (short(words.sub(r"\1", name), limit) for name in cut), strict=True))
    return [briefly.get(name, name) for name in names]


def _shared(names: Sequence[str]) -> str:
    """Return the longest beginning, up to a "_", that more than half of the names have; "" if there is none."""
    ends = ((name, at + 1) for name in names for at, letter in enumerate(name) if letter == "_")
    counts = Counter(name[:end] for name, end in ends)
    return max((start for start, n in counts.items() if 2 * n > len(names)), key=len, default="")


def short(name: str, limit: int, head: int | None = None) -> str:
    """Return a name where room is scarce.

    Args:
        name: The name.
        limit: Most letters.
        head: Letters before the part that is cut out; None for half of them.
    """
    if len(name) <= limit:
        return name
    for long, brief in BRIEF:
        name = name.replace(long, brief)
    head = limit // 2 if head is None else head
    return name if len(name) <= limit else f"{name[:head]}…{name[len(name) - (limit - head - 1) :]}"


def counted(number: int, noun: str) -> str:
    """Return a number with separators of thousands, and its noun, in the plural with an "s"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def terminal_width() -> int | None:
    """Return the columns of the terminal that takes standard output; None if it is a file or a pipe.

    The environment variable COLUMNS stands above that.
    """
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def wrapped(lines: Iterable[str], width: int | None) -> str:
    """Return lines, each broken between words where it is wider than a terminal; longer words become short.

    Args:
        lines: The lines.
        width: Columns of the terminal; None for lines as they are.
    """
    if width is None:
        return "\n".join(lines)
    room = max(width, LETTERS)
    fitting = (re.sub(r"\S+", lambda word: short(word[0], room - len(INDENT)), line) for line in lines)
    return "\n".join(
        textwrap.fill(line, room, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)
        for line in fitting
    )


def columns_of(text: str) -> int:
    """Count the columns of a text on a terminal, where letters of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
