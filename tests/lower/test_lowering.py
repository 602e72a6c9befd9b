"""Small networks, one per feature: golden equals Keras, and Verilator and C++ equal golden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import golden, nn
from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ops import Source
from tests.support import layerwise
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
SIGNS = bnn2hw.Input("bipolar")
Q = nn.layers
TERN = nn.quantizers.SteTern(threshold_value=0.3)
NETWORKS: dict[str, tuple[Callable[[], keras.Model], bnn2hw.Input]] = {}


def network(wire: bnn2hw.Input = PIXELS) -> Callable:
    def note(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        NETWORKS[build.__name__] = (build, wire)
        return build

    return note


def made(inputs: object, outputs: object, seed: int = 0) -> keras.Model:
    return net.shake(keras.Model(inputs, outputs), seed)


def image(*shape: int) -> keras.KerasTensor:
    return keras.Input(shape, name="image")


@network()
def residual() -> keras.Model:
    x = image(6, 6, 2)
    y = net.norm()(net.conv(4, input_quantizer=None, padding="same")(x))
    z = layers.Add()([y, net.norm()(net.conv(4, padding="same")(y))])
    z = layers.Add()([z, net.norm()(net.conv(4, padding="same", pad_values=1.0)(z))])
    return made(x, net.dense(3)(layers.Flatten()(z)))


@network()
def dense_block_with_means() -> keras.Model:
    x = image(6, 6, 3)
    y = net.norm()(Q.QuantConv2D(4, 3, padding="same")(x))
    y = layers.Concatenate()([y, net.norm()(net.conv(3, padding="same")(y))])
    y = layers.AveragePooling2D(2)(y)
    return made(x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(y)), 1)


@network()
def gated() -> keras.Model:
    x = image(5, 5, 2)
    y = net.norm()(net.conv(4, input_quantizer=None)(x))
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(y))
    z = layers.Multiply()([net.conv(4, padding="same")(y), layers.Reshape((1, 1, 4))(gate)])
    return made(x, net.dense(3)(layers.Flatten()(layers.Add()([y, z]))), 2)


@network(SIGNS)
def depthwise_separable_groups() -> keras.Model:
    x = image(7, 6, 4)
    binary = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", "use_bias": False}
    y = net.norm()(Q.QuantDepthwiseConv2D(3, padding="same", **binary)(x))
    y = net.norm()(Q.QuantSeparableConv2D(6, 2, pointwise_quantizer="ste_sign", **binary)(y))
    y = net.norm()(net.conv(4, 2, groups=2, dilation_rate=2)(y))
    return made(x, net.dense(3)(layers.Flatten()(y)), 3)


@network(SIGNS)
def transposed_and_larger() -> keras.Model:
    x = image(3, 4, 3)
    y = net.norm()(Q.QuantConv2DTranspose(4, 3, strides=2, padding="same", **net.BINARY, use_bias=False)(x))
    y = layers.UpSampling2D(2)(net.conv(2, 2)(y))
    return made(x, net.conv(2, 3, strides=2)(y), 4)


@network(SIGNS)
def row_causal() -> keras.Model:
    x = image(12, 3)
    y = net.norm()(Q.QuantConv1D(5, 3, padding="causal", dilation_rate=2, **net.BINARY, use_bias=False)(x))
    y = layers.MaxPooling1D(2)(y)
    y = net.norm()(Q.QuantConv1D(4, 2, **net.BINARY, use_bias=False)(y))
    return made(x, net.dense(3)(layers.GlobalMaxPooling1D()(y)), 5)


@network(SIGNS)
def volume() -> keras.Model:
    x = image(3, 4, 4, 2)
    y = net.norm()(Q.QuantConv3D(3, 2, padding="same", **net.BINARY, use_bias=False)(x))
    return made(x, net.dense(2)(layers.Flatten()(y)), 6)


def dorefa(k: int) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        q = nn.quantizers.DoReFa
        first = {"kernel_quantizer": q(k, mode="weights"), "use_bias": False}
        y = net.norm()(Q.QuantConv2D(4, 2, **first)(x := image(6, 6, 2)))
        y = layers.MaxPooling2D(2)(layers.Activation(q(k))(y))
        y = net.norm()(
            Q.QuantConv2D(3, 2, input_quantizer=q(k), kernel_quantizer="ste_sign", use_bias=False)(y)
        )
        return made(x, net.dense(3)(layers.Flatten()(y)), k)

    return build


NETWORKS.update({f"dorefa-{k}": (dorefa(k), PIXELS) for k in range(2, 9)})


@network(SIGNS)
def ternary_heaviside_and_sign_with_zero() -> keras.Model:
    x = image(14)
    y = net.norm()(Q.QuantDense(9, kernel_quantizer=TERN, use_bias=False)(x))
    y = Q.QuantDense(8, input_quantizer=TERN, kernel_quantizer="ste_sign", use_bias=False)(y)
    y = net.norm()(
        Q.QuantDense(7, input_quantizer="ste_heaviside", kernel_quantizer="ste_sign", use_bias=False)(y)
    )
    y = Q.QuantDense(6, input_quantizer=keras.ops.sign, kernel_quantizer=TERN, use_bias=False)(y)
    return made(x, net.dense(3)(y), 7)


@network(SIGNS)
def scaled_kernels() -> keras.Model:
    x = image(6, 6, 2)
    scaled = {**net.BINARY, "kernel_quantizer": nn.quantizers.MagnitudeAwareSign(), "use_bias": False}
    y = net.norm()(Q.QuantConv2D(5, 3, padding="same", **scaled)(x))
    y = layers.PReLU(shared_axes=[1, 2])(net.norm()(Q.QuantConv2D(4, 3, **scaled)(y)))
    return made(x, net.dense(3)(layers.Flatten()(y)), 8)


@network()
def real_ends() -> keras.Model:
    """Real-valued first and last layers, binary weights alone, and binary activations alone."""
    x = image(6, 6, 3)
    y = layers.ReLU()(net.norm()(layers.Conv2D(4, 3, padding="same")(x)))
    y = net.norm()(Q.QuantConv2D(4, 3, kernel_quantizer="ste_sign", use_bias=False)(y))
    y = net.norm()(Q.QuantConv2D(4, 2, input_quantizer="ste_sign", use_bias=False)(y))
    return made(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)), 9)


@network()
def colours_and_overlapping_pools() -> keras.Model:
    x = image(8, 8, 3)
    y = layers.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05, 0.06, 0.07])(x)
    y = layers.MaxPooling2D(3, strides=2, padding="same")(
        net.conv(4, input_quantizer=None, padding="same")(y)
    )
    y = layers.MaxPooling2D(2, strides=1)(net.norm()(y))
    return made(x, net.dense(3)(layers.Flatten()(y)), 10)


@network(SIGNS)
def nested_with_two_outputs() -> keras.Model:
    inner = keras.Sequential([keras.Input((9,)), net.dense(6), net.norm()])
    x = image(9)
    y = inner(x)
    return made(x, [net.dense(4)(y), net.dense(3)(y)], 11)


@network(SIGNS)
def two_inputs() -> keras.Model:
    a, b = keras.Input((4, 4, 2), name="a"), keras.Input((4, 4, 2), name="b")
    y = layers.Concatenate()([net.norm()(net.conv(3)(a)), net.norm()(net.conv(3)(b))])
    return made([a, b], net.dense(3)(layers.Flatten()(y)), 12)


@network()
def a_vector_as_an_image() -> keras.Model:
    x = image(36)
    y = net.norm()(net.conv(4, input_quantizer=None)(layers.Reshape((6, 6, 1))(x)))
    return made(x, net.dense(3)(layers.Flatten()(y)), 13)


@network(SIGNS)
def pooled_signs_of_single_weights() -> keras.Model:
    """Sums of one weight are signs already, and some of them are negated before the pooling."""
    x = image(4, 4, 1)
    y = net.norm(center=False, name="norm")(net.conv(6, 1)(x))
    y = layers.MaxPooling2D(2)(layers.Activation(nn.quantizers.SteSign())(y))
    model = made(x, net.dense(3)(layers.Flatten()(y)), 14)
    gamma = np.array([-1, 1, -2, 2, -1, 1], np.float32)
    model.get_layer("norm").set_weights([gamma, np.zeros(6), np.ones(6)])
    return model


@cache
def compiled(name: str, **options: object) -> tuple[keras.Model, bnn2hw.Accelerator]:
    build, wire = NETWORKS[name]
    model = build()
    return model, bnn2hw.compile(model, input=wire, target="xc7z045", **options)


def frames(accelerator: bnn2hw.Accelerator, count: int, seed: int = 0) -> Batch:
    rng, types = np.random.default_rng(seed), accelerator.graph.types
    sources = [n.name for n in accelerator.graph if isinstance(n.op, Source)]
    return golden.batch({n: rng.choice(types[n].ints.values(), (count, *types[n].shape)) for n in sources})


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_equals_keras(name: str) -> None:
    model, accelerator = compiled(name)

    layerwise.check(model, accelerator, frames(accelerator, 120))


DEFAULT = (
    *("residual", "dense_block_with_means", "gated", "transposed_and_larger", "dorefa-3", "scaled_kernels"),
    *("nested_with_two_outputs", "two_inputs"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in DEFAULT else pytest.mark.soak) for n in NETWORKS]
)
def test_hardware_equals_golden(name: str) -> None:
    _, accelerator = compiled(name)

    accelerator.simulate(frames(accelerator, 4), stalls=0.3, seed=1).check()


@pytest.mark.parametrize("name", ["residual", "gated", "row_causal", "two_inputs"])
def test_cpp_equals_golden(name: str) -> None:
    accelerator = replace(compiled(name)[1], backend="hls")

    accelerator.simulate(frames(accelerator, 4), stalls=0.3, seed=1).check()


@pytest.mark.parametrize("output", ["scores", "class"])
def test_outputs_of_a_feature_map(output: str) -> None:
    model = net.chain((4, 5, 2), net.conv(3, 2), seed=3)
    accelerator = bnn2hw.compile(model, input=SIGNS, output=output)
    x = frames(accelerator, 50)
    expected = net.said(model, x.astype(np.float32))

    ours = accelerator.golden(x)

    assert (
        np.array_equal(ours.reshape(50, 3, 4, -1)[..., 0], expected.argmax(-1))
        if output == "class"
        else (np.array_equal(ours, expected))
    )


def test_more_bits_are_closer() -> None:
    def off(**options: object) -> float:
        model, accelerator = compiled("real_ends", **options)
        x = frames(accelerator, 60)
        expected = net.said(model, (x / 255).astype(np.float32))
        return float(np.abs(accelerator.output.real(accelerator.golden(x)) - expected).mean())

    assert off(bits=20) < off(bits=6)


def test_bits_and_calibration_by_layer() -> None:
    model, plain = compiled("dense_block_with_means")
    dense = next(layer.name for layer in model.layers if isinstance(layer, layers.Dense))
    x = frames(plain, 60)

    few = bnn2hw.compile(model, input=PIXELS, target="xc7z045", bits={dense: 6}, calibration=x)

    assert "6 bits" in few.fidelity[dense].why
    assert (few.golden(x) == plain.golden(x)).mean() > 0.9


def test_a_rescaling_that_is_not_the_inputs_only_reader() -> None:
    x = image(6)
    y = layers.Add()([net.dense(3)(layers.Rescaling(0.5, -10.0)(x)), net.dense(3, input_quantizer=None)(x)])
    model = made(x, y)
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8"))

    layerwise.check(model, accelerator, frames(accelerator, 100))


MEANS, SPREADS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COLOURS = bnn2hw.Input(
    "uint8",
    scale=[1 / 255 / s for s in SPREADS],
    offset=[-m / s for m, s in zip(MEANS, SPREADS, strict=True)],
)
"""Photographs that are normalized with a mean and a standard deviation per colour."""


@pytest.mark.parametrize("kernel", ["ste_sign", None])
def test_colours_that_are_normalized_one_by_one(kernel: str | None, tmp_path: object) -> None:
    model = net.chain(
        (5, 5, 3),
        net.conv(4, input_quantizer=None, kernel_quantizer=kernel),
        net.norm(),
        layers.Flatten(),
        net.dense(3),
    )
    accelerator = bnn2hw.compile(model, input=COLOURS)
    x = frames(accelerator, 60)
    floats = ((x / 255 - np.array(MEANS)) / np.array(SPREADS)).astype(np.float32)

    assert layerwise.check(model, accelerator, x) == "rounded"
    assert np.array_equal(accelerator.golden(floats), accelerator.golden(x))
    accelerator.simulate(x[:4]).check()
    accelerator.write(f"{tmp_path}/build")
    assert bnn2hw.load(f"{tmp_path}/build").input_specs == COLOURS


def test_the_same_normalization_as_a_layer() -> None:
    rest = (net.conv(4, input_quantizer=None, kernel_quantizer=None), layers.Flatten(), net.dense(3))
    inside = net.chain((5, 5, 3), layers.Rescaling(COLOURS.scale, COLOURS.offset), *rest, seed=4)
    outside = net.chain(
        (5, 5, 3), *(keras.layers.deserialize(keras.layers.serialize(i)) for i in rest), seed=4
    )
    outside.set_weights(inside.get_weights())
    first, second = bnn2hw.compile(inside), bnn2hw.compile(outside, input=COLOURS)

    x = frames(first, 40)

    assert np.array_equal(first.golden(x), second.golden(x))


def test_inputs_of_several_kinds(tmp_path: object) -> None:
    picture, facts = keras.Input((4, 4, 1), name="picture"), keras.Input((6,), name="facts")
    y = layers.Flatten()(net.conv(4, input_quantizer=None)(picture))
    model = made([picture, facts], net.dense(3)(layers.Concatenate()([net.norm()(y), net.dense(5)(facts)])))
    units = {"picture": PIXELS, "facts": SIGNS}
    plain = bnn2hw.compile(model, input=units)
    x = {
        n.name: np.random.default_rng(7).choice(n.op.tensor.ints.values(), (40, *n.op.tensor.shape))
        for n in plain.graph
        if isinstance(n.op, Source)
    }
    accelerator = bnn2hw.compile(model, input=units, calibration=x)

    layerwise.check(model, accelerator, x)
    floats = {"picture": (x["picture"] / 255).astype(np.float32), "facts": x["facts"].astype(np.float32)}
    assert np.array_equal(accelerator.golden(floats), accelerator.golden(x))
    accelerator.simulate({n: a[:4] for n, a in x.items()}, stalls=0.2, seed=3).check()
    accelerator.write(f"{tmp_path}/build")
    assert bnn2hw.load(f"{tmp_path}/build").input_specs == units
    with pytest.raises(InputError, match="names 'sound', which is not an input; inputs: picture, facts"):
        bnn2hw.compile(model, input={"sound": PIXELS})


def test_rounding_before_a_bend_is_not_taken_for_a_curve() -> None:
    """The rounding of a normalization scales with its own values, even those that a ReLU clips."""
    rng = np.random.default_rng(0)
    model = net.chain(
        (96,),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        net.dense(4, input_quantizer=None),
    )
    weights = [
        rng.uniform(0.5, 1.5, 96),
        rng.uniform(-2, 2, 96),
        rng.uniform(-9, 9, 96),
        rng.uniform(2, 9, 96),
    ]
    model.get_layer("norm").set_weights(weights)
    x = rng.integers(-(2**15), 2**15, (64, 96))

    made = bnn2hw.compile(model, input=bnn2hw.Input("int16", scale=2e-4), calibration=x, bits=22)

    assert made.fidelity["relu"].why.startswith("fixed point of 22 bits")
