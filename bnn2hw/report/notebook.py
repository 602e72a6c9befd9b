"""Tables for notebooks, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bnn2hw.compiled import CompiledModel
from bnn2hw.report import words
from bnn2hw.report.facts import LayerFacts, collect

HEAD = ("layer", "ops", "output", "fidelity", "cycles", "occupancy", "LUT", "FF", "BRAM", "DSP")


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], below: str = "") -> str:
    """Return a table as HTML.

    Args:
        title: Text above it.
        head: Names of the columns.
        rows: Cells of the rows.
        below: Text below it.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    note = f"<p>{escape(below)}</p>" if below else ""
    caption = f'<caption style="text-align:left">{escape(title)}</caption>'
    return f"<table>{caption}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{note}"


def accelerator(made: CompiledModel) -> str:
    """Return the layers and the figures of an accelerator as HTML.

    Args:
        made: The accelerator.
    """
    if made.is_native:
        return f"<pre>{escape(str(made))}</pre>"
    facts = collect(made)
    estimate = made.estimate()
    rows = [_layer(layer) for layer in facts.working]
    total = ["total", "", "", "", words.count(facts.interval), "", *_figures(estimate.cost)]
    below = (
        f"{words.count(estimate.fps)} frames/s at {made.device.clock_mhz:g} MHz; first output after "
        f"{words.time(estimate.latency_us)}. The method `report` shows more."
    )
    return table(f"{made.name} on {made.device.name}", HEAD, [*rows, total], below)


def _layer(layer: LayerFacts) -> list[str]:
    return [
        layer.name,
        ", ".join(layer.kinds),
        words.shape(layer.last.tensor.shape),
        "rounded" if layer.rounded else "exact",
        words.count(layer.slowest.cycles),
        words.share(layer.slowest.occupancy),
        *_figures(layer.cost),
    ]


def _figures(cost: object) -> list[str]:
    return [words.count(getattr(cost, key)) for key in ("lut", "ff", "bram", "dsp")]
