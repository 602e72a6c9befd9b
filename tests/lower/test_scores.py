"""Scores have true values where they are the output, and the true order where a class is."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.lower import scores
from bnn2hw.lower.kernels import integer_kernel
from bnn2hw.lower.levels import uniform_levels
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")
ALL = np.array(list(itertools.product([-1, 1], repeat=10)))


def regression(shape: tuple[int, ...] = (10,)) -> keras.Model:
    """Three outputs whose ranges differ by five orders of magnitude."""
    first = net.dense(3) if len(shape) == 1 else net.conv(3, 2)
    model = net.chain(shape, first, layers.BatchNormalization(name="norm"))
    rng = np.random.default_rng(0)
    gains = np.array([1000, 0.01, 1], np.float32)
    shifts = rng.normal(0, [500, 0.01, 1]).astype(np.float32)
    model.get_layer("norm").set_weights([gains, shifts, rng.normal(0, 2, 3), rng.uniform(1, 9, 3)])
    return model


def distance(model: keras.Model, accelerator: bnn2hw.Accelerator, x: np.ndarray) -> np.ndarray:
    """The largest error of each output, as a share of its range."""
    found = accelerator.predict(x)
    expected = net.said(model, x.astype(np.float32))
    axes = tuple(range(expected.ndim - 1))
    return np.abs(found - expected).max(axes) / np.ptp(expected, axes)


@pytest.mark.parametrize(("bits", "share"), [(None, 2**-16), (24, 2**-22), (8, 2**-8)])
def test_every_output_is_as_true_as_asked_for(bits: int | None, share: float) -> None:
    model = regression()

    accelerator = bnn2hw.compile(model, input=SIGNS, bits=bits)

    assert np.all(distance(model, accelerator, ALL) <= share)
    assert (accelerator.fidelity["norm"].kind == "rounded") == (bits != 24)  # float32 has 24 bits itself


def test_more_bits_cost_more_wires() -> None:
    widths = [bnn2hw.compile(regression(), input=SIGNS, bits=b).output.ints.bits for b in (4, 8, 12)]

    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_without_bits_the_order_is_kept_too() -> None:
    model = net.chain((10,), net.dense(4), net.norm())

    found = bnn2hw.compile(model, input=SIGNS).golden(ALL)

    assert np.array_equal(found.argmax(1), net.said(model, ALL.astype(np.float32)).argmax(1))


def test_the_stated_error_holds_for_every_input() -> None:
    model = regression()
    accelerator = bnn2hw.compile(model, input=SIGNS, bits=10)

    stated = float(accelerator.fidelity["norm"].why.rsplit(" ", 1)[1])

    off = np.abs(accelerator.predict(ALL) - net.said(model, ALL.astype(np.float32)))
    assert 0 < off.max() <= stated * 1.05  # the words have two digits


def test_maps_are_true_too() -> None:
    model = regression((5, 5, 4))
    x = np.random.default_rng(1).choice([-1, 1], (40, 5, 5, 4))

    accelerator = bnn2hw.compile(model, input=SIGNS)

    assert np.all(distance(model, accelerator, x) <= 2**-15)


def test_labels_are_those_of_keras() -> None:
    model = net.chain((10,), net.dense(6), net.norm(), layers.Activation("sigmoid"))

    found = bnn2hw.compile(model, input=SIGNS).predict(ALL) > 0.5

    assert np.array_equal(found, net.said(model, ALL.astype(np.float32)) > 0.5)


@pytest.mark.parametrize("name", ["sigmoid", "elu", "softplus"])
def test_the_stated_error_of_a_curve_holds(name: str) -> None:
    model = net.chain((12,), layers.Dense(4), net.norm(), layers.Activation(name, name="curve"))
    x = np.random.default_rng(0).integers(0, 256, (300, 12))

    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255), output="scores")

    stated = float(accelerator.fidelity["curve"].why.split("off by at most ")[1].split()[0])
    off = np.abs(accelerator.predict(x) - net.said(model, (x / 255).astype(np.float32))).max()
    assert stated / 100 < off < 4 * stated  # the kernel before it is rounded too


def test_a_class_needs_the_order_only() -> None:
    model = net.chain((10,), net.dense(4), net.norm(), layers.Softmax(name="softmax"))

    by_class, by_score = (bnn2hw.compile(model, input=SIGNS, output=o) for o in ("class", "scores"))

    assert all(f.kind == "exact" for f in by_class.fidelity.values())
    assert by_score.fidelity["softmax"].why == "left out: the scores are the values in front of it"


def test_ranges_too_different_for_one_step_have_their_own() -> None:
    values = np.linspace(-1, 1, 9)[:, None] ** 3 * np.array([1e9, 1e-3]) + np.array([1.0, 1e-4])

    table = scores.table_of(values.astype(np.float32), "values", None, loadable=False, apart=True)

    assert isinstance(table.scale, tuple)
    assert np.all(table.distance(values).max(0) <= np.ptp(values, 0) * 2**-16)


def test_scores_of_many_values_get_the_bits_that_the_smallest_range_needs() -> None:
    """A table would be too large, so the scores are fixed point."""
    model = net.chain((2000,), net.dense(40), layers.BatchNormalization(name="norm"))
    gains = np.logspace(0, 3, 40).astype(np.float32)
    zero = np.zeros(40, np.float32)
    model.get_layer("norm").set_weights([gains, zero + 1, zero, zero + 1])
    x = np.random.default_rng(2).choice([-1, 1], (50, 2000))

    accelerator = bnn2hw.compile(model, input=SIGNS, target="xc7z045")

    low_high = 2 * 2000 * gains / np.sqrt(1.001)
    off = np.abs(accelerator.predict(x) - net.said(model, x.astype(np.float32))).max(0)
    assert np.all(off <= low_high * 2**-16)


@pytest.mark.parametrize("values", [[0, 1, 2.0001], [-1, 0.33335, 1], [1, 1 + 2e-5, 2]])
def test_values_beside_a_grid_are_not_taken_for_its_levels(values: list[float]) -> None:
    assert uniform_levels(np.array(values)) is None


@pytest.mark.parametrize("levels", [4, 16, 256])
def test_float32_levels_are_a_grid(levels: int) -> None:
    values = np.round(np.linspace(0, 1, levels) * (levels - 1)).astype(np.float32) / np.float32(levels - 1)

    grid = uniform_levels(values)

    assert grid is not None
    assert grid.type.count == levels


@pytest.mark.parametrize("kernel", [[[1.0], [0.33335]], [[1.0, 1.0], [0.5, 0.50002]]])
def test_weights_beside_a_grid_are_not_taken_for_integers(kernel: list[list[float]]) -> None:
    found = integer_kernel(np.array(kernel, np.float32))

    assert found is None or np.abs(found[0] * np.asarray(found[1]) - kernel).max() < 1e-6


@pytest.mark.parametrize("scale", [1.0, 0.1, [0.3, np.pi]])
@pytest.mark.parametrize("kernel", [[[-1, 3], [3, -1]], [[1, -2], [-2, -2]], [[2, 5], [8, 2]]])
def test_levels_that_leave_zero_out_are_integers(kernel: list[list[int]], scale: float | list[float]) -> None:
    flat = (np.array(kernel) * np.array(scale)).astype(np.float32)

    found = integer_kernel(flat)

    assert found is not None
    np.testing.assert_allclose(found[0] * np.asarray(found[1]), flat, rtol=1e-6)
    assert np.abs(found[0]).max() <= 20
