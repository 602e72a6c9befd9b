"""The report of native code as text: a table of its ops, and the sizes of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from bnn2hw.compiled import CompiledModel
from bnn2hw.ir import HardwareOp, Node, hardware_nodes
from bnn2hw.native import sources
from bnn2hw.report.fidelity import DEVIATION, compared, deviation, rounded
from bnn2hw.tables import Table, wrapped

KIB = 2**10

COLUMNS = ("layer", "op", "out", "values", "this op")


def text(accelerator: CompiledModel, width: int | None = None) -> str:
    """Return the table and the figures as plain text.

    Args:
        accelerator: The compiled model.
        width: Columns of the terminal; None for the whole table and unbroken lines.
    """
    return _table(accelerator).fitted(width) + wrapped(_summary(accelerator), width)


def _table(accelerator: CompiledModel) -> Table:
    words = (*COLUMNS, DEVIATION) if accelerator.measured else COLUMNS
    rows = Table(f"{accelerator.name} on processors", words, (), drops=words[:0:-1])
    for node, op in hardware_nodes(accelerator.graph):
        rows.add(*_row(accelerator, node, op))
    return rows


def _row(accelerator: CompiledModel, node: Node, op: HardwareOp) -> Iterator[str]:
    out = accelerator.graph.types[node.name]
    yield from (node.name, op.kind, "×".join(map(str, out.shape)), str(out.ints))
    yield accelerator.fidelity_of(node).kind
    if accelerator.measured:
        yield deviation(accelerator, node)


def _summary(accelerator: CompiledModel) -> Iterator[str]:
    graph = accelerator.graph
    yield from (f"in:  {n.name}: {graph.types[n.name].words}" for n in graph.sources)
    yield from (f"out: {name}: {graph.types[name].words}" for name in graph.outputs)
    yield from (f"{name}: {order}" for name, order in accelerator.axes.items())
    made = sources.compile_graph(graph)
    yield (
        f"weights and tables: {len(made.constants) / KIB:,.0f} KiB; "
        f"working memory: {made.arena / KIB:,.0f} KiB for each image of a batch"
    )
    yield from rounded(accelerator)
    yield from compared(accelerator)
    yield "simulate compiles the sources and compares their outputs with golden"
