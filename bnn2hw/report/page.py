"""The report of an accelerator as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bnn2hw import folders, frameworks
from bnn2hw.backends import design
from bnn2hw.data_files import data_dir
from bnn2hw.estimate import cycles
from bnn2hw.ir import Cost
from bnn2hw.report import advice, charts, commands, dataflow, fidelity, words
from bnn2hw.report.charts import Row
from bnn2hw.report.facts import PLUMBING, Facts, LayerFacts
from bnn2hw.report.records import Alternative
from bnn2hw.tables import counted
from bnn2hw.version import __version__

if TYPE_CHECKING:
    import jinja2

MARK = 'content="bnn2hw '
"""Text near the beginning of every report."""

NAMES = ("report.html", "report.txt")
"""Reports in build folders."""

CARRIERS = "FIFOs and converters"
RESOURCES = ("lut", "ff", "bram", "dsp")

MANY_ROWS = 5
"""Rows of the drawing that are shown before a reader asks for all."""

FILTERS = {
    "wrapped": words.wrapped,
    "count": words.count,
    "share": words.share,
    "shape": words.shape,
    "deviation": words.deviation,
    "time": words.time,
    "figures": words.values,
}


def claim(path: Path) -> None:
    """Check that a report can be written, and takes the place of no file but an earlier report.

    Raises:
        InputError: The file is there and no report, or the path is a folder or a manifest.
        StorageError: It cannot be written, or not be read.
    """
    folders.claim_page(path, MARK, "a report", NAMES)


def page(facts: Facts) -> str:
    """Return the report of an accelerator.

    Args:
        facts: The facts.

    Raises:
        MissingToolError: A library that draws is not installed.
    """
    accelerator = facts.accelerator
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            version=__version__,
            accelerator=accelerator,
            options={name: accelerator.options.get(name) for name in ("board", "folding", "fps")},
            estimate=accelerator.estimate(),
            device=accelerator.device,
            facts=facts,
            layers=facts.working,
            resources=RESOURCES,
            graphs=_graphs(facts),
            many_rows=MANY_ROWS,
            advice=advice.advice(facts),
            chosen=advice.spread(facts.front, lambda p: p.interval == facts.interval),
            alternatives=_alternatives(facts),
            used_kinds=_used_kinds(facts),
            bound=accelerator.estimate().cycles.latency * len(accelerator.graph.nodes) > cycles.USUAL.exact,
            biggest=max((o.cost.lut for o in facts.ops), default=0) or 1,
            commands=commands.commands(accelerator, facts.explored, facts.runs, facts.measured),
            made_of=_made_of(facts),
            ends=_ends(facts),
            fingerprint=commands.fingerprint(accelerator),
            carriers=CARRIERS,
            **_accuracy(facts),
            **_measured(facts),
            **_charts(facts),
        )
    )


@cache
def environment() -> jinja2.Environment:
    """Return the templates of pages, with the filters for figures."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates") / "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    return made


def _graphs(facts: Facts) -> dict[str, dict[str, list[Markup]]]:
    """Return the drawings of the dataflow graph, by level and direction."""
    with frameworks.quiet():  # fontconfig writes warnings of its own
        levels = {"layer": dataflow.by_layer(facts), "op": dataflow.by_op(facts)}
    return {
        level: {way: [Markup(svg) for svg in rows] for way, rows in drawn.items()}  # noqa: S704 - Graphviz escapes
        for level, drawn in levels.items()
    }


def _ends(facts: Facts) -> list[tuple[str, str]]:
    """Return the ports in words."""
    graph = facts.accelerator.graph
    inputs, outputs = design.ends(graph, design.streams(graph))
    return [
        *(("input", text) for text in design.named_words(inputs)),
        *(("output", text) for text in design.named_words(outputs)),
        *facts.accelerator.axes.items(),
    ]


def _made_of(facts: Facts) -> list[tuple[str, str]]:
    """Return the model file and the programs that took part, by name."""
    accelerator = facts.accelerator
    digest = accelerator.made_from.get("sha256")
    file = [("model", f"SHA-256 {digest}…")] if digest else []
    versions = accelerator.compared.versions if accelerator.compared else {}
    tools = dict(run.tool.split(" ", 1) for run in facts.runs if run.tool.startswith("verilator "))
    return [*file, *versions.items(), *tools.items()]


