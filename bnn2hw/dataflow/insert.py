"""Folded graph to streamed graph: width converters where neighbours disagree, FIFOs between ops, and their depths.

A stream that several ops read is handed over to the FIFOs of all its readers in the same cycle. Their handshakes are
registered, so waiting for all of them closes no loop.

Why the depths suffice, on branches that meet again too. Let N be the interval of the slowest op. Schedule every op
as late as possible so that the output delivers one frame per N cycles; each op alone can keep that pace and the
graph has no circles, so the schedule exists, and it is periodic. A FIFO that is as deep as the largest number of
beats that ever wait in it under this schedule never refuses a beat in it. So the schedule is one that the hardware
could follow. The hardware follows another: every op fires as soon as it can. Since firing earlier never delays
anything (the system is max-plus linear), it runs at least as fast as the schedule, thus at N cycles per frame, and
cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.dataflow import converters
from bnn2hw.errors import Bnn2hwError
from bnn2hw.estimate import cycles
from bnn2hw.ir import Beats, Graph, Handshakes, HardwareOp, Node, View
from bnn2hw.ir.timing import Buffered, Steps, Times, backward
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.fifo import Fifo, needed_depth
from bnn2hw.ops.source import Source
from bnn2hw.ops.width_converter import WidthConverter

FRAMES = 4
"""Frames of the schedule from which depths are read, beside those that are in the design at once: enough that
neither end of the schedule shows."""

_GONE = np.zeros(0, np.int64)

HUGE = 60_000_000
"""Cycles times stages from which on a single schedule is looked at, a few stages at a time."""


LARGE = 2_000_000
"""Cycles times stages from which on FIFOs have room for the bubbles that pipelines keep (see `_loosened`)."""


def connect(graph: Graph) -> Graph:
    """Insert width converters and FIFOs, each FIFO as deep as the interval needs.

    Raises:
        Bnn2hwError: a stream is made that nothing reads.
    """
    outputs = {graph.wire(name) for name in graph.outputs}
    for name, readers in graph.readers.items():
        if not readers and name not in outputs and not isinstance(graph[name].op, View):
            raise Bnn2hwError(f"the stream '{name}' is read by nothing")
    return _deepen(inserted(graph))


def inserted(graph: Graph) -> Graph:
    """The same with FIFOs that are as deep as neighbours in step need."""
    return _Inserter(graph).run()


def _beats_out(graph: Graph, name: str) -> Beats:
    node = graph[graph.wire(name)]
    if isinstance(node.op, Source):
        return Beats(node.op.lanes)
    return _hardware(node).beats(*graph.inputs_of(node))[1]


class _Inserter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []

    def run(self) -> Graph:
        for node in self.graph:
            if isinstance(node.op, HardwareOp):
                inputs = tuple(self._input(node, port) for port in range(len(node.inputs)))
                self.nodes.append(replace(node, inputs=inputs))
            elif isinstance(node.op, Source):
                self.nodes.append(node)
        outputs = tuple(map(self._output, range(len(self.graph.outputs))))
        return Graph(tuple(self.nodes), outputs)

    def _input(self, node: Node, port: int) -> str:
        """The edge that a node reads, behind a FIFO and converters of its own where it needs them."""
        edge = self.graph.wire(node.inputs[port])
        have, want = _beats_out(self.graph, edge), _hardware(node).beats(*self.graph.inputs_of(node))[0]
        stem = f"{edge}.{node.name}{port or ''}" if shared(self.graph, edge) else edge
        ops = converters.between(have, want, queued=queued(self.graph, node, port, same=have.serves(want)))
        return self._viewed(f"{stem}.view", node.inputs[port], edge, self._laid(stem, ops, edge))

    def _laid(self, stem: str, ops: Sequence[Fifo | WidthConverter], edge: str) -> str:
        """The edge at the end of some plumbing."""
        name, layer = stem, self.graph[edge].layer
        for op in ops:
            beats = op.beats()[1]
            of = f"of{beats.vector}" if beats.vector else ""
            name = f"{name}.fifo" if isinstance(op, Fifo) else f"{stem}.to{beats.lanes}{of}"
            edge = self._add(name, op, edge, layer)
        return edge

    def _output(self, number: int) -> str:
        """The edge that leaves the design, behind a FIFO of its own where others read it too."""
        edge = self.graph.wire(self.graph.outputs[number])
        same = leaving(self.graph, edge)
        stem = f"{edge}.output{same.index(number) or ''}"
        ops = converters.outgoing(_beats_out(self.graph, edge), queued=shared(self.graph, edge))
        return self._viewed(f"{stem}.view", self.graph.outputs[number], edge, self._laid(stem, ops, edge))

    def _viewed(self, name: str, edge: str, wire: str, feeds: str) -> str:
        """A stream under the shape and the meaning that its reader sees."""
        seen = self.graph.types[edge]
        if seen == self.graph.types[wire]:
            return feeds
        return self._add(name, View(seen.shape, seen.scale, seen.offset), feeds, self.graph[wire].layer)

    def _add(self, name: str, op: HardwareOp | View, edge: str, layer: str) -> str:
        self.nodes.append(Node(name, op, (edge,), layer))
        return name


def without_plumbing(graph: Graph) -> Graph:
    """A streamed graph before its streams were laid out."""
    stands_for: dict[str, str] = {}
    nodes = []
    for node in graph:
        inputs = tuple(stands_for.get(i, i) for i in node.inputs)
        if isinstance(node.op, Fifo | WidthConverter):
            stands_for[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return Graph(tuple(nodes), tuple(stands_for.get(o, o) for o in graph.outputs))


def leaving(graph: Graph, edge: str) -> list[int]:
    """The numbers of the outputs that a stream is."""
    return [i for i, name in enumerate(graph.outputs) if graph.wire(name) == edge]


def shared(graph: Graph, edge: str) -> bool:
    """Whether a stream is read more than once, so that each reader has a FIFO of its own."""
    return len(graph.readers[edge]) + len(leaving(graph, edge)) > 1


def queued(graph: Graph, node: Node, port: int, *, same: bool) -> bool:
    """Whether a node has a FIFO at an input, given whether it has as many lanes there as its producer.

    It needs none where it alone reads the design's input, or hangs on a matrix-vector unit.
    """
    edge = graph.wire(node.inputs[port])
    if len(node.inputs) > 1 or shared(graph, edge):
        return True
    maker = graph[edge].op
    return not (
        isinstance(maker, Source) or (_hardware(node).one_to_one and isinstance(maker, MatVec) and same)
    )


@dataclass(frozen=True)
class _Stage:
    """The nodes between FIFOs: a head and the one-to-one ops that hang directly on it.

    Attributes:
        nodes: the head first.
        inputs: by input of the head, the FIFO in front of it, or None where it reads the design's input itself.
        before: by input of the head, the name of the stage (its last node) that makes it.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str | None, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.nodes[-1].name


