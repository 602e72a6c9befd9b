"""Choose PE, SIMD, lanes and pixels per beat: for a rate, for a device, or as a user asks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from bnn2hw.dataflow import insert
from bnn2hw.errors import FoldingError
from bnn2hw.estimate.resources import Utilization
from bnn2hw.folding import borders
from bnn2hw.folding.by_hand import Folding, knobs_of, restricted
from bnn2hw.folding.latency import LatencySearch
from bnn2hw.folding.options import FoldingPoint
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import USUAL, Cost, Graph, hardware_nodes
from bnn2hw.progress import Progress, silent
from bnn2hw.targets.devices import Device

LEAST = "least"
"""Latency that is asked for: as few cycles as the device holds."""

FILL = 0.7
"""Share of a device's LUTs that a folding chosen for the device may use: fuller designs are hard to route."""


def chosen(
    graph: Graph,
    device: Device,
    fps: float | None = None,
    by_hand: Folding | None = None,
    *,
    dsps: bool = True,
) -> Graph:
    """Fold a graph as a user asks: for a rate, at the pace of the layers folded by hand, or as fast as fits.

    If that is not possible, it is tried with wider borders, which allow more pixels per beat.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the design.
        fps: Frames per second at the device's planned clock; None for no rate.
        by_hand: Layers whose folding is given.
        dsps: True if accumulators may be in DSP blocks where LUTs are scarce.

    Raises:
        FoldingError: As for `for_rate` and `for_device`, or the device does not hold the design at this rate.
    """
    try:
        return _chosen(graph, device, fps, by_hand, dsps)
    except FoldingError:
        wide = borders.widened(graph)
        if wide is graph:
            raise
    return _chosen(wide, device, fps, by_hand, dsps)


def _chosen(graph: Graph, device: Device, fps: float | None, by_hand: Folding | None, dsps: bool) -> Graph:
    """Fold a graph as `chosen` does, with its borders as they are."""
    if fps is None and not any(len(ops) == 1 for ops in restricted(graph, by_hand or {}, device).values()):
        return for_device(graph, device, by_hand, dsps=dsps)
    period = int(device.clock_mhz * 1e6 / fps) if fps else slowest(graph, by_hand or {}, device)
    choices = FoldingSpace(graph, device, restricted(graph, by_hand or {}, device), dsps)
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
    *,
    dsps: bool = True,
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
        dsps: As for `chosen`.

    Raises:
        FoldingError: As for `chosen`, or no folding has its first output in time.
    """
    choices = FoldingSpace(graph, device, restricted(graph, by_hand or {}, device), dsps)
    period = int(device.clock_mhz * 1e6 / fps) if fps else choices.periods[-1]
    _check_rate(choices, period)
    room = _room(device, FILL if latency == LEAST else 1.0)
    tried = LatencySearch(choices, period, room)
    found = _soon_enough(tried, latency)
    if found is None and choices.with_dsps:
        tried = LatencySearch(choices.with_dsps, period, room)
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
    choices = FoldingSpace(graph, device, restricted(graph, by_hand or {}, device))
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


def for_device(graph: Graph, device: Device, by_hand: Folding | None = None, *, dsps: bool = True) -> Graph:
    """Find the fastest folding that the device is predicted to hold; of equally fast ones the cheapest.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the design.
        by_hand: Layers whose folding is given.
        dsps: As for `chosen`.

    Raises:
        FoldingError: Even the slowest folding does not fit, or a folding in `by_hand` is not legal for its layer.
    """
    choices = FoldingSpace(graph, device, restricted(graph, by_hand or {}, device), dsps)
    return graph.map_ops(_fastest(choices).ops)


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
    choices, room = FoldingSpace(graph, device, restricted(graph, by_hand or {}, device)), _room(device, FILL)
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


def slowest(graph: Graph, by_hand: Folding, device: Device) -> int:
    """Return the cycles per frame that the layers folded by hand allow, or the slowest other layer at its fastest."""
    ops = restricted(graph, by_hand, device)
    given = [min(op.interval(*graph.inputs_of(graph[n])) for op in some) for n, some in ops.items()]
    return max([fastest(graph), *given])


def of(graph: Graph) -> dict[str, dict[str, int | str]]:
    """Return the folding of a graph, streamed or not, in the form that `by_hand` takes."""
    bare = insert.remove_fifos(graph)
    found = {n.name: knobs_of(op) for n, op in hardware_nodes(bare)}
    told = {name: {k: v for k, v in knobs.items() if v != USUAL.get(k)} for name, knobs in found.items()}
    return {name: knobs for name, knobs in told.items() if knobs}


def _room(device: Device, fill: float) -> Cost:
    """Return the resources that a design may use, of the logic only a share."""
    return Cost(fill * device.lut, fill * device.ff, device.bram, device.dsp)
