"""No value of a design is farther from the model than its derived bound, and no bound is idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import error_bounds, golden, pipeline
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers.imported import Imported
from bnn2hw.ir import Array
from bnn2hw.ops.real import Pointwise, RealOp
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
BOARD = "xc7z045"
IMAGE = (6, 6, 2)


def conv(x: keras.KerasTensor, **options: object) -> keras.KerasTensor:
    return layers.Conv2D(4, 3, padding="same", **options)(x)


Build = Callable[[keras.KerasTensor], keras.KerasTensor]

MODELS: dict[str, Build] = {
    "dense": lambda x: layers.Dense(5)(layers.Dense(8, activation="relu")(layers.Flatten()(x))),
    "depthwise, average": lambda x: layers.AveragePooling2D(2)(layers.DepthwiseConv2D(3)(conv(x))),
    "curves": lambda x: layers.Dense(3, activation="sigmoid")(conv(x, activation="tanh")),
    "sum": lambda x: layers.Add()([conv(x), conv(x, activation="relu")]),
    "product": lambda x: layers.Dense(3)(layers.Multiply()([conv(x), conv(x)])),
    "concatenation": lambda x: layers.Dense(3)(layers.Concatenate()([conv(x), conv(x) * 40.0])),
    "extremes": lambda x: layers.Maximum()([conv(x), layers.Minimum()([conv(x), conv(x)])]),
    "pool, norm": lambda x: net.norm()(layers.Flatten()(layers.MaxPooling2D(2)(conv(x)))),
    "volume": lambda x: layers.Conv3D(2, (3, 3, 2))(layers.Reshape((8, 8, 2, 1))(layers.ZeroPadding2D(1)(x))),
}


def model_of(build: Build) -> keras.Model:
    x = keras.Input(IMAGE, name="image")
    return net.shake(keras.Model(x, build(x)))


@pytest.mark.parametrize("bits", [10, None])
@pytest.mark.parametrize("name", MODELS)
def test_values_are_within_their_bounds_which_are_not_idle(name: str, bits: int | None) -> None:
    accelerator = bnn2hw.compile(
        model_of(MODELS[name]), input=PIXELS, target=BOARD, bits=bits, output="scores"
    )
    x = np.random.default_rng(1).integers(0, 256, (20, *IMAGE))

    found = accelerator.deviation(x)

    assert sum(d.beyond for d in found) == 0
    assert 0 < found[-1].steady <= (found[-1].bound or 0) < 200 * found[-1].steady
    assert f"rounding explains {list(accelerator.measured.values())[-1].bound:.2g}" in str(accelerator)


def imported(model: keras.Model) -> tuple[Imported, dict[str, Array]]:
    """The model as it is read, and random real inputs."""
    x = np.random.default_rng(2).normal(size=(4, *IMAGE)).astype(np.float32)
    return pipeline.read(model), {"image": x}


@pytest.mark.parametrize("name", MODELS)
def test_errors_that_are_put_in_come_out_within_the_bound(name: str) -> None:
    """Each function of single values, and the first op, is moved by a known amount at random."""
    read, inputs = imported(model_of(MODELS[name]))
    graph, rng = read.graph, np.random.default_rng(3)
    nodes = [n.name for n in graph if isinstance(n.op, Pointwise)] or [graph.nodes[1].name]
    moved = graph.map_ops({name: noisy(graph[name].op, rng) for name in nodes})

    right, wrong = golden.run(graph, inputs), golden.run(moved, inputs)
    rounding = error_bounds.Rounding(own={name: np.array([NOISE]) for name in nodes})
    bounds = error_bounds.bounds(graph, right, rounding)

    [end] = graph.outputs
    off = error_bounds.by_channel(np.abs(right[end] - wrong[end]).astype(np.float64))
    assert np.all(off <= bounds[end].free)
    assert off.max() > NOISE / 10
    assert bounds[end].free.max() < 300 * off.max()
    assert np.array_equal(bounds[end].free, bounds[end].held)


NOISE = 1e-3


def noisy(op: RealOp, rng: np.random.Generator) -> RealOp:
    apply = op.apply
    return replace(
        op, apply=lambda x: apply(x) + rng.uniform(-NOISE, NOISE, apply(x).shape).astype(np.float32)
    )


def test_an_op_without_a_rule_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    read, inputs = imported(model_of(MODELS["dense"]))
    values = golden.run(read.graph, inputs)
    monkeypatch.delitem(error_bounds.RULES, Pointwise)

    bounds = error_bounds.bounds(read.graph, values)

    assert np.isinf(bounds[read.graph.outputs[0]].free).all()


class Scaled(keras.Sequential):
    """A model whose layers say nothing of a factor that float32 does not explain."""

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> object:
        return 1.00005 * super().call(inputs, training=training)


def test_a_model_that_is_off_by_little_is_refused_too() -> None:
    inner = Scaled([keras.Input((8,)), layers.Dense(4), layers.ReLU()], name="inner")
    model = net.chain((8,), inner, layers.Dense(3, name="last"))

    with pytest.raises(
        UnsupportedError, match=r"'last': the model as a whole .* float32 rounding explains \d"
    ):
        bnn2hw.compile(model, input=PIXELS, target=BOARD)


def test_integers_that_stand_for_a_negated_result_are_negated_once() -> None:
    """A unit whose weights are negated gives the result itself; a sum then reads it in other steps."""
    x = keras.Input((8,), name="image")
    minus = layers.Subtract()([layers.Dense(3)(x), net.dense(3)(layers.Activation("ste_sign")(x - 0.5))])
    accelerator = bnn2hw.compile(
        net.shake(keras.Model(x, minus)), input=PIXELS, target=BOARD, output="scores"
    )

    assert max(d.share for d in accelerator.measured.values()) < 1e-5
