"""Compute the interval and the latency of a streamed graph, exactly, before any tool runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from bnn2hw import ir
from bnn2hw.errors import Bnn2hwError, MissingToolError
from bnn2hw.estimate import gates, stepper
from bnn2hw.ir import Cycles, Gated, Graph, Steps, StreamOp, Timing, hardware_nodes
from bnn2hw.ir.machine import Machine, first_output, frame_ends, machine
from bnn2hw.ir.timing import Times


@dataclass(frozen=True)
class Effort:
    """Limits on stepping a network cycle by cycle to its first output, in ops times cycles.

    Attributes:
        exact: Beyond this number, the latency is a lower bound.
        uncompiled: The same limit if there is no C++ compiler.
        quick: Up to this number, Python is done before compiled code would have been loaded.
        startup: The same limit for the frames before the pace is steady. Beyond, they are not computed.
    """

    exact: int = 1_000_000_000
    uncompiled: int = 10_000_000
    quick: int = 10_000
    startup: int = 100_000_000


USUAL = Effort()

STARTUP_FRAMES = 100
"""Frames in which the pace must become steady for the start-up to be stated."""

PATIENCE = 4
"""Intervals to wait for each frame and each op of a design before it counts as stopped."""


def interval(graph: Graph) -> int:
    """Return the cycles between frames: those of the slowest op, or the beats of an input frame."""
    return max(n.op.interval(*graph.inputs_of(n)) for n in graph if isinstance(n.op, StreamOp))


def latency(graph: Graph, effort: Effort = USUAL) -> int:
    """Return the cycles from the first input beat to the first output beat of a streamed graph.

    The pipeline is empty at first. The number is exact within the limits of `effort`. Beyond, it is
    a lower bound: it takes the FIFOs as endless, and misses the few cycles that a stalled pipeline
    loses while it holds a bubble.

    Args:
        graph: Graph in streamed form.
        effort: Limits on the work.

    Raises:
        Bnn2hwError: The design makes no output.
        ToolError: The C++ compiler failed.
    """
    last = graph.wire(graph.outputs[0])
    if not graph[last].inputs:
        return 0
    bound = _first_output(graph, last)
    ops = sum(isinstance(node.op, StreamOp) for node in graph)
    steps, limit = bound * ops, 4 * bound + 1000
    if steps > effort.exact:
        return bound
    try:
        exact = _compiled(graph, last, limit) if steps > effort.quick else _stepped(graph, last, limit)
    except MissingToolError:
        if steps > effort.uncompiled:
            return bound
        exact = _stepped(graph, last, limit)
    if exact is None:
        raise Bnn2hwError(f"the design makes no output within {limit} cycles; please report this")
    return exact


def _first_output(graph: Graph, last: str) -> int:
    """Return the cycle of the first beat of a stream, with endless FIFOs."""
    left = Counter(graph.wire(i) for node in graph if isinstance(node.op, StreamOp) for i in node.inputs)
    written: dict[str, Times] = {}
    for node in graph:
        if not isinstance(node.op, StreamOp):
            continue
        sources = [graph.wire(i) for i in node.inputs]
        written[node.name] = (
            node.op.timing(*graph.inputs_of(node)).asap(*(written[s] for s in sources)).written
        )
        if node.name == last:
            break
        left.subtract(sources)
        for source in sources:  # large designs have millions of beats, so those that were read are dropped
            if not left[source]:
                written.pop(source, None)
    return int(written[last][0])


def cycles(graph: Graph, effort: Effort = USUAL) -> Cycles:
    """Return the interval, the latency and the start-up of a streamed graph."""
    return Cycles(interval(graph), latency(graph, effort), startup(graph, effort))


def startup(graph: Graph, effort: Effort = USUAL) -> tuple[int, ...] | None:
    """Return the cycles between the ends of the first frames, before they are as far apart as all later ones.

    Args:
        graph: Graph in streamed form.
        effort: Limits on the work.

    Returns:
        One number for each such pair of frames. None if this would be more work than `effort` allows.

    Raises:
        ToolError: The C++ compiler failed.
    """
    if not any(graph[graph.wire(output)].inputs for output in graph.outputs):
        return ()
    frames = min(STARTUP_FRAMES, effort.startup // (interval(graph) * len(graph.nodes)))
    found = pace(graph, frames) if frames > 1 else None
    return found.startup if found and found.steady else None


@dataclass(frozen=True)
class Pace:
    """The pace at which frames leave a design that starts empty.

    Attributes:
        ends: The cycle in which each frame has left all outputs. The first intervals may differ from
            later ones, while FIFOs fill.
        steady: Whether the last interval repeats forever. If so, the design is in the same state
            after the last two frames.
    """

    ends: tuple[int, ...]
    steady: bool

    @property
    def intervals(self) -> tuple[int, ...]:
        """Cycles between neighboring frames."""
        return tuple(after - before for before, after in pairwise(self.ends))

    @property
    def interval(self) -> int:
        """Cycles between the last two frames; 0 if there are fewer."""
        return self.intervals[-1] if self.intervals else 0

    @property
    def startup(self) -> tuple[int, ...]:
        """The intervals before those that equal the last one."""
        return ir.startup(self.intervals)


def pace(graph: Graph, frames: int) -> Pace:
    """Step a streamed graph from an empty pipeline until its pace is steady.

    The inputs of the design always offer a beat, and its outputs are always taken.

    Args:
        graph: Graph in streamed form.
        frames: Frames after which to give up, at least 2. A design that stops makes fewer.

    Raises:
        ToolError: The C++ compiler failed.
    """
    timings = timings_of(graph)
    number = {name: i for i, name in enumerate(timings)}
    ends = {graph.wire(output) for output in graph.outputs} & number.keys()
    outputs = {number[name]: graph.beats(name).count(graph.types[name].size) for name in sorted(ends)}
    where = outputs, PATIENCE * (frames + len(timings)) * interval(graph), frames
    try:
        cycle, steady = stepper.frame_ends(list(timings.values()), inputs_of(graph), *where)
    except MissingToolError:
        cycle, steady = frame_ends(list(map(machine, timings.values())), inputs_of(graph), *where)
    return Pace(tuple(cycle), steady)


def machines(graph: Graph) -> tuple[dict[str, Machine], list[list[int]]]:
    """Turn the ops of a streamed graph into machines that `ir.machine.run` steps.

    Returns:
        The machines by name, and for each one the numbers of the machines that it reads.
    """
    return {name: machine(timing) for name, timing in timings_of(graph).items()}, inputs_of(graph)


def _stepped(graph: Graph, last: str, limit: int) -> int | None:
    made, inputs = machines(graph)
    return first_output(list(made.values()), inputs, list(made).index(last), limit)


def _compiled(graph: Graph, last: str, limit: int) -> int | None:
    timings = timings_of(graph)
    supply = [graph.beats(n.name).count(graph.types[n.name].size) for n in graph.sources]
    where = supply, list(timings).index(last), limit
    return stepper.first_output(list(timings.values()), inputs_of(graph), *where)


def timings_of(graph: Graph) -> dict[str, Timing]:
    """Return the timings of the ops of a streamed graph by name, with the gates before ops that run free."""
    timings = {n.name: op.timing(*graph.inputs_of(n)) for n, op in hardware_nodes(graph)}
    number = {name: i for i, name in enumerate(timings)}
    for gate in gates.of(graph):
        entry = timings[gate.entry]
        if isinstance(entry, Steps):
            made = Gated(entry.reads, entry.writes, entry.latency, (), gate.credits, number[gate.exit])
            timings[gate.entry] = made
    return timings


def inputs_of(graph: Graph) -> list[list[int]]:
    """Number the machines that each machine reads; −1, −2, … are the inputs of the design."""
    nodes = [n for n, _ in hardware_nodes(graph)]
    number = {n.name: i for i, n in enumerate(nodes)}
    number |= {n.name: -1 - i for i, n in enumerate(graph.sources)}
    return [[number[graph.wire(i)] for i in n.inputs] for n in nodes]
