"""More models of the value tests of hls4ml, of several layers or options, each within the tolerance that its test states.

Inputs there are real numbers from 0 to 1; here they are this range in 256 steps. Where a test asks for 24 bits behind
the binary point, `bits` does. The first model of each kind is in the default suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest
from _pytest.mark import ParameterSet
from keras import layers

import bnn2hw

FRAMES = 20
"""Frames that are compared."""

Ends = keras.KerasTensor | Sequence[keras.KerasTensor]


@dataclass(frozen=True)
class Peer:
    """A model of a value test.

    Attributes:
        build: Makes its outputs from its inputs.
        shapes: Shape of each input.
        atol: Largest absolute difference.
        rtol: Largest relative difference.
        bits: Bits of fixed point; None for the default.
    """

    build: Callable[..., Ends]
    shapes: tuple[tuple[int, ...], ...]
    atol: float
    rtol: float = 0.0
    bits: int | None = None

    def model(self) -> keras.Model:
        keras.utils.set_random_seed(0)
        inputs = [keras.Input(shape, name=f"x{i}") for i, shape in enumerate(self.shapes)]
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], self.build(*inputs))


def chain(*made: Callable[[], keras.layers.Layer]) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    def build(x: keras.KerasTensor) -> keras.KerasTensor:
        for layer in made:
            x = layer()(x)
        return x

    return build


def dense(units: int, **options: object) -> Callable[[], keras.layers.Layer]:
    return lambda: layers.Dense(units, **options)


def several_sums(x: keras.KerasTensor) -> Ends:
    a, b, c = (layers.Dense(10)(x) for _ in range(3))
    return layers.Add()([layers.Add()([layers.Add()([a, b]), b]), c])


def shared_layer(a: keras.KerasTensor, b: keras.KerasTensor) -> Ends:
    convolution = layers.Conv1D(2, 3, activation="relu")
    one, two = convolution(a), convolution(b)
    total = layers.Add()([one, two])
    return [one, two, total, layers.Dense(5)(total)]


def halves(a: keras.KerasTensor, b: keras.KerasTensor) -> Ends:
    return layers.Concatenate()([layers.Reshape((2, 2))(a), layers.Reshape((2, 2))(b)])


def corner_cases(a: keras.KerasTensor, b: keras.KerasTensor) -> Ends:
    """Layers that are outputs and are read as well."""
    flat = layers.Flatten()(layers.Conv1D(1, 3)(a))
    total = layers.Add()([layers.Dense(16, activation="relu")(flat), b])
    return [flat, total, layers.Dense(2)(flat), layers.Flatten()(layers.Dense(2)(total))]


def many_readers(x: keras.KerasTensor) -> Ends:
    """Sums of sums, whose first operands have up to seven readers."""
    streams = [layers.Dense(10)(x) for _ in range(7)]
    while len(streams) > 1:
        streams = [layers.Add()([streams[0], other]) for other in streams[1:]]
    return streams[0]


def sums_of_inputs(a: keras.KerasTensor, b: keras.KerasTensor) -> Ends:
    return layers.Add()([a, layers.Add()([b, layers.Add()([a, b])])])


def network(rank: int, kind: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Convolutions of which the first is of a kind, a pooling, and dense layers."""
    convolution = getattr(layers, f"Conv{rank}D")
    size = 2 if rank == 1 else 3
    return chain(
        lambda: getattr(layers, f"{kind}{rank}D")(8, 3),
        lambda: getattr(layers, f"AveragePooling{rank}D")(2),
        layers.ReLU,
        lambda: convolution(4, size, activation="relu"),
        lambda: convolution(4, 1, activation="relu"),
        layers.Flatten,
        dense(4, activation="relu"),
    )


def two_heads(x: keras.KerasTensor) -> Ends:
    x = layers.Dense(8, activation="relu")(layers.Dense(16, activation="relu")(x))
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling1D()(x))
    return [layers.Dense(5, activation="relu")(x), layers.Dense(5, activation="relu")(x)]


