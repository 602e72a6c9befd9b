"""A bound on the first output: no path is longer than a design, and the folding is compared with all there are."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.dataflow import connect
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import cycles
from bnn2hw.folding import paths, search
from bnn2hw.folding.latency import LatencySearch
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import Cost, Graph, Op
from bnn2hw.targets import devices
from tests.folding.test_search import Grower, all_foldings
from tests.support import mlp

DEVICE = devices.device("xc7z020")
ROOM = Cost(DEVICE.lut, DEVICE.ff, DEVICE.bram, DEVICE.dsp)


def latency(graph: Graph, ops: dict[str, Op]) -> int:
    return cycles.latency(connect.connect(graph.map_ops(ops)))


@pytest.mark.parametrize("seed", range(8))
def test_a_path_is_as_long_as_its_design_and_no_longer_than_others(seed: int) -> None:
    graph, rng = Grower(seed).grow(), np.random.default_rng(seed)
    space = FoldingSpace(graph, DEVICE)

    def drawn() -> dict[str, Op]:
        return {p.name: p.ops[rng.integers(len(p.ops))] for p in space.places}

    own, others = drawn(), [drawn() for _ in range(4)]
    found = paths.Delays(paths.critical(connect.connect(graph.map_ops(own))), graph, space.places)

    assert found.length(own, space.links) == latency(graph, own)
    assert all(found.length(o, space.links) <= latency(graph, o) for o in others)


@pytest.mark.parametrize("sizes", [(6, 2, 2), pytest.param((4, 4, 2), marks=pytest.mark.soak)])
def test_no_folding_in_time_is_cheaper(sizes: tuple[int, ...]) -> None:
    graph = mlp(*sizes)
    every = [(f.price, cycles.latency(connect.connect(f.graph))) for f in all_foldings(graph, DEVICE)]
    least = min(taken for _, taken in every)
    space = FoldingSpace(graph, DEVICE)

    for most in (least, least + 2, least + 10):
        found = LatencySearch(space, space.periods[-1], ROOM).cheapest(most)

        assert latency(graph, dict(found.ops)) <= most
        assert found.price == pytest.approx(min(price for price, taken in every if taken <= most))
        assert found.proved
    tried = LatencySearch(space, space.periods[-1], ROOM)
    assert tried.cheapest(least - 1) is None
    assert tried.soonest()[0] == least


def test_less_time_costs_more_and_the_input_stays_narrow() -> None:
    graph = mlp(784, 32, 10)
    made = {most: search.in_time(graph, DEVICE, most) for most in (4000, 400)}

    found = {most: cycles.latency(connect.connect(g)) for most, g in made.items()}

    assert all(taken <= most for most, taken in found.items())
    assert found[4000] > 400
    assert all(g.sources[0].op.lanes * g.types[g.sources[0].name].ints.bits <= 64 for g in made.values())


def test_a_rate_and_a_latency_both_hold() -> None:
    graph = mlp(96, 24, 10)
    fps = DEVICE.clock_mhz * 1e6 / 30

    made = connect.connect(search.in_time(graph, DEVICE, 400, fps))

    assert cycles.interval(made) <= 30
    assert cycles.latency(made) <= 400


def test_the_least_latency_can_be_had_and_one_cycle_less_is_refused_with_it() -> None:
    graph = mlp(24, 8, 4)
    least = cycles.latency(connect.connect(search.in_time(graph, DEVICE, search.LEAST)))

    with pytest.raises(
        FoldingError, match=f"latency of {least - 1} cycles: the least found is {least}, of which layer"
    ):
        search.in_time(graph, DEVICE, least - 1)


def test_it_says_whether_the_folding_is_proved_the_cheapest() -> None:
    said: list[str] = []

    search.in_time(mlp(24, 8, 4), DEVICE, 100, progress=said.append)

    assert said == ["no folding in this time is cheaper, by the cost models"]
