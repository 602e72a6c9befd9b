"""Rows of docs/coverage.md: branches, nested models, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
from keras import layers

import bnn2hw
from bnn2hw import nn
from tests.importers.case import IMAGE, PIXELS, ROW, Build, Case
from tests.support import networks as net


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
    yield joined("Dot", lambda a, b: layers.Dot(-1, name="it")([a, b]), "of vectors", shape=(6,))
    yield joined("Dot", lambda a, b: layers.Dot(-1, name="it")([a, b]), "of matrices", shape=ROW)
    yield joined(
        "Add",
        lambda a, b: layers.Add(name="it")([a, layers.GlobalMaxPooling2D(keepdims=True)(b)]),
        "repeated along rows and columns",
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
    yield Case(at, "a class of your own", "several values", subclass)
    yield Case(at, "a class of your own", "single values", single(Curved))
    yield Case(at, "Lambda", "single values", single(lambda name: layers.Lambda(lambda x: 2 * x, name=name)))
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


def single(kind: Callable) -> Build:
    def build() -> keras.Model:
        return net.chain((6,), layers.Dense(4), kind(name="it"), layers.Dense(3))

    return build


class Curved(layers.Layer):
    """Curves that differ by channel."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.steep = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, x):
        return keras.ops.tanh(self.steep * x)


class Own(layers.Dense):
    def __init__(self, **options: object) -> None:
        super().__init__(4, **options)

    def call(self, x):
        return super().call(x) * 2
