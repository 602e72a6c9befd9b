"""Knobs say all that a folding changes."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from bnn2hw.ir import BIPOLAR, HardwareOp, StreamOp, Tensor
from bnn2hw.ops import SlidingWindow, Source, Threshold, Unrolled, Xnor
from tests.support import ops


def same(a: StreamOp, b: StreamOp, but: tuple[str, ...] = ()) -> bool:
    """A field that the class of one op lacks must have its default in the other."""
    names = {f.name: f.default for op in (a, b) for f in fields(op) if f.name not in but}
    return all(
        np.array_equal(*(getattr(op, name, default) for op in (a, b))) for name, default in names.items()
    )


@pytest.mark.parametrize(("op", "x"), ops.examples())
def test_foldings_differ_in_knobs_only_and_can_be_copied(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    assert set(op.knobs) <= {f.name for f in fields(op)}
    for folding in op.foldings(*x):
        assert same(folding, op, but=(*op.knobs, *folding.knobs))
        copied = op.folded_like(folding)
        assert type(copied) is type(folding)
        assert same(copied, folding)


def test_another_kind_of_op_has_no_folding_to_copy() -> None:
    threshold = Threshold(np.zeros((4, 1), int), pe=2)

    assert threshold.folded_like(SlidingWindow((2, 2), lanes=4)) is threshold
    assert SlidingWindow((2, 2)).folded_like(threshold).knobs == ("lanes",)


def test_who_reads_a_stream_without_a_fifo() -> None:
    x = Tensor((4,), BIPOLAR)
    unit, threshold = Xnor(np.ones((4, 4), np.int8)), Threshold(np.zeros((4, 1), int))

    assert Source(x).fuses(unit, same=False)
    assert unit.fuses(threshold, same=True)
    assert not unit.fuses(threshold, same=False)
    assert not unit.fuses(unit, same=True)
    assert not threshold.fuses(threshold, same=True)
    assert not Unrolled.of(unit).fuses(threshold, same=True)


def test_an_input_of_a_design_is_a_stream_like_others() -> None:
    source = Source(Tensor((3, 4), BIPOLAR), lanes=2)

    assert source.interval() == source.timing().interval == 6
    assert [s.lanes for s in source.foldings()] == [1, 2, 3, 4, 6, 12]
    assert source.beats()[1].count(12) == 6
    assert replace(source, lanes=1).folded_like(source).lanes == 2
    assert source.timing().asap().written.tolist() == [0, 1, 2, 3, 4, 5]