def turned(x: keras.KerasTensor) -> Ends:
    x = layers.Permute((2, 1))(x)
    return layers.Concatenate(axis=1)([layers.Activation("relu")(x), layers.Concatenate(axis=1)([x, x])])


def nested(x: keras.KerasTensor) -> Ends:
    """Sequential and functional models with inputs of their own between dense layers."""
    inner = keras.Input((8,))
    functional = keras.Model(inner, layers.Dense(6)(layers.Dense(7)(inner)))
    sequence = keras.Sequential([keras.Input((5,)), layers.Dense(5), layers.Dense(3)])
    return layers.Dense(4)(functional(layers.Dense(8)(sequence(layers.Dense(5)(x)))))


def nested_twice(x: keras.KerasTensor) -> Ends:
    inputs = keras.Input((10,))
    inner = keras.Model(inputs, nested(inputs))
    sequence = keras.Sequential(
        [keras.Input((6,)), layers.Dense(2), keras.Sequential([layers.Dense(7)]), layers.Dense(2)]
    )
    return layers.Dense(4)(sequence(layers.Dense(6)(inner(layers.Dense(10)(x)))))


EQUATIONS = (
    *(("bi,j->bij", (8,), (8, 7), bias) for bias in (None, "i", "j")),
    ("bi,io->bo", (8,), 7, None),
    ("...i,oi->...o", (4, 3), (5,), None),
    *(("...abcd,bcde->...aeb", (5, 4, 3, 2), (5, 6, 4), bias) for bias in (None, "aeb", "ab", "a")),
)

UNIFORM = {"kernel_initializer": "lecun_uniform", "bias_initializer": "lecun_uniform"}

POOLINGS = (
    *(("Max", None, "valid"), ("Max", None, "same"), ("Average", None, "valid"), ("Average", None, "same")),
    *(("Max", (4, 2), "same"), ("Average", (1, 3), "valid")),
)
"""Kind, strides along each axis, and padding."""

UNEQUAL = (
    (1, ((10,), (8,))),
    (1, ((3, 10), (4, 10))),
    (2, ((10, 3), (10, 4))),
    *(
        (axis, tuple((*(10,) * (axis - 1), size, *(10,) * (3 - axis)) for size in (3, 4)))
        for axis in (1, 2, 3)
    ),
)
"""Axis and shapes of concatenations."""

