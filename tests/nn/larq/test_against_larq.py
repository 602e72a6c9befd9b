# ruff: noqa: E402 - the environment decides whether the rest can be imported
"""Larq itself, on Keras 2, and this package, on Keras 3, side by side in one process.

Needs an environment of its own: ``larq tf-keras`` beside Keras 3, and ``TF_USE_LEGACY_KERAS=1``,
which gives Larq the Keras that it knows.
"""

import os

import pytest

if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("needs TF_USE_LEGACY_KERAS=1, larq and tf-keras", allow_module_level=True)
pytest.importorskip("tf_keras")
larq = pytest.importorskip("larq")

import keras
import numpy as np
import tensorflow as tf
from larq import models as larq_models

import bnn2hw.nn as nn

pytestmark = pytest.mark.larq

EDGES = np.array([0.0, -0.0, 1, -1, 1.25, -1.25, 0.05, -0.05, 0.5, 1 / 3, 1 / 6, 1e-30, -1e-30], "float32")

QUANTIZERS = {
    "SteSign": {},
    "SteSign-1.25": {"clip_value": 1.25},
    "SteSign-None": {"clip_value": None},
    "ApproxSign": {},
    "SwishSign": {},
    "SwishSign-2": {"beta": 2.0},
    "SteHeaviside": {},
    "MagnitudeAwareSign": {},
    "SteTern": {},
    "SteTern-twn": {"ternary_weight_networks": True},
    "DoReFa": {},
    "DoReFa-1": {"k_bit": 1},
    "DoReFa-4": {"k_bit": 4},
    "DoReFa-weights": {"mode": "weights"},
    "DoReFa-weights-1": {"mode": "weights", "k_bit": 1},
    "NoOp": {"precision": 1},
}


def values(rng):
    return np.concatenate([rng.normal(size=(500, 4)), np.resize(EDGES, (16, 4))]).astype("float32")


def value_and_gradient(quantizer, x, upstream):
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        y = quantizer(tensor)
    return y.numpy(), tape.gradient(y, tensor, upstream).numpy()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_quantizer(rng, name):
    kind = name.split("-")[0]
    x = values(rng)
    upstream = tf.constant(rng.normal(size=x.shape).astype("float32"))

    ours, theirs = (
        value_and_gradient(getattr(package.quantizers, kind)(**QUANTIZERS[name]), x, upstream)
        for package in (nn, larq)
    )

    if kind in ("MagnitudeAwareSign", "DoReFa"):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    else:
        np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-6)


