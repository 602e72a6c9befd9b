"""Foldings against all there are: nothing cheaper keeps the pace, and nothing faster fits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bnn2hw.dataflow import connect, insert
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import cycles, resources
from bnn2hw.folding import options, search, solver
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import BIPOLAR, Cost, Graph, HardwareOp, Ints, Node, Op, Tensor
from bnn2hw.ops import Add, Argmax, Concat, Mac, Multiply, Pool, SlidingWindow, Source, Threshold, Xnor
from bnn2hw.targets import devices
from bnn2hw.targets.devices import Device
from tests.support import alone, long_runs, mlp

DEVICES = [devices.device(name) for name in ("ecp5-85k", "xc7z020", "ice40-up5k")]
MOST = 1500
"""Foldings of a graph that is compared with all of its own."""


class Grower:
    """A random graph in hardware form, of few foldings."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph((), ())

    def add(self, op: Op, *inputs: str) -> str:
        name = f"n{len(self.graph.nodes)}"
        self.graph = Graph((*self.graph.nodes, Node(name, op, inputs)), ())
        return name

    def sign(self, edge: str) -> str:
        x = self.graph.types[edge]
        return self.add(Threshold(self.rng.choice(x.ints.values(), (x.channels, 1))), edge)

    def conv(self, edge: str, filters: int, size: int) -> str:
        window = self.add(SlidingWindow((size, size)), edge) if size > 1 else edge
        x = self.graph.types[window]
        weights = self.rng.choice(np.array([-1, 1], np.int8), (x.channels, filters))
        return self.add(Xnor(weights) if x.ints == BIPOLAR else Mac(weights), window)

    def grow(self) -> Graph:
        """A convolution, a branch that meets again or a pool, a dense layer, and perhaps its class."""
        draw = self.rng.integers
        pixel = BIPOLAR if draw(2) else Ints(0, 15)
        x = self.add(Source(Tensor((4, 4, int(draw(1, 4))), pixel)))
        x = self.sign(self.conv(x, int(draw(2, 5)), int(draw(1, 3))))
        kind, channels = draw(5), self.graph.types[x].channels
        if kind == 0:
            x = self.sign(self.add(Add(), self.conv(x, channels, 1), x))
        elif kind == 1:
            x = self.add(Concat(), self.sign(self.conv(x, 2, 1)), x)
        elif kind == 2:
            x = self.sign(self.add(Multiply(), x, x))
        elif kind == 3:
            x = self.add(Pool(self.rng.random(channels) < 0.5), x)
        axes = 3
        size = math.prod(self.graph.types[x].shape)
        out = self.add(
            Xnor(self.rng.choice(np.array([-1, 1], np.int8), (size, int(draw(1, 4)))), axes=axes), x
        )
        outputs = [self.add(Argmax(), out)] if draw(2) else [out]
        if draw(3) == 0:
            outputs.append(x)
        return Graph(self.graph.nodes, tuple(outputs))


@dataclass(frozen=True)
class Folded:
    """One folding of a graph, its cost counted on the graph with FIFOs and converters in it."""

    graph: Graph
    lanes: int
    interval: int
    cost: Cost
    price: float


def offered(op: HardwareOp, x: tuple[Tensor, ...]) -> list[HardwareOp]:
    return list(op.foldings(*x))


def all_foldings(
    graph: Graph, device: Device, ways: Callable[..., list[HardwareOp]] = offered
) -> list[Folded]:
    found = []
    names, foldings = [], []
    for node in graph:
        names.append(node.name)
        if isinstance(node.op, HardwareOp):
            foldings.append(ways(node.op, graph.inputs_of(node)))
        else:
            size = node.op.tensor.size
            foldings.append([replace(node.op, lanes=d) for d in range(1, size + 1) if size % d == 0])
    for ops in itertools.product(*foldings):
        folded = graph.map_ops(dict(zip(names, ops, strict=True)))
        cost = resources.cost(insert.insert_fifos(folded), device)
        price = options.price(cost, device)
        found.append(Folded(folded, ops[0].lanes, cycles.interval(folded), cost, price))
    return found


