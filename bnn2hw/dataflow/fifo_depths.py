"""Size the FIFOs of a streamed graph by a periodic schedule, so that they never throttle the network.

Let N be the interval of the slowest op. A schedule gives each step of each op a cycle. It repeats
every N cycles, so it is computed for one frame. A beat needs room in a FIFO from the step that makes
it until the reader takes it. Each FIFO gets room for all beats that need it at the same time. No
pipeline then stalls while one of its steps is due, so the hardware makes each step no later than the
schedule. It sustains one frame every N cycles, and it cannot deadlock. docs/decisions/0003 has the
argument in full.

Any such schedule suffices. Two are computed, and the one that stores fewer bits is used.

Most small designs also sustain N if a beat needs room only once it leaves its producer. Their FIFOs
are laid out in this way first, and stepping the design decides. Where FIFOs of a single beat would
delay the first frames, each FIFO holds two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from bnn2hw.estimate import cycles
from bnn2hw.ir import Graph, Handshakes, Timing, View, hardware_nodes, stream_op
from bnn2hw.ir.timing import Times
from bnn2hw.ops.fifo import Fifo

SAMPLES = 4096
"""Largest number of beats per frame that count when two schedules are compared."""

SMALL = 1_000_000
"""Cycles per frame times nodes of a design that is stepped."""

SHORT = 2**29
"""Cycles up to which int32 holds sums and differences of two numbers and a period."""

FRAMES = 40
"""Frames in which the pace of a small design must become steady."""

QUICKLY = 4
"""Intervals after which it must be steady if FIFOs may hold a single beat."""


def deepen(graph: Graph) -> Graph:
    """Give each FIFO of a streamed graph the depth that sustains the interval of the network.

    Args:
        graph: Graph in streamed form, with FIFOs of any depth.
    """
    period = cycles.interval(graph)
    if period * len(graph.nodes) <= SMALL:
        for least, startup in ((1, QUICKLY), (2, FRAMES)):
            made = with_depths(graph, early=False, least=least)
            pace = cycles.pace(made, FRAMES)
            if pace.steady and pace.interval == period and len(pace.startup) <= startup:
                return made
    return with_depths(graph, early=True)


def with_depths(graph: Graph, *, early: bool, least: int = 1) -> Graph:
    """Give each FIFO of a streamed graph the depth that the better of two schedules needs.

    Args:
        graph: Graph in streamed form, with FIFOs of any depth.
        early: Whether a beat needs room from the step that makes it on, which sustains the interval
            of any network. If not, it needs room from its handshake on.
        least: Depth of every FIFO at least.
    """
    depths = min(_plans(_Network(graph), early, least), key=_total_bits)
    made = {queue.fifo: graph[queue.fifo].op for queue in depths}
    fifos = {n: op for n, op in made.items() if isinstance(op, Fifo)}
    return graph.map_ops({q.fifo: _with_depth(fifos[q.fifo], depth) for q, depth in depths.items()})


def _with_depth(fifo: Fifo, depth: int) -> Fifo:
    """Return a FIFO of some depth. One behind ops that run free keeps what they need at full rate."""
    return replace(fifo, depth=max(depth, fifo.depth) if fifo.gated else depth)


def needed_depth(placed: Times, taken: Times, period: int, *, exact: bool = True) -> int:
    """Return the largest number of beats that need room at the same time.

    Args:
        placed: The cycle from which on each beat of a frame needs room, strictly rising.
        taken: The last cycle in which it does, strictly rising.
        period: Cycles from one frame to the next; both arrays repeat.
        exact: Whether all beats of a long frame count, or else samples of them.
    """
    count = placed.size
    step = max(1, count // SAMPLES)
    frames = int(taken[0] - placed[0]) // period
    some = placed[::step] + frames * period
    # Two frames may be read at this time: this one, shifted by whole frames, and the one before it.
    gone = np.searchsorted(taken, some) + np.searchsorted(taken, some + period)
    held = np.arange(1, count + 1, step) + (frames + 1) * count - gone
    least = int(held.max())
    if step == 1 or not exact:
        return least
    # From one sample to the next, at most step - 1 further beats come.
    larger = range(least, least + step - 1)
    return least + bisect_left(larger, True, key=lambda depth: _suffices(depth, placed, taken, period))


def _suffices(depth: int, placed: Times, taken: Times, period: int) -> bool:
    """True if each beat finds room: the beat that is `depth` beats older has been taken in an earlier cycle."""
    frames, beats = divmod(depth, placed.size)
    split = placed.size - beats
    same = taken[:split] - placed[beats:] < frames * period
    before = taken[split:] - placed[:beats] < (frames + 1) * period
    return bool(np.all(same) and np.all(before))


@dataclass(frozen=True)
class _Stage:
    """The ops between FIFOs: a head, and the one-to-one ops that follow it without a FIFO.

    Attributes:
        name: The node of the last op, which names the stream that the stage makes.
        timed: Returns the timing of the head. The timings of all stages together take much memory.
        latency: Latency of the head.
        tail: Latency of the ops behind the head.
        producers: For each input, the stage that makes it.
        fifos: For each input, the FIFO before it; empty if the stage alone reads an input of the design.
    """

    name: str
    timed: Callable[[], Timing]
    latency: int
    tail: int = 0
    producers: tuple[str, ...] = ()
    fifos: tuple[str, ...] = ()

    @property
    def timing(self) -> Timing:
        """The timing of the head."""
        return self.timed()

    @property
    def ahead(self) -> int:
        """Cycles from the one after the step that makes a beat to its handshake."""
        return max(self.latency + self.tail - 1, 0)


def _stages(graph: Graph) -> dict[str, _Stage]:
    """Return the stages of a streamed graph by name, in topological order."""
    stages: dict[str, _Stage] = {}
    for node in graph:
        if isinstance(node.op, Fifo | View):
            continue
        timed = partial(stream_op(node).timing, *graph.inputs_of(node))
        timing = timed()
        sources = [graph[graph.wire(i)] for i in node.inputs]
        fifos = [source for source in sources if isinstance(source.op, Fifo)]
        if fifos or not node.inputs or not sources[0].inputs:
            producers = tuple(graph.wire(f.inputs[0]) for f in fifos) or tuple(s.name for s in sources)
            stages[node.name] = _Stage(
                node.name, timed, timing.latency, 0, producers, tuple(f.name for f in fifos)
            )
        else:
            head = stages.pop(sources[0].name)
            stages[node.name] = replace(head, name=node.name, tail=head.tail + timing.latency)
    return stages


class _Queue(NamedTuple):
    """A FIFO between two stages.

    Attributes:
        fifo: Its node.
        producer: The stage that writes it.
        reader: The stage that reads it.
        port: The input of the reader.
        bits: Width of a beat.
        gated: Whether the ops before it run free.
    """

    fifo: str
    producer: str
    reader: str
    port: int
    bits: int
    gated: bool


Schedule = dict[str, Handshakes]
"""For each stage, the cycles of its handshakes in one frame."""


class _Network:
    """The stages of a streamed graph, the FIFOs between them, and the period of all schedules."""

    def __init__(self, graph: Graph) -> None:
        self.period = cycles.interval(graph)
        self.stages = _stages(graph)
        gated = {n.name for n, op in hardware_nodes(graph) if isinstance(op, Fifo) and op.gated}
        self.queues = [
            _Queue(fifo, producer, stage.name, port, self._bits(graph, producer), fifo in gated)
            for stage in self.stages.values()
            for port, (fifo, producer) in enumerate(zip(stage.fifos, stage.producers, strict=False))
        ]
        self.around: dict[str, list[_Queue]] = {name: [] for name in self.stages}
        for queue in self.queues:
            self.around[queue.producer].append(queue)
            self.around[queue.reader].append(queue)
        self.readers: dict[str, list[tuple[str, int]]] = {name: [] for name in self.stages}
        for stage in self.stages.values():
            for port, producer in enumerate(stage.producers):
                self.readers[producer].append((stage.name, port))
        self.output_beats = dict(self._outputs(graph))

    @staticmethod
    def _bits(graph: Graph, stream: str) -> int:
        """Return the width of a beat."""
        return graph.beats(stream).lanes * graph.types[stream].ints.bits

    @staticmethod
    def _outputs(graph: Graph) -> Iterator[tuple[str, int]]:
        """Yield the stages whose streams leave the design, with their beats per frame."""
        for wire in map(graph.wire, graph.outputs):
            name = graph.wire(graph[wire].inputs[0]) if isinstance(graph[wire].op, Fifo) else wire
            yield name, graph.beats(name).count(graph.types[name].size)

    def latest(self, stage: _Stage, times: Schedule) -> Handshakes:
        """Return the latest handshakes of a stage, given those of its readers."""
        deadlines = [
            np.subtract(times[reader].taken[port], 1, dtype=np.int64)
            for reader, port in self.readers[stage.name]
        ]
        if stage.name in self.output_beats:
            deadlines.append(np.full(self.output_beats[stage.name], self.period))
        late = stage.timing.latest(np.minimum.reduce(deadlines) - stage.tail, self.period)
        return _compact(late, stage.tail)

    def earliest(self, stage: _Stage, times: Schedule) -> Handshakes:
        """Return the earliest handshakes of a stage, given those of its producers."""
        arrive = (np.add(times[producer].written, 1, dtype=np.int64) for producer in stage.producers)
        early = stage.timing.earliest(*arrive, period=self.period)
        return _compact(early, stage.tail)


def _compact(made: Handshakes, tail: int) -> Handshakes:
    """Return handshakes whose outputs come some cycles later, in half the memory where the cycles are small."""
    arrays = (*made.taken, made.written + tail)
    if all(a.size == 0 or max(abs(int(a[0])), abs(int(a[-1]))) < SHORT for a in arrays):
        arrays = tuple(a.astype(np.int32) for a in arrays)
    return Handshakes(arrays[:-1], arrays[-1])


class _Plan:
    """A schedule of all stages, and an estimate of the bits that each FIFO needs for it.

    Args:
        network: The stages.
        times: A schedule of them, which the plan changes.
        early: Whether a beat needs room from the step that makes it, or else from its handshake.
        least: Depth of every FIFO at least.
    """

    def __init__(self, network: _Network, times: Schedule, early: bool, least: int) -> None:
        self.network, self.times, self.early, self.least = network, times, early, least
        self.bits = {queue: self._bits_of(queue, {}) for queue in network.queues}

    def _depth(self, queue: _Queue, other: Mapping[str, Handshakes], *, exact: bool) -> int:
        """Return the depth of a FIFO if some stages have other handshakes."""
        written = (other.get(queue.producer) or self.times[queue.producer]).written
        taken = (other.get(queue.reader) or self.times[queue.reader]).taken[queue.port]
        ahead = self.network.stages[queue.producer].ahead if self.early or queue.gated else 0
        ahead += queue.gated  # a gate can use a credit from the cycle after its return on
        return max(self.least, needed_depth(written - ahead, taken, self.network.period, exact=exact))

    def _bits_of(self, queue: _Queue, other: Mapping[str, Handshakes]) -> int:
        return queue.bits * self._depth(queue, other, exact=False)

    def offer(self, stage: _Stage, option: Handshakes) -> None:
        """Adopt other handshakes of a stage if the FIFOs around it then hold fewer bits."""
        bits = {q: self._bits_of(q, {stage.name: option}) for q in self.network.around[stage.name]}
        if sum(bits.values()) < sum(self.bits[queue] for queue in bits):
            self.times[stage.name] = option
            self.bits.update(bits)

    def depths(self) -> dict[_Queue, int]:
        """Return the depth of each FIFO."""
        return {queue: self._depth(queue, {}, exact=True) for queue in self.network.queues}


def _plans(network: _Network, early: bool, least: int) -> Iterator[dict[_Queue, int]]:
    """Yield the depths for two schedules.

    Both mix early and late stages. A stage that waits for its reader needs room for its inputs. A
    stage that works at once needs room for its outputs. Where branches meet, one of them waits.
    """
    stages = list(network.stages.values())
    latest: Schedule = {}
    for stage in reversed(stages):
        latest[stage.name] = network.latest(stage, latest)
    earliest = {stage.name: latest[stage.name] for stage in stages if not stage.fifos}

    plan = _Plan(network, latest, early, least)
    for stage in stages:
        if stage.fifos:
            plan.offer(stage, network.earliest(stage, plan.times))
    yield plan.depths()
    # The schedules of large designs take much memory, so only one of them is kept at a time.
    del plan, latest

    for stage in stages:
        if stage.fifos:
            earliest[stage.name] = network.earliest(stage, earliest)
    plan = _Plan(network, earliest, early, least)
    for stage in reversed(stages):
        plan.offer(stage, network.latest(stage, plan.times))
    yield plan.depths()


def _total_bits(depths: Mapping[_Queue, int]) -> int:
    return sum(queue.bits * depth for queue, depth in depths.items())
