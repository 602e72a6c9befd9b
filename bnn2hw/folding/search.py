"""Choose PE, SIMD, lanes and pixels per beat: for a rate, for a device, or as a user asks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from bnn2hw import checks, deprecation
from bnn2hw.dataflow import insert
from bnn2hw.errors import FoldingError
from bnn2hw.estimate.resources import Utilization
from bnn2hw.folding.latency import LatencySearch
from bnn2hw.folding.space import FoldingPoint, FoldingSpace
from bnn2hw.ir import Cost, Graph, HardwareOp, hardware_nodes
from bnn2hw.progress import Progress, silent
from bnn2hw.targets.devices import Device

Folding = Mapping[str, Mapping[str, int | str]]
"""Values of `pe`, `simd`, `packed`, `lanes` and `pixels` by name of an op.

`bnn2hw.folding.unroll` takes out the key `style` first."""

PAIR = frozenset({"pe", "simd"})
"""Knobs of a matrix-vector unit that share its work: where a user gives one, the search sets the other."""

PLAIN = (("pixels", 1), ("packed", 1))
"""Knobs and values that need not be told: most ops have no other one."""

LEAST = "least"
"""Latency that is asked for: as few cycles as the device holds."""

FILL = 0.7
"""Share of a device's LUTs that a folding chosen for the device may use: fuller designs are hard to route."""


def chosen(graph: Graph, device: Device, fps: float | None = None, by_hand: Folding | None = None) -> Graph:
    """Fold a graph as a user asks: for a rate, at the pace of the layers folded by hand, or as fast as fits.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the design.
        fps: Frames per second at the device's planned clock; None for no rate.
        by_hand: Layers whose folding is given.

    Raises:
        FoldingError: As for `for_rate` and `for_device`, or the device does not hold the design at this rate.
    """
    if fps is None and not any(len(ops) == 1 for ops in _by_hand(graph, by_hand or {}).values()):
        return for_device(graph, device, by_hand)
    period = int(device.clock_mhz * 1e6 / fps) if fps else slowest(graph, by_hand or {})
    choices = FoldingSpace(graph, device, _by_hand(graph, by_hand or {}))
    return graph.map_ops(_checked(_for_rate(choices, period), choices).ops)


def _checked(found: FoldingPoint, choices: FoldingSpace) -> FoldingPoint:
    """Return a folding that the device holds.

    Raises:
        FoldingError: It does not hold this one.
    """
    device = choices.device
    use = Utilization(found.cost, device)
    if not use.fits:
        fitting = _fastest(choices, fill=1.0)
        worst = max(use.use, key=lambda k: use.use[k])
        raise FoldingError(
            f"the design is predicted to need {use.use[worst]:.0%} of the {worst.upper()}s of {device.name}; "
            f"ask for at most {rate(device.clock_mhz, fitting.interval)} fps, or choose a larger target"
        )
    return found


def in_time(
    graph: Graph,
    device: Device,
    latency: int | str,
    fps: float | None = None,
    by_hand: Folding | None = None,
    progress: Progress = silent,
) -> Graph:
    """Find the cheapest folding whose first output comes in time. The input is as wide as is cheapest, up to 64 bits.

    It is wider only if the rate or the latency asks for that.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the design.
        latency: Cycles to the first output, or `LEAST` for as few as the device holds.
        fps: Frames per second at the device's planned clock; None for any rate.
        by_hand: Layers whose folding is given.
        progress: Called with a sentence that says whether the folding is proved to be the cheapest.

    Raises:
        FoldingError: As for `chosen`, or no folding has its first output in time.
    """
    choices = FoldingSpace(graph, device, _by_hand(graph, by_hand or {}))
    period = int(device.clock_mhz * 1e6 / fps) if fps else choices.periods[-1]
    _check_rate(choices, period)
    tried = LatencySearch(choices, period, _room(device, FILL if latency == LEAST else 1.0))
    found = _soon_enough(tried, latency)
    if found is None:
        raise _late(tried, choices, period, latency)
    gap = 1 - max(found.bound, 0.0) / found.price
    progress(
        f"a cheaper folding in this time may exist, by at most {gap:.1%} of the price"
        if not found.proved
        else "no folding in this time is cheaper, by the cost models"
    )
    return graph.map_ops(found.ops)


