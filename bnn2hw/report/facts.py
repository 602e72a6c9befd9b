"""The facts that reports show of an accelerator, by op, by layer and by stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bnn2hw.compiled import CompiledModel
from bnn2hw.estimate import timeline
from bnn2hw.estimate.timeline import Span, Timeline
from bnn2hw.folding.pareto import Point
from bnn2hw.formal.whole import Proofs
from bnn2hw.ir import Cost, Graph, HardwareOp, Node, Tensor, hardware_nodes
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.source import Source
from bnn2hw.ops.width_converter import WidthConverter
from bnn2hw.report.records import Explored, Measured, Simulation

PLUMBING = Fifo | WidthConverter
"""Ops that only carry streams. They are shown as parts of the streams."""

MULTIPLIES = ("xnor", "mac", "unrolled", "depthwise")
"""Kinds of ops that do the work of a layer."""

NOTHING = Cost()


@dataclass(frozen=True)
class OpFacts:
    """An op, or an input of the design.

    Attributes:
        name: Name of the node.
        kind: Kind of the op, or "input".
        layer: Layer of the model that it was made from.
        tensor: Type of its output.
        pe: Neurons in parallel; None if the op has no such knob.
        simd: Values in parallel of each neuron, or lanes; None without such a knob.
        fidelity: Whether its layer is exact.
        deviation: Mean difference from the model up to here, divided by the mean size; None if it
            was not measured.
        cycles: Cycles per frame; 0 for an input.
        occupancy: Share of the cycles between frames in which its lanes work.
        cost: Predicted resources.
        span: When it works on the first frame; None for an input.
    """

    name: str
    kind: str
    layer: str
    tensor: Tensor
    pe: int | None = None
    simd: int | None = None
    fidelity: Fidelity | None = None
    deviation: float | None = None
    cycles: int = 0
    occupancy: float = 0.0
    cost: Cost = NOTHING
    span: Span | None = None


@dataclass(frozen=True)
class LayerFacts:
    """The ops of a layer of the model.

    Attributes:
        name: Name of the layer.
        ops: Its ops in the order of the graph, with an input of the design if it is one.
    """

    name: str
    ops: tuple[OpFacts, ...]

    @cached_property
    def work(self) -> tuple[OpFacts, ...]:
        """The ops that are hardware."""
        return tuple(o for o in self.ops if o.span)

    @cached_property
    def slowest(self) -> OpFacts:
        """The op that takes the most cycles."""
        return max(self.work or self.ops, key=lambda o: o.cycles)

    @cached_property
    def main(self) -> OpFacts:
        """The op that does the work of the layer."""
        return next((o for o in self.work if o.kind in MULTIPLIES), self.slowest)

    @property
    def last(self) -> OpFacts:
        """The op whose output is that of the layer."""
        return self.ops[-1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its ops."""
        return tuple(dict.fromkeys(o.kind for o in self.work))

    @cached_property
    def cost(self) -> Cost:
        """The predicted resources of its ops."""
        return sum((o.cost for o in self.work), Cost())

    @property
    def rounded(self) -> bool:
        """True if the layer is not exact."""
        return any(o.fidelity is not None and o.fidelity.kind == "rounded" for o in self.ops)

    @property
    def why(self) -> str:
        """The reason of its fidelity."""
        return next((o.fidelity.why for o in self.ops if o.fidelity), "")

    @property
    def deviation(self) -> float | None:
        """The deviation behind the last op that was measured; None if none was."""
        return next((o.deviation for o in reversed(self.work) if o.deviation is not None), None)

    @property
    def span(self) -> Span:
        """When the layer works on the first frame."""
        spans = [o.span for o in self.work if o.span]
        return Span(min(s.first for s in spans), max(s.last for s in spans))


@dataclass(frozen=True)
class Link:
    """A stream from an op to another, with the FIFOs and converters on its way.

    Attributes:
        source: The op that makes it.
        reader: The op that reads it.
        tensor: Type of a frame.
        width_in: Bits per beat where it begins.
        width_out: Bits per beat where it ends.
        depth: Beats of the deepest FIFO on its way; 0 without one.
        cost: Predicted resources of what is on its way.
    """

    source: str
    reader: str
    tensor: Tensor
    width_in: int
    width_out: int
    depth: int
    cost: Cost