def count(graph: Graph) -> int:
    sizes = [
        len(list(n.op.foldings(*graph.inputs_of(n))))
        if isinstance(n.op, HardwareOp)
        else sum(n.op.tensor.size % d == 0 for d in range(1, n.op.tensor.size + 1))
        for n in graph
    ]
    return math.prod(sizes)


def in_time(found: list[Folded], period: int) -> list[Folded]:
    """The foldings that keep a pace, their input as narrow as it allows."""
    quick = [f for f in found if f.interval <= period]
    fewest = min((f.lanes for f in quick), default=0)
    return [f for f in quick if f.lanes == fewest]


def fits(cost: Cost, room: Cost) -> bool:
    return all(getattr(cost, r) <= getattr(room, r) for r in ("lut", "ff", "bram", "dsp"))


def check_against_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = next(g for s in itertools.count(1000 * seed) if count(g := Grower(s).grow()) <= MOST)
    device = DEVICES[seed % len(DEVICES)]
    found, tried = all_foldings(graph, device), FoldingSpace(graph, device)
    for period in [tried.periods[0], *rng.choice(tried.periods, 4), tried.periods[-1] + 5]:
        quick = in_time(found, int(period))
        best = min(quick, key=lambda f: f.price)

        free = tried.least(int(period))

        assert free.proved
        assert free.price == pytest.approx(best.price, rel=1e-9)
        assert free.interval == cycles.interval(graph.map_ops(free.ops)) <= period
        other = quick[rng.integers(len(quick))].cost
        room = replace(other, lut=other.lut * rng.uniform(0.9, 1.1))
        within = tried.least(int(period), room)
        least = min((f.price for f in quick if fits(f.cost, room)), default=None)
        assert (within and within.price) == (least and pytest.approx(least, rel=1e-9))


