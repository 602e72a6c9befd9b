"""Join gathered inputs with the functions behind them: truth tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Graph, Node, Tensor, View
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.ops.gather import Gather
from bnn2hw.ops.lut import Lut


def fused(graph: Graph) -> Graph:
    """Return a graph in which each function of gathered inputs is a `Lut`.

    A `Gather` that something else reads becomes a `Lut` of its own.

    Args:
        graph: The graph in hardware form, still with `Gather`.
    """
    gathers = {n.name: n for n in graph if isinstance(n.op, Gather)}
    if not gathers:
        return graph
    alone = {
        name
        for name in gathers
        if name in graph.outputs or not all(_joins(graph, name, n) for n in graph.consumers[name])
    }
    nodes = []
    for node in graph:
        before = gathers.get(node.inputs[0]) if node.inputs else None
        if node.name in alone:
            nodes.append(replace(node, op=_joined(graph, node)))
        elif before is not None and before.name not in alone:
            nodes.append(replace(node, op=_with_function(graph, before, node), inputs=before.inputs))
        elif node.name not in gathers:
            nodes.append(node)
    return Graph(tuple(nodes), graph.outputs)


def _joins(graph: Graph, gather: str, reader: Node) -> bool:
    """True if a reader is a function of each gathered integer by itself, with the outputs as channels."""
    op = reader.op
    if isinstance(op, View):
        return False
    count = graph.types[gather].channels
    return isinstance(op, Elementwise) and op.axes == 1 and op.rows in (1, count) and not op.writable


def _joined(graph: Graph, node: Node) -> Lut:
    """The joined integers themselves."""
    op, tensor = node.op, graph.types[node.name]
    if not isinstance(op, Gather):
        raise TypeError(f"node '{node.name}' gathers nothing")
    tables = np.repeat(tensor.ints.values()[None], len(op.wires), axis=0)
    return Lut(op.wires, tables, op.domain, tensor.ints)


def _with_function(graph: Graph, gather: Node, reader: Node) -> Lut:
    """The function of a reader over all integers that can be gathered."""
    op, tensor = gather.op, graph.types[reader.name]
    if not isinstance(op, Gather):
        raise TypeError(f"node '{gather.name}' gathers nothing")
    every = np.repeat(np.arange(2**op.bits)[:, None], len(op.wires), axis=1)
    tables: Array = reader.op.golden(every.reshape(len(every), *_vector(graph.types[gather.name])))
    rows = tables.reshape(len(every), -1).T
    return Lut(op.wires, rows, op.domain, tensor.ints, tensor.scale, tensor.offset)


def _vector(x: Tensor) -> tuple[int, ...]:
    """The shape of a sample with one place."""
    return (*(1,) * (len(x.shape) - 1), x.channels)
