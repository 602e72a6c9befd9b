"""Whole networks: golden against Keras layer by layer, and Verilator against golden on every stream."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.backends import BACKENDS
from bnn2hw.estimate import cycles
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)


def always_one(x):
    return keras.ops.sign(x)  # 0 stays 0: a third value


def three_bits(x):
    return keras.ops.round(keras.ops.clip(x / 4, 0, 1) * 7) / 7


NETWORKS = {
    "tutorial": (lambda: net.tutorial_like(), PIXELS),
    "pool-before-and-after-norm": (
        lambda: net.chain(
            (9, 8, 2),
            net.conv(5, (3, 2), input_quantizer=None),
            net.norm(),
            keras.layers.MaxPooling2D((2, 1)),
            net.conv(4, 2, strides=(1, 2)),
            keras.layers.MaxPooling2D((1, 2)),
            net.norm(),
            keras.layers.Flatten(),
            net.dense(3),
            seed=1,
        ),
        PIXELS,
    ),
    "biases-and-activations": (
        lambda: net.chain(
            (20,),
            net.dense(11, use_bias=True),
            keras.layers.ReLU(),
            net.norm(),
            net.dense(7, use_bias=True, activation="tanh"),
            net.dense(4, use_bias=True),
            seed=2,
        ),
        bnn2hw.Input("bipolar"),
    ),
    "norm-after-flatten": (
        lambda: net.chain(
            (6, 6, 1),
            net.conv(3, input_quantizer=None),
            keras.layers.Flatten(),
            net.norm(),
            net.dense(4),
            seed=3,
        ),
        PIXELS,
    ),
    "class-of-a-flattened-image": (
        lambda: net.chain(
            (5, 6, 1),
            net.conv(4, input_quantizer=None),
            net.norm(),
            keras.layers.Flatten(),
            keras.layers.Softmax(),
            seed=8,
        ),
        PIXELS,
    ),
    "borders": (
        lambda: net.chain(
            (6, 5, 2),
            net.conv(4, padding="same", input_quantizer=None),
            net.norm(),
            net.conv(5, padding="same", pad_values=1.0, strides=2),
            net.norm(),
            net.conv(3, (2, 3), padding="same"),
            net.norm(),
            keras.layers.Flatten(),
            net.dense(4),
            seed=9,
        ),
        bnn2hw.Input("uint8", scale=1 / 255),
    ),
    "norm-after-pooled-and-flattened": (
        lambda: net.chain(
            (7, 6, 1),
            net.conv(3, input_quantizer=None),
            net.norm(),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            net.norm(),
            net.dense(4),
            seed=10,
        ),
        PIXELS,
    ),
    "sign-with-zero": (
        lambda: net.chain(
            (12,), net.dense(8), net.dense(6, input_quantizer=always_one), net.norm(), net.dense(3), seed=4
        ),
        bnn2hw.Input("bipolar"),
    ),
    "three-bit-activations": (
        lambda: net.chain(
            (10,),
            net.dense(9, input_quantizer=None),
            net.norm(),
            net.dense(5, input_quantizer=three_bits),
            net.norm(),
            net.dense(3),
            seed=5,
        ),
        bnn2hw.Input("int4"),
    ),
    "quantized-input": (
        lambda: net.chain((14,), net.dense(6), net.norm(), net.dense(3), seed=6),
        bnn2hw.Input("uint8", scale=1.0, offset=-127.5),
    ),
}


@cache
def compiled(name: str) -> tuple[keras.Model, bnn2hw.Accelerator]:
    make, wire = NETWORKS[name]
    model = make()
    return model, bnn2hw.compile(model, input=wire)


def frames(accelerator: bnn2hw.Accelerator, count: int) -> np.ndarray:
    values = accelerator.input.ints.values()
    return np.random.default_rng(7).choice(values, (count, *accelerator.input.shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_edge_equals_its_keras_layer(name: str) -> None:
    _, accelerator = compiled(name)

    for deviation in accelerator.deviation(frames(accelerator, 300)):
        assert deviation.different == 0, deviation


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_predict(name: str) -> None:
    model, accelerator = compiled(name)
    x = frames(accelerator, 300)
    expected = model.predict(accelerator.input.real(x).astype(np.float32), verbose=0)

    ours = accelerator.golden(x)

    if ours.ndim == 1:
        assert np.array_equal(ours, expected.argmax(1))
    else:
        assert np.allclose(
            accelerator.output.real(ours), expected, atol=np.max(accelerator.output.scale) * 0.51
        )
        assert np.array_equal(ours.argmax(1), expected.argmax(1))


# Ops alone and branches run in C++ elsewhere, so by default a few of the networks do.
@pytest.mark.parametrize(
    ("name", "backend"),
    [pytest.param(name, "verilog", id=f"{name}-verilog") for name in NETWORKS]
    + [
        pytest.param(name, backend, id=f"{name}-{backend}", marks=[pytest.mark.soak] if place >= 3 else [])
        for backend in BACKENDS
        if backend != "verilog"
        for place, name in enumerate(NETWORKS)
    ],
)
def test_hardware_is_exact_and_keeps_time(name: str, backend: str) -> None:
    accelerator = replace(compiled(name)[1], backend=backend)
    x = frames(accelerator, 10)

    smooth = accelerator.simulate(x)
    stalled = accelerator.simulate(x, stalls=0.3, seed=1)

    smooth.check()
    stalled.check()
    assert np.array_equal(smooth.outputs.reshape(10, -1), accelerator.golden(x).reshape(10, -1))
    if backend != "hls":  # where there is no clock
        predicted = smooth.predicted
        assert (smooth.interval, smooth.latency) == (predicted.interval, predicted.latency)


def test_a_rescaling_layer_says_what_arrives() -> None:
    layers = [net.dense(5, input_quantizer=None), net.norm(), net.dense(3)]
    model = net.shake(keras.Sequential([keras.Input((6,)), keras.layers.Rescaling(1 / 127.5, -1.0), *layers]))

    accelerator = bnn2hw.compile(model)
    x = frames(accelerator, 50)

    assert (accelerator.input.ints.lo, accelerator.input.ints.hi) == (0, 255)
    assert np.array_equal(
        accelerator.golden(x).argmax(1), model.predict(x.astype(np.float32), verbose=0).argmax(1)
    )
    assert np.array_equal(accelerator.golden(x.astype(np.float32)), accelerator.golden(x))


def test_floats_in_the_models_unit_are_taken() -> None:
    _, accelerator = compiled("tutorial")
    x = frames(accelerator, 20)

    assert np.array_equal(accelerator.golden((x / 127.5 - 1).astype(np.float32)), accelerator.golden(x))


def test_scores_on_request() -> None:
    model, by_class = compiled("tutorial")
    x = frames(by_class, 100)

    scores = bnn2hw.compile(model, input=PIXELS, output="scores").golden(x)

    assert scores.shape == (100, 5)
    assert np.array_equal(scores.argmax(1), by_class.golden(x))


@pytest.mark.parametrize("fps", [1e5, 5e5, 1e6])
def test_a_rate_is_reached_and_held(fps: float) -> None:
    model, _ = compiled("biases-and-activations")
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), fps=fps, target="ecp5-45k")

    run = accelerator.simulate(frames(accelerator, 12))

    run.check()
    assert accelerator.estimate().fps >= fps
    assert run.interval == cycles.interval(accelerator.graph)


@pytest.mark.parametrize(
    ("target", "cell"),
    [
        ("ecp5-85k", "CCU2C"),
        pytest.param("xc7z020", "CARRY4", marks=pytest.mark.soak),
        ("xczu5ev", "CARRY8"),
    ],
)
def test_carry_cells_give_what_the_portable_adders_give(target: str, cell: str) -> None:
    accelerator = bnn2hw.compile(net.tutorial_like(), input=PIXELS, target=target, fps=200_000)
    x = frames(accelerator, 4)

    portable, cells = accelerator.simulate(x), accelerator.simulate(x, cells=True)

    for run in (portable, cells):
        run.check()
    assert f"{cell}.sv" in accelerator.design.simulated(cells=True)
    assert not any(cell in text for text in accelerator.design.simulated().values())
    assert portable.frame_ends == cells.frame_ends


def test_folding_by_hand() -> None:
    model, _ = compiled("tutorial")
    names = [layer.name for layer in model.layers if "quant" in layer.name]
    accelerator = bnn2hw.compile(model, input=PIXELS, folding={names[1]: {"pe": 4, "simd": 12}})

    run = accelerator.simulate(frames(accelerator, 6))

    run.check()
    assert accelerator.folding()[names[1]] == {"pe": 4, "simd": 12}
    assert run.interval == run.predicted.interval


def test_names_that_are_no_identifiers() -> None:
    names = ["module", "a b", "a_b", "A-B", "1st", "x_data", "x", "größe"]
    layers = [net.dense(4, name=n) for n in names]
    accelerator = bnn2hw.compile(net.chain((4,), *layers), input=bnn2hw.Input("bipolar"))

    run = accelerator.simulate(frames(accelerator, 4))

    run.check()
    assert len({s.id.lower() for s in accelerator.design.streams}) == len(accelerator.design.streams)


def test_functional_models_and_shared_layers() -> None:
    shared = net.dense(6)
    inputs = keras.Input((6,))
    model = net.shake(keras.Model(inputs, net.dense(3)(shared(shared(inputs)))))
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))
    x = frames(accelerator, 40)

    accelerator.simulate(x[:4]).check()
    assert np.array_equal(accelerator.golden(x), model.predict(x.astype(np.float32), verbose=0))


def test_what_a_pool_leaves_out_is_waited_for() -> None:
    """The rows that no pooling window covers are still computed when the last result is out."""
    layers = (
        net.conv(3, (5, 3), input_quantizer=None),
        keras.layers.MaxPooling2D(4),
        net.norm(),
        net.dense(2),
    )
    model = net.chain((11, 9, 1), *layers[:3], keras.layers.Flatten(), layers[3], seed=20)
    accelerator = bnn2hw.compile(model, input=PIXELS, fps=1)

    run = accelerator.simulate(np.random.default_rng(0).integers(0, 256, (3, 11, 9, 1)))

    run.check()
