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
from bnn2hw.ir.timing import Times, Timing
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
            raise Bnn2hwError(
                f"the stream '{name}' has {len(readers)} readers; branches cannot be laid out yet"
            )
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
    """Give each FIFO the depth that a schedule needs which keeps the interval.

    Two schedules are mixed: everything as late as possible, and, going from the source to the output, each stage
    either at its latest or as soon as its inputs come, whichever stores fewer bits in the FIFOs around it.
    """
    stages = _stages(graph)
    latest = _latest(graph, stages)
    depths: dict[str, HardwareOp] = {}
    written: Times | None = None  # by the stage before, as decided
    for i, stage in enumerate(stages):
        options = [latest[i]]
        if written is not None:
            taken, done = _timing(graph, stage).asap(written + 1)
            options.append((taken, done + _delay(graph, stage)))
        after = latest[i + 1][0] if i + 1 < len(stages) else None
        sizes = [
            (_depth(written, o[0]) * _beat_bits(graph, stages[i - 1]) if written is not None else 0)
            + (_depth(o[1], after) * _beat_bits(graph, stage) if after is not None else 0)
            for o in options
        ]
        chosen = options[int(np.argmin(sizes))]
        if written is not None:
            [edge] = stage[0].inputs
            depths[edge] = Fifo(_lanes_out(graph, stages[i - 1][-1].name), _depth(written, chosen[0]))
        written = chosen[1]
    return graph.map_ops(depths)


def _latest(graph: Graph, stages: list[tuple[Node, ...]]) -> list[tuple[Times, Times]]:
    """By stage, the latest cycles in which it takes its inputs and hands over its outputs."""
    period = estimate.interval(graph)
    beats = graph.types[stages[-1][-1].name].size // _lanes_out(graph, stages[-1][-1].name)
    deadline = np.repeat((np.arange(FRAMES, dtype=np.int64) + 1) * period, beats)
    times: list[tuple[Times, Times]] = []
    for stage in reversed(stages):
        delay = _delay(graph, stage)
        taken, written = _timing(graph, stage).alap(deadline - delay)
        times.append((taken, written + delay))
        deadline = taken - 1
    return times[::-1]


def _timing(graph: Graph, stage: tuple[Node, ...]) -> Timing:
    return _hardware(stage[0]).timing(*graph.inputs_of(stage[0]))


def _delay(graph: Graph, stage: tuple[Node, ...]) -> int:
    """Cycles through the ops that hang on the head of a stage."""
    return sum(_hardware(n).cycles(*graph.inputs_of(n)).latency for n in stage[1:])


def _beat_bits(graph: Graph, stage: tuple[Node, ...]) -> int:
    return _lanes_out(graph, stage[-1].name) * graph.types[stage[-1].name].ints.bits


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


def _depth(arrives: Times, leaves: Times) -> int:
    """Largest number of beats that wait at once; each from the cycle after it arrives to that in which it leaves."""
    gone = np.searchsorted(leaves, arrives)
    return max(2, int((np.arange(arrives.size) - gone).max()) + 1)
