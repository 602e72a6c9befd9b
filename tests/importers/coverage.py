"""Write docs/coverage.md from the results of the compiler: `python -m tests.importers.coverage`.

Each case is a small model with one layer of interest, which is named "it".
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers.keras.calls import HANDLERS, JOINS
from tests.support import ROOT
from tests.support import networks as net

PAGE = ROOT / "docs" / "coverage.md"
SIGNS, PIXELS = bnn2hw.Input("bipolar"), bnn2hw.Input("uint8", scale=1 / 255)
IMAGE, ROW, VOLUME = (6, 6, 4), (8, 4), (3, 4, 4, 2)
Build = Callable[[], keras.Model]


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        section: Heading of the section.
        layer: Name of the layer.
        option: The option that the row shows; empty for the defaults.
        build: Function that returns the model.
        options: Arguments of `compile`.
    """

    section: str
    layer: str
    option: str
    build: Build
    options: dict[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.layer} {self.option}".strip()


def verdict(case: Case) -> tuple[str, str]:
    """Return "exact", "rounded" or "refused", and the reason."""
    try:
        accelerator = bnn2hw.compile(case.build(), **{"input": SIGNS, "target": "xc7z045", **case.options})
    except UnsupportedError as refusal:
        own = [p for p in refusal.problems if p.layer.split(".")[0] == "it"]
        problem = (own or refusal.problems)[0]
        return "refused", f"{problem.found}. Way out: {problem.remedy}"
    own = [f for layer, f in accelerator.fidelity.items() if layer == "it"]
    rounded = [f for f in own if f.kind == "rounded"]
    if rounded:
        return "rounded", rounded[0].why.split(", off by")[0]
    return "exact", own[0].why if own else "has no effect in inference"


# ---- around the layer of interest


def ends(shape: tuple[int, ...], layer: layers.Layer, *, real: bool) -> Build:
    """Return a model with the layer between binarized layers, or between real-valued layers."""

    def build() -> keras.Model:
        inputs = keras.Input(shape, name="image")
        first, last = (None, None) if real else ("ste_sign", "ste_sign")
        x = nn.layers.QuantDense(shape[-1], kernel_quantizer=first, use_bias=False, name="first")(inputs)
        x = it(layer)(x)
        x = layers.Flatten()(x) if len(x.shape) > 2 else x
        x = nn.layers.QuantDense(
            3, input_quantizer=last, kernel_quantizer=first, use_bias=False, name="last"
        )(x)
        return net.shake(keras.Model(inputs, x))

    return build


def it(layer: layers.Layer) -> layers.Layer:
    """Return a copy of a layer with the name "it"."""
    return type(layer).from_config({**layer.get_config(), "name": "it"})


def both(section: str, shape: tuple[int, ...], layer: layers.Layer, option: str = "") -> Iterator[Case]:
    """Yield two cases: the layer before a quantizer, and the layer between real-valued layers."""
    name = type(layer).__name__
    place = ", " if option else ""
    yield Case(section, name, f"{option}{place}before a quantizer", ends(shape, layer, real=False))
    yield Case(section, name, f"{option}{place}between real values", ends(shape, layer, real=True))


def alone(
    section: str, shape: tuple[int, ...], layer: layers.Layer, option: str = "", **options: object
) -> Case:
    """Return a case with the layer between the input and the output of the model."""

    def build() -> keras.Model:
        inputs = keras.Input(shape, name="image")
        return net.shake(keras.Model(inputs, it(layer)(inputs)))

    return Case(section, type(layer).__name__, option, build, options)


# ---- layers with kernels

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


# ---- layers without


