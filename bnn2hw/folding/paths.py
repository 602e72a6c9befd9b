"""The critical path of a design to its first output, and how long the same path is in other foldings.

A path names one value of each stream that it passes. The first output waits for that value of the last stream, the op
that makes it waits for the value before, and so on back to an input. In each folding the first output comes no earlier
than the sum of these waits. In the folding whose critical path it is, with endless FIFOs, it comes just then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, product

import numpy as np

from bnn2hw.dataflow import converters, insert
from bnn2hw.folding.options import NodeOptions, StreamCosts
from bnn2hw.ir import Array, Beats, Graph, Op, StreamOp, stream_op
from bnn2hw.ir.timing import Times
from bnn2hw.ir.waits import cause, fewest
from bnn2hw.ops import MatVec
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter

NEVER = -np.inf
"""Delay of an output that does not wait for the value of the path."""


@dataclass(frozen=True)
class Hop:
    """An op on a path.

    Attributes:
        name: Name of the node.
        port: Number of the input by which the path enters.
        taken: Place in the frame of the value that the op waits for; 0 at an input of the design.
        written: Place of the value that it makes.
    """

    name: str
    port: int
    taken: int
    written: int


@dataclass(frozen=True)
class _Stop:
    """A beat that an op waits for, and one that it makes, on the way back from the output."""

    name: str
    port: int
    taken: tuple[int, int]
    written: tuple[int, int]


def critical(graph: Graph) -> tuple[Hop, ...]:
    """Return the path from an input to the first output of a streamed graph, its FIFOs taken as endless.

    Args:
        graph: Graph in streamed form.
    """
    hops: list[Hop] = []
    goal, wanted = 0, None
    for stop in _stops(graph):
        if wanted is not None:
            goal, taken = _ends(stop.written, wanted)
            hops[-1] = replace(hops[-1], taken=taken)
        hops.append(Hop(stop.name, stop.port, 0, goal))
        wanted = stop.taken
    return tuple(reversed(hops))


def _stops(graph: Graph) -> list[_Stop]:
    """Walk back from the first output to an input, past FIFOs and converters."""
    timings = {n.name: n.op.timing(*graph.inputs_of(n)) for n in graph if isinstance(n.op, StreamOp)}
    written: dict[str, Times] = {}
    for name, timing in timings.items():
        written[name] = timing.asap(*(written[graph.wire(i)] for i in graph[name].inputs)).written
    stops: list[_Stop] = []
    name, beat = graph.wire(graph.outputs[0]), 0
    while True:
        node, port, taken = graph[name], 0, 0
        sources = [graph.wire(i) for i in node.inputs]
        if sources:
            port, taken = cause(timings[name], [written[s] for s in sources], beat)
        if not isinstance(node.op, Fifo | WidthConverter):
            inputs = graph.inputs_of(node)
            writes = stream_op(node).beats(*inputs)[1]
            reads = stream_op(node).input_beats(port, *inputs) if sources else writes
            stops.append(_Stop(name, port, _values(reads, taken), _values(writes, beat)))
        if not sources:
            return stops
        name, beat = sources[port], taken


def _values(beats: Beats, index: int) -> tuple[int, int]:
    """Return the places of the first and the last value of a beat."""
    return beats.first(index), beats.first(index + 1) - 1


def _ends(written: tuple[int, int], taken: tuple[int, int]) -> tuple[int, int]:
    """Return a value of a beat that is written and one of a beat that is taken: the same if they share one."""
    shared = min(taken[1], written[1])
    return (shared, shared) if shared >= max(taken[0], written[0]) else (written[1], taken[1])


class Delays:
    """The cycles that a path takes in each folding: by node and option, and by stream and the beats at its ends.

    Args:
        hops: The path.
        graph: Graph in hardware form.
        places: Its nodes and their foldings.
    """

    def __init__(self, hops: Sequence[Hop], graph: Graph, places: Sequence[NodeOptions]) -> None:
        self._graph, self._places, self._last = graph, places, hops[-1].name
        number = {p.name: i for i, p in enumerate(places)}
        self._hops = {number[h.name]: h for h in hops}
        self._before = {number[h.name]: number[b.name] for b, h in pairwise(hops)}
        self._nodes = {i: _delays(graph, places[i], h) for i, h in self._hops.items()}

    def node(self, place: int) -> Array:
        """Return the cycles in each folding of a node; zeros if the path does not pass it.

        Args:
            place: Number of the node.
        """
        return self._nodes.get(place, np.zeros(len(self._places[place].ops)))

    def stream(self, link: StreamCosts) -> Array:
        """Return the cycles from one end of a stream to the other, shape as its costs by beats.

        Args:
            link: The stream.
        """
        maker, reader = self._places[link.maker], self._places[link.reader]
        hop = self._hops.get(link.reader)
        shape = link.costs.shape[:-1]
        if link.maker == link.reader:
            if self._last != maker.name:
                return np.zeros(shape)
            fifo = insert.is_shared(self._graph, maker.name)
            return np.array([between(have, None, (0, 0), fifo=fifo) for have in maker.given], float)
        if hop is None or self._before.get(link.reader) != link.maker or hop.port != link.port:
            return np.zeros(shape)
        queued = [insert.needs_fifo(self._graph, reader.node, link.port, same=s) for s in (False, True)]
        pairs = product(maker.given, [taken[link.port] for taken in reader.taken])
        ends = self._hops[link.maker].written, hop.taken
        cycles = (between(have, want, ends, fifo=queued[have.serves(want)]) for have, want in pairs)
        return np.fromiter(cycles, float).reshape(shape)

    def waits(self, ops: Mapping[str, Op]) -> dict[str, float]:
        """Return the cycles in each op of the path in one folding.

        Args:
            ops: The folding by name of the node.
        """
        on_path = [(self._places[i], cycles) for i, cycles in self._nodes.items()]
        return {p.name: float(cycles[p.ops.index(ops[p.name])]) for p, cycles in on_path}

    def length(self, ops: Mapping[str, Op], links: Sequence[StreamCosts]) -> float:
        """Return the cycles of the path in one folding.

        Args:
            ops: The folding by name of the node.
            links: The streams.
        """
        ends = [tuple(p.lanes[p.ops.index(ops[p.name])]) for p in self._places]
        total = sum(self.waits(ops).values())
        for link in links:
            beats = (ends[link.maker][1], *((ends[link.reader][0],) if link.maker != link.reader else ()))
            total += float(self.stream(link)[beats])
        return total


def _delays(graph: Graph, place: NodeOptions, hop: Hop) -> Array:
    """Return the cycles of an op on a path by folding."""
    found = [_through(op, graph, place, hop) for op in place.ops]
    return np.array([NEVER if cycles is None else cycles for cycles in found], float)


def _through(op: StreamOp, graph: Graph, place: NodeOptions, hop: Hop) -> int | None:
    written = op.beats(*place.inputs)[1].holding(hop.written)
    if not place.inputs:
        return written
    taken = op.input_beats(hop.port, *place.inputs).holding(hop.taken)
    if isinstance(op, MatVec) and op.pixels == 1:
        return _multiplying(op, place, hop)
    return fewest(op.timing(*place.inputs), hop.port, taken, written)


def _multiplying(op: MatVec, place: NodeOptions, hop: Hop) -> int | None:
    """Return what `fewest` returns, without the schedule of a frame, which may have millions of steps."""
    each = op.synapse_folds * op.neuron_folds
    vectors, synapse = divmod(hop.taken, op.mw)
    read = vectors * each + synapse // op.simd
    vectors, neuron = divmod(hop.written, op.mh)
    steps = vectors * each + (neuron // op.pe + 1) * op.synapse_folds - 1 - read
    return steps + op.pipeline(place.inputs[0]) if steps >= 0 else None


@lru_cache(2**18)
def between(have: Beats, want: Beats | None, ends: tuple[int, int], *, fifo: bool) -> float:
    """Return the fewest cycles from the writing of one value of a stream to the arrival of another.

    Args:
        have: The beats that the producer writes.
        want: The beats that the reader takes; None if the stream leaves the design.
        ends: Places of the two values in the frame.
        fifo: Whether a FIFO follows the producer directly.

    Returns:
        The cycles; `NEVER` if the second value does not wait for the first.
    """
    ops = converters.between(have, want, fifo=fifo) if want else converters.to_output(have, fifo=fifo)
    first, second = 0.0, _moved(have, 0.0, ends)
    for op in ops:
        each = [_converted(op, v) if isinstance(op, WidthConverter) else 1 for v in ends]
        first, second = first + each[0], second + each[1]
        second = max(second, _moved(op.beats()[1], first, ends))
    return second


def _moved(beats: Beats, cycle: float, ends: tuple[int, int]) -> float:
    """Return the earliest cycle of the second of two values of a stream, given that of the first."""
    later = beats.holding(ends[1]) - beats.holding(ends[0])
    return cycle + later if later >= 0 else NEVER


def _converted(op: WidthConverter, value: int) -> int:
    """Return the cycles of a value in a converter that is empty."""
    part = value % (op.vector or op.wide) // op.narrow
    if not op.widens:
        return part % op.ratio + 1
    return min((part // op.ratio + 1) * op.ratio, op.parts) - part
