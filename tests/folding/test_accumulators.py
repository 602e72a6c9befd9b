"""Accumulators in DSP blocks: chosen where LUTs are scarce or by hand, and refused with the reason where they cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.dataflow import connect
from bnn2hw.errors import Bnn2hwError, FoldingError
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.folding.options import FoldingPoint
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import BIPOLAR, Cost, Graph, HardwareOp, Ints, Tensor
from bnn2hw.ops import Xnor
from bnn2hw.targets import devices, families
from bnn2hw.targets.devices import Device
from tests.folding.test_search import all_foldings, fits, in_time, offered
from tests.support import alone, mlp
from tests.support import networks as net

DEVICE = devices.device("xc7z020")
ECP5 = devices.device("ecp5-85k")
MANY = Cost(1e6, 1e6, 1e6, 1e6)


def units(ops: dict[str, object]) -> list[Xnor]:
    return [op for op in ops.values() if isinstance(op, Xnor)]


def in_dsps(point: FoldingPoint | Graph) -> int:
    ops = {n.name: n.op for n in point} if isinstance(point, Graph) else dict(point.ops)
    return sum(op.accumulators == "dsp" for op in units(ops))


def both(op: HardwareOp, x: tuple[Tensor, ...]) -> list[HardwareOp]:
    each = offered(op, x)
    return [way for o in each for way in (o.with_accumulators(x[0]) if isinstance(o, Xnor) else [o])]


def test_they_stay_in_luts_while_there_are_enough() -> None:
    for period in (16, 64, 400):
        found = FoldingSpace(mlp(96, 24, 10), DEVICE).least(period, Cost(DEVICE.lut, DEVICE.ff, 100, 100))

        assert in_dsps(found) == 0
        assert found.cost.dsp == 0


def test_where_luts_are_scarce_the_cheapest_folding_of_all_is_found() -> None:
    graph = mlp(12, 4, 2)
    every = all_foldings(graph, DEVICE, both)
    space, took = FoldingSpace(graph, DEVICE), 0
    for period in (4, 6, 12):
        free = space.least(period)
        for share in (0.97, 0.9, 0.8):
            room = replace(MANY, lut=share * free.cost.lut, dsp=2)
            least = min((f.price for f in in_time(every, period) if fits(f.cost, room)), default=None)

            found = space.least(period, room)

            assert (found and found.price) == (least and pytest.approx(least, rel=1e-9))
            took += bool(found) and in_dsps(found) > 0
            assert found is None or found.cost.dsp == found.total[3] <= 2
    assert took > 1


def test_a_device_holds_a_faster_design_with_them() -> None:
    graph = mlp(96, 24, 10)
    small = replace(DEVICE, lut=1200)

    with_blocks = search.for_device(graph, small)
    without = search.for_device(graph, small, dsps=False)

    assert in_dsps(with_blocks) > 0
    assert in_dsps(without) == 0
    assert cycles.interval(with_blocks) < cycles.interval(without)


def test_a_latency_and_a_rate_that_luts_alone_do_not_reach_are_reached_with_them() -> None:
    graph, small, fps = mlp(96, 24, 10), replace(DEVICE, lut=780), DEVICE.clock_mhz * 1e6 / 3
    with pytest.raises(FoldingError, match="the design is predicted to need"):
        search.in_time(graph, small, 1000, fps, dsps=False)

    found = search.in_time(graph, small, 1000, fps)

    assert cycles.latency(connect.connect(found)) <= 1000
    assert in_dsps(found) > 0


def test_by_hand_alone_the_search_chooses_the_sizes() -> None:
    graph, fps = mlp(96, 24, 10), DEVICE.clock_mhz * 1e6 / 60
    folded = search.chosen(graph, DEVICE, fps, {"fc0": {"accumulators": "dsp"}})

    assert cycles.interval(folded) <= 60
    assert in_dsps(folded) == 1
    own = search.of(connect.connect(folded))
    assert own["fc0"]["accumulators"] == "dsp"
    assert "accumulators" not in own["fc1"]
    assert search.of(search.for_rate(graph, 2000, DEVICE, own)) == own


def test_by_hand_with_a_size_and_never_beside_luts() -> None:
    graph, scarce = mlp(96, 24, 10), replace(DEVICE, lut=1500)
    folded = search.for_rate(graph, 200, DEVICE, {"fc0": {"pe": 4, "accumulators": "dsp"}})
    kept = search.for_device(graph, scarce, {f"fc{i}": {"accumulators": "lut"} for i in range(2)})

    assert search.of(folded)["fc0"].items() >= {"pe": 4, "accumulators": "dsp"}.items()
    assert in_dsps(kept) == 0


WRONG = [
    (
        {"pe": 4, "simd": 2},
        "pe=4, simd=2, accumulators=dsp do not go together; the unit needs .* three synapses",
    ),
    ({"pe": 24, "simd": 96}, ".* do not go together; the unit needs at least two folds"),
    ({"pe": 7}, "pe=7 takes as many folds as 6 does"),
]


@pytest.mark.parametrize(("sizes", "told"), WRONG)
def test_foldings_that_have_none_are_refused(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(FoldingError, match=f"layer 'fc0': {told}"):
        search.for_rate(mlp(96, 24, 10), 400, DEVICE, {"fc0": {**sizes, "accumulators": "dsp"}})


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(FoldingError, match="accumulators='bram' is not known; use one of dsp, lut"):
        search.for_rate(mlp(96, 24, 10), 400, DEVICE, {"fc0": {"accumulators": "bram"}})
    with pytest.raises(FoldingError, match=r"accumulators='bram' is not known; use one of lut$"):
        search.for_rate(mlp(96, 24, 10), 400, ECP5, {"fc0": {"accumulators": "bram"}})


@pytest.mark.parametrize(("device", "knobs"), [(DEVICE, "pe, simd, accumulators"), (ECP5, "pe, simd")])
def test_a_misspelt_knob_is_told_those_of_the_family(device: Device, knobs: str) -> None:
    with pytest.raises(FoldingError, match=f"has no 'accumulator'; it has {knobs}$"):
        search.for_rate(mlp(96, 24, 10), 400, device, {"fc0": {"accumulator": "dsp"}})


def test_a_family_that_shares_forms_draws_only_those_with_its_cells() -> None:
    unit = Xnor(np.ones((96, 8), np.int8), pe=8, simd=8, accumulators="dsp")
    graph, whole = alone(unit, Tensor((96,), BIPOLAR)), families.family("xilinx")

    drawn = verilog.render(graph, family=whole)
    left = verilog.render(graph, family=replace(whole, dsp_accumulators=False))

    assert "DSP48E1 #" in drawn.files["bnn2hw_accumulator_bank.sv"]
    assert "bnn2hw_accumulator_bank.sv" not in left.files
    assert not any("DSP48E1 #" in text for text in left.files.values())


def test_a_device_without_them_is_refused_by_name() -> None:
    with pytest.raises(
        FoldingError, match=r"layer 'fc0': accumulators='dsp' is not possible on ecp5-85k: .*use 'lut'"
    ):
        search.for_rate(mlp(96, 24, 10), 400, ECP5, {"fc0": {"accumulators": "dsp"}})


@pytest.mark.parametrize(
    ("mw", "x", "told"),
    [
        (18, Ints(-1, 1), "the inputs are .*, and only sums of ±1 are counted as rows"),
        (2**23, BIPOLAR, "8,388,608 synapses are too many for adders of 24 bits"),
        (2, BIPOLAR, "the unit needs at least two folds and three synapses in parallel"),
    ],
)
def test_units_that_have_none_say_why(mw: int, x: Ints, told: str) -> None:
    unit = Xnor(np.ones((mw, 2), np.int8))
    graph = alone(unit, Tensor((mw,), x))

    with pytest.raises(
        FoldingError, match=f"layer 'y': accumulators='dsp' is not possible: {told}; use one of lut"
    ):
        search.for_rate(graph, 2**30, DEVICE, {"y": {"accumulators": "dsp"}})
    with pytest.raises(ValueError, match="accumulators='dsp' is not possible"):
        replace(unit, accumulators="dsp").infer(Tensor((mw,), x))


def test_an_op_with_another_place_is_refused() -> None:
    with pytest.raises(ValueError, match="accumulators='uram' must be one of lut, dsp"):
        Xnor(np.ones((8, 2), np.int8), accumulators="uram").infer(Tensor((8,), BIPOLAR))


def test_blocks_hold_four_sums_or_two() -> None:
    def blocks(mw: int, pe: int, simd: int) -> float:
        unit = Xnor(np.ones((mw, 20), np.int8), pe=pe, simd=simd, accumulators="dsp")
        return unit.cost(DEVICE.family, Tensor((mw,), BIPOLAR)).dsp

    assert [blocks(4095, pe, 16) for pe in (1, 4, 5, 20)] == [1, 1, 2, 5]
    assert [blocks(4096, pe, 16) for pe in (1, 4, 5, 20)] == [1, 2, 3, 10]
    assert blocks(4085, 4, 19) == 2  # 19 lanes leave a third bit in column 0, for which 12 bits have no room


def test_another_backend_has_none() -> None:
    model = net.chain(
        (96,), net.dense(24, name="fc", input_quantizer=None), net.norm(), net.dense(10, name="out")
    )
    hand = {"out": {"accumulators": "dsp"}}

    with pytest.raises(
        Bnn2hwError, match="layer 'out': accumulators='dsp' needs the backend 'verilog', not 'hls'"
    ):
        bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), target="xc7z020", backend="hls", folding=hand)


def test_a_design_with_them_says_so_and_counts_right() -> None:
    model = net.chain((96,), net.dense(24, name="fc"), net.norm(), net.dense(10, name="out"))
    hand = {"fc": {"pe": 6, "simd": 16, "accumulators": "dsp"}}
    wire = bnn2hw.Input("bipolar")

    made = bnn2hw.compile(model, input=wire, target="xc7z020", folding=hand)
    run = made.simulate(np.random.default_rng(0).choice(wire.ints.values(), (4, 96)), stalls=0.3)

    assert made.folding()["fc"] == hand["fc"]
    assert "accumulators" in str(made)
    assert "bnn2hw_accumulator_bank.sv" in made.design.files
    assert made.estimate().cost.dsp == 2
    run.check()