POOLS = ("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
BROADCAST = (((2, 2, 3), (2, 2, 1)), ((2, 2, 1), (2, 2, 3)), ((1, 1, 2), (3, 4, 2)), ((3, 4, 2), (1, 1, 2)))
PADDINGS = ("same", "valid")


def windows() -> Iterator[tuple[str, Peer]]:
    """Models of one convolution or pooling."""
    for padding, activation in product(PADDINGS, ("elu", "relu")):
        options = {"strides": 2, "padding": padding, "activation": activation, "use_bias": False}
        made = chain(lambda o=options: layers.Conv1D(32, 3, **o), layers.ReLU)
        yield "Conv1D", Peer(made, ((128, 4),), 5e-2)
    for padding in PADDINGS:
        made = chain(lambda p=padding: layers.Conv2D(32, (2, 3), strides=(4, 5), padding=p, use_bias=False))
        yield "Conv2D", Peer(made, ((32, 32, 3),), 5e-2)
    for name, size, stride, padding in product(
        ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"), (2, 3), (1, 2), PADDINGS
    ):
        first = (8,) if name.startswith("Separable") else ()
        made = chain(
            lambda n=name, a=(*first, size), s=stride, p=padding: getattr(layers, n)(
                *a, strides=s, padding=p, use_bias=False
            )
        )
        yield name, Peer(made, ((16, 4) if "1D" in name else (16, 16, 3),), 1e-3)
    for name, padding in product(POOLS, PADDINGS):
        size, shape = ((4, 2), (18, 15, 3)) if "2D" in name else (2, (121, 3))
        made = chain(lambda n=name, s=size, p=padding: getattr(layers, n)(s, padding=p))
        yield "pooling", Peer(made, (shape,), 5e-3)
    for padding in PADDINGS:
        options = {"padding": padding, "use_bias": False}
        made = chain(lambda o=options: layers.Conv1D(32, 3, activation="relu", **o), layers.ReLU)
        yield "Conv1D", Peer(made, ((128, 4),), 5e-2)
        made = chain(lambda o=options: layers.Conv2D(32, 4, strides=4, **o))
        yield "Conv2D", Peer(made, ((28, 28, 3),), 5e-2)
    yield "DepthwiseConv1D", Peer(chain(lambda: layers.DepthwiseConv1D(3)), ((32, 3),), 1e-2, 1e-2)
    yield "DepthwiseConv2D", Peer(chain(lambda: layers.DepthwiseConv2D(3)), ((32, 32, 3),), 1e-2, 1e-2)
    for rank, (kind, stride, padding) in product((1, 2), POOLINGS):
        size, shape = 3 if rank == 1 else 2, (*(124,) * rank, 5)
        stride = stride[:rank] if stride else None
        name = f"{kind}Pooling{rank}D"
        made = chain(lambda n=name, s=size, t=stride, p=padding: getattr(layers, n)(s, t, p))
        yield "pooling", Peer(made, (shape,), 5e-3)
    for rank, kind in product((1, 2), ("Max", "Average")):
        name = f"Global{kind}Pooling{rank}D"
        made = chain(lambda n=name: getattr(layers, n)(keepdims=True))
        yield "pooling", Peer(made, ((*(18,) * rank, 6),), 5e-3)
    for rank in (1, 2):
        made = chain(
            lambda r=rank: getattr(layers, f"Conv{r}D")(4, 3, **UNIFORM),
            layers.Flatten,
            dense(1, **UNIFORM),
        )
        yield "unrolled", Peer(made, ((*(8,) * rank, 3),), 1e-2)
    yield "narrow", Peer(chain(lambda: layers.Conv1D(5, 9)), ((11, 3),), 5e-2)
    yield "narrow", Peer(chain(lambda: layers.Conv2D(5, 4)), ((5, 5, 3),), 5e-2)
    yield "causal", Peer(chain(lambda: layers.Conv1D(1, 5, padding="causal")), ((100, 1),), 5e-3)
    yield "transposed", Peer(chain(lambda: layers.Conv1DTranspose(4, 3)), ((5, 3),), 5e-2)
    yield "transposed", Peer(chain(lambda: layers.Conv2DTranspose(4, 3)), ((5, 5, 3),), 5e-2)
    steps = (lambda: layers.TimeDistributed(layers.Conv2D(4, 3, kernel_initializer="ones", use_bias=False)),)
    pooled = (*steps, lambda: layers.TimeDistributed(layers.MaxPooling2D(2)))
    yield "steps", Peer(chain(*pooled), ((5, 10, 10, 3),), 1e-2)
    inner = (
        lambda: layers.Conv2D(4, 3, kernel_initializer="ones", use_bias=False),
        lambda: layers.MaxPooling2D(2),
    )
    sequence = chain(lambda: layers.TimeDistributed(keras.Sequential([layer() for layer in inner])))
    yield "steps", Peer(sequence, ((5, 10, 10, 3),), 1e-2)


def others() -> Iterator[tuple[str, Peer]]:
    """Models of other layers, and of several."""
    for kind in ("ZeroPadding", "Cropping"):
        yield kind, Peer(chain(lambda k=kind: getattr(layers, f"{k}1D")((3, 4))), ((8, 4),), 5e-3)
        yield (
            kind,
            Peer(chain(lambda k=kind: getattr(layers, f"{k}2D")(((1, 2), (3, 4)))), ((6, 8, 4),), 5e-3),
        )
    for given in (True, False):
        made = chain(lambda g=given: layers.BatchNormalization(center=g, scale=g))
        yield "normalization", Peer(made, ((16,),), 5e-3)
    for shape in ((4, 3), (4, 1), (2, 3, 2), (1, 3, 1)):
        made = chain(dense(7, activation="relu"), dense(2, activation="relu"))
        yield "positions", Peer(made, (shape,), 1e-2, 1e-2)
    for equation, before, after, bias in EQUATIONS:
        options = {"output_shape": after, "bias_axes": bias, "bias_initializer": "random_uniform"}
        made = chain(lambda e=equation, o=options: layers.EinsumDense(e, **o))
        yield "equation", Peer(made, (before,), 2e-6, bits=24)
    for shapes in BROADCAST:
        yield "broadcast", Peer(lambda a, b: layers.Add()([a, b]), shapes, 1e-6, 1e-6)
    for shapes in BROADCAST[:2]:
        yield "broadcast", Peer(lambda a, b: layers.Concatenate()([a, b]), shapes, 1e-6, 1e-6)
    yield "reshape", Peer(chain(dense(30), lambda: layers.Reshape((10, 3)), layers.ReLU), ((10,),), 2e-2)
    yield (
        "reshape",
        Peer(chain(lambda: layers.Conv2D(6, 1), lambda: layers.Reshape((3, 2))), ((1, 1, 1),), 1e-5),
    )
    yield "reshape", Peer(halves, ((4,), (4,)), 1e-6)
    yield "axes", Peer(turned, ((2, 3),), 1e-4)
    yield "axes", Peer(chain(lambda: layers.Permute((3, 5, 4, 1, 2))), ((2, 3, 4, 5, 6),), 1e-6)
    yield (
        "axes",
        Peer(lambda x: layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(x)]), ((2, 3),), 1e-6),
    )
    yield "branches", Peer(several_sums, ((10,),), 1e-5, bits=24)
    yield "branches", Peer(shared_layer, ((10, 10), (10, 10)), 1e-5)
    yield "branches", Peer(two_heads, ((6, 8),), 1e-5)
    yield "branches", Peer(lambda x: [layers.Dense(10)(x), layers.Dense(10)(x)], ((10,),), 1e-5)
    for axis, shapes in UNEQUAL:
        yield "concatenation", Peer(lambda a, b, x=axis: layers.Concatenate(x)([a, b]), shapes, 1e-3)
    for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"):
        swapped = lambda a, b, n=name: getattr(layers, n)()([b, a])  # noqa: E731
        yield "swapped", Peer(swapped, ((10, 10, 3),) * 2, 1e-3)
    yield "branches", Peer(corner_cases, ((24, 8), (16,)), 1e-5)
    yield "branches", Peer(many_readers, ((10,),), 1e-4, bits=28)
    yield "branches", Peer(lambda x: layers.Add()([layers.Dense(10)(x), layers.Dense(10)(x)]), ((10,),), 1e-5)
    yield "branches", Peer(sums_of_inputs, ((1,), (1,)), 2**-16)
    ones = {"kernel_initializer": "ones", "use_bias": False}
    yield "branches", Peer(lambda x: [layers.Dense(n, **ones)(x) for n in (5, 2)], ((10,),), 1e-5)
    large = keras.initializers.RandomUniform(1, 10, seed=0)
    for activation in ("relu", None):
        first = dense(2, kernel_initializer=large, activation=activation)
        yield "dense", Peer(chain(first, layers.ELU), ((1,),), 1e-2, 1e-2)
    for behind in (lambda: layers.Activation("sigmoid"), lambda: layers.LeakyReLU(0.5)):
        yield "dense", Peer(chain(dense(64, kernel_initializer="lecun_uniform"), behind), ((1,),), 1e-2, 1e-2)
    yield "dense", Peer(chain(dense(12, **UNIFORM)), ((16,),), 1e-2)
    normalized = (dense(8, activation="relu"), layers.BatchNormalization)
    normalized += (dense(6, activation="relu"), layers.BatchNormalization, dense(4, activation="relu"))
    yield "networks", Peer(chain(*normalized), ((4,),), 5e-2, 2e-2)
    for rank, kind in product((1, 2), ("Conv", "SeparableConv")):
        yield "networks", Peer(network(rank, kind), (((12, 4), (10, 12, 4))[rank - 1],), 5e-2, 2e-2)
    yield "nested", Peer(nested, ((15,),), 2e-2, 1e-2)
    yield "nested", Peer(nested_twice, ((15,),), 2e-2, 1e-2)
    digits = chain(
        lambda: layers.Conv2D(4, 3, padding="same", activation="relu"),
        lambda: layers.MaxPooling2D(2),
        lambda: layers.Conv2D(6, 5, activation="relu"),
        lambda: layers.AveragePooling2D(2),
        layers.Flatten,
        dense(10),
    )
    yield "digits", Peer(digits, ((28, 28, 1),), 1e-3)


