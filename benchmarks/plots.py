"""Plots of recorded figures, as SVG files beside the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert
from records import HERE

LOG: dict[str, Any] = {"type": "log", "nice": False, "padding": 10}
LINEAR: dict[str, Any] = {"zero": False}

INK, GRID = "#5b6472", "#d8dce3"
"""Colours that are read on white and on black."""


@dataclass(frozen=True)
class Plot:
    """Lines through points, or points with names; the horizontal axis is logarithmic.

    Attributes:
        points: Values of each point by column.
        x: Column of the horizontal axis, which is its title.
        y: Column of the vertical axis, which is its title.
        series: Column that names the line of a point.
        label: Column of the text beside a point; points with a text have no lines.
    """

    points: Sequence[Mapping[str, float | str]]
    x: str
    y: str
    series: str
    label: str | None = None

    def spec(self) -> dict[str, Any]:
        """Return the plot in Vega-Lite."""
        axes = {
            channel: {
                "field": column,
                "type": "quantitative",
                "scale": scale,
                "axis": {"title": column, "tickCount": 6},
            }
            for channel, column, scale in (("x", self.x, LOG), ("y", self.y, LINEAR if self.label else LOG))
        }
        colour = {"field": self.series, "type": "nominal", "legend": {"title": None}}
        words = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
        return {
            "data": {"values": [dict(point) for point in self.points]},
            "encoding": {**axes, "color": colour},
            "layer": self._layers(),
            "width": 480,
            "height": 300,
            "background": "transparent",
            "config": {
                "axis": {**words, "titleFontWeight": "normal", "gridColor": GRID, "domainColor": INK},
                "legend": {"labelColor": INK, "labelFontSize": 12},
                "view": {"stroke": None},
            },
        }

    def _layers(self) -> list[dict[str, Any]]:
        """Return the marks of the plot."""
        if not self.label:
            return [{"mark": {"type": "line", "point": True}}]
        text = {"type": "text", "align": "left", "dx": 8, "fontSize": 12}
        return [
            {"mark": {"type": "point", "filled": True, "size": 70}},
            {"mark": text, "encoding": {"text": {"field": self.label}}},
        ]


def draw(name: str, plot: Plot) -> None:
    """Write a plot beside the pages, as `<name>.svg`."""
    made: str = vl_convert.vegalite_to_svg(plot.spec(), vl_version="6.4")
    (HERE / f"{name}.svg").write_text(made.rstrip() + "\n")