def around() -> Iterator[Case]:
    at = "BatchNormalization, activations, and layers without effect in inference"
    for options in ({}, {"scale": False}, {"center": False}, {"scale": False, "center": False}):
        text = ", ".join(f"{k}={v}" for k, v in options.items())
        yield from both(at, IMAGE, layers.BatchNormalization(**options), text)
    yield alone(at, IMAGE, layers.BatchNormalization(axis=1), "axis=1")
    yield from both(at, IMAGE, layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 1, 3]))
    yield from both(at, IMAGE, layers.Rescaling(0.5, 1.0), "not at the input")
    for name in (*ACTIVATIONS, "leaky_tanh"):
        yield from both(at, (6,), layers.Activation(name), f"'{name}'")
    yield alone(at, (6,), layers.Activation("softmax"), "'softmax' at the end")
    for name in ("log_softmax", "sparsemax", "glu"):
        yield alone(at, (6,), layers.Activation(name), f"'{name}'")
    yield from both(at, (6,), layers.ReLU())
    yield from both(
        at,
        (6,),
        layers.ReLU(max_value=6, negative_slope=0.1, threshold=0.5),
        "max_value=6, negative_slope=0.1, threshold=0.5",
    )
    yield from both(at, (6,), layers.LeakyReLU())
    yield from both(at, (6,), layers.ELU())
    yield from both(at, IMAGE, layers.PReLU(shared_axes=[1, 2]), "shared_axes=[1, 2]")
    yield from both(at, (6,), layers.PReLU())
    yield alone(at, IMAGE, layers.PReLU(), "a slope for each position")
    yield alone(at, (6,), layers.Softmax(), "at the end")
    yield from both(at, (6,), layers.Softmax(), "not at the end")
    yield alone(at, IMAGE, layers.Softmax(axis=1), "axis=1")
    for layer in (
        *(
            layers.Dropout(0.5),
            layers.AlphaDropout(0.5),
            layers.GaussianDropout(0.5),
            layers.GaussianNoise(0.1),
        ),
        *(layers.ActivityRegularization(), layers.Identity(), layers.SpatialDropout2D(0.5)),
    ):
        yield next(both(at, IMAGE, layer))
    yield next(both(at, ROW, layers.SpatialDropout1D(0.5)))
    yield next(both(at, VOLUME, layers.SpatialDropout3D(0.5)))


ACTIVATIONS = (
    *(
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "hard_tanh",
        "hard_sigmoid",
        "tanh",
        "sigmoid",
        "elu",
        "selu",
        "gelu",
    ),
    *("silu", "softplus", "softsign", "exponential", "mish"),
)


def shapes() -> Iterator[Case]:
    at = "Pooling and shapes"
    pools = (
        (layers.MaxPooling1D, ROW),
        (layers.MaxPooling2D, IMAGE),
        (layers.AveragePooling1D, ROW),
        (layers.AveragePooling2D, IMAGE),
    )
    for kind, shape in pools:
        yield from both(at, shape, kind(2))
        yield from both(at, shape, kind(3, strides=2), "pool_size=3, strides=2 (overlapping)")
        yield from both(
            at, shape, kind(3, strides=1, padding="same"), "pool_size=3, strides=1, padding='same'"
        )
        yield from both(at, shape, kind(2, padding="same"), "pool_size=2, padding='same' that fits")
    yield alone(
        at, IMAGE, layers.MaxPooling2D(2, data_format="channels_first"), "data_format='channels_first'"
    )
    yield alone(at, VOLUME, layers.MaxPooling3D(2))
    yield alone(at, VOLUME, layers.AveragePooling3D(2))
    for kind, shape in (
        *((layers.GlobalMaxPooling1D, ROW), (layers.GlobalMaxPooling2D, IMAGE)),
        *((layers.GlobalAveragePooling1D, ROW), (layers.GlobalAveragePooling2D, IMAGE)),
    ):
        yield from both(at, shape, kind())
    yield alone(at, IMAGE, layers.GlobalMaxPooling2D(keepdims=True), "keepdims=True")
    yield alone(at, VOLUME, layers.GlobalMaxPooling3D())
    yield alone(at, VOLUME, layers.GlobalAveragePooling3D())
    yield alone(at, ROW, layers.UpSampling1D(2))
    yield alone(at, IMAGE, layers.UpSampling2D((2, 3)), "interpolation='nearest'")
    yield alone(at, IMAGE, layers.UpSampling2D(2, interpolation="bilinear"), "interpolation='bilinear'")
    yield alone(at, IMAGE, layers.Flatten(), "with nothing else")
    yield from both(at, IMAGE, layers.Flatten())
    yield alone(at, IMAGE, layers.Flatten(data_format="channels_first"), "data_format='channels_first'")
    yield from both(at, (16,), layers.Reshape((4, 4, 1)), "a vector as an image")
    yield from both(at, IMAGE, layers.Reshape((9, 4, 4)), "other positions")
    yield from both(at, IMAGE, layers.Reshape((6, 12, 2)), "other channels")
    yield alone(at, ROW, layers.ZeroPadding1D(1))
    yield alone(at, IMAGE, layers.ZeroPadding2D(((1, 0), (2, 1))))
    yield alone(at, VOLUME, layers.ZeroPadding3D(1))