def cases() -> list[ParameterSet]:
    """The first model of each kind, and all others in the soak."""
    seen: dict[str, int] = {}
    found = []
    for kind, peer in (*windows(), *others()):
        seen[kind] = seen.get(kind, 0) + 1
        marks = [] if seen[kind] == 1 else [pytest.mark.soak]
        found.append(pytest.param(peer, marks=marks, id=f"{kind}-{seen[kind]}"))
    return found


@pytest.mark.parametrize("peer", cases())
def test_a_network_is_within_its_tolerance(peer: Peer) -> None:
    model = peer.model()
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 256, (FRAMES, *shape)) for shape in peer.shapes]
    real = [(frames / 255).astype(np.float32) for frames in x]
    expected = model(real if len(x) > 1 else real[0])
    options = {} if peer.bits is None else {"bits": peer.bits}

    accelerator = bnn2hw.compile(
        model, input=bnn2hw.Input("uint8", scale=1 / 255), output="scores", target="xc7z045", **options
    )

    found = accelerator.predict(x if len(x) > 1 else x[0])
    results = list(found.values()) if isinstance(found, dict) else [found]
    wanted = list(expected) if isinstance(expected, list | tuple) else [expected]
    for ours, theirs in zip(results, map(np.asarray, wanted), strict=True):
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=peer.rtol, atol=peer.atol)