def _soon_enough(tried: LatencySearch, latency: int | str) -> FoldingPoint | None:
    """Return the cheapest folding whose first output comes in time; None if none was found."""
    found = None
    if isinstance(latency, int):
        found = tried.cheapest(latency) or tried.cheapest(latency, math.inf)
    soonest = None if found else tried.soonest()
    if soonest and (latency == LEAST or soonest[0] <= int(latency)):
        found = tried.cheapest(soonest[0], math.inf)
    return found


def _late(tried: LatencySearch, choices: FoldingSpace, period: int, latency: int | str) -> FoldingError:
    """Return the error that says how late the first output is at least.

    Raises:
        FoldingError: No folding for this rate fits the device.
    """
    device, soonest = choices.device, tried.soonest()
    if soonest is None:
        _checked(_for_rate(choices, period), choices)
        return FoldingError(
            f"no folding that {device.name} holds was found in time; fold some layers by hand, or leave latency= out"
        )
    cycles, point = soonest
    name, waits = tried.slowest(point)
    pace = "" if period == choices.periods[-1] else f" for a frame in {period} cycles"
    return FoldingError(
        f"no folding that {device.name} holds{pace} has a latency of {latency} cycles: the least found is {cycles}, "
        f"of which layer '{name}' takes {waits:.0f}; ask for at least {cycles}, or choose a larger target"
    )


def rate(clock_mhz: float, interval: int) -> str:
    """Return the largest short number of frames per second that asks for no fewer cycles per frame.

    Args:
        clock_mhz: Clock in MHz.
        interval: Cycles per frame.
    """
    fps = clock_mhz * 1e6 / interval
    step = 10.0 ** min(0, math.floor(math.log10(fps)) - 3)
    count = math.floor(fps / step)
    while clock_mhz * 1e6 // float(f"{count * step:.12g}") < interval:
        count -= 1
    return f"{count * step:.12g}"


def for_rate(graph: Graph, period: int, device: Device, by_hand: Folding | None = None) -> Graph:
    """Find the cheapest folding in which every op needs at most `period` cycles per frame.

    By the cost models of `FoldingSpace`, which include FIFOs and width converters, no folding for this rate is
    cheaper. If the cheapest does not fit the device but others do, this is the cheapest of those that fit.

    Args:
        graph: Graph in hardware form.
        period: Cycles per frame.
        device: Device whose capacities weigh LUTs against block RAMs.
        by_hand: Layers whose folding is given; they may be slower than `period`.

    Raises:
        FoldingError: An op is slower in every folding, or `by_hand` names no layer or an illegal folding.
    """
    choices = FoldingSpace(graph, device, _by_hand(graph, by_hand or {}))
    return graph.map_ops(_for_rate(choices, period).ops)


def _for_rate(choices: FoldingSpace, period: int) -> FoldingPoint:
    _check_rate(choices, period)
    return choices.least(period, _room(choices.device, 1.0)) or choices.cheapest(period)


def _check_rate(choices: FoldingSpace, period: int) -> None:
    """Refuse a rate that no folding reaches.

    Raises:
        FoldingError: An op is slower in every folding.
    """
    device, slow = choices.device, choices.slow(period)
    if slow:
        name, best = max(slow, key=lambda s: s[1])
        clock, asked = device.clock_mhz, f"{period} cycles" if period else "less than 1 cycle"
        raise FoldingError(
            f"no folding reaches {asked} per frame: layer '{name}' needs at least {best}; "
            f"ask for at most {rate(clock, best)} fps at the {clock:g} MHz of {device.name}"
        )


