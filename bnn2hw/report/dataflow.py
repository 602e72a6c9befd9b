"""Draw the dataflow graph of a design with Graphviz."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnn2hw.report import rows, tokens, words
from bnn2hw.report.facts import Facts, LayerFacts, OpFacts
from bnn2hw.report.rows import Arrow
from bnn2hw.report.tokens import ACCENT, INK, MUTED, PAGE, RAISED, RULE, TRACK, WARN
from bnn2hw.tables import counted, shortened

LETTERS = 19
"""Most letters of a layer's name in its box."""

FRAME = 24
"""Most letters of a layer's name on the frame around its ops."""

WIDEST = 1132
"""Pixels of the page's column, and so of a row of the drawing."""

LEAST_DEPTH = 2
"""Depth of a FIFO that is not worth a word."""

GRAPH = {
    "dpi": "72",
    "bgcolor": "transparent",
    "nodesep": "0.22",
    "pad": "0.03",
    "fontname": "Helvetica",
}
NODE = {
    "shape": "box",
    "style": "filled",
    "fillcolor": PAGE,
    "color": RULE,
    "penwidth": "1",
    "fontname": "Helvetica",
    "margin": "0.09,0.05",
    "height": "0.2",
    "width": "0.3",
}
EDGE = {
    "color": MUTED,
    "arrowsize": "0.55",
    "penwidth": "1",
    "fontname": "Helvetica",
    "fontsize": "9.5",
    "fontcolor": MUTED,
}


@dataclass(frozen=True)
class Box:
    """A box of the drawing.

    Attributes:
        label: Its text in Graphviz's HTML.
        tip: Text beside the pointer.
        brief: Short name.
        slow: Whether it sets the rate.
        cluster: Name of the frame around it and its neighbors; "" without one.
    """

    label: str
    tip: str
    brief: str
    slow: bool
    cluster: str = ""


def by_layer(facts: Facts) -> dict[str, list[str]]:
    """Draw a box per layer.

    Args:
        facts: The facts.

    Returns:
        SVG drawings, one per row, for wide pages ("LR") and for narrow ones ("TB").
    """
    brief = _briefly([layer.name for layer in facts.layers])
    boxes = {layer.name: _layer(facts, layer, brief[layer.name]) for layer in facts.layers}
    edges = rows.arrows(facts, {op.name: op.layer for op in facts.ops})
    return _drawn(boxes, edges, rows.segments(rows.ordered(list(boxes), edges), edges))


def by_op(facts: Facts) -> dict[str, list[str]]:
    """Draw a box per op, and a frame around those of a layer; otherwise as `by_layer`."""
    brief = _briefly([op.name for op in facts.ops])
    boxes = {op.name: _op(facts, op, brief[op.name]) for op in facts.ops}
    edges = rows.arrows(facts, {op.name: op.name for op in facts.ops})
    return _drawn(boxes, edges, rows.by_layer(facts))


def _layer(facts: Facts, layer: LayerFacts, brief: str) -> Box:
    slow = layer.slowest in facts.slow
    out = f"{words.shape(layer.last.tensor.shape)}"
    if not layer.work:
        lines = [f"{out} × {layer.last.tensor.ints.bits} bit"]
        return Box(_label(brief, lines, None, slow=slow), layer.name, brief, slow)
    main = layer.main
    lines = [main.kind]
    if main.pe and main.simd:
        lines = [f"PE {main.pe} × SIMD {main.simd}", counted(layer.slowest.cycles, "cycle")]
    lines += [f"{words.count(layer.cost.lut)} LUT", f"out {out}"]
    title = f"{brief}  ≈" if layer.rounded else brief
    tip = f"{layer.name}: {', '.join(layer.kinds)}, {words.share(layer.slowest.occupancy)} occupied"
    return Box(_label(title, lines, layer.slowest.occupancy, slow=slow), tip, brief, slow)


def _op(facts: Facts, op: OpFacts, brief: str) -> Box:
    slow = op in facts.slow
    folds = [f"{name} {n}" for name, n in (("PE", op.pe), ("SIMD" if op.pe else "lanes", op.simd)) if n]
    lines = [" × ".join(folds)] if folds else []
    lines += [words.shape(op.tensor.shape), *([counted(op.cycles, "cycle")] if op.cycles else [])]
    label = _label(op.kind, lines, op.occupancy if op.span else None, slow=slow)
    return Box(label, op.name, brief, slow, op.layer if op.span else "")