@pytest.mark.parametrize("shape", [(8,), (8, 8, 3)])
def test_a_softmax_alone(shape: tuple[int, ...]) -> None:
    model = keras.Sequential([keras.Input(shape), layers.Activation("softmax")])
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *shape))

    found = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255)).predict(x)

    assert np.array_equal(found.reshape(x.shape[:-1]), x.argmax(-1))


def test_scores_in_front_of_a_softmax() -> None:
    model = keras.Sequential([keras.Input((10,)), layers.Dense(14), layers.Activation("softmax")])
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, 10))
    expected = np.asarray(model.layers[0]((x / 255).astype(np.float32)))

    found = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255), output="scores").predict(x)

    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-2)


H5 = {
    "relu": ([layers.Activation("relu")], (10,)),
    "steps": (
        [layers.TimeDistributed(layers.Conv2D(4, 3)), layers.TimeDistributed(layers.MaxPooling2D(2))],
        (5, 10, 10, 3),
    ),
}


@pytest.mark.parametrize("kind", H5)
def test_a_file_with_the_suffix_h5(kind: str, tmp_path: Path) -> None:
    made, shape = H5[kind]
    model = keras.Sequential([keras.Input(shape), *made])
    model.save(tmp_path / "model.h5")
    x = np.random.default_rng(0).integers(-128, 128, (FRAMES, *shape))
    expected = np.asarray(model((x / 128).astype(np.float32)))
    wire = bnn2hw.Input("int8", scale=1 / 128)

    found = bnn2hw.compile(tmp_path / "model.h5", input=wire, output="scores", target="xc7z045").predict(x)

    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)
