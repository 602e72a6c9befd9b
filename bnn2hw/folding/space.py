"""All foldings of a graph, their costs, and an exact search for the cheapest.

The cost of a folding is the cost of its ops, plus the FIFOs and width converters that `dataflow` inserts between ops
with different lanes. FIFOs count with their smallest depth of two; how deep they become is known only when all streams
are connected. The search is a minimization over variables (`solver`): a variable is the form of the beats at one end of
an op. An op is a table of costs over the beats at its input and output, a stream a table over the beats at its ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import permutations

import numpy as np

from bnn2hw.dataflow import insert
from bnn2hw.errors import Bnn2hwError, FoldingError
from bnn2hw.folding import accumulators, logic, solver, widths
from bnn2hw.folding.options import (
    RESOURCES,
    TOO_WIDE,
    FoldingPoint,
    NodeOptions,
    StreamCosts,
    stream_cost,
    vector,
    weights_of,
)
from bnn2hw.folding.solver import CostTable, Program
from bnn2hw.ir import Array, Cost, Graph, StreamOp
from bnn2hw.targets.devices import Device

PARENTS = 6
"""Number of foldings that are crossed with each other to find one that fits."""

MANY, NEAR = 100, 5e-4
"""In graphs of more than MANY nodes, a folding within NEAR of the cheapest that fits counts as the cheapest."""

SHARES = (1 / 64, 1 / 8, 1.0)
"""Shares of the gap between the lower bound and the cheapest known folding that are searched in turn."""


class FoldingSpace:
    """The foldings of a graph in hardware form on a device.

    Args:
        graph: Graph in hardware form.
        device: Device whose capacities weigh LUTs against block RAMs.
        by_hand: Foldings of nodes that a user restricts; they may be slower than a rate asks for.
        dsps: True if accumulators may be in DSP blocks where the cheapest folding needs more than there is.

    Raises:
        FoldingError: A layer has a beat that is too wide in every folding, or in the given ones, or a user
            wants accumulators in DSP blocks where none can be.
    """

    dsps = False

    def __init__(
        self,
        graph: Graph,
        device: Device,
        by_hand: Mapping[str, Sequence[StreamOp]] | None = None,
        dsps: bool = True,
    ) -> None:
        self.graph, self.device = graph, device
        self.dsps = dsps and accumulators.possible(device)
        accumulators.check(by_hand or {}, device)
        self.places: list[NodeOptions] = []
        known: dict[Hashable, Array] = {}
        for node in graph:
            inputs, given = graph.inputs_of(node), (by_hand or {}).get(node.name)
            if isinstance(node.op, StreamOp):
                free = given or [*node.op.foldings(*inputs), *logic.offered(graph, node, device)]
                ops = widths.narrow(graph, node, free)
                self.places.append(NodeOptions(node, ops, inputs, given is not None, known))
        self.weights = weights_of(device)
        self._near = NEAR if len(self.places) > MANY else 0.0

    @cached_property
    def periods(self) -> list[int]:
        """Cycles per frame at which further foldings become possible, in ascending order."""
        free = [p for p in self.places if not p.fixed or len(p.ops) > 1]
        slowest = max([p.fastest for p in self.places])
        return sorted({slowest, *(int(i) for p in free for i in p.intervals if i >= slowest)})

    def slow(self, period: int) -> list[tuple[str, int]]:
        """Return the nodes that need more than `period` cycles in every folding, with the fewest that they need."""
        return [(p.name, p.fastest) for p in self.places if not len(p.legal(period))]

    @cached_property
    def links(self) -> list[StreamCosts]:
        """The streams and their costs."""
        number = {p.name: i for i, p in enumerate(self.places)}
        links = []
        for i, place in enumerate(self.places):
            for port, edge in enumerate(place.node.inputs):
                maker = number[self.graph.wire(edge)]
                links.append(StreamCosts(maker, i, self._between(self.places[maker], place, port), port))
        for edge in {self.graph.wire(name) for name in self.graph.outputs}:
            maker, queued = number[edge], insert.is_shared(self.graph, edge)
            copies = len(insert.output_indices(self.graph, edge))
            bits = self.graph.types[edge].ints.bits
            given = self.places[maker].given
            if queued or any(beats.vector for beats in given):
                each = [stream_cost(self.device.family, bits, beats, None, queued) for beats in given]
                links.append(StreamCosts(maker, maker, np.array(each) * copies))
        return links

    def _between(self, maker: NodeOptions, reader: NodeOptions, port: int) -> Array:
        bits, family = self.graph.types[maker.name].ints.bits, self.device.family
        queued = {same: insert.needs_fifo(self.graph, reader.node, port, same=same) for same in (False, True)}
        return np.array(
            [
                [
                    stream_cost(family, bits, have, want, queued[have.serves(want)])
                    for want in (taken[port] for taken in reader.taken)
                ]
                for have in maker.given
            ]
        )

    @cached_property
    def _variables(self) -> tuple[list[tuple[int, int]], list[int]]:
        """By node the variables of its beats at the input and at the output, and by variable its number of values."""
        of: list[tuple[int, int]] = []
        sizes: list[int] = []
        for place in self.places:
            first = len(sizes)
            sizes.append(len(place.taken))
            if not place.single:
                sizes.append(len(place.given))
            of.append((first, len(sizes) - 1))
        return of, sizes

    @cached_property
    def _order(self) -> list[int] | None:
        of, sizes = self._variables
        scopes = [tuple(dict.fromkeys(pair)) for pair in of]
        scopes += [(of[k.maker][1], of[k.reader][0]) for k in self.links if k.maker != k.reader]
        return solver.order(sizes, scopes)

    def cheapest(self, period: int) -> FoldingPoint:
        """Return the cheapest folding for a rate, whatever resources it needs.

        Raises:
            Bnn2hwError: The solver found none in time.
            FoldingError: Every folding has a beat that is too wide.
        """
        found = self.least(period)
        if found is None:
            raise Bnn2hwError("no folding was found in time; fold some layers by hand")
        if found.cost.lut >= TOO_WIDE:
            raise FoldingError(
                f"no folding for {period} cycles per frame has beats of at most {widths.MOST_INSIDE:,} bits; "
                "ask for fewer fps, or fold fewer layers by hand"
            )
        return found

    def least(self, period: int, capacity: Cost | None = None) -> FoldingPoint | None:
        """Return the cheapest folding in which every op needs at most `period` cycles per frame; None if none fits.

        Args:
            period: Cycles per frame; every node not folded by hand must reach it (see `slow`).
            capacity: Resources that the folding may use; None for no limit.
        """
        which, room = self._legal(period), self._room(capacity)
        if self._order is None:
            found = self._program(which, room, -np.inf)
            return found or (self.with_dsps.least(period, capacity) if self.with_dsps else None)
        free = self._chosen(self._eliminated(which, self.weights))
        if _fits(free, room):
            return free
        return self.with_dsps.least(period, capacity) if self.with_dsps else self._fitting(which, free, room)

    @cached_property
    def with_dsps(self) -> FoldingSpace | None:
        """These foldings, and those with accumulators in DSP blocks; None if there are no others."""
        wider = copy(self)
        wider.dsps = False
        free = self.places if self.dsps else []
        more = {p.name: accumulators.offered(p.ops, p.inputs) for p in free if not p.fixed}
        wider.places = [p.with_more(more.get(p.name, [])) for p in self.places]
        return wider if any(more.values()) else None

    def _legal(self, period: int) -> list[Array]:
        """Return by node the numbers of the foldings that may be taken."""
        return [p.legal(period) for p in self.places]

    def _room(self, capacity: Cost | None) -> Array:
        """Return the most of each sum."""
        return np.full(RESOURCES, np.inf) if capacity is None else vector(capacity)

    def _costs(self, place: int, which: Array) -> Array:
        """Return what some foldings of a node add to each sum, shape (foldings, sums)."""
        return self.places[place].costs(which, self.device.family)

    def _fitting(self, which: list[Array], free: FoldingPoint, room: Array) -> FoldingPoint | None:
        """Return the cheapest folding within some limits, given that the cheapest of all exceeds them."""
        limit = float(self.weights @ room)
        unit = np.maximum(room, 1.0)
        seen: dict[tuple[int, ...], FoldingPoint] = {}

        def priced(prices: Array) -> tuple[float, Array]:
            numbers = tuple(self._eliminated(which, self.weights + prices / unit))
            found = seen.setdefault(numbers, self._chosen(numbers))
            over = (found.total - room) / unit
            return found.price + float(prices @ over), over

        found, prices = solver.relax(priced, limit, len(room))
        if found > limit:
            return None
        bound = max(found, free.price)
        best = self._crossed(seen, self.weights + prices / unit, room)
        for share in SHARES:
            top = best.price if best else limit
            if top - bound <= max(self._near, 1e-9) * abs(top):
                break
            # Every folding up to this price consists of what is left, so if one is found, none is cheaper.
            most = bound + share * (top - bound)
            left = self._within(which, prices / unit, most + float(prices @ (room / unit)))
            exact = self._program(left, room, bound, self._near)
            bound = self._raised(bound, exact, most)
            if exact is not None and (best is None or exact.price < best.price):
                best = exact
            if exact is not None and exact.price <= most:
                break
        # The solver of the integer program may miss the best solution, so its answer is no proof.
        return replace(best, bound=bound) if best else None

    def _raised(self, bound: float, found: FoldingPoint | None, most: float) -> float:
        """Return the lower bound after an integer program over all foldings up to a price."""
        return bound

    def _crossed(
        self, seen: Mapping[tuple[int, ...], FoldingPoint], weights: Array, room: Array
    ) -> FoldingPoint | None:
        """Return the cheapest folding within some limits among known ones and their crossings.

        A crossing begins as one folding and ends as another. The parents are the cheapest by the given weights: they
        are about equally good except for the scarce resource, so a crossing is hardly worse.
        """
        parents = sorted(seen, key=lambda n: float(seen[n].total @ weights))[:PARENTS]
        fitting = [c for c in seen.values() if _fits(c, room)]
        for first, second in permutations(parents, 2):
            totals = self._crossings(first, second)
            prices = np.where((totals <= room).all(1), totals @ self.weights, np.inf)
            cut = int(np.argmin(prices))
            if np.isfinite(prices[cut]):
                fitting.append(self._chosen((*first[:cut], *second[cut:])))
        return min(fitting, key=lambda c: c.price, default=None)

    def _crossings(self, first: Sequence[int], second: Sequence[int]) -> Array:
        """Return the total costs of all crossings, by the number of nodes taken from the first folding."""
        count = len(self.places)
        # By node, the difference between the two foldings; a stream changes twice, once at each end.
        steps = np.zeros((count + 1, len(self.weights)))
        for i in range(count):
            both = self._costs(i, np.array([first[i], second[i]]))
            steps[0] += both[1]
            steps[i + 1] += both[0] - both[1]
        for link in self.links:
            made, read = self.places[link.maker].lanes, self.places[link.reader].lanes
            at = made[first[link.maker], 1], made[second[link.maker], 1]
            to = read[first[link.reader], 0], read[second[link.reader], 0]
            if link.maker == link.reader:
                all_second, mixed, all_first = link.costs[at[1]], link.costs[at[0]], link.costs[at[0]]
            else:
                all_second, mixed, all_first = (
                    link.costs[at[1], to[1]],
                    link.costs[at[0], to[1]],
                    link.costs[at[0], to[0]],
                )
            steps[0] += all_second
            steps[link.maker + 1] += mixed - all_second
            steps[link.reader + 1] += all_first - mixed
        total: Array = np.cumsum(steps, 0)
        return total

    def _within(self, which: list[Array], prices: Array, most: float) -> list[Array]:
        """Return the foldings of each node that occur in some folding of the graph up to a cost, at given prices."""
        sizes, weights = self._variables[1], self.weights + prices
        tables, _ = self._tables(which, weights)
        least = solver.least_with(sizes, tables, self._order or [])
        left = []
        for i, (mine, table, bound) in enumerate(zip(which, tables, least, strict=False)):
            at = self.places[i].lanes[mine, : bound.ndim].T
            # An op that costs more than the best one with the same beats raises the total by the difference.
            above = self._costs(i, mine) @ weights - table.costs[tuple(at)]
            left.append(mine[bound[tuple(at)] + above <= most + 1e-9 * abs(most)])
        return left

    def _eliminated(self, which: list[Array], weights: Array) -> list[int]:
        """Return, by node, the number of its folding in the cheapest folding of the graph."""
        of, sizes = self._variables
        tables, picks = self._tables(which, weights)
        values = solver.eliminate(sizes, tables, self._order or [])
        return [int(pick[values[first], values[last]]) for pick, (first, last) in zip(picks, of, strict=True)]

    def _tables(self, which: list[Array], weights: Array) -> tuple[list[CostTable], list[Array]]:
        """Return the cost tables, those of the nodes first, and by node the folding that each entry stands for."""
        of, _ = self._variables
        tables, picks = [], []
        for i, (place, mine, (first, last)) in enumerate(zip(self.places, which, of, strict=True)):
            costs = self._costs(i, mine) @ weights
            grid = np.full((len(place.taken), len(place.given)), np.inf)
            pick = np.zeros(grid.shape, np.int64)
            falling = np.argsort(costs, kind="stable")[::-1]  # of equal beats the cheapest is written last
            at = tuple(place.lanes[mine[falling]].T)
            grid[at], pick[at] = costs[falling], mine[falling]
            picks.append(pick)
            tables.append(
                CostTable((first,), np.diag(grid)) if place.single else CostTable((first, last), grid)
            )
        between = self._between_all if weights is self.weights else self._priced_links(weights)
        return tables + between, picks

    @cached_property
    def _between_all(self) -> list[CostTable]:
        return self._priced_links(self.weights)

    def _priced_links(self, weights: Array) -> list[CostTable]:
        """Return the costs of streams as tables."""
        of, _ = self._variables
        scopes = (
            (of[k.maker][1],) if k.maker == k.reader else (of[k.maker][1], of[k.reader][0])
            for k in self.links
        )
        return [CostTable(scope, k.costs @ weights) for scope, k in zip(scopes, self.links, strict=True)]

    def _chosen(self, numbers: Sequence[int], bound: float | None = None) -> FoldingPoint:
        total = np.zeros(len(self.weights))
        for place, number in enumerate(numbers):
            total += self._costs(place, np.array([number]))[0]
        for link in self.links:
            at = self.places[link.maker].lanes[numbers[link.maker], 1]
            to = (
                ()
                if link.maker == link.reader
                else (self.places[link.reader].lanes[numbers[link.reader], 0],)
            )
            total += link.costs[(at, *to)]
        ops = {p.name: p.ops[i] for p, i in zip(self.places, numbers, strict=True)}
        interval = max(int(p.intervals[i]) for p, i in zip(self.places, numbers, strict=True))
        worth = float(total @ self.weights)
        return FoldingPoint(ops, interval, total, worth, worth if bound is None else bound)

    def _program(
        self, which: list[Array], room: Array, bound: float, gap: float = 0.0
    ) -> FoldingPoint | None:
        """Return the cheapest folding within some limits, up to a relative gap, by integer programming."""
        program = Program()
        groups = []
        for place, mine in enumerate(which):
            groups.append(program.group(self._costs(place, mine).copy()))
        for link in self.links:
            made = self.places[link.maker].lanes[which[link.maker], 1]
            if link.maker == link.reader:
                program.costs[link.maker] += link.costs[made]
                continue
            read = self.places[link.reader].lanes[which[link.reader], 0]
            rows, columns = np.unique(made), np.unique(read)
            costs = link.costs[np.ix_(rows, columns)]
            ends = (
                (groups[link.maker], np.searchsorted(rows, made)),
                (groups[link.reader], np.searchsorted(columns, read)),
            )
            program.link(costs, ends)
        found, proved, least = program.solve(self.weights, room, gap)
        if found is None:
            return None
        numbers = [int(mine[np.argmax(found[group])]) for mine, group in zip(which, groups, strict=True)]
        return self._chosen(numbers, None if proved else max(bound, least))


def _fits(point: FoldingPoint, room: Array) -> bool:
    return bool(np.all(point.total <= room))
