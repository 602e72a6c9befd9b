"""Tables for notebooks, in the notebook's own colors."""

from __future__ import annotations

from html import escape

from bnn2hw.compiled import CompiledModel
from bnn2hw.report import words
from bnn2hw.report.facts import LayerFacts, collect
from bnn2hw.tables import Table

HEAD = ("layer", "ops", "output", "fidelity", "cycles", "occupancy", "LUT", "FF", "BRAM", "DSP")
LEFT = 4
"""Number of columns that hold words."""


def accelerator(made: CompiledModel) -> str:
    """Return the layers and the figures of an accelerator as HTML.

    Args:
        made: The accelerator.
    """
    if made.is_native:
        return f"<pre>{escape(str(made))}</pre>"
    facts = collect(made)
    estimate = made.estimate()
    rows = [tuple(_layer(layer)) for layer in facts.working]
    total = ("total", "", "", "", words.count(facts.interval), "", *_figures(estimate.cost))
    below = (
        f"{words.count(estimate.fps)} frames/s at {made.device.clock_mhz:g} MHz; first output after "
        f"{words.time(estimate.latency_us)}. "
    )
    table = Table(f"{made.name} on {made.device.name}", HEAD[:LEFT], HEAD[LEFT:], [*rows, total])
    return f"{table._repr_html_()}<p>{escape(below)}The method <code>report</code> shows more.</p>"


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
