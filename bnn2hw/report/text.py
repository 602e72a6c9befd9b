"""The report of an accelerator as text: a table of its ops, and the figures of the whole design."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnn2hw.backends import design
from bnn2hw.compiled import CompiledModel
from bnn2hw.estimate import gates
from bnn2hw.ir import USUAL, Cost, Cycles, HardwareOp, Node, hardware_nodes
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter
from bnn2hw.report.fidelity import DEVIATION, compared, deviation, rounded
from bnn2hw.tables import Table, counted, wrapped

COLUMNS = ("layer", "op", "out", "values", "this op")
DROPPED, OTHERS = ("values", "this op"), ("out", "op")
"""Columns that narrow terminals do without, before and after the deviation."""

SHOWN = 6
"""Intervals of the start-up that are shown."""

FIGURES = ("cycles", "LUT", "FF", "BRAM", "DSP")


BRIEF = {DEVIATION: "deviation"}
"""Shorter names of columns, for narrow terminals."""


def text(accelerator: CompiledModel, width: int | None = None) -> str:
    """Return the table and the figures as plain text.

    Args:
        accelerator: The compiled model.
        width: Columns of the terminal; None for the whole table and unbroken lines.
    """
    if accelerator.is_native:
        from bnn2hw.report import native

        return native.text(accelerator, width)
    return table(accelerator).fitted(width) + wrapped(summary(accelerator), width)


def table(accelerator: CompiledModel) -> Table:
    """Return a table with a row per op, and one for all FIFOs and width converters together."""
    graph, family = accelerator.graph, accelerator.device.family
    knobs = _knobs(op for _, op in hardware_nodes(graph))
    words = (*COLUMNS, DEVIATION) if accelerator.measured else COLUMNS
    title = f"{accelerator.name} on {accelerator.device.name}"
    drops = (*DROPPED, *(word for word in words[-1:] if word == DEVIATION), *OTHERS, *reversed(knobs))
    rows = Table(title, words, (*knobs, *FIGURES), brief=BRIEF, drops=drops)
    between, count = Cost(), 0
    for node, op in hardware_nodes(graph):
        if isinstance(op, Fifo | WidthConverter):
            between, count = between + op.cost(family, *graph.inputs_of(node)), count + 1
        else:
            rows.add(*_row(accelerator, node, op, knobs))
    rows.add(f"{count} FIFOs and converters", *[""] * (len(words) + len(knobs)), *_figures(between))
    rows.add_section()
    estimate = accelerator.estimate()
    rows.add(
        "total",
        *[""] * (len(words) - 1 + len(knobs)),
        f"{estimate.cycles.interval:,}",
        *_figures(estimate.cost),
    )
    return rows


def _row(accelerator: CompiledModel, node: Node, op: HardwareOp, knobs: Iterable[str]) -> Iterator[str]:
    """Yield the cells of an op's row."""
    graph = accelerator.graph
    inputs, out = graph.inputs_of(node), graph.types[node.name]
    yield from (node.name, op.kind, "×".join(map(str, out.shape)), str(out.ints))
    yield accelerator.fidelity_of(node).kind
    if accelerator.measured:
        yield deviation(accelerator, node)
    yield from (str(getattr(op, knob, "")) for knob in knobs)
    yield f"{op.interval(*inputs):,}"
    yield from _figures(op.cost(accelerator.device.family, *inputs))


def _knobs(ops: Iterable[HardwareOp]) -> list[str]:
    """Return the folding knobs that some op sets to more than 1, or to another value than is usual.

    Those of the ops with most knobs, the matrix-vector units, come first.
    """
    by_count = sorted(ops, key=lambda op: len(op.knobs), reverse=True)
    return list(dict.fromkeys(knob for op in by_count for knob in op.knobs if _told(op, knob)))


def _told(op: HardwareOp, knob: str) -> bool:
    return bool(getattr(op, knob) != USUAL.get(knob, 1))


def _figures(cost: Cost) -> tuple[str, ...]:
    return tuple(f"{value:,.0f}" for value in (cost.lut, cost.ff, cost.bram, cost.dsp))


def summary(accelerator: CompiledModel) -> list[str]:
    """Return the lines below the table."""
    estimate, device = accelerator.estimate(), accelerator.device
    inputs, outputs = design.ends(accelerator.graph, design.streams(accelerator.graph))
    use = ", ".join(f"{k.upper()} {_share(v)}" for k, v in estimate.use.items())
    return [
        *(f"in:  {words}" for words in design.named_words(inputs)),
        *(f"out: {words}" for words in design.named_words(outputs)),
        *(f"{name}: {order}" for name, order in accelerator.axes.items()),
        f"one frame every {counted(estimate.cycles.interval, 'cycle')}: {estimate.fps:,.0f} fps at "
        f"{device.clock_mhz:g} MHz; first output after {counted(estimate.cycles.latency, 'cycle')} "
        f"({estimate.latency_us:,.1f} µs)",
        *_startup(estimate.cycles),
        *(
            f"{gate.entry} to {gate.last} run free: a beat enters if the FIFO of {gate.credits} beats behind them will "
            "have room for it, and no op waits for the next one"
            for gate in gates.of(accelerator.graph)
        ),
        f"predicted use of {device.name}: {use}",
        *([] if estimate.fits else [f"the design does not fit: {estimate.excess}"]),
        *_caveats(accelerator),
        *rounded(accelerator),
        *compared(accelerator),
        "simulate the design to compare every stream with golden",
    ]


def _share(value: float) -> str:
    """Return a share in per cent. Something is never printed as nothing."""
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def _startup(cycles: Cycles) -> Iterator[str]:
    """Yield a line on the first frames, if these are not as far apart as all others."""
    if cycles.startup is None:
        yield "the first frames can be further apart or closer, while FIFOs fill; their cycles were not computed"
    elif cycles.startup:
        few = [f"{n:,}" for n in cycles.startup[:SHOWN]] + ["..."] * (len(cycles.startup) > SHOWN)
        yield (
            f"the first {len(cycles.startup) + 1} frames are {', '.join(few)} cycles apart, while FIFOs fill; "
            f"all later ones {cycles.interval:,}"
        )


def _caveats(accelerator: CompiledModel) -> Iterator[str]:
    """Yield lines on the block RAMs and on the accuracy of the predicted resources."""
    estimate, family = accelerator.estimate(), accelerator.device.family
    if estimate.bram_fill is not None:
        yield f"the used block RAMs are filled to {estimate.bram_fill:.0%}"
    if family.calibration:
        yield (
            f"compared with synthesis for {family.calibration.series}, predicted LUTs of single ops are "
            f"{family.calibration.lut_mean:.0%} off on average and {family.calibration.lut_worst:.0%} at worst, "
            "block RAMs and DSP blocks exact (docs/estimates.md)"
        )
    if estimate.uncalibrated:
        total = max(estimate.cost.lut, 1)
        parts = (f"{kind} ({c.lut / total:.0%} of the LUTs)" for kind, c in estimate.uncalibrated.items())
        yield f"these ops were not compared with synthesis for {family.name}: {', '.join(parts)}"
    if accelerator.backend != "verilog":
        yield "cycles and resources are those of the Verilog backend; nothing was calibrated on HLS results"
