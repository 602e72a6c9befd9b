"""Folds that do not divide: beats that end with their vector, and what lies between them and others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from bnn2hw import backends
from bnn2hw.dataflow import connect, converters
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import BIPOLAR, Beats, Graph, Ints, Node, Tensor
from bnn2hw.ops import Affine, Mac, Source, Table, Threshold, Xnor
from bnn2hw.ops.base import folds, matvec, pixelwise
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter
from bnn2hw.simulation import simulate
from bnn2hw.targets import devices
from tests.support import mlp, random_frames

LARGE = devices.device("xcu250")
FRAMES = 6


def streamed(graph: Graph, by_hand: Mapping[str, Mapping[str, int]]) -> Graph:
    return connect.connect(search.for_rate(graph, 10**9, LARGE, by_hand))


def check(graph: Graph, backend: str) -> None:
    design, predicted = backends.render(backend, graph), cycles.cycles(graph)
    frames = random_frames(graph, FRAMES)

    smooth = simulate.simulate(design, graph, frames, predicted)
    stalled = simulate.simulate(design, graph, frames, predicted, stalls=0.4, seed=1)

    smooth.check()
    stalled.check()
    if smooth.cycles is not None:
        assert (smooth.interval, smooth.latency) == (predicted.interval, predicted.latency)


def between(graph: Graph) -> list[str]:
    return [n.name for n in graph if isinstance(n.op, WidthConverter)]


def mixed() -> Graph:
    """Vectors of 10, 7 and 14 values through units and maps of all kinds."""
    rng = np.random.default_rng(5)
    signs = np.array([-1, 1], np.int8)
    dot = Ints(-10, 10, 2)
    byte = Ints(-60, 60)
    tables = rng.integers(-3, 4, (7, 11))
    affine = Affine(
        rng.integers(1, 9, (7, 1)), rng.integers(-30, 30, (7, 1)), np.zeros((7, 0), np.int64), 3, byte
    )
    ternary = np.sort(rng.integers(-60, 62, (7, 2)), 1)
    nodes = [
        Node("x", Source(Tensor((2, 10), BIPOLAR))),
        Node("first", Xnor(rng.choice(signs, (10, 7))), ("x",)),
        Node("table", Table(tables, dot, Ints(-3, 3)), ("first",)),
        Node("mac", Mac(rng.choice(signs, (7, 7))), ("table",)),
        Node("affine", affine, ("mac",)),
        Node("ternary", Threshold(ternary, Ints(-1, 1)), ("affine",)),
        Node("masked", Xnor(rng.choice(signs, (14, 5)), axes=2), ("ternary",)),
    ]
    return Graph(tuple(nodes), ("masked",))


FOLDINGS = {
    "no converters": (
        {
            "first": {"pe": 3, "simd": 4},
            "table": {"pe": 3},
            "mac": {"pe": 4, "simd": 3},
            "affine": {"pe": 4},
            "ternary": {"pe": 4},
            "masked": {"pe": 2, "simd": 7},
        },
        ["x.to4of10", "ternary.to7", "masked.output.to5"],
    ),
    "all differ": (
        {
            "first": {"pe": 4, "simd": 3},
            "table": {"pe": 2},
            "mac": {"pe": 2, "simd": 4},
            "affine": {"pe": 3},
            "ternary": {"pe": 4},
            "masked": {"pe": 3, "simd": 4},
        },
        None,
    ),
    "units alone": (
        {"first": {"pe": 4, "simd": 4}, "mac": {"pe": 3, "simd": 2}, "masked": {"simd": 5}},
        None,
    ),
}


@pytest.mark.parametrize("backend", backends.BACKENDS)
@pytest.mark.parametrize(("by_hand", "expected"), FOLDINGS.values(), ids=FOLDINGS)
def test_by_hand(by_hand: Mapping[str, Mapping[str, int]], expected: list[str] | None, backend: str) -> None:
    graph = streamed(mixed(), by_hand)

    for name, knobs in by_hand.items():
        assert search.of(graph)[name].items() >= knobs.items()
    if expected is not None:
        assert between(graph) == expected
    check(graph, backend)


def test_units_of_the_same_lanes_need_nothing_between() -> None:
    graph = streamed(
        mlp(12, 10, 10), {"fc0": {"pe": 4, "simd": 6}, "sign0": {"pe": 4}, "fc1": {"pe": 4, "simd": 4}}
    )

    assert between(graph) == ["x.to6", "fc1.output.to10"]
    assert cycles.interval(graph) == 12  # the input comes value by value
    design = backends.render("verilog", graph)
    assert [(s.lanes, s.vector, s.zeros) for s in design.streams if s.name.startswith("sign0")] == [
        (4, 10, True),
        (4, 10, True),
    ]
    assert design.output.lanes == 10


def test_padding_that_must_be_0_is_compared() -> None:
    graph = streamed(
        mlp(12, 10, 10), {"fc0": {"pe": 4, "simd": 6}, "sign0": {"pe": 4}, "fc1": {"pe": 4, "simd": 4}}
    )
    design = backends.render("verilog", graph)
    *rest, last = design.files["sign0.thresholds.hex"].split()
    half = int(last, 16) & (1 << 2 * len(last)) - 1  # the last two of the four lanes fire always
    wrong = {**design.files, "sign0.thresholds.hex": "\n".join([*rest, f"{half:0{len(last)}x}", ""])}

    run = simulate.simulate(
        replace(design, files=wrong), graph, random_frames(graph, 2), cycles.cycles(graph)
    )

    assert str(run.mismatches["sign0"]) == "stream 'sign0': frame 0: the padding of a beat is not 0"
    assert run.mismatches["fc0"] is None


BEATS = [Beats(1), Beats(2), Beats(5), Beats(10), Beats(30)]
BEATS += [Beats(lanes, 10, zeros) for lanes in (3, 4, 6) for zeros in (False, True)]
BEATS += [Beats(4, 30, True), Beats(2, 15, True)]


@pytest.mark.parametrize("want", BEATS)
@pytest.mark.parametrize("have", BEATS)
def test_converters_lead_from_any_beats_to_any_others(have: Beats, want: Beats) -> None:
    ops = converters.between(have, want, fifo=True)

    now = have
    for op in ops:
        taken, given = op.beats()
        assert now.serves(taken)
        assert isinstance(op, Fifo) or op.infer(Tensor((60,), BIPOLAR)).size == 60
        assert op.interval(Tensor((60,), BIPOLAR)) <= max(have.count(60), want.count(60))
        now = given
    assert now.serves(want)
    assert all(not op.beats()[1].vector for op in converters.to_output(have, fifo=False)[-1:])


def dividing(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (matvec, pixelwise):
        monkeypatch.setattr(module, "worthwhile", lambda n: folds.divisors(n))


@pytest.mark.parametrize(
    ("widths", "period", "saved"), [((100, 100, 100, 100), 340, 0.1), ((784, 100, 100, 10), 340, 0.05)]
)
def test_the_search_takes_what_does_not_divide_where_that_is_cheaper(
    widths: tuple[int, ...], period: int, saved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, device = mlp(*widths), devices.device("ecp5-85k")
    found = FoldingSpace(graph, device).least(period)
    folded = graph.map_ops(found.ops)
    dividing(monkeypatch)
    divided = FoldingSpace(graph, device).least(period)

    assert found.proved
    assert divided.proved
    assert found.price < (1 - saved) * divided.price
    units = [n.op for n in folded if isinstance(n.op, Xnor)]
    assert any(u.mw % u.simd or u.mh % u.pe for u in units)
    streamed_graph = connect.connect(folded)
    assert cycles.interval(streamed_graph) <= period
    check(streamed_graph, "verilog")


@pytest.mark.parametrize("n", [1, 2, 7, 10, 100, 576, 1000])
def test_what_the_search_is_offered(n: int) -> None:
    every = folds.fold_sizes(n)

    assert {math.ceil(n / size) for size in every} == {math.ceil(n / f) for f in range(1, n + 1)}
    assert set(folds.divisors(n)) <= set(folds.worthwhile(n)) <= set(every)


def test_a_folding_with_idle_lanes_is_refused() -> None:
    graph = mlp(12, 10, 10)

    with pytest.raises(FoldingError) as refused:
        search.for_rate(graph, 100, LARGE, {"fc0": {"pe": 7}})

    assert (
        str(refused.value) == "layer 'fc0': pe=7 takes as many folds as 5 does; use one of 1, 2, 3, 4, 5, 10"
    )
