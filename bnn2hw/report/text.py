"""What a person wants to know of an accelerator."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from bnn2hw.compiled import CompiledModel
from bnn2hw.ir import Cost, HardwareOp, Node, hardware_nodes
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter

WIDTH = 150


def table(accelerator: CompiledModel) -> Table:
    """One row per op, and one for all FIFOs and width converters together."""
    graph, family = accelerator.graph, accelerator.device.family
    rows = Table(title=f"{accelerator.name} on {accelerator.device.name}", title_justify="left")
    rows.add_column("layer", no_wrap=True)
    for name in ("op", "out", "values"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("fidelity", no_wrap=True)
    knobs = _knobs(op for _, op in hardware_nodes(graph))
    for name in (*knobs, "cycles", "LUT", "FF", "BRAM", "DSP"):
        rows.add_column(name, justify="right")
    plumbing, count = Cost(), 0
    for node, op in hardware_nodes(graph):
        inputs, out = graph.inputs_of(node), graph.types[node.name]
        cost = op.cost(family, *inputs)
        if isinstance(op, Fifo | WidthConverter):
            plumbing, count = plumbing + cost, count + 1
            continue
        rows.add_row(
            node.name,
            op.kind,
            "×".join(map(str, out.shape)),
            str(out.ints),
            _fidelity(accelerator, node),
            *(str(getattr(op, knob, "")) for knob in knobs),
            f"{op.interval(*inputs):,}",
            *_figures(cost),
        )
    rows.add_row(f"{count} FIFOs and converters", *[""] * (5 + len(knobs)), *_figures(plumbing))
    rows.add_section()
    estimate = accelerator.estimate()
    rows.add_row("total", *[""] * (4 + len(knobs)), f"{estimate.cycles.interval:,}", *_figures(estimate.cost))
    return rows


def _knobs(ops: Iterable[HardwareOp]) -> list[str]:
    """Return the knobs that some op turns from 1; those of the matrix-vector units, the ops with most, come first."""
    by_count = sorted(ops, key=lambda op: len(op.knobs), reverse=True)
    return list(dict.fromkeys(knob for op in by_count for knob in op.knobs if getattr(op, knob) != 1))


def _figures(cost: Cost) -> tuple[str, ...]:
    return tuple(f"{value:,.0f}" for value in (cost.lut, cost.ff, cost.bram, cost.dsp))


def _fidelity(accelerator: CompiledModel, node: Node) -> str:
    kind = accelerator.fidelity_of(node).kind
    off = accelerator.measured.get(node.name)
    return f"{kind} {off.share:.0e}" if off and off.different else kind


def summary(accelerator: CompiledModel) -> list[str]:
    """The figures of the whole, a line each."""
    estimate = accelerator.estimate()
    use = ", ".join(f"{k.upper()} {v:.0%}" for k, v in estimate.use.items())
    return [
        *(f"in:  {s.words}" for s in accelerator.design.inputs),
        *(f"out: {s.words}" for s in accelerator.design.outputs),
        f"one frame every {estimate.cycles.interval:,} cycles: {estimate.fps:,.0f} fps at "
        f"{accelerator.device.clock_mhz:g} MHz; first output after {estimate.cycles.latency:,} cycles "
        f"({estimate.latency_us:,.1f} µs)",
        f"predicted share of {accelerator.device.name}: {use}",
        *([f"it does not fit: {estimate.excess}"] if not estimate.fits else []),
        *_caveats(accelerator),
        *_rounded(accelerator),
    ]


def _rounded(accelerator: CompiledModel) -> list[str]:
    """Which layers are not exact, and why; with what was measured, where it was."""
    rounded = [(layer, f.why) for layer, f in accelerator.fidelity.items() if f.kind == "rounded"]
    if not rounded:
        return ["every layer is exact"]
    lines = [f"{len(rounded)} of {len(accelerator.fidelity)} layers are rounded:"]
    lines += [f"  {layer}: {why}" for layer, why in rounded]
    if accelerator.measured:
        return [
            *lines,
            "figures beside the fidelity: mean difference from Keras on the calibration data, over the mean size",
        ]
    return [*lines, "give calibration images to see by how much, and to spend fewer bits on ranges"]


def _caveats(accelerator: CompiledModel) -> list[str]:
    """How full the block RAMs are, and how far the figures may be off."""
    estimate, family = accelerator.estimate(), accelerator.device.family
    lines, fill = [], estimate.bram_fill
    if fill is not None:
        lines.append(f"of the bits of its block RAMs {fill:.0%} are used")
    if family.calibration:
        lines.append(
            f"compared with synthesis for {family.calibration.series}, LUTs of single ops are predicted to within "
            f"{family.calibration.lut_mean:.0%} on average and {family.calibration.lut_worst:.0%} at worst, "
            "block RAMs and DSP blocks exactly (docs/estimates.md)"
        )
    if estimate.uncalibrated:
        total = max(estimate.cost.lut, 1)
        parts = [
            f"{kind} ({cost.lut / total:.0%} of the LUTs)" for kind, cost in estimate.uncalibrated.items()
        ]
        lines.append(f"these ops were not compared with synthesis for {family.name}: {', '.join(parts)}")
    if accelerator.backend != "verilog":
        lines.append(
            "cycles and resources are those of the Verilog backend; nothing was calibrated on HLS results"
        )
    return lines


def text(accelerator: CompiledModel) -> str:
    """The table and the figures as plain text."""
    console = Console(width=WIDTH, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table(accelerator))
    return captured.get() + "\n".join(summary(accelerator))
