"""The page of a study as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from bnn2hw import folders
from bnn2hw.report import page, words
from bnn2hw.studies import picture
from bnn2hw.studies.points import Row, Value
from bnn2hw.version import __version__

GENERATOR = "bnn2hw study"
"""What the head of a page says; another file is not replaced."""

TEXTS = ("target", "style", "state", "reason")
COLUMNS = (
    *("point", "target", "bits", "style", "fps", "latency_us", "pixels", "lut", "ff", "bram", "dsp", "use"),
    *(
        "deviation",
        "accuracy",
        "synth_lut",
        "synth_ff",
        "synth_bram",
        "synth_dsp",
        "synth_mhz",
        "state",
        "reason",
    ),
)
HEADS = {
    "fps": "frames/s",
    "latency_us": "latency",
    "use": "most used",
    **{name: name.upper() for name in ("lut", "ff", "bram", "dsp")},
    **{f"synth_{name}": f"{name.upper()} measured" for name in ("lut", "ff", "bram", "dsp")},
    "synth_mhz": "MHz reached",
}
WIDE = (
    "target",
    "pixels",
    "use",
    "latency_us",
    "deviation",
    "synth_ff",
    "synth_bram",
    "synth_dsp",
    "synth_mhz",
)
"""Columns that narrow screens leave out, unless the front trades them."""

SMALL = 10
"""Figures below have three digits, if they are not whole."""

STATES = {"fits": "fit", "too large": "too large", "refused": "refused"}


def of(rows: Sequence[Row], objectives: Sequence[str], table: Path) -> str:
    """Return the page of a study.

    Args:
        rows: The points.
        objectives: Figures that the front trades.
        table: File with the table.

    Raises:
        MissingToolError: A library that draws is not installed.
    """
    drawings = {
        name: Markup(picture.draw(rows, objectives, *size))  # noqa: S704 - Vega escapes texts
        for name, size in {"wide": (1040, 380), "narrow": (270, 260)}.items()
    }
    there = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    environment = page.environment().overlay()
    environment.filters = {**environment.filters, "cell": cell}
    return environment.get_template("study.html.j2").render(
        rows=rows,
        front=[row for row in rows if row["front"]],
        table_file=table,
        version=__version__,
        generator=GENERATOR,
        objectives=words.listed([picture.NAMES.get(name, name.upper()) for name in objectives]),
        states=STATES,
        columns=there,
        heads=HEADS,
        room={name: _room(name, objectives) for name in there},
        texts=TEXTS,
        measured=any(row.get("synth_lut") is not None for row in rows),
        **drawings,
    )


def _room(name: str, objectives: Sequence[str]) -> str:
    """Return the classes of a column: " opt" if phones leave it out, " mid" if narrow screens do."""
    return "" if name in ("point", "fps", "lut", *objectives) else " opt mid" if name in WIDE else " opt"


def beside(table: Path) -> Path:
    """Return the page that belongs to a table.

    Args:
        table: The table.
    """
    return table.with_suffix(".html")


def check(path: Path) -> None:
    """Check that a page can be written, before the work.

    Raises:
        InputError: The file is there, and no page of a study.
        StorageError: It cannot be written.
    """
    folders.claim_page(path, f'content="{GENERATOR}"', "the page of a study")


def cell(value: Value, name: str) -> str:
    """Return a figure of a row as tables show it.

    Args:
        value: The figure.
        name: Its column.
    """
    if value is None or name in TEXTS:
        return str(value or "")
    figure = float(value)
    if name in ("use", "accuracy"):
        return words.share(figure)
    if name == "deviation":
        return words.deviation(figure)
    if name == "latency_us":
        return words.time(figure)
    return words.count(figure) if figure >= SMALL or figure == int(figure) else f"{figure:.3g}"