def _briefly(names: Sequence[str]) -> dict[str, str]:
    return dict(zip(names, shortened(names, LETTERS), strict=True))


def _cell(text: str, size: float, color: str = INK, *, bold: bool = False) -> str:
    text = f"<B>{html.escape(text)}</B>" if bold else html.escape(text)
    return f'<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="{size}" COLOR="{color}">{text}</FONT></TD></TR>'


def _bar(value: float, color: str, width: int) -> str:
    full = max(1, min(width - 1, round(value * width)))
    parts = "".join(
        f'<TD FIXEDSIZE="TRUE" WIDTH="{w}" HEIGHT="3" BGCOLOR="{c}"></TD>'
        for w, c in ((full, color), (width - full, TRACK))
    )
    table = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" FIXEDSIZE="TRUE"'
    return (
        f'<TR><TD ALIGN="LEFT"><TABLE {table} WIDTH="{width}" HEIGHT="3"><TR>{parts}</TR></TABLE></TD></TR>'
    )


def _label(title: str, lines: Sequence[str], occupancy: float | None, *, slow: bool) -> str:
    """Return the text of a box; the bar of its occupancy ends with the words."""
    width = math.ceil(max([7.5 * len(title), *(5.8 * len(line) for line in lines)]))
    body = _cell(title, 12, bold=True) + "".join(_cell(line, 10.5, MUTED) for line in lines)
    if occupancy is not None:
        body += _bar(occupancy, WARN if slow else ACCENT, width)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{body}</TABLE>>'


def _beside(lines: Sequence[str], way: str) -> str:
    """Return the label of a stream, with some room between it and the line."""
    left = '<TD WIDTH="5" FIXEDSIZE="TRUE" HEIGHT="1"></TD>' if way == "TB" else ""
    align = "LEFT" if left else "CENTER"
    body = "".join(f'<TR>{left}<TD ALIGN="{align}">{line}</TD></TR>' for line in lines)
    below = "" if left else '<TR><TD FIXEDSIZE="TRUE" WIDTH="1" HEIGHT="4"></TD></TR>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="0">{body}{below}</TABLE>>'


def _drawn(
    boxes: Mapping[str, Box], edges: Sequence[Arrow], parts: Sequence[Sequence[str]]
) -> dict[str, list[str]]:
    """Draw parts: as many in a row of the wide page as fit, and the same rows downward for the narrow one."""
    packed: list[list[str]] = []
    wide: list[str] = []
    for part in parts:
        joined = [*packed[-1], *part] if packed else []
        if joined and _width(tried := _draw(boxes, edges, joined, "LR")) <= WIDEST:
            packed[-1], wide[-1] = joined, tried
        else:
            packed.append(list(part))
            wide.append(_draw(boxes, edges, packed[-1], "LR"))
    return {"LR": wide, "TB": [_draw(boxes, edges, row, "TB") for row in packed]}


def _width(svg: str) -> float:
    found = re.search(r'width="([\d.]+)"', svg)
    return float(found[1]) if found else math.inf


def _draw(boxes: Mapping[str, Box], edges: Sequence[Arrow], row: Sequence[str], way: str) -> str:
    """Draw a row. Boxes have numbers, so that no name of a model is text of Graphviz's language."""
    graph = tokens.library("pygraphviz", "pygraphviz").AGraph(directed=True, strict=False)
    graph.graph_attr.update(GRAPH, rankdir=way, ranksep="0.14" if way == "LR" else "0.2")
    graph.node_attr.update(NODE)
    graph.edge_attr.update(EDGE)
    number = {name: str(i) for i, name in enumerate(boxes)}
    entering = [e for e in edges if e.end in row]
    straight = rows.spine(row, entering)
    for start in sorted({e.start for e in entering} - set(row)):
        _ghost(graph, start, boxes[start].brief, f"g{number[start]}")
    for name in row:
        _box(graph, number[name], boxes[name], straight=name in straight)
    _clusters(graph, {name: number[name] for name in row}, boxes)
    done = set()
    for e in entering:
        start = number[e.start] if e.start in row else f"g{number[e.start]}"
        label = _beside(list(_stream(e)), way)
        if (start, e.end, label) not in done:
            done.add((start, e.end, label))
            main = e.end in straight and (e.start in straight or e.start not in row)
            _edge(graph, start, number[e.end], e, label, main=main)
    graph.layout("dot")
    return _clean(graph.draw(format="svg").decode(), f"Dataflow: {', '.join(row[:12])}")


