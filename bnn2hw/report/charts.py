"""Draw charts with Vega-Lite, as SVG that needs no script."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from bnn2hw.report import tokens, words
from bnn2hw.report.facts import Facts
from bnn2hw.report.tokens import ACCENT, INK, MUTED, RULE, TRACK, WARN
from bnn2hw.tables import counted, shortened

Spec = dict[str, Any]
Row = tuple[str, float, bool]
"""A bar: its name, its value, and whether it sets the rate."""

Placed = tuple[float, float, str]
"""A point of a front: frames per second, LUTs, and its name with what parts it from its figures."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""Font that texts are measured with. The page draws with its own."""

VERSION = "6.4"
"""Version of Vega-Lite."""

RANGE = 20
"""Ratio of the largest to the smallest figure from which on an axis is logarithmic."""

LEFT = 4
"""Up to so many times the slowest rate, a point has its name on the right."""

TOP = 10
"""Number of bars; the others are a sentence."""

LETTER = 6
"""Pixels of a letter of a name, on average."""

WIDER = 1
"""Pixels by which a letter of a figure is wider in the widest fonts of browsers than in `FONT`."""

PIECE = 40
"""Layers in a drawing of the timeline: as many as a printed page holds."""

CONFIG: Spec = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": TRACK,
        "domainColor": RULE,
        "tickColor": RULE,
        "labelPadding": 4,
        "titlePadding": 8,
        "domain": False,
        "tickSize": 4,
    },
    "text": {"fontSize": 11, "color": INK},
    "bar": {"color": ACCENT},
    "rule": {"color": RULE},
    "legend": {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 11, "symbolStrokeColor": MUTED},
}
BY_RATE: Spec = {"condition": {"test": "datum.slow", "value": WARN}, "value": ACCENT}


def drawn(layers: Sequence[Spec], label: str, width: int, height: Any, *, right: int = 2) -> str:
    """Draw layers over each other, in the colors of the page.

    Args:
        layers: Layers of Vega-Lite, the lowest first.
        label: Name of the drawing.
        width: Pixels.
        height: Pixels, or a step as Vega-Lite has it.
        right: Pixels of room on the right.

    Raises:
        MissingToolError: The library is not installed.
    """
    spec = {
        "layer": list(layers),
        "width": width,
        "height": height,
        "background": "transparent",
        "padding": {"left": 2, "top": 2, "right": right, "bottom": 2},
        "config": CONFIG,
    }
    made: str = tokens.library("vl_convert", "vl-convert-python").vegalite_to_svg(spec, vl_version=VERSION)
    made = made.replace(FONT, "inherit").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    made = made.replace('class="marks"', f'role="img" aria-label="{html.escape(label)}" class="marks"', 1)
    return tokens.themed(made)


def _names(order: Sequence[str], gutter: int) -> Spec:
    """Return the axis of the names, in a gutter of fixed width: fonts differ from browser to browser."""
    limit = round(0.84 * gutter)
    brief = shortened(order, round(limit / LETTER))
    axis = {
        "ticks": False,
        "labelExpr": f"({json.dumps(dict(zip(order, brief, strict=True)))})[datum.value]",
        "labelLimit": limit,
        "labelColor": INK,
        "minExtent": gutter,
        "maxExtent": gutter,
        "domain": False,
    }
    return {"field": "what", "type": "nominal", "sort": list(order), "title": None, "axis": axis}


def ranked(
    rows: Sequence[Row], printed: Callable[[float], str], *, add: bool = True
) -> tuple[list[Row], str]:
    """Return the largest bars, and a sentence on the others.

    Args:
        rows: The bars.
        printed: Prints a value.
        add: Whether a sum of values means something; else the sentence has the largest of them.
    """
    order = sorted((r for r in rows if r[1] > 0), key=lambda r: -r[1])
    rest = order[TOP:]
    if not rest:
        return order, ""
    told = f"{printed(sum(r[1] for r in rest))} together" if add else f"at most {printed(rest[0][1])} each"
    return order[:TOP], f"{counted(len(rest), 'other')}: {told}."


