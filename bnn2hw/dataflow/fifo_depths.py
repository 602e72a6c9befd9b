"""Size the FIFOs of a streamed graph by a schedule that keeps the interval. See docs/decisions/0003."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.dataflow.insert import beats_out, stream_op
from bnn2hw.estimate import cycles
from bnn2hw.ir import Graph, Handshakes, HardwareOp, Node, StreamOp, View
from bnn2hw.ir.timing import Buffered, Steps, Times
from bnn2hw.ops.fifo import Fifo, needed_depth

FRAMES = 4
"""Frames of the schedule from which depths are read, beside those that are in the design at once: enough that
neither end of the schedule shows."""

_GONE = np.zeros(0, np.int64)

HUGE = 60_000_000
"""Cycles times stages from which on a single schedule is looked at, a few stages at a time."""


LARGE = 2_000_000
"""Cycles times stages from which on FIFOs have room for the bubbles that pipelines keep (see `_loosened`)."""


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
        if wires and graph[wires[0]].inputs and not isinstance(graph[wires[0]].op, Fifo):
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
            beats = beats_out(self.graph, stage.name).count(self.graph.types[stage.name].size)
            deadlines.append(np.repeat((np.arange(frames, dtype=np.int64) + 1) * self.period, beats))
        return self._alap(stage, deadlines[0] if len(deadlines) == 1 else np.minimum.reduce(deadlines))

    def _alap(self, stage: _Stage, deadline: Times) -> Handshakes:
        head, delay = stage.nodes[0], self._delay(stage)
        late = stream_op(head).timing(*self.graph.inputs_of(head)).alap(deadline - delay)
        return Handshakes(late.taken, late.written + delay)

    def asap(self, stage: _Stage, times: Plan) -> Handshakes:
        """The earliest cycles for a stage when its inputs are handed over to their FIFOs in these."""
        head = stage.nodes[0]
        timing = stream_op(head).timing(*self.graph.inputs_of(head))
        early = timing.asap(*(times[name].written + 1 for name in stage.before))
        return Handshakes(early.taken, early.written + self._delay(stage))

    def _delay(self, stage: _Stage) -> int:
        """Cycles through the ops that hang on the head of a stage."""
        ops = [(n.op, self.graph.inputs_of(n)) for n in stage.nodes[1:]]
        return sum(op.cycles(*x).latency for op, x in ops if isinstance(op, HardwareOp))

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
        return beats_out(self.graph, name).lanes * self.graph.types[name].ints.bits


def deepen(graph: Graph) -> Graph:
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
        timings = [op.timing(*x) for op, x in ops if isinstance(op, StreamOp)]
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
    beats = {name: beats_out(graph, graph[name].inputs[0]) for name in depths}
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