def for_device(graph: Graph, device: Device, by_hand: Folding | None = None) -> Graph:
    """Find the fastest folding that the device is predicted to hold; of equally fast ones the cheapest.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the design.
        by_hand: Layers whose folding is given.

    Raises:
        FoldingError: Even the slowest folding does not fit, or a folding in `by_hand` is not legal for its layer.
    """
    return graph.map_ops(_fastest(FoldingSpace(graph, device, _by_hand(graph, by_hand or {}))).ops)


def _fastest(choices: FoldingSpace, fill: float = FILL) -> FoldingPoint:
    device = choices.device
    room, periods = _room(device, fill), choices.periods
    best = choices.least(periods[-1], room)
    if best is None:
        least = choices.cheapest(periods[-1]).cost
        needs = Utilization(least, device).use
        use = {name: f"{share:.0%}" for name, share in needs.items()}
        scarce = (
            f", and {least.dsp:.0f} DSP blocks where there are {device.dsp}" if least.dsp > device.dsp else ""
        )
        raise FoldingError(
            f"the design does not fit {device.name} in any folding: the smallest needs {use['lut']} of the LUTs, "
            f"{use['ff']} of the flip-flops and {use['bram']} of the block RAMs{scarce}; choose a larger target"
        )
    low, high = 0, bisect_left(periods, best.interval)
    while low < high:
        middle = (low + high) // 2
        tried = choices.least(periods[middle], room)
        if tried:
            best, high = tried, min(middle, bisect_left(periods, tried.interval))
        else:
            low = middle + 1
    return best


def pareto(
    graph: Graph, device: Device, by_hand: Folding | None = None, ratio: float = 1.0
) -> list[FoldingPoint]:
    """Find the foldings that no other beats in both rate and price, from the slowest to the fastest that fits.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the designs; its capacities weigh the resources against each other.
        by_hand: Layers whose folding is given.
        ratio: Smallest ratio of the rates of neighboring points; 1 for all points.

    Raises:
        FoldingError: As for `for_device`.
    """
    choices, room = FoldingSpace(graph, device, _by_hand(graph, by_hand or {})), _room(device, FILL)
    end = _fastest(choices).interval
    periods = [p for p in choices.periods if p >= end]
    found: list[FoldingPoint] = []
    last = len(periods) - 1
    while last >= 0:
        point = choices.least(periods[last], room)
        if point is None:
            break
        while found and found[-1].price >= point.price:
            found.pop()
        found.append(point)
        below = bisect_left(periods, point.interval) - 1
        last = min(below, max(bisect_right(periods, point.interval / ratio) - 1, 0)) if below >= 0 else -1
    return found


def fastest(graph: Graph) -> int:
    """Return the fewest cycles per frame that any folding reaches."""
    return max(
        min(o.interval(*graph.inputs_of(n)) for o in op.foldings(*graph.inputs_of(n)))
        for n, op in hardware_nodes(graph)
    )


def slowest(graph: Graph, by_hand: Folding) -> int:
    """Return the cycles per frame that the layers folded by hand allow, or the slowest other layer at its fastest."""
    ops = _by_hand(graph, by_hand)
    given = [min(op.interval(*graph.inputs_of(graph[n])) for op in some) for n, some in ops.items()]
    return max([fastest(graph), *given])


def of(graph: Graph) -> dict[str, dict[str, int | str]]:
    """Return the folding of a graph, streamed or not, in the form that `by_hand` takes."""
    bare = insert.remove_fifos(graph)
    found = {n.name: _knobs(op) for n, op in hardware_nodes(bare)}
    told = {name: {k: v for k, v in knobs.items() if (k, v) not in PLAIN} for name, knobs in found.items()}
    return {name: knobs for name, knobs in told.items() if knobs}


def _knobs(op: HardwareOp) -> dict[str, int | str]:
    return {knob: getattr(op, knob) for knob in op.knobs}