def bars(rows: Sequence[Row], label: str, printed: Callable[[float], str], width: int = 156) -> str:
    """Draw bars with their values.

    Args:
        rows: The bars, at least one.
        label: Name of the drawing.
        printed: Prints a value.
        width: Pixels of the longest bar.
    """
    data = [{"what": n, "value": v, "words": printed(v), "slow": s} for n, v, s in rows]
    x = {
        "field": "value",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [0, max(r[1] for r in rows)]},
    }
    y = _names([r[0] for r in rows], 146)
    marks = {
        "data": {"values": data},
        "transform": [{"calculate": "datum.what + ': ' + datum.words", "as": "label"}],
        "mark": {"type": "bar", "height": 11},
        "encoding": {"x": x, "y": y, "color": BY_RATE, "description": {"field": "label"}},
    }
    text = {
        "data": {"values": data},
        "mark": {"type": "text", "align": "left", "dx": 5, "aria": False},
        "encoding": {"x": x, "y": y, "text": {"field": "words"}},
    }
    room = 2 + WIDER * max(len(printed(r[1])) for r in rows)
    return drawn([marks, text], label, width, {"step": 19}, right=room)


def pareto(
    facts: Facts, front: Sequence[Placed], width: int, height: int, *, others: Sequence[Placed] = ()
) -> str:
    """Draw a front of rate against LUTs, with this design and the limits on it.

    Args:
        facts: The facts.
        front: Points of the front, at least one.
        width: Pixels.
        height: Pixels.
        others: Points behind the front.
    """
    estimate, device = facts.accelerator.estimate(), facts.accelerator.device
    points, behind = ([_named(*place) for place in places] for places in (front, others))
    here = {"fps": estimate.fps, "lut": estimate.cost.lut, "words": "this design"}
    here["label"] = f"this design: {_point(estimate.fps, estimate.cost.lut)}"
    luts = [estimate.cost.lut, *(lut for _, lut, _ in (*front, *others))]
    wide = max(luts) > RANGE * max(min(luts), 1.0)
    rates = [fps for fps, _, _ in (*front, *others)]
    name = NAME if estimate.fps > LEFT * min(rates) else {**NAME, "align": "left", "dx": 10}
    x = {
        "field": "fps",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "title": "frames per second",
        "axis": {"grid": False, "format": "~s", "tickCount": 5, "domain": True},
    }
    y = {
        "field": "lut",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False} if wide else {"zero": True},
        "title": "LUT, predicted",
        "axis": {"format": "~s" if wide else ",.0f", "tickCount": 5},
    }
    at = {"x": x, "y": y}
    data, own = {"values": points}, {"values": [here]}
    line = {
        "type": "line",
        "color": ACCENT,
        "strokeWidth": 1.5,
        "interpolate": "step-before",
        "aria": False,
    }
    told = {**at, "description": {"field": "label"}}
    grey = {"type": "circle", "color": MUTED, "size": 16, "opacity": 0.45}
    layers: list[Spec] = [
        *([{"data": {"values": behind}, "mark": grey, "encoding": told}] if behind else []),
        {"data": data, "mark": line, "encoding": at},
        {
            "data": data,
            "mark": {"type": "circle", "color": ACCENT, "size": 28, "opacity": 1},
            "encoding": told,
        },
        *_limits(facts, x, y, max(luts), device.lut),
        {"data": own, "mark": DIAMOND, "encoding": told},
        {"data": own, "mark": name, "encoding": {**at, "text": {"field": "words"}}},
    ]
    return drawn(layers, "Predicted LUTs against frames per second, this design marked", width, height)


DIAMOND: Spec = {
    "type": "point",
    "color": WARN,
    "size": 110,
    "filled": True,
    "shape": "diamond",
    "opacity": 1,
}
NAME: Spec = {"type": "text", "align": "right", "dx": -10, "dy": -8, "fontWeight": "bold", "aria": False}


def _named(fps: float, lut: float, name: str) -> Spec:
    return {"fps": fps, "lut": lut, "label": f"{name}{_point(fps, lut)}"}


