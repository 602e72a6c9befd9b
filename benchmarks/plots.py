"""Plots of recorded figures, as SVG files beside the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert
from records import HERE

INK, GRID = "#5b6472", "#d8dce3"
"""Colours that are read on white and on black."""


@dataclass(frozen=True)
class Plot:
    """Lines through points, both axes logarithmic.

    Attributes:
        points: Values of each point by column.
        x: Column of the horizontal axis, which is its title.
        y: Column of the vertical axis, which is its title.
        series: Column that names the line of a point.
    """

    points: Sequence[Mapping[str, float | str]]
    x: str
    y: str
    series: str

    def spec(self) -> dict[str, Any]:
        """Return the plot in Vega-Lite."""
        axes = {
            channel: {
                "field": column,
                "type": "quantitative",
                "scale": {"type": "log", "nice": False},
                "axis": {"title": column, "tickCount": 6},
            }
            for channel, column in (("x", self.x), ("y", self.y))
        }
        colour = {"field": self.series, "type": "nominal", "legend": {"title": None}}
        words = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
        return {
            "data": {"values": [dict(point) for point in self.points]},
            "mark": {"type": "line", "point": True},
            "encoding": {**axes, "color": colour},
            "width": 480,
            "height": 300,
            "background": "transparent",
            "config": {
                "axis": {**words, "titleFontWeight": "normal", "gridColor": GRID, "domainColor": INK},
                "legend": {"labelColor": INK, "labelFontSize": 12},
                "view": {"stroke": None},
            },
        }


def draw(name: str, plot: Plot) -> None:
    """Write a plot beside the pages, as `<name>.svg`."""
    made: str = vl_convert.vegalite_to_svg(plot.spec(), vl_version="6.4")
    (HERE / f"{name}.svg").write_text(made.rstrip() + "\n")
