"""A row of docs/coverage.md: a small model with one layer of interest, which is named "it"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
from keras import layers

import bnn2hw
from bnn2hw import nn
from tests.support import networks as net

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