def _stages(graph: Graph) -> list[_Stage]:
    stages: dict[str, _Stage] = {}  # by the name of the last node
    for node in graph:
        if isinstance(node.op, Fifo | View):
            continue
        wires = [graph.wire(i) for i in node.inputs]
        if wires and not isinstance(graph[wires[0]].op, Fifo | Source):
            head = stages.pop(wires[0])
            stages[node.name] = replace(head, nodes=(*head.nodes, node))
            continue
        fifos = tuple(w if isinstance(graph[w].op, Fifo) else None for w in wires)
        before = tuple(graph.wire(graph[w].inputs[0]) if f else w for w, f in zip(wires, fifos, strict=True))
        stages[node.name] = _Stage((node,), fifos, before)
    return list(stages.values())


Plan = Mapping[str, Handshakes]
"""By stage, the cycles in which it takes its inputs and hands over its outputs."""


class _Schedule:
    """The stages of a streamed graph, and when they take and hand over their beats."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.stages = _stages(graph)
        self.period = cycles.interval(graph)
        self.readers: dict[str, list[tuple[_Stage, int]]] = {s.name: [] for s in self.stages}
        for stage in self.stages:
            for port, name in enumerate(stage.before):
                self.readers[name].append((stage, port))
        self.ends = {
            graph.wire(graph[w].inputs[0]) if isinstance(graph[w].op, Fifo) else w: w
            for w in map(graph.wire, graph.outputs)
        }

    def latest(self, frames: int) -> Plan:
        """Everything as late as possible."""
        times: dict[str, Handshakes] = {}
        for stage in reversed(self.stages):
            times[stage.name] = self.alap(stage, times, frames)
        return times

    def alap(self, stage: _Stage, times: Plan, frames: int) -> Handshakes:
        """The latest cycles for a stage when its readers take their inputs in these."""
        deadlines = [times[s.name].taken[port] - 1 for s, port in self.readers[stage.name]]
        if stage.name in self.ends:
            beats = _beats_out(self.graph, stage.name).count(self.graph.types[stage.name].size)
            deadlines.append(np.repeat((np.arange(frames, dtype=np.int64) + 1) * self.period, beats))
        return self._alap(stage, deadlines[0] if len(deadlines) == 1 else np.minimum.reduce(deadlines))

    def _alap(self, stage: _Stage, deadline: Times) -> Handshakes:
        head = stage.nodes[0]
        if isinstance(head.op, Source):
            return Handshakes((), backward(deadline))
        delay = self._delay(stage)
        late = _hardware(head).timing(*self.graph.inputs_of(head)).alap(deadline - delay)
        return Handshakes(late.taken, late.written + delay)

    def asap(self, stage: _Stage, times: Plan) -> Handshakes:
        """The earliest cycles for a stage when its inputs are handed over to their FIFOs in these."""
        head = stage.nodes[0]
        timing = _hardware(head).timing(*self.graph.inputs_of(head))
        early = timing.asap(*(times[name].written + 1 for name in stage.before))
        return Handshakes(early.taken, early.written + self._delay(stage))

    def _delay(self, stage: _Stage) -> int:
        """Cycles through the ops that hang on the head of a stage."""
        return sum(_hardware(n).cycles(*self.graph.inputs_of(n)).latency for n in stage.nodes[1:])

    def before(self, stage: _Stage, option: Handshakes, times: Plan) -> int:
        """Bits in the FIFOs before a stage under a schedule of it."""
        fifos = zip(stage.before, stage.inputs, option.taken, strict=True)
        return sum(
            needed_depth(times[name].written, taken) * self._bits(name) for name, fifo, taken in fifos if fifo
        )

    def around(self, stage: _Stage, option: Handshakes, times: Plan) -> int:
        """Bits in the FIFOs before and behind a stage under a schedule of it."""
        behind = [times[s.name].taken[port] for s, port in self.readers[stage.name] if s.inputs[port]]
        depths = sum(needed_depth(option.written, taken) for taken in behind)
        return self.before(stage, option, times) + depths * self._bits(stage.name)

    def _bits(self, name: str) -> int:
        """Width of a stage's output."""
        return _beats_out(self.graph, name).lanes * self.graph.types[name].ints.bits


