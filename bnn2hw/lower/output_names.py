"""The outputs of a graph in hardware form: their names, and an op where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bnn2hw.ir import Graph, HardwareOp, Node, View
from bnn2hw.lower.builder import Builder
from bnn2hw.ops.affine import Affine
from bnn2hw.ops.table import Table


def named(graph: Graph, names: Sequence[str], matches: Mapping[str, str]) -> tuple[Graph, dict[str, str]]:
    """Return a graph whose outputs have given names, and its matches.

    Each output is a view, which needs no hardware, since a FIFO or a converter may come before it. A node
    that has the name of an output is renamed. An output cannot have the name of an input.

    Args:
        graph: The graph in hardware form.
        names: Names of its outputs, in order and distinct.
        matches: Values by edge of the graph.
    """
    inputs = {node.name for node in graph.sources}
    ends = [f"{name}.output" if name in inputs else name for name in names]
    other = {name: _free(f"{name}.inner", graph) for name in ends if name in graph.types}
    nodes = [
        replace(n, name=other.get(n.name, n.name), inputs=tuple(other.get(i, i) for i in n.inputs))
        for n in graph
    ]
    for name, edge in zip(ends, graph.outputs, strict=True):
        view = View(graph.types[edge].shape)
        nodes.append(Node(name, view, (other.get(edge, edge),), graph[edge].layer))
    made = Graph(tuple(nodes), tuple(ends))
    return made, {other.get(edge, edge): values for edge, values in matches.items()}


def with_identity(graph: Graph, b: Builder) -> Graph:
    """Return a graph without hardware, with an op that passes on the integers of its first output.

    The model only gives its integers another meaning, as a BatchNormalization may.
    """
    edge = graph.outputs[0]
    tensor = graph.types[edge]
    ints = tensor.ints
    one, never = np.ones((1, 1), np.int64), np.zeros((1, 0), np.int64)
    op: HardwareOp = Affine(one, 0 * one, never, 0, ints, tensor.scale, tensor.offset)
    if ints.step > 1:
        op = Table(ints.values()[None], ints, ints, tensor.scale, tensor.offset)
    made = b.add(edge, op, edge, part="same")
    return b.graph([made, *graph.outputs[1:]])


def _free(name: str, graph: Graph) -> str:
    """A name that no node has."""
    return _free(f"{name}#2", graph) if name in graph.types else name
