"""FIFO depths: what a schedule needs, and that no design is slower than its slowest op."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.dataflow import fifo_depths, insert
from bnn2hw.dataflow.connect import connect
from bnn2hw.estimate import cycles
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor, hardware_nodes
from bnn2hw.ops import Add, Fifo, Source, Threshold, Xnor
from bnn2hw.simulation import simulate
from tests.support import graphs, long_runs, random_frames

FRAMES = 40


def depths(graph: Graph) -> dict[str, int]:
    return {n.name: op.depth for n, op in hardware_nodes(graph) if isinstance(op, Fifo)}


def laid_out(graph: Graph, *, early: bool) -> Graph:
    """The layout that reserves room from the step that makes a beat, or from its handshake."""
    streamed = insert.insert_fifos(graph)
    return fifo_depths.with_depths(streamed, early=early)


def check_pace(graph: Graph) -> None:
    """Once FIFOs are full, no frame takes longer than predicted, and the design never stops."""
    pace, predicted = cycles.pace(graph, FRAMES), cycles.interval(graph)

    assert pace.steady or len(pace.ends) == FRAMES, "a deadlock"
    assert pace.interval == predicted or (pace.interval < predicted and not pace.steady)


@pytest.mark.parametrize("seed", long_runs.after(15, range(40)))
def test_no_random_network_is_slower_than_predicted(seed: int) -> None:
    graph = graphs.branching(seed)

    check_pace(fifo_depths.deepen(insert.insert_fifos(graph)))
    check_pace(laid_out(graph, early=True))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 2100))
def test_no_random_network_is_slower_than_predicted_in_many(seed: int) -> None:
    graph = graphs.branching(seed) if seed % 2 else graphs.chain(seed)

    check_pace(fifo_depths.deepen(insert.insert_fifos(graph)))
    check_pace(laid_out(graph, early=True))


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_depths_hold_what_waits(seed: int, frames: int) -> None:
    """Count all beats over many frames, instead of the beats of one frame that repeats."""
    rng = np.random.default_rng(seed)
    period, count = int(rng.integers(20, 60)), int(rng.integers(1, 20))
    placed = np.sort(rng.choice(period, count, replace=False)) - 7
    delay = rng.integers(1, period)
    taken = np.sort(rng.choice(period, count, replace=False))
    taken += frames * period + max(0, int((placed - taken).max()) + delay)

    offsets = period * np.arange(-10, 11)
    arrive, leave = (np.add.outer(offsets, times).ravel() for times in (placed, taken))
    held = [int(np.sum(arrive <= cycle) - np.sum(leave < cycle)) for cycle in placed]

    assert fifo_depths.needed_depth(placed, taken, period) == max(held)


def test_depths_of_long_streams_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        placed = np.cumsum(rng.integers(1, 5, 3000))
        taken = np.cumsum(rng.integers(1, 5, 3000)) + int(rng.integers(1, 30_000))
        taken += max(0, int((placed - taken).max()) + 1)
        period = int(max(np.ptp(placed), np.ptp(taken))) + 3
        monkeypatch.setattr(fifo_depths, "SAMPLES", 10**6)
        exact = fifo_depths.needed_depth(placed, taken, period)
        monkeypatch.setattr(fifo_depths, "SAMPLES", 40)

        assert fifo_depths.needed_depth(placed, taken, period) == exact
        assert exact - 3000 / 40 <= fifo_depths.needed_depth(placed, taken, period, exact=False) <= exact


LOST = {"branches that meet": (graphs.branching, 131), "a chain": (graphs.chain, 346)}
"""Networks in which a stalled pipeline keeps bubbles, which costs cycles if FIFOs have no room for it."""


@pytest.mark.parametrize("name", LOST)
def test_small_designs_get_more_room_where_they_need_it(name: str) -> None:
    make, seed = LOST[name]
    graph = make(seed)
    least, most, made = laid_out(graph, early=False), laid_out(graph, early=True), insert.insert_fifos(graph)

    assert cycles.pace(least, FRAMES).interval > cycles.interval(least)
    assert depths(fifo_depths.deepen(made)) == depths(most)
    check_pace(most)


def test_small_designs_have_no_more_room_than_they_need() -> None:
    graph = graphs.branching(3)
    small, large = laid_out(graph, early=False), laid_out(graph, early=True)

    assert depths(fifo_depths.deepen(insert.insert_fifos(graph))) == depths(small)
    assert sum(depths(small).values()) < sum(depths(large).values())


def test_large_designs_are_not_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graphs.branching(3)
    monkeypatch.setattr(fifo_depths, "SMALL", 0)

    made = fifo_depths.deepen(insert.insert_fifos(graph))

    assert depths(made) == depths(laid_out(graph, early=True))


def test_a_shared_input_waits_for_its_slower_reader() -> None:
    x = Tensor((4, 6), BIPOLAR)
    graph = Graph((Node("x", Source(x, 2)), Node("sum", Add(), ("x", "x"))), ("sum",))
    streamed = insert.insert_fifos(graph.map_ops({"sum": replace(Add(), lanes=2)}))

    made = fifo_depths.deepen(streamed)

    assert set(depths(made).values()) == {2}
    check_pace(made)


def test_beats_that_are_far_apart_need_one_place() -> None:
    """A unit of 16 synapse folds hands over 16 results at a time, which one threshold takes one after the other."""
    rng = np.random.default_rng(0)
    weights = rng.choice(np.array([-1, 1], np.int8), (64, 32))
    unit, cuts = Xnor(weights, pe=16, simd=4), Threshold(2 * rng.integers(-4, 5, (32, 1)))
    source = Source(Tensor((3, 64), BIPOLAR), 4)
    graph = Graph((Node("x", source), Node("y", unit, ("x",)), Node("z", cuts, ("y",))), ("z",))

    made = connect(graph)

    assert depths(made) == {"y.fifo": 1, "y.to1.fifo": 2}
    pace = cycles.pace(made, 10)
    assert pace.steady
    assert set(pace.intervals) == {cycles.interval(graph)} == {3 * 16 * 2}
    frames, predicted = random_frames(made, 4), cycles.cycles(made)
    simulate.simulate(verilog.render(made), made, frames, predicted, stalls=0.3).check()