def _deepen(graph: Graph) -> Graph:
    """Give each FIFO the depth that a schedule needs which keeps the interval.

    Of two schedules the one that stores fewer bits is taken. Both mix late and soon, since no FIFO is filled between
    ops that keep step with each other, and where branches meet, the shorter one has to wait for the longer.
    """
    schedule = _Schedule(graph)
    if schedule.period * len(schedule.stages) > HUGE:
        return _with_depths(graph, _loosened(schedule, _of_the_latest(schedule)))
    frames = FRAMES
    latest = schedule.latest(frames)
    # As many frames as lie in the design at once must be looked at together.
    begins = min(int(t[0]) for h in latest.values() for t in h.taken)
    inside = -(-(schedule.period - begins) // schedule.period)
    if inside > 2:
        frames += inside - 2
        latest = schedule.latest(frames)
    plans = _from_the_latest(schedule, latest), _from_the_soonest(schedule, latest, frames)
    stages = schedule.stages
    plan = min(plans, key=lambda p: sum(schedule.before(s, p[s.name], p) for s in stages))
    depths = {
        fifo: needed_depth(plan[before].written, taken)
        for stage in stages
        for fifo, before, taken in zip(stage.inputs, stage.before, plan[stage.name].taken, strict=True)
        if fifo
    }
    return _with_depths(graph, _loosened(schedule, depths))


def _loosened(schedule: _Schedule, depths: Mapping[str, int]) -> dict[str, int]:
    """Depths with room for bubbles, in large designs and in front of ops that have little time to spare.

    A pipeline that stands still keeps its bubbles, which the argument for the depths leaves out. As many beats more as
    the pipeline in front of a FIFO is long make up for them: it stands still only while the FIFO holds that many more.
    """
    if schedule.period * len(schedule.stages) <= LARGE:
        return dict(depths)
    lengths: dict[str, int] = {}
    intervals: dict[str, int] = {}
    for stage in schedule.stages:
        ops = [(n.op, schedule.graph.inputs_of(n)) for n in stage.nodes]
        timings = [op.timing(*x) for op, x in ops if isinstance(op, HardwareOp)]
        lengths[stage.name] = sum(t.latency for t in timings if isinstance(t, Steps | Buffered))
        intervals[stage.name] = max((t.interval for t in timings), default=0)
    return {
        fifo: depths[fifo] + (lengths[before] if 10 * intervals[stage.name] > 9 * schedule.period else 0)
        for stage in schedule.stages
        for fifo, before in zip(stage.inputs, stage.before, strict=True)
        if fifo
    }


def _with_depths(graph: Graph, depths: Mapping[str, int]) -> Graph:
    """The graph with FIFOs of these depths."""
    beats = {name: _beats_out(graph, graph[name].inputs[0]) for name in depths}
    return graph.map_ops({name: replace(Fifo.of(beats[name]), depth=depth) for name, depth in depths.items()})


def _of_the_latest(schedule: _Schedule) -> dict[str, int]:
    """The depths with everything as late as possible, forgetting what all its readers have been held against."""
    frames = FRAMES
    while True:
        depths: dict[str, int] = {}
        times: dict[str, Handshakes] = {}
        longest = 0
        for stage in reversed(schedule.stages):
            made = schedule.alap(stage, times, frames)
            for reader, port in schedule.readers[stage.name]:
                taken = times[reader.name].taken[port]
                longest = max(longest, int((taken - made.written).max()))
                fifo = reader.inputs[port]
                if fifo:
                    depths[fifo] = needed_depth(made.written, taken)
                rest = times[reader.name].taken
                times[reader.name] = Handshakes((*rest[:port], _GONE, *rest[port + 1 :]), _GONE)
            times[stage.name] = Handshakes(made.taken, _GONE)
        # As many frames as wait in one FIFO at once must be looked at together.
        inside = -(-longest // schedule.period)
        if inside + 2 <= frames:
            return depths
        frames = inside + 2


def _from_the_latest(schedule: _Schedule, latest: Plan) -> Plan:
    """Going from the sources to the outputs, each stage at its latest or as soon as its inputs come."""
    times = dict(latest)
    for stage in schedule.stages:
        if any(stage.inputs):
            options = times[stage.name], schedule.asap(stage, times)
            times[stage.name] = min(options, key=lambda o: schedule.around(stage, o, times))
    return times


def _from_the_soonest(schedule: _Schedule, latest: Plan, frames: int) -> Plan:
    """Each stage as soon as its inputs come; then, going back, at its latest where that stores less."""
    times = dict(latest)
    for stage in schedule.stages:
        if any(stage.inputs):
            times[stage.name] = schedule.asap(stage, times)
    for stage in reversed(schedule.stages):
        options = times[stage.name], schedule.alap(stage, times, frames)
        times[stage.name] = min(options, key=lambda o: schedule.around(stage, o, times))
    return times


def _hardware(node: Node) -> HardwareOp:
    if not isinstance(node.op, HardwareOp):
        raise Bnn2hwError(f"node '{node.name}' is no hardware op")
    return node.op
