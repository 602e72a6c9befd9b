"""Folded graph to streamed graph: width converters where neighbours disagree, FIFOs between ops, and their depths.

Why the depths suffice. Let N be the interval of the slowest op. Schedule every op as late as possible so
that the output delivers one frame per N cycles; each op alone can keep that pace, so the schedule exists, and
it is periodic. A FIFO that is as deep as the largest number of beats that ever wait in it under this
schedule never refuses a beat in it. So the schedule is one that the hardware could follow. The hardware follows
another: every op fires as soon as it can. Since firing earlier never delays anything (the system is
max-plus linear), it runs at least as fast as the schedule, thus at N cycles per frame, and cannot deadlock.
"""

from __future__ import annotations

from dataclasses import replace
from math import lcm

import numpy as np

from bnn2hw import estimate
from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir import Graph, HardwareOp, Node
from bnn2hw.ir.timing import Times
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.matvec import MatVec
from bnn2hw.ops.source import Source
from bnn2hw.ops.width import Width

FRAMES = 4
"""Frames of the schedule from which depths are read: enough that the end of the schedule does not show."""


def connect(graph: Graph) -> Graph:
    """Insert width converters and FIFOs, each FIFO as deep as the interval needs.

    Raises:
        Bnn2hwError: an edge has more than one reader.
    """
    for name, readers in graph.consumers.items():
        if len(readers) + (name in graph.outputs) != 1:
            raise Bnn2hwError(f"the stream '{name}' has {len(readers)} readers; branches cannot be laid out yet")
    return _deepen(_insert(graph))


def _lanes_out(graph: Graph, name: str) -> int:
    node = graph[name]
    if isinstance(node.op, Source):
        return node.op.lanes
    return _hardware(node).lanes(*graph.inputs_of(node))[1]


def _hangs_directly(graph: Graph, node: Node) -> bool:
    """Whether a node needs no FIFO before it: an op that passes each result of a matrix-vector unit on."""
    source = graph[node.inputs[0]].op
    return isinstance(node.op, HardwareOp) and node.op.one_to_one and isinstance(source, MatVec)


def _insert(graph: Graph) -> Graph:
    nodes: list[Node] = []
    for node in graph:
        if not isinstance(node.op, HardwareOp):
            nodes.append(node)
            continue
        [edge] = node.inputs
        have, want = _lanes_out(graph, edge), node.op.lanes(*graph.inputs_of(node))[0]
        feeds = edge
        direct = have == want and _hangs_directly(graph, node)
        if not direct and not isinstance(graph[edge].op, Source):
            nodes.append(Node(f"{edge}.fifo", Fifo(have), (edge,)))
            feeds = nodes[-1].name
        for converter in _converters(have, want):
            suffix = f"to{converter.narrow * (converter.ratio if converter.widens else 1)}"
            nodes.append(Node(f"{edge}.{suffix}", converter, (feeds,)))
            nodes.append(Node(f"{edge}.{suffix}.fifo", Fifo(converter.lanes()[1]), (nodes[-1].name,)))
            feeds = nodes[-1].name
        nodes.append(replace(node, inputs=(feeds,)))
    return Graph(tuple(nodes), graph.outputs)


def _converters(have: int, want: int) -> list[Width]:
    """One converter where one width divides the other, otherwise two by way of their least common multiple."""
    if have == want:
        return []
    if want % have == 0:
        return [Width(have, want // have, widens=True)]
    if have % want == 0:
        return [Width(want, have // want, widens=False)]
    wide = lcm(have, want)
    return [*_converters(have, wide), *_converters(wide, want)]


def _deepen(graph: Graph) -> Graph:
    """Give each FIFO the depth that the latest possible schedule needs."""
    period = estimate.interval(graph)
    taken: dict[str, Times] = {}  # by node: when it takes each of its input beats
    depths: dict[str, HardwareOp] = {}
    for head, *followers in reversed(_stages(graph)):
        tail = followers[-1] if followers else head
        delay = sum(_latency(graph, f) for f in followers)
        fifo = next(iter(graph.consumers[tail.name]), None)
        if fifo is None:
            beats = graph.types[tail.name].size // _lanes_out(graph, tail.name)
            deadline = np.repeat((np.arange(FRAMES, dtype=np.int64) + 1) * period, beats)
        else:
            leaves = taken[graph.consumers[fifo.name][0].name]
            deadline = leaves - 1
        taken[head.name], written = _hardware(head).timing(*graph.inputs_of(head)).alap(deadline - delay)
        if fifo is not None:
            lanes = _lanes_out(graph, tail.name)
            depths[fifo.name] = Fifo(lanes, _depth(written + delay, leaves))
    return graph.map_ops(depths)


def _stages(graph: Graph) -> list[tuple[Node, ...]]:
    """The nodes between FIFOs: a head and the one-to-one ops that hang directly on it."""
    stages: list[tuple[Node, ...]] = []
    for node in graph:
        if isinstance(node.op, Fifo | Source):
            continue
        if isinstance(graph[node.inputs[0]].op, Fifo | Source):
            stages.append((node,))
        else:
            stages[-1] = (*stages[-1], node)
    return stages


def _hardware(node: Node) -> HardwareOp:
    if not isinstance(node.op, HardwareOp):
        raise Bnn2hwError(f"node '{node.name}' is no hardware op")
    return node.op


def _latency(graph: Graph, node: Node) -> int:
    """Cycles through a one-to-one op."""
    inputs = graph.inputs_of(node)
    return int(_hardware(node).timing(*inputs).asap(np.arange(inputs[0].size, dtype=np.int64))[1][0])


def _depth(arrives: Times, leaves: Times) -> int:
    """Largest number of beats that wait at once; each from the cycle after it arrives to that in which it leaves."""
    gone = np.searchsorted(leaves, arrives)
    return max(2, int((np.arange(arrives.size) - gone).max()) + 1)
