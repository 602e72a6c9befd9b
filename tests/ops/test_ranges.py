"""The ranges that ops derive hold for their outputs, and the types hold for the ranges."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.ir import Array, HardwareOp, Ints, Ranges, Tensor, View
from bnn2hw.ops import Affine, Table, Threshold, Xnor
from tests.support import ops


def by_channel(values: Array) -> Ranges:
    return Ranges.spanning(values.reshape(-1, values.shape[-1]))


@pytest.mark.parametrize(("op", "x"), ops.examples())
def test_outputs_lie_in_the_ranges_that_follow_from_those_of_the_inputs(
    op: HardwareOp, x: tuple[Tensor, ...]
) -> None:
    rng = np.random.default_rng(0)
    y = op.infer(*x)
    for _ in range(3):
        # Each channel takes a few of its values only.
        few = [rng.choice(t.ints.values(), (3, t.channels)) for t in x]
        batch = [
            np.take_along_axis(f, rng.integers(0, 3, (8 * t.size // t.channels, t.channels)), 0)
            for f, t in zip(few, x, strict=True)
        ]
        given = [by_channel(b) for b in batch]
        out = op.golden(*(b.reshape(8, *t.shape) for b, t in zip(batch, x, strict=True)))

        found, made = op.ranges(x, given, y), by_channel(out)

        assert found.lo.shape == found.hi.shape == (y.channels,)
        assert np.all(found.lo <= made.lo)
        assert np.all(found.hi >= made.hi)
        assert np.all(found.lo >= y.ints.lo)
        assert np.all(found.hi <= y.ints.hi)


def test_ranges_are_as_narrow_as_channels_let_them_be() -> None:
    x, given = Tensor((2, 2), Ints(0, 9)), Ranges(np.array([0.0, 5.0]), np.array([1.0, 9.0]))
    signs = np.array([[1, -1], [1, 1]], np.int8)
    cases = {
        Xnor(signs): ([5, 4], [10, 9]),
        Threshold(np.array([[2], [2]])): ([-1, 1], [-1, 1]),
        Table(np.array([np.arange(10)[::-1]]), Ints(0, 9), Ints(0, 9)): ([8, 0], [9, 4]),
        Affine(np.array([[1, -1]]), np.array([[0, 14]]), np.array([[7]]), 0, Ints(-99, 99)): ([0, 5], [1, 7]),
        View((4,)): ([0, 5, 0, 5], [1, 9, 1, 9]),
        View((2, 2, 1)): ([0], [9]),
    }
    for op, (lo, hi) in cases.items():
        y = Tensor((2, 2), Ints(-99, 99)) if isinstance(op, Xnor) else op.infer(x)

        found = op.ranges([x], [given], y)

        assert found.lo.tolist() == lo
        assert found.hi.tolist() == hi
