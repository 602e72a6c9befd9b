"""Draw a study: its points in the plane of two figures, and its page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn2hw import folders
from bnn2hw.data_files import data_dir
from bnn2hw.report import charts, words
from bnn2hw.report.charts import Spec
from bnn2hw.report.tokens import ACCENT, INK, MUTED, TOKENS, WARN
from bnn2hw.studies.points import Row

NAMES = {
    "fps": "frames per second",
    "latency_us": "latency in µs",
    "use": "share of the fullest resource",
    "deviation": "deviation from the model",
    "accuracy": "accuracy",
}
"""Names of figures on axes; the others are resources."""

UNITS = {"fps": "frames/s", "latency_us": "µs"}

LONG = 3
"""Powers of ten from which on a logarithmic axis shows these alone."""

MOST_NUMBERS = 24
"""Number of points of a front up to which each of them carries its number."""

NOTEBOOK = (
    "--ink:currentColor;--muted:color-mix(in srgb,currentColor 65%,transparent);"
    "--rule:color-mix(in srgb,currentColor 35%,transparent);--track:color-mix(in srgb,currentColor 14%,transparent);"
    "--accent:#2a86c0;--warn:#d2691e"
)
"""Colors for pages whose background is not known."""


@dataclass(frozen=True)
class Picture:
    """A drawing that notebooks show.

    Attributes:
        svg: The drawing, in the colors of the page that shows it.
    """

    svg: str

    def __repr__(self) -> str:
        return "<Picture; its method save writes an SVG file>"

    def _repr_html_(self) -> str:
        return f'<div style="{NOTEBOOK};max-width:720px">{self.svg}</div>'

    def save(self, path: str | Path) -> None:
        """Write the drawing as an SVG file in light colors.

        Args:
            path: The file.

        Raises:
            StorageError: It cannot be written.
        """
        sheet = (data_dir("templates") / "report" / "style.css").read_text()
        light = dict(re.findall(r"--(\w+): (#\w+);", sheet.split("}")[0]))
        made = self.svg
        for token in TOKENS.values():
            made = made.replace(f"var(--{token})", light[token])
        folders.write_text(Path(path), made.replace('"inherit"', '"sans-serif"'))


def axes(objectives: Sequence[str]) -> tuple[str, str]:
    """Return the two figures that a picture shows: the first objectives, or the rate and the LUTs.

    Args:
        objectives: Figures that the front trades.
    """
    first, second, *_ = dict.fromkeys((*objectives[:2], "fps", "lut"))
    return first, second


def draw(rows: Sequence[Row], objectives: Sequence[str], width: int = 620, height: int = 320) -> str:
    """Draw the points that fit, the front among them, and what was measured.

    Args:
        rows: The points.
        objectives: Figures that the front trades.
        width: Pixels.
        height: Pixels.

    Raises:
        MissingToolError: The library that draws is not installed.
    """
    x, y = axes(objectives)
    there = [
        row for row in rows if row["state"] == "fits" and row.get(x) is not None and row.get(y) is not None
    ]
    front = [row for row in there if row["front"]]
    at = {"x": _axis("x", x, there), "y": _axis("y", y, there)}
    label = f"{NAMES.get(x, x.upper())} against {NAMES.get(y, y.upper())}, the front marked"
    layers = [
        _points(
            [r for r in there if not r["front"]], x, y, at, {"color": MUTED, "size": 16, "opacity": 0.45}
        ),
        *_front(front, x, y, at, by_target=len({row["target"] for row in front}) > 1),
        *_measured(there, x, y, at),
    ]
    return charts.drawn(
        [layer for layer in layers if layer["data"]["values"]] or [_nothing()], label, width, height
    )


def _axis(way: str, name: str, rows: Sequence[Row]) -> Spec:
    values = [float(row[name] or 0) for row in rows]
    wide = bool(values) and min(values) > 0 and max(values) > charts.RANGE * min(values)
    title = NAMES.get(name, f"{name.upper()}, predicted")
    form = "~%" if name in ("use", "accuracy") else "~s"
    marks = {"values": _marks(min(values), max(values))} if wide else {"tickCount": 5}
    return {
        "field": name,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "nice": False} if wide else {"zero": way == "y" and name != "accuracy"},
        "axis": {"grid": way == "y", "domain": way == "x", "format": form, **marks},
    }


def _marks(least: float, most: float) -> list[float]:
    """Return round figures of a logarithmic axis: powers of ten, and over a short range 2 and 5 times these."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    digits = (1, 2, 5) if last - first <= LONG else (1,)
    marks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    return [mark for mark in marks if least <= mark <= most]


def _points(rows: Sequence[Row], x: str, y: str, at: Spec, look: Spec) -> Spec:
    values = [{x: row[x], y: row[y], **_words(row, x, y)} for row in rows]
    return {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, **look},
        "encoding": {**at, "description": {"field": "label"}},
    }


def _words(row: Row, x: str, y: str) -> dict[str, Any]:
    figures = ", ".join(f"{_figure(row[name])} {UNITS.get(name, name.upper())}" for name in (x, y))
    return {
        "number": str(row["point"]),
        "target": row["target"],
        "label": f"point {row['point']}: {figures}, {row['style']}, {row['target']}",
    }


def _figure(value: Any) -> str:
    return words.count(value) if float(value) >= 1 else f"{float(value):.3g}"


def _front(front: Sequence[Row], x: str, y: str, at: Spec, *, by_target: bool) -> list[Spec]:
    """Draw the front: a line, its points, and their numbers."""
    points = _points(front, x, y, at, {"color": ACCENT, "size": 46, "opacity": 1})
    if by_target:
        top = {"orient": "top", "title": None}
        points["encoding"]["shape"] = {"field": "target", "type": "nominal", "legend": top}
    line = {"type": "line", "color": ACCENT, "strokeWidth": 1.2, "interpolate": "step-before", "aria": False}
    number = {"type": "text", "align": "right", "dx": -5, "dy": -8, "color": INK, "aria": False}
    numbers = {"data": points["data"], "mark": number, "encoding": {**at, "text": {"field": "number"}}}
    return [
        *([{"data": points["data"], "mark": line, "encoding": at}] if (x, y) == ("fps", "lut") else []),
        points,
        *([numbers] if len(front) <= MOST_NUMBERS else []),
    ]


def _measured(rows: Sequence[Row], x: str, y: str, at: Spec) -> list[Spec]:
    """Draw what synthesis measured, tied to what was predicted."""
    name = f"synth_{y}"
    found = [row for row in rows if row.get(name) is not None]
    values = [
        {
            x: r[x],
            y: r[y],
            "used": r[name],
            "label": f"point {r['point']}: {_figure(r[name])} {y.upper()} measured",
        }
        for r in found
    ]
    used = {**at["y"], "field": "used"}
    look = {"type": "point", "shape": "diamond", "color": WARN, "size": 60, "strokeWidth": 1.5}
    return [
        {
            "data": {"values": values},
            "mark": {"type": "rule", "color": WARN, "aria": False},
            "encoding": {**at, "y2": {"field": "used"}},
        },
        {
            "data": {"values": values},
            "mark": look,
            "encoding": {"x": at["x"], "y": used, "description": {"field": "label"}},
        },
    ]


def _nothing() -> Spec:
    text = {"type": "text", "text": "no point fits", "color": MUTED}
    return {"data": {"values": [{}]}, "mark": text, "encoding": {}}