def _room(device: Device, fill: float) -> Cost:
    """Return the resources that a design may use, of the logic only a share."""
    return Cost(fill * device.lut, fill * device.ff, device.bram, device.dsp)


def _by_hand(graph: Graph, folding: Folding) -> dict[str, list[HardwareOp]]:
    """Return the foldings that a user's folding leaves to the ops that it names.

    Raises:
        FoldingError: It names an unknown layer or knob, or a value that is not legal.
    """
    foldable = {n.name: (n, op) for n, op in hardware_nodes(graph) if _knobs(op)}
    checks.known("the folding", folding, foldable, FoldingError)
    ops: dict[str, list[HardwareOp]] = {}
    for name, knobs in folding.items():
        node, op = foldable[name]
        ops[name] = _refolded(name, op, list(op.allowed(*graph.inputs_of(node))), _today(name, op, knobs))
    return ops


def _today(name: str, op: HardwareOp, knobs: Mapping[str, int | str]) -> Mapping[str, int | str]:
    """Return a user's folding with `lanes` where it says `simd` of an op that moves values."""
    if "simd" not in knobs or "lanes" not in op.knobs:
        return knobs
    deprecation.renamed(f"layer '{name}': 'simd'", "'lanes'")
    return {"lanes" if knob == "simd" else knob: value for knob, value in knobs.items()}


def _wrong(knob: str, value: object, legal: Sequence[int]) -> str:
    """Say why a value of a knob is not legal."""
    if not isinstance(value, int) or isinstance(value, bool):
        return "is not a whole number"
    if knob == "packed":
        return "is not possible with the widths of these weights and inputs and the neurons in parallel"
    if not 1 <= value <= legal[-1]:
        return "is too small" if value < 1 else "is more than there is to do"
    fewer = max((v for v in legal if isinstance(value, int) and v < value), default=0)
    if knob == "pixels" or not fewer or fewer == legal[-1] or all(legal[-1] % v == 0 for v in legal):
        return "does not divide"
    return f"takes as many folds as {fewer} does"


def _refolded(
    name: str, op: HardwareOp, options: Sequence[HardwareOp], wanted: Mapping[str, int | str]
) -> list[HardwareOp]:
    """Return the foldings of an op with the wanted values.

    If just one of `pe` and `simd` is wanted, the other one is free; if just `packed` is wanted, both are.
    All other knobs stay as near to the op's own as possible.

    Raises:
        FoldingError: An unknown knob, a value that is not legal, or values that exclude each other.
    """
    known = list(dict.fromkeys(knob for o in (op, *options) for knob in o.knobs))
    for knob, value in wanted.items():
        if knob not in known:
            raise FoldingError(f"layer '{name}' has no '{knob}'; it has {', '.join(known)}")
        legal = sorted({getattr(o, knob, 1) for o in options})
        if value not in legal:
            wrong, ways = _wrong(knob, value, legal), ", ".join(map(str, legal))
            raise FoldingError(f"layer '{name}': {knob}={value!r} {wrong}; use one of {ways}")
    fitting = [o for o in options if all(getattr(o, knob, 1) == value for knob, value in wanted.items())]
    if not fitting:
        values = ", ".join(f"{knob}={value}" for knob, value in wanted.items())
        raise FoldingError(
            f"layer '{name}': {values} do not go together; several pixels per beat must be whole, and only "
            "neurons in parallel can share a multiplication"
        )
    free = PAIR - set(wanted) if len(PAIR & set(wanted)) == 1 or set(wanted) == {"packed"} else set()
    now = {knob: getattr(op, knob, 1) for knob in known if knob not in free}

    def nearness(option: HardwareOp) -> int:
        return sum(getattr(option, knob, 1) == value for knob, value in now.items())

    nearest = max(map(nearness, fitting))
    found = [o for o in fitting if nearness(o) == nearest]
    return found if free else found[:1]
