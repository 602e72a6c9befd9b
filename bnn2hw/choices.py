"""All foldings of a graph and what they cost, with what lies between neighbours; and the cheapest of them, exactly.

The cost of a folding is that of its ops, and of the FIFOs and width converters that `streams` puts between ops which
differ in lanes. FIFOs are counted with the depth of two that neighbours in step need: how much deeper one becomes
is known only when the whole is laid out. A variable of the problem is a form of beats; an op is a table over those
at its input and output, a stream one over those at its ends. Hence `minimize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from bnn2hw import minimize, streams
from bnn2hw.boards import Device, Family
from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir import Array, Beats, Cost, Graph, HardwareOp, Ints, Node, Op, Tensor
from bnn2hw.minimize import Program, Table
from bnn2hw.ops.memories import divisors
from bnn2hw.ops.source import Source

BLOCK_WEIGHT = 0.5
"""What block RAMs' and DSPs' shares of the device count beside that of LUTs: many blocks of both lie idle."""

RESOURCES = 4


def price(cost: Cost, device: Device) -> float:
    """Cost as a weighted share of the device."""
    return float(_vector(cost) @ _weights(device))


def _weights(device: Device) -> Array:
    blocks = (BLOCK_WEIGHT / max(device.bram, 1), BLOCK_WEIGHT / max(device.dsp, 1))
    return np.array([1 / device.lut, 1 / (2 * device.ff), *blocks])


def _vector(cost: Cost) -> Array:
    return np.array([cost.lut, cost.ff, cost.bram, cost.dsp])


@dataclass(frozen=True)
class Chosen:
    """A folding of a graph.

    Attributes:
        ops: by node.
        interval: cycles per frame of the slowest op.
        cost: predicted, with FIFOs of depth two.
        price: that cost as a weighted share of the device.
        bound: a lower bound on the price of every folding for that rate; the price itself, where it is proved least.
    """

    ops: Mapping[str, Op]
    interval: int
    cost: Cost
    price: float
    bound: float

    @property
    def proved(self) -> bool:
        """Whether no folding for that rate is cheaper in the model."""
        return self.price - self.bound <= 1e-9 * abs(self.price)


class _Place:
    """A node and its foldings."""

    def __init__(
        self, node: Node, ops: Sequence[HardwareOp | Source], inputs: tuple[Tensor, ...], fixed: bool
    ) -> None:
        self.node, self.ops, self.inputs, self.fixed = node, ops, inputs, fixed
        beats = [(Beats(op.lanes),) * 2 if isinstance(op, Source) else op.beats(*inputs) for op in ops]
        self.values = tuple(sorted({pair[side] for pair in beats}) for side in (0, 1))
        place = [{value: i for i, value in enumerate(values)} for values in self.values]
        self.lanes = np.array([[place[side][pair[side]] for side in (0, 1)] for pair in beats])
        same = all(taken[:2] == given[:2] for taken, given in beats)
        self.single = same and bool(np.all(self.lanes[:, 0] == self.lanes[:, 1]))
        self.intervals = np.array(
            [op.tensor.size // op.lanes if isinstance(op, Source) else op.interval(*inputs) for op in ops]
        )
        self._costs = np.full((len(ops), RESOURCES), np.nan)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def fastest(self) -> int:
        return int(min(self.intervals))

    def legal(self, period: int) -> Array:
        """The foldings that keep a pace: that of a node that was folded by hand, and the narrowest of an input."""
        if self.fixed:
            return np.arange(1)
        kept = np.flatnonzero(self.intervals <= period)
        return kept[:1] if isinstance(self.ops[0], Source) else kept

    def costs(self, which: Array, family: Family) -> Array:
        """Of some of the foldings, shape (foldings, resources)."""
        for i in which[np.isnan(self._costs[which, 0])]:
            op = self.ops[i]
            known = Cost() if isinstance(op, Source) else op.cost(family, *self.inputs)
            self._costs[i] = _vector(known)
        costs: Array = self._costs[which]
        return costs


@dataclass(frozen=True)
class _Link:
    """A stream between two places, or, with the same twice, what leaves the design: costs by lanes at both ends."""

    maker: int
    reader: int
    costs: Array


class Choices:
    """The foldings of a graph in hardware form on a device.

    Args:
        graph: in hardware form.
        device: whose scarcity weighs LUTs against block RAMs.
        by_hand: nodes whose op is given; they may be slower than a rate asks for.
    """

    def __init__(self, graph: Graph, device: Device, by_hand: Mapping[str, Op] | None = None) -> None:
        self.graph, self.device = graph, device
        self.places: list[_Place] = []
        for node in graph:
            inputs, given = graph.inputs_of(node), (by_hand or {}).get(node.name)
            if isinstance(node.op, Source):
                ops: list[HardwareOp | Source] = [
                    replace(node.op, lanes=d) for d in divisors(node.op.tensor.size)
                ]
            elif isinstance(node.op, HardwareOp):
                ops = [given] if isinstance(given, HardwareOp) else list(node.op.foldings(*inputs))
            else:
                continue
            self.places.append(_Place(node, ops, inputs, given is not None))
        self.weights = _weights(device)

    @cached_property
    def periods(self) -> list[int]:
        """In rising order, the cycles per frame at which other foldings become possible."""
        free = [p for p in self.places if not p.fixed]
        slowest = max([p.fastest for p in self.places])
        return sorted({slowest, *(int(i) for p in free for i in p.intervals if i >= slowest)})

    def slow(self, period: int) -> list[tuple[str, int]]:
        """The nodes that keep that pace in no folding, with the fewest cycles that they need."""
        return [
            (p.name, p.fastest)
            for p in self.places
            if not len(p.legal(period)) and not isinstance(p.ops[0], Source)
        ]

    @cached_property
    def _links(self) -> list[_Link]:
        number = {p.name: i for i, p in enumerate(self.places)}
        links = []
        for i, place in enumerate(self.places):
            for port, edge in enumerate(place.node.inputs):
                maker = number[self.graph.wire(edge)]
                links.append(_Link(maker, i, self._between(self.places[maker], place, port)))
        for edge in {self.graph.wire(name) for name in self.graph.outputs}:
            maker, queued = number[edge], streams.shared(self.graph, edge)
            copies = len(streams.leaving(self.graph, edge))
            ints = self.graph.types[edge].ints
            given = self.places[maker].values[1]
            if queued or any(beats.vector for beats in given):
                each = [_plumbing(self.device.family, ints, beats, None, queued) for beats in given]
                links.append(_Link(maker, maker, np.array(each) * copies))
        return links

    def _between(self, maker: _Place, reader: _Place, port: int) -> Array:
        ints, family = self.graph.types[maker.name].ints, self.device.family
        queued = {same: streams.queued(self.graph, reader.node, port, same=same) for same in (False, True)}
        return np.array(
            [
                [_plumbing(family, ints, have, want, queued[have.serves(want)]) for want in reader.values[0]]
                for have in maker.values[1]
            ]
        )

    @cached_property
    def _variables(self) -> tuple[list[tuple[int, int]], list[int]]:
        """By place, the variables of its lanes at the input and at the output; and by variable its number of values."""
        of: list[tuple[int, int]] = []
        sizes: list[int] = []
        for place in self.places:
            first = len(sizes)
            sizes.append(len(place.values[0]))
            if not place.single:
                sizes.append(len(place.values[1]))
            of.append((first, len(sizes) - 1))
        return of, sizes

    @cached_property
    def _order(self) -> list[int] | None:
        of, sizes = self._variables
        scopes = [tuple(dict.fromkeys(pair)) for pair in of]
        scopes += [(of[k.maker][1], of[k.reader][0]) for k in self._links if k.maker != k.reader]
        return minimize.order(sizes, scopes)

    def cheapest(self, period: int) -> Chosen:
        """The cheapest folding for a rate, whatever it needs.

        Raises:
            Bnn2hwError: no proof of one came in time.
        """
        found = self.least(period)
        if found is None:
            raise Bnn2hwError("no folding was found in time; fold some layers by hand")
        return found

    def least(self, period: int, capacity: Cost | None = None) -> Chosen | None:
        """The cheapest folding in which every op needs at most `period` cycles per frame; None where none fits.

        Args:
            period: cycles per frame that no node, but those folded by hand, exceeds; see `slow`.
            capacity: what it may need at most; anything where None.
        """
        which = [p.legal(period) for p in self.places]
        if self._order is None:
            return self._program(which, capacity, -np.inf)
        free = self._chosen(self._eliminated(which, self.weights))
        if capacity is None or _fits(free.cost, capacity):
            return free
        return self._fitting(which, free, capacity)

    def _fitting(self, which: list[Array], free: Chosen, capacity: Cost) -> Chosen | None:
        """The cheapest within a capacity, when the cheapest of all is beyond."""
        room = _vector(capacity)
        limit = float(self.weights @ room)
        unit = np.maximum(room, 1.0)
        seen: list[Chosen] = []

        def priced(prices: Array) -> tuple[float, Array]:
            found = self._chosen(self._eliminated(which, self.weights + prices / unit))
            seen.append(found)
            over = (_vector(found.cost) - room) / unit
            return found.price + float(prices @ over), over

        bound, _ = minimize.relax(priced, limit, RESOURCES)
        if bound > limit:
            return None
        fitting = [c for c in seen if _fits(c.cost, capacity)]
        best = min(fitting, key=lambda c: c.price, default=None)
        bound = max(bound, free.price)
        if best is not None and best.price - bound <= 1e-9 * abs(best.price):
            return replace(best, bound=bound)
        exact = self._program(which, capacity, bound)
        if exact is not None:
            # Its solver has missed a cheaper folding once, so no proof rests on it.
            exact = replace(exact, bound=bound)
        options = [c for c in (best, exact) if c is not None]
        return min(options, key=lambda c: (c.price, -c.bound), default=None)

    def _eliminated(self, which: list[Array], weights: Array) -> list[int]:
        """By place, the number of its folding in the cheapest whole."""
        of, sizes = self._variables
        tables, picks = [], []
        for place, mine, (first, last) in zip(self.places, which, of, strict=True):
            costs = place.costs(mine, self.device.family) @ weights
            grid = np.full([len(v) for v in place.values], np.inf)
            pick = np.zeros(grid.shape, np.int64)
            for i, (row, column), cost in zip(mine, place.lanes[mine], costs, strict=True):
                if cost < grid[row, column]:
                    grid[row, column], pick[row, column] = cost, i
            picks.append(pick)
            tables.append(Table((first,), np.diag(grid)) if place.single else Table((first, last), grid))
        for link in self._links:
            scope = (
                (of[link.maker][1],) if link.maker == link.reader else (of[link.maker][1], of[link.reader][0])
            )
            tables.append(Table(scope, link.costs @ weights))
        values = minimize.eliminate(sizes, tables, self._order or [])
        return [int(pick[values[first], values[last]]) for pick, (first, last) in zip(picks, of, strict=True)]

    def _chosen(self, numbers: Sequence[int], bound: float | None = None) -> Chosen:
        total = np.zeros(RESOURCES)
        for place, i in zip(self.places, numbers, strict=True):
            total += place.costs(np.array([i]), self.device.family)[0]
        for link in self._links:
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
        return Chosen(ops, interval, Cost(*map(float, total)), worth, worth if bound is None else bound)

    def _program(self, which: list[Array], capacity: Cost | None, bound: float) -> Chosen | None:
        """The cheapest within a capacity, by integer programming."""
        program = Program()
        groups = []
        for place, mine in zip(self.places, which, strict=True):
            groups.append(program.group(place.costs(mine, self.device.family).copy()))
        for link in self._links:
            made = self.places[link.maker].lanes[which[link.maker], 1]
            if link.maker == link.reader:
                program.costs[link.maker][:, :RESOURCES] += link.costs[made]
                continue
            read = self.places[link.reader].lanes[which[link.reader], 0]
            rows, columns = np.unique(made), np.unique(read)
            costs = link.costs[np.ix_(rows, columns)]
            ends = (
                (groups[link.maker], np.searchsorted(rows, made)),
                (groups[link.reader], np.searchsorted(columns, read)),
            )
            program.link(costs, ends)
        room = np.full(RESOURCES, np.inf) if capacity is None else _vector(capacity)
        found, proved = program.solve(self.weights, room)
        if found is None:
            return None
        numbers = [int(mine[np.argmax(found[group])]) for mine, group in zip(which, groups, strict=True)]
        return self._chosen(numbers, None if proved else bound)


def _fits(cost: Cost, capacity: Cost) -> bool:
    return bool(np.all(_vector(cost) <= _vector(capacity)))


@lru_cache(2**18)
def _plumbing(family: Family, ints: Ints, have: Beats, want: Beats | None, queued: bool) -> tuple[float, ...]:
    """Resources of what lies between ops that give such beats and take others, or an output of the design."""
    total = Cost()
    ops = streams.plumbing(have, want, queued=queued) if want else streams.outgoing(have, queued=queued)
    for op in ops:
        total += op.cost(family, Tensor((1,), ints))
    return tuple(map(float, _vector(total)))