def joined(
    name: str, join: Callable, option: str = "", *, real: bool = False, shape: tuple[int, ...] = IMAGE
) -> Case:
    def build() -> keras.Model:
        inputs = keras.Input(shape, name="image")
        quantizer = None if real else "ste_sign"
        a = nn.layers.QuantDense(4, kernel_quantizer=quantizer, use_bias=False)(inputs)
        b = net.dense(4, kernel_quantizer=quantizer, kernel_constraint=None)(inputs)
        return net.shake(keras.Model(inputs, join(a, b)))

    return Case("Branches", name, option, build)


def branches() -> Iterator[Case]:
    for real in (False, True):
        option = "of real streams" if real else "of integers"
        for kind in (layers.Add, layers.Subtract, layers.Average, layers.Multiply, layers.Concatenate):
            yield joined(kind.__name__, lambda a, b, kind=kind: kind(name="it")([a, b]), option, real=real)
    for kind in (layers.Maximum, layers.Minimum):
        yield joined(kind.__name__, lambda a, b, kind=kind: kind(name="it")([a, b]))
    yield joined("Dot", lambda a, b: layers.Dot(-1, name="it")([a, b]), shape=ROW)
    yield joined(
        "Add",
        lambda a, b: layers.Add(name="it")([a, layers.GlobalMaxPooling2D(keepdims=True)(b)]),
        "of different shapes",
    )
    yield joined("Add", lambda a, b: layers.Add(name="it")([a, b, a]), "of three inputs")
    yield joined("Concatenate", lambda a, b: layers.Concatenate(1, name="it")([a, b]), "axis=1")
    yield joined(
        "Multiply",
        lambda a, b: layers.Multiply(name="it")([a, layers.GlobalMaxPooling2D(keepdims=True)(b)]),
        "by a factor per channel",
    )
    yield joined(
        "AddToLastChannels",
        lambda a, b: nn.zoo.parts.AddToLastChannels(name="it")([a, layers.Concatenate()([a, b])][::-1]),
    )


def graphs() -> Iterator[Case]:
    at = "Models, inputs and outputs"

    def nested() -> keras.Model:
        inner = keras.Sequential([keras.Input((6,)), net.dense(5, name="it"), net.norm()])
        inputs = keras.Input((6,), name="image")
        return net.shake(keras.Model(inputs, net.dense(3)(inner(inputs))))

    def shared() -> keras.Model:
        layer, inputs = net.dense(6, name="it"), keras.Input((6,), name="image")
        return net.shake(keras.Model(inputs, layer(layer(inputs))))

    def inputs() -> keras.Model:
        a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
        return net.shake(keras.Model([a, b], layers.Add(name="it")([net.dense(3)(a), net.dense(3)(b)])))

    def outputs() -> keras.Model:
        x = keras.Input((6,), name="image")
        y = net.dense(4, name="it")(x)
        return net.shake(keras.Model(x, [y, net.dense(3)(y)]))

    def subclass() -> keras.Model:
        inputs = keras.Input((6,), name="image")
        return keras.Model(inputs, Own(name="it")(inputs))

    def one() -> keras.Model:
        return net.chain((6,), net.dense(3, input_quantizer=None, name="it"))

    def colours(*first: layers.Layer) -> Build:
        return lambda: net.chain(
            (6, 6, 3), *first, net.conv(4, input_quantizer=None, padding="same", name="it")
        )

    def ending(*last: layers.Layer) -> Build:
        return lambda: net.chain(IMAGE, net.conv(4, name="it"), *last)

    def normed() -> layers.Layer:
        return layers.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05, 0.05, 0.06])

    yield Case(at, "a nested model", "", nested)
    yield Case(at, "a shared layer", "one unit for each use", shared)
    yield Case(at, "several inputs", "", inputs)
    yield Case(at, "several outputs", "", outputs)
    yield Case(at, "a class of your own", "overrides `call`", subclass)
    for dtype in ("bipolar", "bit", "int4", "uint8", "uint16"):
        yield Case(at, "input", f"Input('{dtype}')", one, {"input": bnn2hw.Input(dtype)})
    yield Case(at, "input", "not given", one, {"input": None})
    yield Case(
        at, "input", "a leading Rescaling", colours(layers.Rescaling(1 / 127.5, -1.0)), {"input": None}
    )
    yield Case(
        at, "input", "RGB, a leading Normalization, zero padding", colours(normed()), {"input": PIXELS}
    )
    by_channel = layers.Rescaling((0.017, 0.018, 0.017), (-2.1, -2.0, -1.8))
    wire = bnn2hw.Input("uint8", by_channel.scale, by_channel.offset)
    yield Case(at, "input", "RGB, a leading Rescaling by channel", colours(by_channel), {"input": None})
    yield Case(at, "input", "RGB, scale and offset by channel", colours(), {"input": wire})
    yield Case(at, "output", "scores", ending(layers.GlobalMaxPooling2D()))
    yield Case(at, "output", "class", ending(layers.GlobalMaxPooling2D()), {"output": "class"})
    yield Case(at, "output", "top2", ending(layers.GlobalMaxPooling2D()), {"output": "top2"})
    yield Case(at, "output", "class of one score", lambda: net.chain((6,), net.dense(1)), {"output": "class"})
    yield Case(at, "output", "class of each position of a feature map", ending(), {"output": "class"})
    yield Case(at, "output", "a feature map", ending())
    yield Case(at, "output", "a feature map after BatchNormalization", ending(net.norm()))


