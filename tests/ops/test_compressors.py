"""Plans of compressors: what they may cost, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.ir import BIPOLAR, Ints, Tensor
from bnn2hw.ops import Xnor
from bnn2hw.ops.base import compressor_plans
from bnn2hw.ops.base.compressors import Plan
from bnn2hw.targets import families

WIDTHS = (*range(3, 25), 31, 32, 33, 48, 63, 64, 100, 128)


def plan(lanes: int) -> Plan:
    found = compressor_plans.plan(lanes)
    assert found
    return found


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_plan_ends_in_two_rows_and_in_time(lanes: int) -> None:
    found = plan(lanes)

    assert found.levels <= (lanes - 1).bit_length() - 1  # the levels of a tree
    assert found.heights[-1][0] <= 3
    assert max(found.heights[-1][1:]) <= 2


@pytest.mark.parametrize(("lanes", "luts"), [(16, 10), (32, 25), (64, 48), (128, 98)])
def test_plans_are_as_cheap_as_they_were_found_once(lanes: int, luts: int) -> None:
    assert plan(lanes).luts <= luts


@pytest.mark.parametrize("lanes", [65, 72, 100, 144, 200])
def test_plans_of_many_lanes_take_what_is_expected(lanes: int) -> None:
    expected, found = compressor_plans.expected(lanes), plan(lanes)

    assert expected.luts == pytest.approx(found.luts, rel=0.05)
    assert expected.ffs == pytest.approx(found.ffs, rel=0.15)
    assert abs(expected.levels - found.levels) <= 2


@pytest.mark.parametrize("lanes", WIDTHS)
def test_every_bit_is_taken_once(lanes: int) -> None:
    found = plan(lanes)
    for level, below, heights in zip(found.drawn, found.heights[:-1], found.heights[1:], strict=True):
        takes = [wire for placed in level.placed for wire in placed.takes] + [kept for _, kept in level.kept]
        makes = [wire for placed in level.placed for wire in placed.makes] + [made for made, _ in level.kept]
        for wires, number, bits in ((takes, level.number - 1, below), (makes, level.number, heights)):
            named = [(w.level, w.column, w.first + i) for w in wires for i in range(w.count)]
            assert sorted(named) == [(number, c, i) for c, height in enumerate(bits) for i in range(height)]


def test_units_with_constant_weights_or_inputs_of_zero_have_no_rows() -> None:
    weights = np.ones((24, 6), np.int8)
    ternary = Tensor((2, 24), Ints(-1, 1))

    assert "rows" in Xnor(weights, pe=2, simd=6).shapes(Tensor((2, 24), BIPOLAR))
    assert "rows" not in Xnor(weights, pe=6, simd=24).shapes(Tensor((2, 24), BIPOLAR))
    assert "rows" not in Xnor(weights, pe=2, simd=2).shapes(Tensor((2, 24), BIPOLAR))
    assert "rows" not in Xnor(weights, pe=2, simd=6).shapes(ternary)


def test_rows_are_cheaper_than_trees() -> None:
    own, tree = families.family("xilinx"), families.family("gowin")
    x = Tensor((2, 1024), BIPOLAR)
    for pe, simd in ((4, 4), (16, 16), (32, 64)):
        op = Xnor(np.ones((1024, 512), np.int8), pe=pe, simd=simd)
        assert op.cost(own, x).lut < 0.8 * op.cost(tree, x).lut
