"""Leave out truth tables that no other table depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Graph, Node, Op
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.ops.lut import Lut


def without_unread_tables(graph: Graph) -> Graph:
    """Return a graph in hardware form whose truth tables are all read.

    A table may ignore some of its inputs, and a table may be read by none. Tables that all readers ignore are left
    out, the last ones first, so that those in front of them follow.

    Args:
        graph: A graph in hardware form.

    Returns:
        The graph, in which the nodes have their names. Its outputs are the same.
    """
    tables = {node.name: node.op for node in graph if isinstance(node.op, Lut)}
    for node in reversed(graph.nodes):
        readers = [reader.name for reader in graph.consumers[node.name]]
        if node.name not in tables or node.name in graph.outputs or not _by_vectors(graph, node, tables):
            continue
        used = np.zeros(len(tables[node.name].wires), bool)
        for name in readers:
            used[_read(tables[name])] = True
        if used.any() and not used.all():
            tables[node.name] = _kept(tables[node.name], used)
            tables |= {name: _rewired(tables[name], used) for name in readers}
    changed: Mapping[str, Op] = {name: op for name, op in tables.items() if op is not graph[name].op}
    return graph.map_ops(changed) if changed else graph


def _by_vectors(graph: Graph, node: Node, tables: Mapping[str, Lut]) -> bool:
    """True if tables alone read a node, each all values of a vector."""
    readers = graph.consumers[node.name]
    return bool(readers) and all(
        reader.name in tables and tables[reader.name].axes == 1 for reader in readers
    )


def _read(op: Lut) -> list[int]:
    """The inputs that its functions depend on."""
    return sorted({lane // op.domain.bits for function in op.functions for lane in function.lanes})


def _kept(op: Lut, used: Array) -> Lut:
    def of(meaning: Meaning) -> Meaning:
        return tuple(np.asarray(meaning)[used].tolist()) if isinstance(meaning, tuple) else meaning

    return replace(op, wires=op.wires[used], tables=op.tables[used], scale=of(op.scale), offset=of(op.offset))


def _rewired(op: Lut, used: Array) -> Lut:
    """A reader that finds its inputs at their new places; what it ignores becomes no input."""
    places = np.append(np.where(used, np.cumsum(used) - 1, -1), -1)  # -1 stays -1
    return replace(op, wires=places[op.wires])
