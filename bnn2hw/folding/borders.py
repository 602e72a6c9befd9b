"""Borders that are wider than windows need, so that whole beats of several pixels fill a row.

Padding "same" with a stride of 2 adds one column to an even number of columns. No number of pixels
divides the sum of both. One more column, which no window reads, makes it even.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bnn2hw.ir import Graph, Node, Op
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.sliding_window import Windows


def widened(graph: Graph) -> Graph:
    """Return the graph with columns at the right end of borders where rows then divide into larger beats.

    The windows behind such a border stay the same. If no border can be widened, it is the same graph.

    Args:
        graph: Graph in hardware form.
    """
    ops: dict[str, Op] = {}
    for node in graph:
        before = graph[node.inputs[0]] if node.inputs else node
        if isinstance(node.op, Windows) and isinstance(before.op, Pad) and _alone(graph, before):
            more = _more(graph, before.op, before, node.op)
            if more:
                left, right = before.op.columns
                ops[before.name] = replace(before.op, columns=(left, right + more))
    return graph.map_ops(ops) if ops else graph


def _alone(graph: Graph, node: Node) -> bool:
    """Return True if a node has one reader and feeds no output."""
    return len(graph.consumers[node.name]) == 1 and node.name not in graph.outputs


def _more(graph: Graph, pad: Pad, border: Node, windows: Windows) -> int:
    """Return the columns to add: so many that the most pixels divide both the image and its border."""
    [image], width = graph.inputs_of(border), graph.types[border.name].shape[-2]
    spare = windows.stride[1] - 1 - (width - windows.span[1]) % windows.stride[1]
    if pad.gaps != (1, 1):
        return 0
    return max(range(spare + 1), key=lambda more: (math.gcd(image.shape[-2], width + more), -more))