class Own(layers.Dense):
    def __init__(self, **options: object) -> None:
        super().__init__(4, **options)

    def call(self, x):
        return super().call(x) * 2


def cases() -> list[Case]:
    """Return all cases in the order of the page."""
    return [c for part in (kernels, quantizers, around, shapes, branches, graphs) for c in part()]


def unknown() -> list[str]:
    """Return the names of the layers of Keras and bnn2hw.nn that are refused with any options."""
    found = set()
    for module in (layers, nn.layers):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            names = {c.__name__ for c in cls.__mro__}
            if issubclass(cls, layers.Layer) and not names & {*HANDLERS, *JOINS} and name not in STEMS:
                found.add(name)
    return sorted(found)


STEMS = ("Layer", "InputLayer")
"""Layers without a row: the base class, and the input, which every model has."""


def page(rows: list[tuple[Case, str, str]]) -> str:
    """Return the text of the page."""
    counts = {v: sum(1 for _, found, _ in rows if found == v) for v in ("exact", "rounded", "refused")}
    lines = [
        "# What compiles",
        "",
        "This page lists every Keras and `bnn2hw.nn` layer with its options, and the compiler's answer.",
        "Look up a layer here before you train. `python -m tests.importers.coverage` writes the page: it",
        "compiles a small model for each row. For your own model, the compiler reports the same:",
        "",
        "```",
        "acc = bnn2hw.compile(model, input=...)  # raises UnsupportedError with all refused layers at once",
        "print(acc.fidelity)                     # exact or rounded for each layer, with the reason",
        "```",
        "",
        "- **exact**: for equal inputs, the integers of the hardware mean what the layer returns, for all",
        "  inputs.",
        "- **rounded**: the layer computes in fixed point (`bits=` sets its width), or the float32 rounding",
        "  of Keras can change a decision at a threshold.",
        "- **refused**: `compile` raises an error with this message.",
        "",
        f"{len(rows)} rows: {counts['exact']} exact, {counts['rounded']} rounded, {counts['refused']} refused.",
    ]
    section = ""
    for case, found, why in rows:
        if case.section != section:
            section = case.section
            lines += [
                "",
                f"## {section}",
                "",
                "| Layer | Option | Result | Reason |",
                "| --- | --- | --- | --- |",
            ]
        lines.append(f"| {case.layer} | {case.option} | {found} | {why.replace('|', chr(92) + '|')} |")
    lines += ["", "## Refused with any options", "", f"{', '.join(unknown())}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compile all cases and write the page."""
    np.seterr(all="ignore")
    rows = []
    for case in cases():
        try:
            rows.append((case, *verdict(case)))
        except Exception as error:
            raise RuntimeError(f"{case.section}: {case.id}") from error
    PAGE.write_text(page(rows))
    sys.stdout.write(f"{len(rows)} rows in {PAGE}\n")


if __name__ == "__main__":
    main()
