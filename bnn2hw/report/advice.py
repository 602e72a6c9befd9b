"""Name what limits the rate of a design, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bnn2hw.folding.pareto import Point
from bnn2hw.ir import Cost, Graph, Node, StreamOp
from bnn2hw.report import words
from bnn2hw.report.facts import PLUMBING, Facts, OpFacts
from bnn2hw.tables import counted
from bnn2hw.targets.families import Family

Place = TypeVar("Place")
"""A point of a front."""

TRIED = 8
"""Foldings of an op whose cost is computed in search of a faster one."""

STEP = 0.98
"""Factor between intervals that counts as a change of the rate."""

TOLD = 0.005
"""Share of a resource by which two designs differ in words."""


@dataclass(frozen=True)
class Way:
    """A way to another rate.

    Attributes:
        verb: "Faster" or "Smaller".
        text: The rate and its price.
        how: The option or command.
    """

    verb: str
    text: str
    how: str


@dataclass(frozen=True)
class Advice:
    """The bottleneck of a design.

    Attributes:
        who: A sentence that names it.
        ways: Ways to other rates.
    """

    who: str
    ways: tuple[Way, ...]


def advice(facts: Facts) -> Advice:
    """Return what limits the rate of a design.

    Args:
        facts: The facts.
    """
    ways = _from_front(facts) if facts.front else _without_front(facts)
    return Advice(_who(facts), tuple(ways))


def _who(facts: Facts) -> str:
    cycles = "every cycle" if facts.interval == 1 else f"all {words.count(facts.interval)} cycles"
    if not facts.slow:
        return (
            f"The input stream sets the rate: a frame takes {counted(facts.interval, 'beat')}, "
            "and every layer is done with the last frame when the next has come in."
        )
    if len(facts.slow) == 1:
        [op] = facts.slow
        return f"{op.name}{_folds(op)} sets the rate: it works in {cycles} between two frames."
    names = words.listed([op.name for op in facts.slow])
    return f"{names} set the rate together: each works in {cycles} between two frames."


def _folds(op: OpFacts) -> str:
    return f" (PE {op.pe} × SIMD {op.simd})" if op.pe and op.simd else ""


def _from_front(facts: Facts) -> Iterator[Way]:
    """Yield the neighbors of this design on the front."""
    front = sorted(facts.front, key=lambda p: p.interval)
    same = min(front, key=lambda p: abs(p.interval - facts.interval))
    faster = [p for p in front if p.interval < facts.interval * STEP]
    slower = [p for p in front if p.interval > facts.interval / STEP]
    smaller = [p for p in slower if p.cost.lut < same.cost.lut * (1 - TOLD)]
    for verb, points in (("Faster", faster[-1:]), ("Smaller", smaller[:1])):
        yield from (_way(verb, p.fps, _price(p, same)) for p in points)
    if not smaller:
        yield Way("Smaller", "no slower design of the front takes fewer LUTs", "")


def _way(verb: str, fps: float, price: str) -> Way:
    return Way(verb, f"{words.count(math.floor(fps))} frames/s for {price}", f"--fps {math.floor(fps)}")


def _price(point: Point, same: Point) -> str:
    """Return the difference of the resources of two points, in words."""
    found = [
        f"{words.count(abs(more))} {key.upper()} {'more' if more > 0 else 'fewer'}"
        for key in ("lut", "ff", "bram", "dsp")
        if abs(more := getattr(point.cost, key) - getattr(same.cost, key))
        > max(0.5, TOLD * getattr(same.cost, key))
    ]
    return ", ".join(found) or "the same resources"


def _without_front(facts: Facts) -> Iterator[Way]:
    """Yield the next faster rate, by the cost of the ops that limit this one, and where to look further."""
    graph, device = facts.accelerator.graph, facts.accelerator.device
    found = faster(graph, device.family, facts.interval)
    if found:
        cycles, more = found
        costs = {key.upper(): getattr(more, key) for key in ("lut", "ff", "bram", "dsp")}
        price = [f"{words.count(cost)} {key}" for key, cost in costs.items() if cost >= 1]
        told = f"about {words.listed(price)} more" if price else "about the same resources"
        yield _way("Faster", device.clock_mhz * 1e6 / cycles, told)
    else:
        yield Way("Faster", "no folding of these ops takes fewer cycles", "")
    yield Way("Smaller", "ask for fewer frames per second; what each rate costs:", "bnn2hw pareto")


def faster(graph: Graph, family: Family, interval: int) -> tuple[int, Cost] | None:
    """Return the next interval that foldings of the slow ops reach, and what they cost beyond the present ones.

    FIFOs and converters have no foldings. They take the beats of the ops at their ends.

    Args:
        graph: The streamed graph.
        family: Device family.
        interval: Interval of the graph.
    """
    streams = [(n, n.op) for n in graph if isinstance(n.op, StreamOp) and not isinstance(n.op, PLUMBING)]
    slow = [(n, op) for n, op in streams if op.interval(*graph.inputs_of(n)) > STEP * interval]
    reached = [max(_intervals(graph, n, op, STEP * interval), default=None) for n, op in slow]
    if None in reached:
        return None
    cycles = max(c for c in reached if c is not None)
    total = Cost()
    for node, op in slow:
        total += _cheapest(graph, node, op, family, cycles)
    return cycles, total


def _intervals(graph: Graph, node: Node, op: StreamOp, most: float) -> list[int]:
    found = (f.interval(*graph.inputs_of(node)) for f in op.foldings(*graph.inputs_of(node)))
    return [cycles for cycles in found if cycles <= most]


def _cheapest(graph: Graph, node: Node, op: StreamOp, family: Family, cycles: int) -> Cost:
    """Return what the cheapest folding that is fast enough costs beyond the present one."""
    inputs = graph.inputs_of(node)
    fast = [f for f in op.foldings(*inputs) if f.interval(*inputs) <= cycles]
    fast.sort(key=lambda f: -f.interval(*inputs))
    return _less(
        min((f.cost(family, *inputs) for f in fast[:TRIED]), key=_price_of), op.cost(family, *inputs)
    )


def _price_of(cost: Cost) -> float:
    return cost.lut + cost.ff


def _less(a: Cost, b: Cost) -> Cost:
    return a + b * -1.0


def spread(front: Sequence[Place], own: Callable[[Place], bool], most: int = 8) -> list[Place]:
    """Return a few points for a table: evenly, with both ends and the one of this design.

    Args:
        front: All points.
        own: Says of a point if it is this design.
        most: Number of points.
    """
    last = len(front) - 1
    keep = {round(i * last / (most - 1)) for i in range(most)} if last > most else set(range(last + 1))
    return [p for i, p in enumerate(front) if i in keep or own(p)]
