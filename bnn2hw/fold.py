"""Choosing PE and SIMD: for a rate, for a device, or by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from bnn2hw import estimate
from bnn2hw.boards import Device
from bnn2hw.errors import FoldingError
from bnn2hw.ir import Cost, Cycles, Graph, HardwareOp, Node, Op, Tensor
from bnn2hw.ops.matvec import MatVec
from bnn2hw.ops.memories import divisors
from bnn2hw.ops.source import Source
from bnn2hw.ops.window import Window

Folding = Mapping[str, Mapping[str, int | str]]
"""By layer, the values of `pe` and `simd` of its matrix-vector unit (or of its other op, where it has none).

A `style` is what `bnn2hw.unroll` has taken out before."""

FILL = 0.7
"""Share of a device's LUTs that a folding chosen for the device may use: what lies above is hard to route."""


def for_rate(graph: Graph, period: int, device: Device, by_hand: Folding | None = None) -> Graph:
    """The cheapest folding in which every op needs at most `period` cycles per frame.

    Args:
        graph: a graph in hardware form.
        period: cycles per frame.
        device: whose scarcity weighs LUTs against block RAMs.
        by_hand: layers whose folding is given; they may be slower than `period`.

    Raises:
        FoldingError: an op is slower in every folding, or a folding by hand names no layer or does not divide.
    """
    fixed = _by_hand(graph, by_hand or {})
    ops: dict[str, Op] = {}
    slow = []
    for node in graph:
        inputs = graph.inputs_of(node)
        if node.name in fixed:
            ops[node.name] = fixed[node.name]
        elif isinstance(node.op, Source):
            ops[node.name] = replace(node.op, lanes=_source_lanes(node.op.tensor, period))
        elif isinstance(node.op, MatVec):
            pixel = _pixel(graph, node)
            chosen = _cheapest(node.op.foldings(*inputs), inputs, period, device, pixel)
            ops[node.name] = chosen or node.op
            if not chosen:
                slow.append((node, min(o.interval(*inputs) for o in node.op.foldings(*inputs))))
    for node, op in estimate.hardware_nodes(graph):
        inputs = graph.inputs_of(node)
        if node.name in ops:
            continue
        wish = _neighbour_lanes(graph, node, ops)
        legal = [o for o in op.foldings(*inputs) if o.interval(*inputs) <= period]
        ops[node.name] = _fitting(legal, inputs, wish, device) or op
        if not legal:
            slow.append((node, min(o.interval(*inputs) for o in op.foldings(*inputs))))
    if slow:
        node, best = max(slow, key=lambda s: s[1])
        clock = device.clock_mhz
        raise FoldingError(
            f"no folding reaches {period} cycles per frame: layer '{node.name}' needs at least {best}; "
            f"ask for at most {clock * 1e6 / best:.0f} fps at the {clock:g} MHz of {device.name}"
        )
    return graph.map_ops(ops)


def for_device(graph: Graph, device: Device, by_hand: Folding | None = None) -> Graph:
    """The fastest folding that the device is predicted to hold.

    Raises:
        FoldingError: even the slowest does not fit, or a folding by hand does not divide.
    """
    slow, fast = 2**40, fastest(graph)
    best = for_rate(graph, slow, device, by_hand)
    if not _fits(best, device):
        use = {name: f"{share:.0%}" for name, share in _use(best, device).items()}
        raise FoldingError(
            f"the design does not fit {device.name} in any folding: the smallest needs {use['lut']} of the LUTs, "
            f"{use['ff']} of the flip-flops and {use['bram']} of the block RAMs; choose a larger target"
        )
    slow = estimate.interval(best)
    while fast < slow:
        middle = (fast + slow) // 2
        tried = for_rate(graph, middle, device, by_hand)
        if _fits(tried, device):
            best, slow = tried, min(middle, max(fast, estimate.interval(tried)))
        else:
            fast = middle + 1
    return best


def fastest(graph: Graph) -> int:
    """Fewest cycles per frame that any folding reaches."""
    return max(
        min(o.interval(*graph.inputs_of(n)) for o in op.foldings(*graph.inputs_of(n)))
        for n, op in estimate.hardware_nodes(graph)
    )


def slowest(graph: Graph, by_hand: Folding) -> int:
    """Cycles per frame of the slowest layer that is folded by hand, or of the slowest of all at their fastest."""
    ops = _by_hand(graph, by_hand)
    given = [op.interval(*graph.inputs_of(graph[n])) for n, op in ops.items() if isinstance(op, HardwareOp)]
    return max([fastest(graph), *given])


def of(graph: Graph) -> dict[str, dict[str, int | str]]:
    """The folding of a graph, in the form that `by_hand` takes."""
    return {
        n.name: {f: getattr(op, f) for f in _knobs(op)}
        for n, op in estimate.hardware_nodes(graph)
        if _knobs(op)
    }


