"""Heads: sums of groups are counted without a table, for the class and as scores, in every cycle."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import nn
from bnn2hw.folding import unroll
from bnn2hw.ir import Ints
from bnn2hw.lower.scores import straight
from bnn2hw.ops import Affine, Lut, Table, TopK, Unrolled
from bnn2hw.targets import devices
from tests.support import networks as net

FRAMES = np.random.default_rng(0).choice([-1, 1], (300, 40))


def head(bias: tuple[float, ...] = (), softmax: bool = True) -> keras.Model:
    sums = nn.layers.GroupSum(5, scale=0.37, use_bias=bool(bias), name="classes")
    inner = [nn.layers.GatheredDense(50, 6, name="one"), keras.layers.Activation("ste_sign")]
    last = [keras.layers.Activation("softmax")] if softmax else []
    model = keras.Sequential([keras.Input((40,)), *inner, sums, *last])
    if bias:
        sums.bias.assign(bias)
    return model


def kinds(accelerator: bnn2hw.Accelerator) -> set[type]:
    return {type(n.op) for n in accelerator.graph}


@pytest.mark.parametrize("bias", [(), (0.0, 3.2, -2.0, 7.0, 1.0)])
def test_classes_and_scores_of_sums_need_no_table(bias: tuple[float, ...]) -> None:
    wire = bnn2hw.Input("bipolar")
    by_class, plain = head(bias), head(bias, softmax=False)
    plain.set_weights(by_class.get_weights())
    expected = net.said(plain, FRAMES)

    classes = bnn2hw.compile(by_class, input=wire, target="xc7z045")
    scores = bnn2hw.compile(plain, input=wire, target="xc7z045")

    assert np.array_equal(classes.predict(FRAMES), expected.argmax(1))
    np.testing.assert_allclose(scores.predict(FRAMES), expected, rtol=1e-5, atol=1e-5)
    assert scores.fidelity["classes"].kind == "exact"
    for made in (classes, scores):
        assert Unrolled in kinds(made)
        assert Table not in kinds(made)
        assert (Affine in kinds(made)) == bool(bias)
        assert made.estimate().cycles.interval == 1
        assert unroll.folding(made.graph)["classes"] == {"style": "unrolled"}


def test_counters_follow_tables_without_a_fifo() -> None:
    device = devices.device("gw2ar-18")  # its form is the portable one, whose simulators compile fast
    wire, clock = bnn2hw.Input("bipolar"), device.clock_mhz * 1e6
    made = bnn2hw.compile(head((0.0, 3.2, -2.0, 7.0, 1.0)), input=wire, target=device.name, fps=clock)
    kinds_in_order = [type(n.op) for n in made.graph]

    run = made.simulate(FRAMES[:40])

    run.check()
    assert kinds_in_order[1:3] == [Lut, Unrolled]
    assert (run.interval, run.latency) == (1, made.estimate().cycles.latency)


def test_the_best_classes_leave_in_every_cycle() -> None:
    device = devices.device("gw2ar-18")
    wire, clock = bnn2hw.Input("bipolar"), device.clock_mhz * 1e6
    model = head()
    made = bnn2hw.compile(model, input=wire, target=device.name, fps=clock, output="top2")

    run = made.simulate(FRAMES[:40], stalls=0.2)

    run.check()
    assert [n.op.lanes for n in made.graph if isinstance(n.op, TopK)] == [5]
    assert made.estimate().cycles.interval == 1
    best = np.argsort(-net.said(model, FRAMES), axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(made.golden(FRAMES), best)


def test_a_slow_design_keeps_a_unit() -> None:
    model = keras.Sequential([keras.Input((2000,)), nn.layers.GroupSum(5)])

    made = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), fps=1000)

    assert Unrolled not in kinds(made)


VALUES = np.arange(11)[:, None] * 0.25


@pytest.mark.parametrize(
    ("values", "factor", "biases"),
    [
        (VALUES + np.array([0.5, 0.5]), 1, [0, 0]),
        (VALUES + np.array([0.5, -0.25]), 1, [3, 0]),
        (VALUES + np.array([0.0, 0.125]), 2, [0, 1]),
    ],
)
def test_lines_of_one_slope_are_the_integers(values: np.ndarray, factor: int, biases: list[int]) -> None:
    found = straight(values, Ints(0, 10))

    assert found is not None
    assert (found.factor, found.biases.tolist()) == (factor, biases)
    assert found.relabels == (biases == [0, 0])
    assert found.table.distance(values).max() < 1e-12


@pytest.mark.parametrize(
    "values",
    [
        -VALUES,
        VALUES * np.array([1.0, 1.1]),
        VALUES + np.array([0.0, 0.1]),
        VALUES**2,
        np.round(VALUES.astype(np.float32) * 1e-9 + 1, 5),
    ],
)
def test_other_scores_keep_their_table(values: np.ndarray) -> None:
    assert straight(values, Ints(0, 10)) is None