def _point(fps: float, lut: float) -> str:
    return f"{words.count(fps)} frames/s, {words.count(lut)} LUT"


def _limits(facts: Facts, x: Spec, y: Spec, most: float, there: int) -> list[Spec]:
    """Draw the rate that was asked for, and the LUTs of the device if they are near."""
    made: list[Spec] = []
    asked = facts.accelerator.options.get("fps")
    if asked:
        data = {"values": [{"fps": float(asked), "words": f"asked: {words.count(float(asked))}"}]}
        rule = {"type": "rule", "strokeDash": [3, 3], "color": MUTED, "aria": False}
        text = {"type": "text", "align": "left", "dx": 5, "baseline": "top", "color": MUTED, "aria": False}
        where = {"x": x, "y": {"value": 24}, "text": {"field": "words"}}
        made += [
            {"data": data, "mark": rule, "encoding": {"x": x}},
            {"data": data, "mark": text, "encoding": where},
        ]
    if there < 1.6 * most:
        data = {"values": [{"lut": there, "words": f"all of {facts.accelerator.device.name}"}]}
        text = {"type": "text", "align": "left", "dy": 10, "color": MUTED}
        where = {"y": y, "x": {"value": 4}, "text": {"field": "words"}}
        made += [
            {"data": data, "mark": {"type": "rule", "color": WARN}, "encoding": {"y": y}},
            {"data": data, "mark": text, "encoding": where},
        ]
    return made


def timeline(facts: Facts, width: int, gutter: int) -> list[str]:
    """Draw when each layer works on the first frame, in pieces of one scale.

    Args:
        facts: The facts.
        width: Pixels of the axis of time.
        gutter: Pixels for the names.
    """
    clock, latency = facts.accelerator.device.clock_mhz, facts.accelerator.estimate().latency_us
    unit, scale = ("ms", 1000 * clock) if latency >= 1000 else ("µs", clock)
    data: list[Spec] = [
        {
            "what": layer.name,
            "from": layer.span.first / scale,
            "to": (layer.span.last + 1) / scale,
            "slow": layer.slowest in facts.slow,
            "label": f"{layer.name}: cycle {layer.span.first:,} to {layer.span.last:,}",
        }
        for layer in facts.working
    ]
    end = latency * clock / scale
    top = max(end * 1.02, *(d["to"] for d in data), 1e-9)
    x = {
        "field": "from",
        "type": "quantitative",
        "title": f"{unit} after the first input beat",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {"format": _decimals(top), "tickCount": 8 if width > 500 else 4},
    }
    count = math.ceil(len(data) / PIECE)
    size = math.ceil(len(data) / max(1, count))
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if data else []
    step = 17 if len(data) <= 30 else 13
    return [_gantt(piece, x, gutter, end, step, width) for piece in pieces]


def _gantt(data: Sequence[Spec], x: Spec, gutter: int, end: float, step: int, width: int) -> str:
    """Draw a piece of the timeline."""
    y = _names([d["what"] for d in data], gutter)
    bars = {
        "data": {"values": data},
        "mark": {"type": "bar", "height": 9, "cornerRadius": 1},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "color": BY_RATE,
            "description": {"field": "label"},
        },
    }
    label = "When each layer works on the first frame, from the first value that it reads to the last that it gives"
    return drawn([bars, *_first_output(end, x["scale"])], label, width, {"step": step})


def _decimals(top: float) -> str:
    return ",.0f" if top > 12 else ".1f" if top > 1 else ".2f"


def _first_output(end: float, time: Spec) -> list[Spec]:
    data = {"values": [{"at": end, "words": "first output"}]}
    at = {"field": "at", "type": "quantitative", "scale": time}
    text = {
        "type": "text",
        "align": "right",
        "dx": -6,
        "baseline": "bottom",
        "dy": -2,
        "aria": False,
    }
    return [
        {
            "data": data,
            "mark": {"type": "rule", "color": INK, "strokeWidth": 1, "aria": False},
            "encoding": {"x": at},
        },
        {
            "data": data,
            "mark": text,
            "encoding": {"x": at, "y": {"value": 0}, "text": {"field": "words"}},
        },
    ]