def _knobs(op: Op) -> list[str]:
    return [f.name for f in fields(op) if f.name in ("pe", "simd")]


def _use(graph: Graph, device: Device) -> dict[str, float]:
    return estimate.Estimate(Cycles(1, 1), estimate.cost(graph, device), device).use


def _fits(graph: Graph, device: Device) -> bool:
    use = _use(graph, device)
    return use["lut"] <= FILL and use["ff"] <= FILL and use["bram"] <= 1 and use["dsp"] <= 1


BLOCK_WEIGHT = 0.5
"""What block RAMs' and DSPs' shares of the device count beside that of LUTs: many blocks of both lie idle."""


def _price(cost: Cost, device: Device) -> float:
    """Cost as a weighted share of the device."""
    logic = cost.lut / device.lut + cost.ff / (2 * device.ff)
    return logic + BLOCK_WEIGHT * (cost.bram / max(device.bram, 1) + cost.dsp / max(device.dsp, 1))


def _cheapest(
    foldings: Iterable[HardwareOp], inputs: tuple[Tensor, ...], period: int, device: Device, pixel: int
) -> HardwareOp | None:
    """The cheapest op that keeps the pace, preferring beats that are a part or a multiple of a pixel."""
    legal = [o for o in foldings if o.interval(*inputs) <= period]

    def price(op: HardwareOp) -> tuple[float, int]:
        lanes, out = op.lanes(*inputs)
        awkward = pixel % lanes and lanes % pixel
        return _price(op.cost(device.family, *inputs), device) * (1.5 if awkward else 1.0), out

    return min(legal, key=price, default=None)


def _pixel(graph: Graph, node: Node) -> int:
    """Channels of a pixel where a window feeds the node, otherwise all that a vector holds."""
    feeder = graph[graph.wire(node.inputs[0])]
    return (
        graph.inputs_of(feeder)[0].channels
        if isinstance(feeder.op, Window)
        else graph.types[feeder.name].size
    )


def _source_lanes(tensor: Tensor, period: int) -> int:
    """Fewest values per beat with which a frame arrives in time."""
    enough = (d for d in divisors(tensor.size) if tensor.size // d <= period)
    return next(enough, tensor.size)


def _neighbour_lanes(graph: Graph, node: Node, ops: Mapping[str, Op]) -> int:
    """Lanes that suit the neighbours: those of the matrix-vector unit that a window feeds, else the producer's."""
    if isinstance(node.op, Window):
        reader = graph.readers[node.name][0][0]
        chosen = ops.get(reader.name, reader.op)
        return chosen.lanes(*graph.inputs_of(reader))[0] if isinstance(chosen, HardwareOp) else 1
    producer = graph[graph.wire(node.inputs[0])]
    made_by = ops.get(producer.name, producer.op)
    if isinstance(made_by, Source):
        return made_by.lanes
    return made_by.lanes(*graph.inputs_of(producer))[1] if isinstance(made_by, HardwareOp) else 1


WORTH = 0.002
"""Share of a device that must be saved for an op to take other lanes than its neighbours have."""


def _fitting(
    legal: Sequence[HardwareOp], inputs: tuple[Tensor, ...], wish: int, device: Device
) -> HardwareOp | None:
    """The op with the lanes that its neighbours have, else the fewest; unless others save much, as for tables."""

    def price(op: HardwareOp) -> float:
        return _price(op.cost(device.family, *inputs), device)

    def distance(op: HardwareOp) -> tuple[bool, int]:
        lanes = op.lanes(*inputs)[0]
        return lanes != wish, lanes

    if not legal:
        return None
    bound = 1.5 * min(map(price, legal)) + WORTH
    return min((o for o in legal if price(o) <= bound), key=distance)


def _by_hand(graph: Graph, folding: Folding) -> dict[str, Op]:
    """The ops that a folding by hand names, refolded.

    Raises:
        FoldingError: it names no layer, has another key than pe and simd, or does not divide.
    """
    foldable = {n.name: (n, op) for n, op in estimate.hardware_nodes(graph) if _knobs(op)}
    ops: dict[str, Op] = {}
    for name, knobs in folding.items():
        if name not in foldable:
            raise FoldingError(
                f"the folding names a layer '{name}' that is not there; layers: {', '.join(foldable)}"
            )
        node, op = foldable[name]
        for knob, value in knobs.items():
            if knob not in _knobs(op):
                raise FoldingError(f"layer '{name}' has no '{knob}'; it has {' and '.join(_knobs(op))}")
            legal = sorted({getattr(o, knob) for o in op.foldings(*graph.inputs_of(node))})
            if value not in legal:
                raise FoldingError(
                    f"layer '{name}': {knob}={value!r} does not divide; use one of {', '.join(map(str, legal))}"
                )
        ops[name] = replace(op, **dict(knobs))
    return ops
