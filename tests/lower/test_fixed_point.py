"""Fixed point: straight pieces, curves, and the ranges that calibration data let expect."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.lower.fixed_point import ANY, affine, spanning
from bnn2hw.lower.interpolate import TRUE_BITS, fixed_input, interpolation
from bnn2hw.lower.piecewise import bends, fit
from bnn2hw.lower.probe import Chain
from bnn2hw.ops import Affine, Interpolation, Table
from bnn2hw.ops.real import Pointwise
from tests.support import networks as net


def function(call: Callable[[Array], Array]) -> Pointwise:
    """Return an activation as an importer reads it."""
    return Pointwise(call, (1,), uniform=True)


def chain(call: Callable[[Array], Array], domain: Ints, scale: float) -> Chain:
    """Return a function of the integers of one channel."""
    ends = np.array([domain.lo]), np.array([domain.hi])
    return Chain((function(call),), Tensor((1,), domain, scale), (1,), *ends)


CURVES: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), -11, 12),
    "tanh": (np.tanh, -6, 6),
    "silu": (lambda x: x / (1 + np.exp(-x)), -12, 30),
    "exponential": (np.exp, -9, 3),
}


@pytest.mark.parametrize("name", CURVES)
def test_lines_follow_a_curve(name: str) -> None:
    call, low, high = CURVES[name]
    step, grid = fixed_input(low, high, 24)

    op = interpolation(function(call), grid, step, ANY, 24)

    assert op is not None
    assert grid.bits == 24
    x = np.random.default_rng(1).integers(grid.lo, grid.hi + 1, 200_000)
    wanted = call(x * step)
    off = np.abs(op.golden(x) * op.scale - wanted).max()
    # Half a step more for the rounding of the result, and a quarter for the rounding of bases and
    # slopes.
    assert off <= (wanted.max() - wanted.min()) * 2.0 ** -TRUE_BITS[0] + 0.75 * float(np.max(op.scale))


@pytest.mark.parametrize("call", [np.sign, lambda x: np.sin(5000 * x)], ids=["a jump", "too curved"])
def test_lines_are_not_forced_on_a_function(call: Callable[[Array], Array]) -> None:
    step, grid = fixed_input(-3, 3, 24)

    assert interpolation(function(call), grid, step, ANY, 24) is None


def test_a_step_that_fits_a_range_takes_no_bit_more() -> None:
    """Another bit would double the table.

    A range whose ends fall between two floats must not cause it.
    """
    rng = np.random.default_rng(2)
    for low, high in zip(-rng.uniform(0.1, 9, 500), rng.uniform(0.1, 9, 500), strict=True):
        step, grid = fixed_input(low, high, 14)

        assert grid.bits == 14
        assert spanning(np.array(low), np.array(high), np.array(step)) == grid


@pytest.mark.parametrize(("bits", "kind"), [(24, Interpolation), (12, Table)])
def test_a_curve_is_lines_where_a_table_is_too_coarse(bits: int, kind: type) -> None:
    model = net.chain(
        (16,),
        net.dense(8, input_quantizer=None),
        layers.BatchNormalization(name="norm"),
        layers.Activation("sigmoid", name="gate"),
        layers.Dense(3),
    )
    rng = np.random.default_rng(3)
    ones = np.ones(8)
    model.get_layer("norm").set_weights(
        [rng.uniform(1, 2, 8), rng.uniform(-1, 1, 8), rng.uniform(-2, 2, 8), 4 * ones]
    )
    x = rng.integers(0, 256, (40, 16)).astype(np.uint8)

    made = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255), calibration=x, bits=bits)

    assert [type(n.op) for n in made.graph if isinstance(n.op, Interpolation | Table)] == [kind]
    made.simulate(x[:6], stalls=0.3, seed=1).check()
    [gate] = [d for d in made.deviation(x) if d.edge.startswith("gate")]
    assert gate.largest < (3e-6 if kind is Interpolation else 4e-3)


def bent(x: Array) -> Array:
    """A slope that changes at 1/3, with float32 rounding."""
    return np.asarray(np.where(x < 1 / 3, 0.25 * x, x - 0.25), np.float32)


def test_a_bend_is_found_where_lines_cross() -> None:
    """The tolerance for rounding must not let a piece run past its bend, which would tilt it."""
    step, grid = fixed_input(-8, 8, 24)

    pieces = fit(chain(bent, grid, step), np.array([16 * 2.0**-20]))

    assert pieces is not None
    assert pieces.cuts.shape == (1, 1)
    assert pieces.slopes[0] == pytest.approx([0.25 * step, step], rel=1e-6)
    assert pieces.cuts[0, 0] * step == pytest.approx(1 / 3, abs=4e-6)
    assert pieces.error[0] < 2e-6


def test_pieces_reach_to_the_ends_of_their_domain() -> None:
    """If the range ended before the last integers, their results would be clamped."""
    step, grid = fixed_input(-8, 8, 24)

    pieces = fit(chain(bent, grid, step), np.array([2.0**-20]))

    assert pieces is not None
    assert pieces.lowest[0] == pytest.approx(0.25 * grid.lo * step, rel=1e-7)
    assert pieces.highest[0] == pytest.approx(grid.hi * step - 0.25, rel=1e-7)


def test_a_steep_function_is_as_fine_as_its_results_are_wide() -> None:
    """If most results are clamped, the slope must be exact over the other integers only."""
    grid = Ints(-(2**40), 2**40 - 1)
    whole = chain(lambda x: np.asarray(1000 * x + 3, np.float32), grid, 2.0**-30)

    useful = whole.within(np.array(-1.0), np.array(1.0))
    pieces = fit(useful, np.array([2.0**-20]))

    assert useful.low[0] < -(4 / 1000) * 2**30 < useful.low[0] / 2 + useful.high[0]
    assert pieces is not None
    op, error = affine(useful, pieces, np.array([2.0**-22]), Ints(-(2**22), 2**22 - 1))
    assert isinstance(op, Affine)
    assert error < 2.0**-20
    x = np.random.default_rng(4).integers(int(useful.low[0]), int(useful.high[0]), (1000, 1))
    wanted = np.clip(1000 * x * 2.0**-30 + 3, -1, 1 - 2.0**-22)
    assert np.abs(op.golden(x) * 2.0**-22 - wanted).max() <= error + 4 * 2.0**-24  # float32 of values to 4


def test_values_beyond_those_seen_are_not_clamped() -> None:
    """A layer with few values per image shows only a part of its range in calibration data."""
    keras.utils.set_random_seed(1)
    model = net.chain(
        (12,), layers.Dense(6, name="mix"), layers.ReLU(name="relu"), net.dense(3, input_quantizer=None)
    )
    rng = np.random.default_rng(5)
    x = np.clip(rng.normal(128, 30, (5000, 12)), 0, 255).astype(np.uint8)

    made = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255), calibration=x[:32], bits=20)

    [relu] = [d for d in made.deviation(x) if d.edge.startswith("relu")]
    assert relu.largest < 1e-4


def test_points_that_no_line_follows() -> None:
    steps = np.tile(np.arange(0, 65, 8)[:, None], 2)
    line, tolerance = 3.0 * steps + 1, np.array([0.5, 0.5])
    noise = np.where(np.arange(len(steps))[:, None] % 2, 0.5, -0.5)
    assert not bends(steps, line, tolerance)
    assert not bends(steps, line + noise, tolerance), "a line within the tolerance of all points"
    bent = line.copy()
    bent[4, 1] += 1.1
    assert bends(steps, bent, tolerance)


def test_negative_steps_span_the_same_range() -> None:
    low, high = np.array([-3.0]), np.array([7.0])

    assert spanning(low, high, np.array([0.5])) == Ints(-6, 14)
    assert spanning(low, high, np.array([-0.5])) == Ints(-14, 6)