IMAGE, VOLUME, LINE = (2, 9, 8, 4), (2, 6, 5, 7, 2), (2, 11, 4)
SAME1 = {"padding": "same", "pad_values": 1.0}
LAYERS = {
    "dense": ("QuantDense", (3, 7), {"units": 5}),
    "dense-3d": ("QuantDense", (3, 4, 7), {"units": 5}),
    **{
        f"{kind}-{option}": (f"Quant{kind}", shape, {"filters": 6, "kernel_size": 3, **arguments})
        for kind, shape in (("Conv1D", LINE), ("Conv2D", IMAGE), ("Conv3D", VOLUME))
        for option, arguments in {
            "valid": {},
            "same": {"padding": "same"},
            "pad": SAME1,
            "stride": {"strides": 2, **SAME1},
            "stride-valid": {"strides": 2},
            "dilation": {"dilation_rate": 2, **SAME1},
            "groups": {"groups": 2},
        }.items()
        if (kind, option) != ("Conv3D", "groups")
    },
    "Conv2D-even": ("QuantConv2D", IMAGE, {"filters": 3, "kernel_size": (4, 2), "strides": 3, **SAME1}),
    "Conv1D-causal": (
        "QuantConv1D",
        LINE,
        {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
    ),
    **{
        f"Depthwise-{option}": ("QuantDepthwiseConv2D", (2, 9, 9, 4), {"kernel_size": 3, **arguments})
        for option, arguments in {
            "valid": {},
            "same": {"padding": "same", "depth_multiplier": 2},
            "pad": SAME1,
            "stride": {"strides": 2, **SAME1},
            "dilation": {"dilation_rate": 2, **SAME1},
        }.items()
    },
    **{
        f"{kind}-{option}": (f"Quant{kind}", shape, {"filters": 3, "kernel_size": 3, **arguments})
        for kind, shape in (("SeparableConv1D", LINE), ("SeparableConv2D", (2, 9, 9, 4)))
        for option, arguments in {"valid": {}, "pad": SAME1, "stride": {"strides": 2, **SAME1}}.items()
    },
    **{
        f"{kind}-{option}": (f"Quant{kind}", shape, {"filters": 3, "kernel_size": 3, **arguments})
        for kind, shape in (("Conv2DTranspose", IMAGE), ("Conv3DTranspose", VOLUME))
        for option, arguments in {
            "valid": {},
            "same": {"padding": "same", "strides": 2},
            "output": {"strides": 2, "output_padding": 1, "padding": "same"},
        }.items()
    },
    **{
        f"{kind}-{number}": (
            f"Quant{kind}",
            shape,
            {"filters": 3, "kernel_size": 3, "strides": 2, "implementation": number, "padding": padding},
        )
        for kind, shape in (("LocallyConnected1D", LINE), ("LocallyConnected2D", (2, 6, 7, 3)))
        for number, padding in ((1, "valid"), (2, "same"), (3, "same"))
    },
}


def make(package, kind, arguments, quantized):
    cls = getattr(package.layers, kind)
    names = [pair[1:] for pair in getattr(nn.layers, kind).quantized_weights]
    added = {"input_quantizer": "ste_sign"} if quantized else {}
    for quantizer, constraint in names if quantized else []:
        added |= {quantizer: "ste_sign", constraint: "weight_clip"}
    return cls(**arguments, **added, bias_initializer="zeros")


def run(layer, x, upstream):
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        y = layer(tensor)
        total = tf.reduce_sum(y * upstream)
    weights = [w.value if isinstance(w, keras.Variable) else w for w in layer.trainable_weights]
    gradients = tape.gradient(total, [tensor, *weights])
    return y.numpy(), [np.asarray(g) for g in gradients]


@pytest.mark.parametrize("quantized", [True, False], ids=["quantized", "plain"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(rng, name, quantized):
    kind, shape, arguments = LAYERS[name]
    x = rng.normal(size=shape).astype("float32")
    ours, theirs = make(nn, kind, arguments, quantized), make(larq, kind, arguments, quantized)
    ours.build(shape)
    theirs.build(shape)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    weights = [rng.uniform(-1.2, 1.2, tuple(w.shape)).astype("float32") for w in ours.weights]
    if quantized:
        weights[-1] = np.round(weights[-1] * 4) / 4
    ours.set_weights(weights)
    theirs.set_weights(weights)
    upstream = rng.integers(-2, 3, tuple(theirs(tf.constant(x)).shape)).astype("float32")

    y, gradients = run(ours, x, upstream)
    z, expected = run(theirs, x, upstream)

    if quantized:
        np.testing.assert_array_equal(y, z)
    else:
        np.testing.assert_allclose(y, z, atol=1e-4)
    for gradient, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-5, atol=1e-6 if quantized else 1e-4)


@pytest.mark.parametrize("schedule", [False, True], ids=["constant", "schedules"])
def test_bop_goes_the_same_way(rng, schedule):
    def hyper(module, value):
        return module.optimizers.schedules.PolynomialDecay(value, 80, value / 10) if schedule else value

    import tf_keras

    start = np.where(rng.random(200) < 0.5, -1, 1).astype("float32")
    ours, theirs = keras.Variable(start), tf.Variable(start)
    bop = nn.optimizers.Bop(hyper(keras, 1e-2), hyper(keras, 0.1))
    other = larq.optimizers.Bop(hyper(tf_keras, 1e-2), hyper(tf_keras, 0.1))
    flips = 0
    for _ in range(100):
        gradient = rng.normal(size=200).astype("float32")
        before = ours.numpy()
        bop.apply([gradient], [ours])
        other.apply_gradients([(tf.constant(gradient), theirs)])
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        flips += np.sum(before != ours.numpy())
    assert flips > 200


def test_registered_names():
    import tf_keras

    names = {
        name
        for name, target in tf_keras.utils.get_custom_objects().items()
        if target.__module__.startswith("larq")
    }

    assert names - set(keras.saving.get_custom_objects()) == set()


def larq_models_to_load():
    import tf_keras

    layers, quant = tf_keras.layers, larq.layers
    weights = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    binary = {"input_quantizer": "ste_sign", **weights}
    inputs = layers.Input((12, 12, 3))
    x = quant.QuantConv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    y = quant.QuantConv2D(8, 3, padding="same", pad_values=1.0, activation="relu", **binary)(x)
    x = layers.BatchNormalization(momentum=0.9)(y) + x
    x = quant.QuantSeparableConv2D(
        6, 3, depthwise_quantizer=larq.quantizers.SteTern(), pointwise_quantizer="dorefa_quantizer"
    )(x)
    x = quant.QuantDepthwiseConv2D(3, depthwise_quantizer="magnitude_aware_sign")(x)
    x = quant.QuantConv2DTranspose(4, 3, strides=2, kernel_quantizer="swish_sign")(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.AveragePooling2D(2)(x))
    x = layers.concatenate([layers.Flatten()(x), layers.Flatten()(y)])
    x = quant.QuantDense(5, activation="softmax", **binary)(x)
    functional = tf_keras.Model(inputs, x)
    nested = tf_keras.Sequential(
        [
            tf_keras.Sequential(
                [quant.QuantDense(7, input_shape=(9,), **binary), layers.BatchNormalization()]
            ),
            layers.LayerNormalization(),
            quant.QuantDense(4, input_quantizer=larq.quantizers.SteSign(clip_value=None)),
        ]
    )
    line = tf_keras.Sequential(
        [
            quant.QuantConv1D(4, 3, padding="causal", input_shape=(10, 3), **binary),
            quant.QuantLocallyConnected1D(3, 2, kernel_quantizer="approx_sign"),
            layers.GlobalAveragePooling1D(),
        ]
    )
    return {"functional": functional, "nested": nested, "line": line}


@pytest.mark.parametrize("name", ["functional", "nested", "line"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_files(rng, tmp_path, name, suffix):
    model = larq_models_to_load()[name]
    for weight in model.weights:
        sign = 1 if "variance" in weight.name else rng.choice([-1, 1], weight.shape)
        weight.assign(rng.uniform(0.1, 1, weight.shape) * sign)
    x = rng.normal(size=(6, *model.input_shape[1:])).astype("float32")
    model.save(tmp_path / f"m{suffix}")

    loaded = nn.models.load_larq(tmp_path / f"m{suffix}")

    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5
    )


def printed(package, model):
    lines = []
    package.summary(model, print_fn=lines.append)
    return "\n".join(lines)


def test_summary(tmp_path):
    model = larq_models_to_load()["line"]
    model.save(tmp_path / "m.h5")

    ours = printed(nn.models, nn.models.load_larq(tmp_path / "m.h5"))

    assert ours == printed(larq_models, model)
