"""Small networks with weights from a seed, and batch statistics that make every kind of neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bnn2hw import nn

BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
}


def shake(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random weights; BatchNorms with gammas of both signs and zero, and means far out for some channels."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            _shake_norm(layer, rng)
        elif layer.weights and not isinstance(layer, keras.Model):
            layer.set_weights([rng.uniform(-1, 1, w.shape).astype(np.float32) for w in layer.weights])
    return model


def _shake_norm(layer: keras.layers.BatchNormalization, rng: np.random.Generator) -> None:
    channels = layer.moving_mean.shape[0]
    mean = rng.normal(0, 5, channels)
    mean[rng.random(channels) < 0.1] = 1e4  # never reached
    mean[rng.random(channels) < 0.1] = -1e4  # always passed
    gamma = rng.choice([-1.5, -0.3, 0.0, 0.4, 2.0], channels, p=[0.2, 0.2, 0.1, 0.25, 0.25])
    values = {"gamma": gamma, "beta": rng.normal(0, 0.5, channels), "moving_mean": mean}
    values["moving_variance"] = rng.uniform(0.5, 30, channels)
    layer.set_weights([values[w.name].astype(np.float32) for w in layer.weights])


def said(model: keras.Model, x: Any) -> Any:
    """Return what a model says of frames. `predict` says the same, and traces a graph of each model first."""
    given = keras.tree.map_structure(lambda a: keras.ops.convert_to_tensor(a, "float32"), x)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(given, training=False))


def chain(shape: Sequence[int], *layers: keras.layers.Layer, seed: int = 0, name: str = "net") -> keras.Model:
    return shake(keras.Sequential([keras.Input(tuple(shape), name="image"), *layers], name=name), seed)


def conv(filters: int, kernel: int | tuple[int, int] = 3, **options: Any) -> keras.layers.Layer:
    return nn.layers.QuantConv2D(filters, kernel, **{**BINARY, "use_bias": False, **options})


def dense(units: int, **options: Any) -> keras.layers.Layer:
    return nn.layers.QuantDense(units, **{**BINARY, "use_bias": False, **options})


def norm(**options: Any) -> keras.layers.Layer:
    return keras.layers.BatchNormalization(**options)


def tutorial_like(seed: int = 0) -> keras.Model:
    """The tutorial network's shape, much smaller."""
    return chain(
        (11, 11, 1),
        conv(6, input_quantizer=None),
        keras.layers.MaxPooling2D(2),
        norm(scale=False),
        conv(8, (2, 2)),
        norm(),
        keras.layers.Flatten(),
        dense(12),
        norm(),
        dense(5),
        norm(scale=False),
        keras.layers.Activation("softmax"),
        seed=seed,
    )