def _accuracy(facts: Facts) -> dict[str, Any]:
    """Return how far the integers are from the model."""
    accelerator = facts.accelerator
    kinds = [f.kind for f in accelerator.fidelity.values()]
    measured = list(accelerator.measured.values())
    data = "calibration" if "calibrated" in accelerator.options else "random"
    return {
        "rounded": kinds.count("rounded"),
        "total_layers": len(kinds),
        "worst": max((d.share for d in measured if d.different), default=0.0),
        "last_measured": measured[-1] if measured else None,
        "of_frames": counted(measured[-1].frames, f"{data} frame") if measured else "",
        "compared": [line.strip().removesuffix(":") for line in fidelity.compared(accelerator)],
    }


def _measured(facts: Facts) -> dict[str, Any]:
    """Return measured resources by layer, in the order of the predicted ones."""
    measured = facts.measured
    if measured is None:
        return {"used": {}, "used_carriers": None, "used_rest": None, "used_ops": {}}
    graph = facts.accelerator.graph
    carriers = {n.name for n in graph if isinstance(n.op, PLUMBING)}
    return {
        "used": {layer.name: measured.of_ops({o.name for o in layer.work}) for layer in facts.working},
        "used_ops": {o.name: measured.of_ops({o.name}) for o in facts.ops},
        "used_carriers": measured.of_ops(carriers),
        "used_rest": measured.rest,
    }


def _charts(facts: Facts) -> dict[str, Any]:
    """Return the charts, and the words below them."""
    rows = {key: _resource(facts, key) for key in ("lut", "bram", "held")}
    rows["cycles"] = [_row(layer, layer.slowest.cycles, facts) for layer in facts.working]
    shown = {key: charts.ranked(r, words.count, add=key != "cycles") for key, r in rows.items()}
    titles = {"lut": "LUTs by layer", "held": "bits in block RAM by layer", "cycles": "cycles by layer"}
    drawn = {
        key: charts.bars(shown[key][0], title, words.count) if shown[key][0] else ""
        for key, title in titles.items()
    }
    for media, size in (("wide", (590, 270)), ("narrow", (290, 220))):
        if facts.front:
            front = [(p.fps, p.cost.lut, "") for p in facts.front]
            drawn[f"pareto_{media}"] = charts.pareto(facts, front, *size)
        if facts.explored and facts.explored.front:
            best = [_placed(d) for d in facts.explored.front]
            others = [_placed(d) for d in facts.explored.designs if not d.front]
            drawn[f"study_{media}"] = charts.pareto(facts, best, *size, others=others)
    for key, width, gutter in (("time_wide", 950, 170), ("time_narrow", 214, 128)):
        drawn[key] = "".join(f'<div class="piece">{p}</div>' for p in charts.timeline(facts, width, gutter))
    return {
        "charts": {key: Markup(svg) for key, svg in drawn.items()},  # noqa: S704 - Vega escapes texts
        "rest": {key: sentence for key, (_, sentence) in shown.items()},
    }


def _placed(design: Alternative) -> charts.Placed:
    return design.fps, design.lut, f"point {design.point}, {design.style}: "


def _alternatives(facts: Facts) -> list[Alternative]:
    """Return some points of the front of the study, and this design if it is not on the front."""
    if not facts.explored:
        return []
    front, here = facts.explored.front, facts.explored.point
    own = [d for d in facts.explored.designs if d.point == here and not d.front]
    return sorted([*advice.spread(front, lambda d: d.point == here), *own], key=lambda d: d.fps)


def _used_kinds(facts: Facts) -> set[str]:
    """Return the kinds of blocks that some design of the study uses."""
    designs = facts.explored.designs if facts.explored else ()
    return {key for key in ("bram", "dsp") if any(getattr(d, key) for d in designs)}


def _resource(facts: Facts, key: str) -> list[Row]:
    """Return the bars of a resource."""
    carriers: Sequence[Row] = [(CARRIERS, _figure(facts.plumbing[1], key), False)]
    return [*(_row(layer, _figure(layer.cost, key), facts) for layer in facts.working), *carriers]


def _figure(cost: Cost, key: str) -> float:
    return float(getattr(cost, key))


def _row(layer: LayerFacts, value: float, facts: Facts) -> Row:
    return layer.name, value, layer.slowest in facts.slow
