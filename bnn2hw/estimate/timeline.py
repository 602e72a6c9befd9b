"""Find when each op works on the first frame, and how busy its lanes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bnn2hw.errors import MissingToolError
from bnn2hw.estimate import cycles, stepper
from bnn2hw.ir import Beats, Graph, HardwareOp, Node, StreamOp, hardware_nodes, stream_op
from bnn2hw.ir.timing import Times

MOST_STEPS = 30_000_000
"""Ops times cycles up to which a frame is followed cycle by cycle; about a second."""


@dataclass(frozen=True)
class Span:
    """The cycles in which an op works on the first frame, counted from an empty pipeline.

    Attributes:
        first: Cycle of the first beat that it reads, or that an input of the design gives.
        last: Cycle of the last beat that it gives.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Timeline:
    """One frame through the ops of a design.

    Attributes:
        spans: By name of the op.
        exact: Whether the cycles were stepped with the depths of the FIFOs. If not, FIFOs count as
            endless, and the cycles may be too early.
    """

    spans: Mapping[str, Span]
    exact: bool


def timeline(graph: Graph, latency: int, interval: int) -> Timeline:
    """Follow the first frame through a streamed graph.

    Args:
        graph: The streamed graph.
        latency: Cycles to its first output.
        interval: Cycles from frame to frame.

    Raises:
        ToolError: The C++ compiler failed.
    """
    passed = None
    if (latency + interval) * sum(1 for _ in hardware_nodes(graph)) <= MOST_STEPS:
        passed = _stepped(graph, 4 * (latency + interval) + 1000)
    exact = passed is not None
    if passed is None:
        passed = _bound(graph)
    spans = {node.name: _span(graph, node, passed) for node, _ in hardware_nodes(graph)}
    return Timeline(spans, exact)


def _span(graph: Graph, node: Node, passed: Mapping[str, tuple[int, int]]) -> Span:
    return Span(min(passed[graph.wire(i)][0] for i in node.inputs), passed[node.name][1])


def _stepped(graph: Graph, limit: int) -> dict[str, tuple[int, int]] | None:
    """Return by stream the cycles of its first and last beat; None without a C++ compiler."""
    timings = cycles.timings_of(graph)
    names = [*timings, *(n.name for n in reversed(graph.sources))]
    beats = [graph.beats(name).count(graph.types[name].size) for name in names]
    try:
        found = stepper.first_frame(list(timings.values()), cycles.inputs_of(graph), beats, limit)
    except MissingToolError:
        return None
    return None if found is None else dict(zip(names, found, strict=True))


def _bound(graph: Graph) -> dict[str, tuple[int, int]]:
    """Return the same with endless FIFOs."""
    written: dict[str, Times] = {}
    for node in graph:
        if isinstance(node.op, StreamOp):
            timing = node.op.timing(*graph.inputs_of(node))
            written[node.name] = timing.asap(*(written[graph.wire(i)] for i in node.inputs)).written
    return {name: (int(times[0]), int(times[-1])) for name, times in written.items()}


def occupancy(graph: Graph, node: Node, interval: int) -> float:
    """Return the share of the cycles between frames in which the lanes of an op work, from 0 to 1.

    Lanes that only carry padding do not count as working.

    Args:
        graph: The streamed graph.
        node: An op of it.
        interval: Cycles from frame to frame.
    """
    op, inputs = stream_op(node), graph.inputs_of(node)
    taken, given = map(_fill, op.beats(*inputs))
    multiplies = isinstance(op, HardwareOp) and {"pe", "simd"} <= set(op.knobs)
    filled = taken * given if multiplies else min(taken, given)
    return filled * op.interval(*inputs) / interval


def _fill(beats: Beats) -> float:
    """Return the share of the lanes of a stream that carry values."""
    return beats.vector / (-(-beats.vector // beats.lanes) * beats.lanes) if beats.vector else 1.0