@dataclass(frozen=True)
class Facts:
    """Everything that a report shows.

    Attributes:
        accelerator: The accelerator.
        ops: Its inputs and ops without FIFOs and converters, in the order of the graph.
        links: The streams between them.
        plumbing: Number and predicted resources of all FIFOs and converters.
        timeline: The first frame through the ops.
        front: Points of rate against resources; empty if they were not computed.
        runs: Simulations that were run.
        measured: The result of a synthesis; None if there was none.
        proofs: What is proved of the ops; None if nothing was tried.
        explored: The study that the design is a point of; None without one.
    """

    accelerator: CompiledModel
    ops: tuple[OpFacts, ...]
    links: tuple[Link, ...]
    plumbing: tuple[int, Cost]
    timeline: Timeline
    front: tuple[Point, ...] = ()
    runs: tuple[Simulation, ...] = ()
    measured: Measured | None = None
    proofs: Proofs | None = None
    explored: Explored | None = None

    @cached_property
    def layers(self) -> tuple[LayerFacts, ...]:
        """The layers in the order of their first op."""
        by_name: dict[str, list[OpFacts]] = {}
        for op in self.ops:
            by_name.setdefault(op.layer, []).append(op)
        return tuple(LayerFacts(name, tuple(ops)) for name, ops in by_name.items())

    @cached_property
    def working(self) -> tuple[LayerFacts, ...]:
        """The layers that have hardware."""
        return tuple(layer for layer in self.layers if layer.work)

    @property
    def interval(self) -> int:
        """Cycles between frames."""
        return self.accelerator.estimate().cycles.interval

    @cached_property
    def slow(self) -> tuple[OpFacts, ...]:
        """The ops that set the rate."""
        return tuple(o for o in self.ops if o.cycles == self.interval)


def collect(
    accelerator: CompiledModel,
    front: Iterable[Point] = (),
    runs: Sequence[Simulation] = (),
    measured: Measured | None = None,
    proofs: Proofs | None = None,
    explored: Explored | None = None,
) -> Facts:
    """Collect the facts about an accelerator.

    Args:
        accelerator: The accelerator.
        front: Points of rate against resources.
        runs: Simulations of it.
        measured: Result of its synthesis.
        proofs: What is proved of its ops.
        explored: The study that it is a point of.
    """
    graph, cycles = accelerator.graph, accelerator.estimate().cycles
    frame = timeline.timeline(graph, cycles.latency, cycles.interval)
    ops = tuple(_ops(accelerator, frame.spans))
    carriers = [(n, op) for n, op in hardware_nodes(graph) if isinstance(op, PLUMBING)]
    family = accelerator.device.family
    costs = (op.cost(family, *graph.inputs_of(n)) for n, op in carriers)
    plumbing = len(carriers), sum(costs, Cost())
    return Facts(
        accelerator,
        ops,
        tuple(links(accelerator)),
        plumbing,
        frame,
        tuple(front),
        tuple(runs),
        measured,
        proofs,
        explored,
    )


def _ops(accelerator: CompiledModel, spans: Mapping[str, Span]) -> Iterator[OpFacts]:
    graph = accelerator.graph
    for node in graph:
        if isinstance(node.op, Source):
            yield OpFacts(node.name, "input", node.layer or node.name, graph.types[node.name])
        elif isinstance(node.op, HardwareOp) and not isinstance(node.op, PLUMBING):
            yield _op(accelerator, node, node.op, spans[node.name])


def _op(accelerator: CompiledModel, node: Node, op: HardwareOp, span: Span) -> OpFacts:
    graph, off = accelerator.graph, accelerator.measured.get(node.name)
    interval, inputs = accelerator.estimate().cycles.interval, graph.inputs_of(node)
    return OpFacts(
        node.name,
        op.kind,
        node.layer or node.name,
        graph.types[node.name],
        pe=getattr(op, "pe", None),
        simd=getattr(op, "simd", getattr(op, "lanes", None)),
        fidelity=accelerator.fidelity_of(node),
        deviation=None if off is None else off.share if off.different else 0.0,
        cycles=op.interval(*inputs),
        occupancy=timeline.occupancy(graph, node, interval),
        cost=op.cost(accelerator.device.family, *inputs),
        span=span,
    )


def links(accelerator: CompiledModel) -> Iterator[Link]:
    """Yield the streams between ops, with FIFOs and converters folded in.

    Args:
        accelerator: The accelerator.
    """
    graph = accelerator.graph
    for node, op in hardware_nodes(graph):
        if not isinstance(op, PLUMBING):
            for edge in node.inputs:
                yield _link(accelerator, node, edge)


def _link(accelerator: CompiledModel, reader: Node, edge: str) -> Link:
    graph, family = accelerator.graph, accelerator.device.family
    at, depth, cost = graph.wire(edge), 0, Cost()
    width_out = _width(graph, at)
    while isinstance(op := graph[at].op, PLUMBING):
        cost += op.cost(family, *graph.inputs_of(graph[at]))
        depth = max(depth, op.depth) if isinstance(op, Fifo) else depth
        at = graph.wire(graph[at].inputs[0])
    return Link(at, reader.name, graph.types[at], _width(graph, at), width_out, depth, cost)


def _width(graph: Graph, stream: str) -> int:
    """Return the bits of a beat."""
    return graph.beats(stream).lanes * graph.types[stream].ints.bits