def _ghost(graph: Any, name: str, brief: str, number: str) -> None:
    """Add the beginning of a row: the box of an earlier row that it continues."""
    graph.add_node(
        number,
        label=_quoted(f"from {brief}"),
        shape="plaintext",
        style="",
        fontsize="10",
        fontcolor=MUTED,
        margin="0.08,0.02",
        group="spine",
        tooltip=_quoted(f"continues from {name}"),
    )


def _quoted(text: str) -> str:
    r"""Return a text in which backslashes, as in \N, are letters, and which is never Graphviz's HTML."""
    return f"\u2060{text}".replace("\\", "\\\\")


def _box(graph: Any, number: str, box: Box, *, straight: bool) -> None:
    color, width = (WARN, "2") if box.slow else (RULE, "1")
    graph.add_node(
        number,
        label=box.label,
        tooltip=_quoted(box.tip),
        color=color,
        penwidth=width,
        group="spine" if straight else "",
    )


def _clusters(graph: Any, row: Mapping[str, str], boxes: Mapping[str, Box]) -> None:
    names = list(dict.fromkeys(boxes[n].cluster for n in row if boxes[n].cluster))
    for i, (name, brief) in enumerate(zip(names, shortened(names, FRAME), strict=True)):
        graph.add_subgraph(
            [number for n, number in row.items() if boxes[n].cluster == name],
            name=f"cluster_{i}",
            label=_quoted(brief),
            tooltip=_quoted(name),
            fontsize="10.5",
            fontname="Helvetica",
            fontcolor=MUTED,
            color=RAISED,
            style="filled",
            labeljust="l",
            margin="8",
        )


def _stream(e: Arrow) -> Iterator[str]:
    """Yield the lines beside a stream."""
    yield f"{width_words(e)} bit"
    if e.link.depth > LEAST_DEPTH:
        yield f"FIFO {e.link.depth:,}"


def width_words(e: Arrow) -> str:
    """Return the bits per beat of a stream, at both ends if they differ.

    Args:
        e: The stream.
    """
    start, end = e.link.width_in, e.link.width_out
    return f"{start}" if start == end else f"{start}→{end}"


def _edge(graph: Any, start: str, end: str, e: Arrow, label: str, *, main: bool) -> None:
    link = e.link
    tip = (
        f"{link.source} to {link.reader}: {link.tensor.words} of {link.tensor.ints.bits} bit, "
        f"beats of {width_words(e)} bit, FIFO depth {link.depth or 'none'}"
    )
    graph.add_edge(
        start,
        end,
        label=label,
        tooltip=_quoted(tip),
        labeltooltip=" ",
        weight="8" if main else "1",
        penwidth=f"{min(4, 0.8 + 0.4 * math.log2(max(1, link.width_out))):.2f}",
    )


CLEAN = (
    (re.compile(r"<\?xml.*?<svg", re.S), "<svg"),
    (re.compile(r"<!--.*?-->\n?", re.S), ""),
    (re.compile(r' font-family="[^"]*"'), ""),
    (re.compile(r"<title>.*?</title>\n?", re.S), ""),
    (re.compile(r'<a xlink:title="\s*">'), "<g>"),
    (re.compile(r'<a xlink:title="\s*([^"]*)">'), r"<g><title>\1</title>"),
    (re.compile(r' id="(?:a_)?(?:node|edge|clust|graph)\d+[^"]*"| class="(?:node|edge|graph|cluster)"'), ""),
    (re.compile(r' xmlns:xlink="[^"]*"'), ""),
    (re.compile("</a>"), "</g>"),
    (re.compile(r"(\d+\.\d)\d+"), r"\1"),
    (re.compile("\u2060|&#8288;"), ""),
)
"""Texts that Graphviz writes, and those that take their place in the page."""


def _clean(svg: str, label: str) -> str:
    """Return a drawing of Graphviz as part of a page."""
    svg = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', r'width="\1" height="\2"', svg, count=1)
    for pattern, instead in CLEAN:
        svg = pattern.sub(instead, svg)
    return tokens.themed(
        svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1).strip()
    )