@pytest.mark.parametrize("seed", long_runs.after(4, range(10)))
def test_no_folding_is_cheaper(seed: int) -> None:
    check_against_all(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_no_folding_is_cheaper_in_many_graphs(seed: int) -> None:
    check_against_all(seed)


@pytest.mark.parametrize("seed", long_runs.after(2, range(20, 24)))
def test_the_front_and_its_end_are_those_of_all_foldings(seed: int) -> None:
    graph = next(g for s in itertools.count(1000 * seed) if count(g := Grower(s).grow()) <= MOST)
    device = devices.device("xc7z020")
    found = all_foldings(graph, device)
    # A device that holds about half of them.
    middle = np.median([f.cost.lut for f in found])
    device = replace(device, lut=int(middle / search.FILL))
    room = Cost(search.FILL * device.lut, search.FILL * device.ff, device.bram, device.dsp)
    prices = {}
    for period in sorted({f.interval for f in found}):
        held = [options.price(f.cost, device) for f in in_time(found, period) if fits(f.cost, room)]
        if held and min(held) < min(prices.values(), default=math.inf) - 1e-12:
            prices[period] = min(held)

    front = search.pareto(graph, device)

    assert [p.interval for p in front] == sorted(prices, reverse=True)
    assert [p.price for p in front] == pytest.approx([prices[p.interval] for p in front])
    assert cycles.interval(search.for_device(graph, device)) == front[-1].interval
    thinned = [p.interval for p in search.pareto(graph, device, ratio=1.5)]
    assert set(thinned) <= set(prices)
    assert thinned[-1] == front[-1].interval


@pytest.mark.parametrize(
    ("device", "lanes"), [("ecp5-85k", (512, 48, 44, 8)), ("xc7z020", (520, 64, 64, 10))]
)
def test_hardly_more_lanes_than_the_rate_needs(device: str, lanes: tuple[int, ...]) -> None:
    """784 × 64 weights in 100 cycles are 502 lanes at least, 64 × 64 are 41, and 64 × 10 are 7.

    The fewest LUTs are not always those of the fewest lanes.
    """
    folded = search.for_rate(mlp(784, 64, 64, 64, 10), 100, devices.device(device))

    found = [f["pe"] * f["simd"] for f in search.of(folded).values() if "simd" in f]
    assert tuple(found) == lanes


def test_a_rate_may_need_another_folding_than_the_cheapest() -> None:
    """Block RAMs are cheaper than LUTs where there are many, but here there are too few."""
    graph, device = mlp(256, 64, 10), devices.device("xc7z020")
    free = FoldingSpace(graph, device).least(256)
    assert free.cost.bram > 0
    scarce = replace(device, bram=int(free.cost.bram) - 1)
    # The scarcer a block, the more it counts; the price stays that of the device.
    folded = search.for_rate(graph, 256, scarce)

    assert cycles.interval(folded) <= 256
    assert resources.cost(insert.insert_fifos(folded), scarce).bram <= scarce.bram


def test_folded_by_hand_beside_others() -> None:
    graph = mlp(784, 64, 10)

    folded = search.for_rate(graph, 100, devices.device("xc7z020"), {"fc0": {"pe": 2, "simd": 4}})

    assert search.of(folded)["fc0"] == {"pe": 2, "simd": 4}
    assert cycles.interval(folded) == 784 * 64 // 8
    assert folded["fc1"].op.interval(*folded.inputs_of(folded["fc1"])) <= 100


def test_a_streamed_graph_says_its_folding_by_hand() -> None:
    graph, device = mlp(96, 24, 10), devices.device("xc7z020")
    folded = search.for_rate(graph, 30, device)

    by_hand = search.of(connect.connect(folded))

    assert search.of(search.for_rate(graph, 2000, device, by_hand)) == by_hand == search.of(folded)


def test_nothing_is_found_where_nothing_fits() -> None:
    device = replace(devices.device("xc7z020"), lut=100)

    with pytest.raises(FoldingError, match="does not fit xc7z020 in any folding"):
        search.for_device(mlp(784, 64, 10), device)


def test_wide_graphs_are_solved_as_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, device = mlp(24, 8, 4), devices.device("xc7z020")
    expected = FoldingSpace(graph, device).least(20)
    monkeypatch.setattr(solver, "MOST", 1)

    found = FoldingSpace(graph, device).least(20)

    assert found.proved
    assert found.price == pytest.approx(expected.price)
    assert found.interval <= 20


@pytest.mark.parametrize("seed", range(20))
def test_what_a_sum_is_at_least_with_each_entry_of_its_tables(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, 5).tolist()
    scopes = [tuple(rng.permutation(5)[: rng.integers(1, 4)].tolist()) for _ in range(5)] + [
        (v,) for v in range(5)
    ]
    tables = [solver.CostTable(s, rng.integers(0, 20, [sizes[v] for v in s]).astype(float)) for s in scopes]
    for table in tables[:5]:
        table.costs[rng.random(table.costs.shape) < 0.2] = np.inf
        table.costs[(0,) * len(table.of)] = 1.0  # one combination is there

    least = solver.least_with(sizes, tables, solver.order(sizes, scopes))

    expected = [np.full(t.costs.shape, np.inf) for t in tables]
    for values in itertools.product(*map(range, sizes)):
        at = [tuple(values[v] for v in scope) for scope in scopes]
        total = sum(t.costs[i] for t, i in zip(tables, at, strict=True))
        for found, i in zip(expected, at, strict=True):
            found[i] = min(found[i], total)
    assert all(np.array_equal(a, b) for a, b in zip(least, expected, strict=True))


def test_a_folding_by_hand_may_use_the_old_name_of_lanes() -> None:
    image = Tensor((4, 4, 4), BIPOLAR)
    graph = alone(Pool(np.zeros(4, bool)), image)
    [name] = (n.name for n in graph if isinstance(n.op, Pool))

    with pytest.warns(DeprecationWarning, match=f"layer '{name}': 'simd' is now 'lanes'") as caught:
        folded = search.chosen(graph, devices.device("xc7z020"), by_hand={name: {"simd": 2}})

    assert search.of(folded)[name] == {"lanes": 2}
    assert {w.filename for w in caught} == {__file__}
