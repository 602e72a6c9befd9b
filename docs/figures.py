"""Draw the figures of the pages on concepts, as SVG.

python docs/figures.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygraphviz
import vl_convert

HERE = Path(__file__).parent / "concepts"
INK, MUTED, BLUE, ORANGE, PALE = "#1a1d21", "#59616b", "#0072b2", "#c24e00", "#e3eef6"
FOLDS = ("#0072b2", "#56b4e9", "#009e73", "#8cc084", "#c24e00", "#f0964a", "#7a5195", "#b99bcb")
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

Spec = dict[str, Any]


def chart(name: str, spec: Spec) -> None:
    """Draw a chart and write it."""
    axis = {"labelColor": INK, "titleColor": MUTED, "titleFontWeight": "normal", "gridColor": "#e3e7eb"}
    config = {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**axis, "labelFontSize": 12, "titleFontSize": 12},
    }
    svg = vl_convert.vegalite_to_svg({**spec, "config": config, "background": "white"}, vl_version="6.4")
    (HERE / f"{name}.svg").write_text(svg + "\n")


def folding(neurons: int = 8, synapses: int = 12, pe: int = 4, simd: int = 6) -> Spec:
    """Draw a weight matrix, with the cycle in which each weight is used."""
    cells = []
    for neuron in range(neurons):
        for synapse in range(synapses):
            cycle = neuron // pe * (synapses // simd) + synapse // simd
            cells.append({"neuron": neuron, "synapse": synapse, "cycle": f"cycle {cycle}"})
    kinds = sorted({c["cycle"] for c in cells})
    return {
        "data": {"values": cells},
        "width": 30 * synapses,
        "height": 30 * neurons,
        "mark": {"type": "rect", "stroke": "white", "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "synapse",
                "type": "ordinal",
                "title": "synapses of a neuron: SIMD = 6 in a cycle",
                "axis": {"labelAngle": 0, "ticks": False, "domain": False},
            },
            "y": {
                "field": "neuron",
                "type": "ordinal",
                "title": "neurons: PE = 4 in a cycle",
                "axis": {"ticks": False, "domain": False},
            },
            "color": {
                "field": "cycle",
                "type": "nominal",
                "title": None,
                "scale": {"domain": kinds, "range": [FOLDS[0], FOLDS[1], FOLDS[4], FOLDS[5]]},
                "legend": {"labelFontSize": 12, "symbolType": "square"},
            },
        },
    }


def thresholds(synapses: int = 27, gamma: float = 0.31, mean: float = 3.4, beta: float = 0.45) -> Spec:
    """Draw BatchNorm behind a dot product of signs, and the threshold that replaces it."""
    sums = range(-15, 18, 2)
    points = [{"sum": a, "value": gamma * (a - mean) + beta} for a in sums]
    for p in points:
        p["sign"] = "+1" if p["value"] >= 0 else "-1"
    first = next(p["sum"] for p in points if p["sign"] == "+1")
    x = {
        "field": "sum",
        "type": "quantitative",
        "title": "accumulator: a sum of 27 products of signs",
        "axis": {"values": list(sums), "grid": False, "labelAngle": 0},
        "scale": {"domain": [-16, 18]},
    }
    y = {"field": "value", "type": "quantitative", "title": "value behind BatchNorm"}
    line = {"mark": {"type": "line", "color": "#b4bbc3", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y}}
    colors = {"domain": ["-1", "+1"], "range": [ORANGE, BLUE]}
    dots = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": {
                "field": "sign",
                "type": "nominal",
                "title": "sign",
                "scale": colors,
                "legend": {"labelFontSize": 12, "titleFontSize": 12},
            },
        },
    }
    cut = {
        "data": {"values": [{"sum": first - 1}]},
        "mark": {"type": "rule", "color": INK, "strokeDash": [5, 4]},
        "encoding": {"x": x},
    }
    words = {
        "data": {"values": [{"sum": first - 1, "value": 4.6}]},
        "mark": {
            "type": "text",
            "text": f"threshold {first}",
            "align": "left",
            "dx": 6,
            "fontSize": 13,
            "color": INK,
        },
        "encoding": {"x": x, "y": y},
    }
    return {"data": {"values": points}, "width": 560, "height": 240, "layer": [line, dots, cut, words]}


def graph(name: str, nodes: dict[str, Spec], edges: list[tuple[str, str, str]], way: str = "LR") -> None:
    """Lay out a graph and write it."""
    made = pygraphviz.AGraph(
        directed=True, rankdir=way, bgcolor="white", nodesep=0.35, ranksep=0.55, pad=0.15
    )
    made.node_attr.update(
        shape="box",
        style="filled,rounded",
        fontname="Arial",
        fontsize=12,
        color=BLUE,
        fillcolor=PALE,
        fontcolor=INK,
        margin="0.14,0.08",
        penwidth=1.2,
    )
    made.edge_attr.update(fontname="Arial", fontsize=11, fontcolor=MUTED, color=MUTED, arrowsize=0.7)
    for node, attributes in nodes.items():
        made.add_node(node, **attributes)
    for start, end, label in edges:
        made.add_edge(start, end, label=f" {label} " if label else "")
    svg = made.draw(format="svg", prog="dot").decode()
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL).replace(
        'font-family="Arial"', f'font-family="{FONT}"'
    )
    (HERE / f"{name}.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


FIFO = {"shape": "box", "style": "filled", "fillcolor": "white", "color": MUTED, "fontcolor": MUTED}


def streams() -> None:
    """Draw a residual block with the FIFO that its shortcut needs."""
    nodes = {
        "in": {"label": "previous layer"},
        "window": {"label": "sliding window\n3×3"},
        "unit": {"label": "xnor unit\nPE 8 × SIMD 16"},
        "fifo": {"label": "FIFO\n118 beats deep", **FIFO},
        "wide": {"label": "width converter", **FIFO},
        "add": {"label": "add"},
        "out": {"label": "next layer"},
    }
    edges = [
        ("in", "window", "16 bit"),
        ("window", "unit", "16 bit"),
        ("unit", "add", "8 × 9 bit"),
        ("in", "fifo", "16 bit"),
        ("fifo", "wide", ""),
        ("wide", "add", "8 × 1 bit"),
        ("add", "out", "8 × 10 bit"),
    ]
    graph("streams", nodes, edges)


def fidelity() -> None:
    """Draw a network of exact and rounded layers."""
    rounded = {"color": ORANGE, "fillcolor": "#fbeadf"}
    nodes = {
        "pixels": {"label": "pixels\nuint8", "style": "filled", "fillcolor": "white", "color": MUTED},
        "stem": {"label": "convolution\nreal kernel\nROUNDED", **rounded},
        "sign": {"label": "sign\nEXACT decision\nof a rounded value", **rounded},
        "conv": {"label": "binary convolution\nBatchNorm, sign\nEXACT"},
        "dense": {"label": "binary dense\nargmax\nEXACT"},
        "class": {"label": "class", "style": "filled", "fillcolor": "white", "color": MUTED},
    }
    names = list(nodes)
    labels = ["", "fixed point", "signs", "signs", ""]
    graph("fidelity", nodes, [(a, b, t) for a, b, t in zip(names, names[1:], labels, strict=False)])


def charts() -> Iterator[tuple[str, Spec]]:
    """Yield the charts by name."""
    yield "folding", folding()
    yield "thresholds", thresholds()


def main() -> None:
    """Draw all figures."""
    for name, spec in charts():
        chart(name, spec)
    streams()
    fidelity()


if __name__ == "__main__":
    main()
