"""Rows of docs/coverage.md: layers with kernels, and quantizers."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from bnn2hw import nn
from tests.importers.case import IMAGE, PIXELS, ROW, VOLUME, Case, alone
from tests.support import networks as net

BINARY = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}


def kernels() -> Iterator[Case]:
    at = "Layers with kernels"
    q, plain = nn.layers, {"use_bias": False}
    yield alone(at, (6,), q.QuantDense(3, **BINARY), "±1 × ±1")
    yield alone(at, (6,), q.QuantDense(3, input_quantizer="ste_sign"), "±1 × real kernel")
    yield alone(
        at, (6,), q.QuantDense(3, kernel_quantizer="ste_sign", use_bias=False), "pixels × ±1", input=PIXELS
    )
    yield alone(at, (6,), layers.Dense(3), "pixels × real kernel", input=PIXELS)
    yield alone(at, (6,), layers.Dense(3, activation="softmax"), "activation='softmax'", input=PIXELS)
    yield alone(at, (5, 6), q.QuantDense(3, **BINARY), "along the last axis of several")
    for kind in (q.QuantConv1D, q.QuantConv2D, q.QuantConv3D):
        shape = {q.QuantConv1D: ROW, q.QuantConv2D: IMAGE, q.QuantConv3D: VOLUME}[kind]
        yield alone(at, shape, kind(4, 2, **BINARY), "padding='valid'")
        yield alone(at, shape, kind(4, 2, padding="same", **BINARY), "padding='same' (pads with 0)")
        yield alone(at, shape, kind(4, 2, padding="same", pad_values=1.0, **BINARY), "pad_values=1")
        yield alone(at, shape, kind(4, 2, padding="same", pad_values=-1.0, **BINARY), "pad_values=-1")
        yield alone(at, shape, kind(4, 2, strides=2, **BINARY), "strides=2")
        yield alone(at, shape, kind(4, 2, dilation_rate=2, **BINARY), "dilation_rate=2")
        yield alone(at, shape, kind(4, 2, groups=2, **BINARY), "groups=2")
        yield alone(at, shape, kind(4, 2, kernel_quantizer=None), "real kernel")
        if kind is q.QuantConv1D:
            yield alone(
                at, shape, kind(4, 2, padding="causal", dilation_rate=2, **BINARY), "padding='causal'"
            )
        else:
            first = {"data_format": "channels_first"}
            yield alone(at, shape, kind(4, 1, **first, **BINARY), "data_format='channels_first'")
    yield alone(
        at, (9, 12, 2), q.QuantConv2D(2, (5, 11), strides=(1, 2), **BINARY), "kernel 5×11, strides (1, 2)"
    )
    for plain_kind, shape in ((layers.Conv1D, ROW), (layers.Conv2D, IMAGE), (layers.Conv3D, VOLUME)):
        yield alone(at, shape, plain_kind(4, 2, padding="same", **plain), "", input=PIXELS)
    depthwise = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", "use_bias": False}
    for padding in ("valid", "same"):
        yield alone(
            at, IMAGE, q.QuantDepthwiseConv2D(3, padding=padding, **depthwise), f"padding='{padding}'"
        )
    yield alone(
        at, IMAGE, q.QuantDepthwiseConv2D(3, padding="same", pad_values=1.0, **depthwise), "pad_values=1"
    )
    yield alone(at, IMAGE, q.QuantDepthwiseConv2D(2, strides=2, **depthwise), "strides=2")
    yield alone(at, IMAGE, q.QuantDepthwiseConv2D(2, dilation_rate=2, **depthwise), "dilation_rate=2")
    yield alone(at, IMAGE, q.QuantDepthwiseConv2D(2, depth_multiplier=2, **depthwise), "depth_multiplier=2")
    yield alone(at, IMAGE, layers.DepthwiseConv2D(2, use_bias=False), "real kernel", input=PIXELS)
    yield alone(at, ROW, layers.DepthwiseConv1D(2, use_bias=False), "real kernel", input=PIXELS)
    points = {**depthwise, "pointwise_quantizer": "ste_sign"}
    yield alone(at, ROW, q.QuantSeparableConv1D(3, 2, **points))
    yield alone(at, IMAGE, q.QuantSeparableConv2D(3, 2, **points))
    yield alone(at, IMAGE, q.QuantSeparableConv2D(3, 2, depth_multiplier=2, **points), "depth_multiplier=2")
    yield alone(at, ROW, layers.SeparableConv1D(3, 2), "", input=PIXELS)
    yield alone(at, IMAGE, layers.SeparableConv2D(3, 2), "", input=PIXELS)
    for padding in ("valid", "same"):
        yield alone(
            at,
            IMAGE,
            q.QuantConv2DTranspose(3, 3, strides=2, padding=padding, **BINARY),
            f"padding='{padding}', strides=2",
        )
    yield alone(
        at, IMAGE, q.QuantConv2DTranspose(3, 3, strides=2, output_padding=1, **BINARY), "output_padding=1"
    )
    yield alone(at, IMAGE, q.QuantConv2DTranspose(3, 2, dilation_rate=2, **BINARY), "dilation_rate=2")
    yield alone(at, IMAGE, layers.Conv2DTranspose(3, 2), "", input=PIXELS)
    yield alone(at, ROW, layers.Conv1DTranspose(3, 2, strides=2), "", input=PIXELS)
    yield alone(at, (2, 2, 3, 2), layers.Conv3DTranspose(2, 2, strides=2), "", input=PIXELS)
    yield alone(
        at, ROW, layers.EinsumDense("abc,cd->abd", (ROW[0], 5), bias_axes="d"), "sums over the last axes"
    )
    yield alone(at, ROW, layers.EinsumDense("abc,bd->acd", (ROW[1], 5)), "sums over other axes")
    yield alone(at, (300, 8), layers.EinsumDense("abc,bd->acd", (8, 500)), "of more than 2²⁰ products")
    yield alone(at, ROW, layers.TimeDistributed(layers.Dense(3)), "layers of single positions")
    yield alone(at, IMAGE, layers.TimeDistributed(layers.Conv1D(3, 2)), "convolutions and poolings")
    yield alone(at, IMAGE, layers.TimeDistributed(layers.Conv1DTranspose(3, 2)), "transposed convolutions")
    yield alone(at, ROW, layers.TimeDistributed(layers.BatchNormalization()), "normalizations")
    steps = layers.TimeDistributed(layers.TimeDistributed(layers.Dense(3)))
    yield alone(at, IMAGE, steps, "steps of steps")
    yield alone(at, IMAGE, layers.TimeDistributed(layers.Conv1D(3, 2, padding="causal")), "padding='causal'")

    yield from _quantized_by_keras(at)


def _quantized_by_keras(at: str) -> Iterator[Case]:
    """Layers after `quantize`, which may round their weights alone, or their inputs too."""
    weights_only = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    for option, mode, config in (
        ("quantize('int8') of the weights alone", "int8", weights_only),
        ("quantize('int4') of the weights alone", "int4", None),
        ("quantize('int8'), which rounds inputs too, without calibration", "int8", None),
        ("quantize('float8')", "float8", None),
    ):

        def build(mode: str = mode, config: object = config) -> keras.Model:
            model = net.chain((6,), layers.Dense(3, name="it"))
            model.quantize(mode, config=config)
            return model

        yield Case(at, "Dense", option, build, {"input": PIXELS})


def quantizers() -> Iterator[Case]:
    at = "Quantizers"

    def case(name: str, option: str, quantizer: object, *, kernel: bool) -> Case:
        def build() -> keras.Model:
            chosen = {"kernel_quantizer": quantizer} if kernel else {"input_quantizer": quantizer}
            first = net.dense(5, name="first")
            layer = nn.layers.QuantDense(4, **{**BINARY, **chosen}, name="it")
            return net.chain((6,), first, net.norm(), layer, net.norm(), net.dense(3))

        return Case(
            at, name, f"{'kernel' if kernel else 'activations'}{', ' if option else ''}{option}", build
        )

    q = nn.quantizers
    for make in (q.SteSign, q.ApproxSign, q.SwishSign, q.SteHeaviside):
        for kernel in (False, True):
            yield case(make.__name__, "", make(), kernel=kernel)
    yield case("MagnitudeAwareSign", "", q.MagnitudeAwareSign(), kernel=True)
    yield case("MagnitudeAwareSign", "", q.MagnitudeAwareSign(), kernel=False)
    for kernel in (False, True):
        yield case("SteTern", "", q.SteTern(threshold_value=0.3), kernel=kernel)
    yield case(
        "SteTern", "ternary_weight_networks=True", q.SteTern(ternary_weight_networks=True), kernel=True
    )
    for k in range(1, 9):
        yield case("DoReFa", f"k_bit={k}", q.DoReFa(k), kernel=False)
    for k in range(1, 9):
        yield case("DoReFa", f"k_bit={k}", q.DoReFa(k, mode="weights"), kernel=True)
    yield case("tf.sign", "0 is a third value", keras.ops.sign, kernel=False)
    yield case("a function", "not monotone", bump, kernel=False)
    yield case("a function", "depends on several values", centred, kernel=False)
    yield case("None", "real kernel", None, kernel=True)


def bump(x):
    return keras.ops.cast(keras.ops.abs(x) < 0.7, "float32")


def centred(x):
    return keras.ops.sign(x - keras.ops.mean(x))
