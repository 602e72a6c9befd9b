"""Models of the value tests of hls4ml, each within the tolerance that its test states.

Models are described by layers, parameters and tolerances. Inputs there are real numbers from 0 to 1, or from -0.5 to
0.5; here they are the same ranges in 256 steps. The first model of each kind is in the default suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from _pytest.mark import ParameterSet
from keras import layers

import bnn2hw

FRAMES = 30
"""Frames that are compared."""


@dataclass(frozen=True)
class Peer:
    """A model of a value test.

    Attributes:
        build: Makes its layers, the first of which joins all inputs.
        shape: Shape of each input.
        rtol: Largest relative difference.
        atol: Largest absolute difference.
        inputs: Number of inputs.
        offset: Smallest input.
    """

    build: Callable[[], list[keras.layers.Layer]]
    shape: tuple[int, ...]
    rtol: float
    atol: float
    inputs: int = 1
    offset: float = 0.0

    def model(self) -> keras.Model:
        keras.utils.set_random_seed(0)
        several = [keras.Input(self.shape, name=f"x{i}") for i in range(self.inputs)]
        inputs = several if self.inputs > 1 else several[0]
        x = inputs
        for layer in self.build():
            x = layer(x)
        return keras.Model(inputs, x)


def threshold(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.where(x > 0.75, x, 0.0)


ACTIVATIONS: dict[str, Callable[[], keras.layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky_relu 1.5": lambda: layers.LeakyReLU(1.5),
    "leaky_relu": lambda: layers.Activation("leaky_relu"),
    "thresholded_relu": lambda: layers.Activation(threshold),
    "elu 1.25": lambda: layers.ELU(1.25),
    "prelu": lambda: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25)),
    **{
        name: lambda name=name: layers.Activation(name)  # type: ignore[misc]
        for name in ("selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid")
    },
}

BEHIND_DENSE: dict[str, Callable[[], keras.layers.Layer]] = {
    "relu": lambda: layers.Activation("relu"),
    "leaky_relu": lambda: layers.LeakyReLU(1.0),
    "elu": lambda: layers.ELU(1.0),
    "prelu": layers.PReLU,
}

MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


def peers() -> Iterator[tuple[str, Peer]]:
    """List kinds and models."""
    for name, made in ACTIVATIONS.items():
        for shape in ((8,), (8, 8, 3)):
            if name != "prelu" or len(shape) == 1:
                yield "activation", Peer(lambda made=made: [made()], shape, 2e-2, 2e-2, offset=-0.5)  # type: ignore[misc]
    large = keras.initializers.RandomUniform(1, 10, seed=0)
    yield (
        "dense",
        Peer(lambda: [layers.Dense(2, kernel_initializer=large), layers.Activation("elu")], (1,), 1e-2, 1e-2),
    )
    for made in BEHIND_DENSE.values():
        yield "dense", Peer(lambda made=made: [layers.Dense(64), made()], (1,), 1e-2, 1e-2)  # type: ignore[misc]
    for name in MERGES:
        yield "merge", Peer(lambda name=name: [getattr(layers, name)()], (10, 10, 3), 0, 1e-3, 2)  # type: ignore[misc]
    yield "dot", Peer(lambda: [layers.Dot(1)], (10,), 0, 1e-3, 2)
    for shape, axis in (((10,), 1), ((10, 3), 1), ((10, 3), 2), *(((10, 10, 3), axis) for axis in (1, 2, 3))):
        yield "concatenate", Peer(lambda axis=axis: [layers.Concatenate(axis)], shape, 0, 1e-3, 2)  # type: ignore[misc]
    yield "upsampling", Peer(lambda: [layers.UpSampling1D(2)], (8, 4), 0, 5e-3)
    yield "upsampling", Peer(lambda: [layers.UpSampling2D(2)], (6, 8, 4), 0, 5e-3)
    for rank in (1, 2):
        for name in ("Max", "Average"):
            kind = getattr(layers, f"Global{name}Pooling{rank}D")
            yield "global pooling", Peer(lambda kind=kind: [kind()], (*(18,) * rank, 6), 0, 5e-3)  # type: ignore[misc]
    for rank in (1, 2):
        for stride in (1, 2):
            for padding in ("same", "valid"):
                yield "pointwise", Peer(lambda *_, r=rank, s=stride, p=padding: [pointwise(r, s, p)], (*(28,) * rank, 3), 0, 1e-3)  # fmt: skip


def pointwise(rank: int, stride: int, padding: str) -> keras.layers.Layer:
    kind = layers.Conv1D if rank == 1 else layers.Conv2D
    return kind(32, 1, strides=stride, padding=padding, kernel_initializer="normal", use_bias=False)


def cases() -> list[ParameterSet]:
    """The first model of each kind, and all others in the soak."""
    seen: dict[str, int] = {}
    found = []
    for kind, peer in peers():
        seen[kind] = seen.get(kind, 0) + 1
        marks = [] if seen[kind] == 1 else [pytest.mark.soak]
        found.append(pytest.param(peer, marks=marks, id=f"{kind}-{seen[kind]}"))
    return found


@pytest.mark.parametrize("peer", cases())
def test_a_model_is_within_its_tolerance(peer: Peer) -> None:
    model = peer.model()
    wire = bnn2hw.Input("uint8", scale=1 / 255, offset=peer.offset)
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 256, (FRAMES, *peer.shape)) for _ in range(peer.inputs)]
    real = [(frames / 255 + peer.offset).astype(np.float32) for frames in x]
    expected = np.asarray(model(real if peer.inputs > 1 else real[0]))

    accelerator = bnn2hw.compile(model, input=wire, output="scores")

    found = accelerator.predict(x if peer.inputs > 1 else x[0]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=peer.rtol, atol=peer.atol)
