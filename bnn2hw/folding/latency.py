"""The cheapest folding whose first output comes within a number of cycles, and the folding that is soonest.

The latency of a folding is no sum over its ops. The cycles along a path through it are such a sum, and a lower bound
of its latency (see `paths`). The search begins without a bound, lays out the cheapest folding, and steps it. If that
folding is too slow, its critical path becomes a bound, and the search begins again. The folding that it ends with is
provably the cheapest. FIFOs of finite depth may add a few cycles that no path has. The search then tries a tighter
bound, and the price of the last folding before says how cheap another one could be.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bnn2hw.dataflow import connect
from bnn2hw.estimate import cycles
from bnn2hw.folding import paths
from bnn2hw.folding.options import FoldingPoint, NodeOptions, StreamCosts
from bnn2hw.folding.paths import Delays, Hop
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import Array, Cost

WIRE = 64
"""Bits of a beat up to which the input of a design may be wider than the rate asks for."""

ROUNDS = 100
"""Foldings that a search lays out before it ends with the gap that is left."""

NEAR = 0.02
"""Share by which a folding may cost more than the cheapest while the search still looks for paths."""

SECONDS = 20.0
"""Processor time after which a search ends with what it found."""

ANY = 1.0
"""The same share where only cycles count: any folding will do."""

LAST_ROUNDS = 2
"""Foldings that it then lays out that are each the cheapest for the known paths."""

SMALL = 10
"""Nodes of a graph up to which it does so: larger ones keep the gap that is left."""

ENDLESS = 2**40
"""Cycles that no folding needs."""


class BoundedSpace(FoldingSpace):
    """The foldings of another space in which no known path to the first output is too long.

    Args:
        space: All foldings.
        delays: The cycles of the paths.
        most: Cycles that each path may take.
        wire: Bits of a beat up to which inputs may be wider than the rate asks for.
        near: Share by which a folding that is found may cost more than the cheapest.
    """

    def __init__(
        self, space: FoldingSpace, delays: Sequence[Delays], most: int, wire: float, near: float = NEAR
    ) -> None:
        self.graph, self.device, self.places = space.graph, space.device, space.places
        self.weights = np.append(space.weights, np.zeros(len(delays)))
        self._space, self._delays, self._most, self._wire = space, delays, most, wire
        self._near = near

    @cached_property
    def links(self) -> list[StreamCosts]:
        """The streams, their costs, and the cycles of each path from one end to the other."""
        if not self._delays:
            return self._space.links
        return [self._delayed(link) for link in self._space.links]

    def _delayed(self, link: StreamCosts) -> StreamCosts:
        cycles = self._clipped([d.stream(link) for d in self._delays])
        return replace(link, costs=np.concatenate([link.costs, cycles], -1))

    def _raised(self, bound: float, found: FoldingPoint | None, most: float) -> float:
        return bound if found is None else max(bound, min(found.bound, most))

    def shortest(self, period: int) -> int:
        """Return the fewest cycles that the last path takes in any folding for a rate; 0 if that is unknown.

        Args:
            period: Cycles per frame.
        """
        if self._order is None:
            return 0
        last = np.zeros(len(self.weights))
        last[-1] = 1.0
        found = self._chosen(self._eliminated(self._legal(period), last))
        return max(int(found.total[-1]), 0)

    @cached_property
    def _waits(self) -> list[Array]:
        """By node the cycles of each path in each folding, shape (foldings, paths)."""
        return [self._clipped([d.node(i) for d in self._delays]) for i in range(len(self.places))]

    def _clipped(self, cycles: Sequence[Array]) -> Array:
        """Return the cycles of each path in finite numbers, the paths along the last axis."""
        # A folding that does not wait for a value of a path is not bounded by this path.
        free = -2.0 * (self._most + 1) * (len(self.places) + len(self._space.links))
        found = np.stack(cycles, -1)
        return np.where(np.isfinite(found), np.minimum(found, self._most + 1), free)

    def _costs(self, place: int, which: Array) -> Array:
        costs = super()._costs(place, which)
        return np.concatenate([costs, self._waits[place][which]], -1) if self._delays else costs

    def _room(self, capacity: Cost | None) -> Array:
        return np.append(super()._room(capacity), np.full(len(self._delays), self._most))

    def _legal(self, period: int) -> list[Array]:
        return [p.legal(period) if p.node.inputs else self._inputs(p, period) for p in self.places]

    def _inputs(self, place: NodeOptions, period: int) -> Array:
        """Return the foldings of an input of the design: the narrowest for the rate, and those narrow anyway."""
        bits = self.graph.types[place.name].ints.bits
        narrow = np.array([beats.lanes * bits <= self._wire for beats in place.given])
        legal = np.flatnonzero(place.intervals <= period)
        wider = legal[narrow[place.lanes[legal, 1]]]
        return wider if len(wider) else legal[:1]


@dataclass(frozen=True)
class _Stepped:
    """A folding, the cycles to its first output, and its critical path."""

    point: FoldingPoint
    cycles: int
    path: tuple[Hop, ...]


class LatencySearch:
    """The search on one graph and device.

    Args:
        space: All foldings.
        period: Cycles per frame that every op must reach.
        room: Resources that the design may use.
    """

    def __init__(self, space: FoldingSpace, period: int, room: Cost) -> None:
        self._space, self._period, self._room = space, period, room
        self._delays: dict[tuple[Hop, ...], Delays] = {}
        self._known: dict[tuple[int, ...], _Stepped] = {}
        self._end = 0.0
        self._least: dict[tuple[tuple[Hop, ...], float], int] = {}

    def cheapest(self, most: int, wire: float = WIRE) -> FoldingPoint | None:
        """Return the cheapest folding whose first output comes in time; None if there is none.

        Args:
            most: Cycles to the first output.
            wire: Bits of a beat up to which inputs may be wider than the rate asks for.
        """
        self._end = time.process_time() + SECONDS
        bound = self._narrowed(most, wire, ROUNDS)
        if self._in_time(most) and len(self._space.places) <= SMALL:
            bound = max(bound, self._narrowed(most, wire, LAST_ROUNDS, near=0.0))
        best = self._in_time(most)
        return best and replace(best, bound=min(bound, best.price))

    def _narrowed(self, most: int, wire: float, rounds: int, near: float = NEAR) -> float:
        """Lay out foldings, each the cheapest for the paths that are known, until one is in time.

        Returns:
            A lower bound on the price of each folding in time.
        """
        goal, bound = most, -np.inf
        for _ in range(rounds):
            space = BoundedSpace(self._space, [*self._delays.values()], goal, wire, near)
            point = space.least(self._period, self._room)
            if point is None or time.process_time() > self._end:
                break
            if goal == most:
                bound = max(bound, point.bound)
            made = self._stepped(point)
            if made.cycles <= most:
                break
            if self._along(made.path).length(point.ops, self._space.links) <= goal:
                goal -= made.cycles - most
        return bound

    def _in_time(self, most: int) -> FoldingPoint | None:
        """Return the cheapest folding of those laid out so far that are in time."""
        in_time = [s.point for s in self._known.values() if s.cycles <= most]
        return min(in_time, key=lambda p: p.price, default=None)

    def soonest(self, wire: float = np.inf) -> tuple[int, FoldingPoint] | None:
        """Return the fewest cycles to the first output that were found, and a folding that needs no more.

        Args:
            wire: Bits of a beat up to which inputs may be wider than the rate asks for.
        """
        self._end = time.process_time() + SECONDS
        self._narrowed(ENDLESS, wire, 1, ANY)
        best = self._in_time(ENDLESS)
        low, step = 0, 1
        # That nothing is in time is proved sooner than what is cheapest of all that is, so this begins from below.
        while best and (low := max(low, self._floor(wire))) + 1 < (high := self._stepped(best).cycles):
            tried = min(low + step, (low + high) // 2)
            if time.process_time() > self._end:
                break
            self._narrowed(tried, wire, ROUNDS, ANY)
            found = self._in_time(tried)
            best, low, step = (found, low, 1) if found else (best, tried, 2 * step)
        return (self._stepped(best).cycles, best) if best else None

    def slowest(self, point: FoldingPoint) -> tuple[str, float]:
        """Return the op that the first output waits for longest, and the cycles in it.

        Args:
            point: A folding that the search found.
        """
        each = self._along(self._stepped(point).path).waits(point.ops)
        return max(each.items(), key=lambda item: item[1])

    def _floor(self, wire: float) -> int:
        """Return cycles within which no folding makes an output, whatever it costs."""
        return max((self._shortest(path, wire) - 1 for path in self._delays), default=0)

    def _shortest(self, path: tuple[Hop, ...], wire: float) -> int:
        """Return the fewest cycles that a path takes in any folding."""
        if (path, wire) not in self._least:
            bound = BoundedSpace(self._space, [self._delays[path]], ENDLESS, wire)
            self._least[path, wire] = bound.shortest(self._period)
        return self._least[path, wire]

    def _along(self, path: tuple[Hop, ...]) -> Delays:
        """Let a path bound the search from now on, and return its cycles."""
        if path not in self._delays:
            self._delays[path] = Delays(path, self._space.graph, self._space.places)
        return self._delays[path]

    def _stepped(self, point: FoldingPoint) -> _Stepped:
        """Lay a folding out and step it to its first output."""
        key = tuple(map(id, point.ops.values()))
        if key not in self._known:
            made = connect.connect(self._space.graph.map_ops(point.ops))
            self._known[key] = _Stepped(point, cycles.latency(made), paths.critical(made))
        return self._known[key]
