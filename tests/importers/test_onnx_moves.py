"""Nodes of ONNX that move, repeat, compare and choose values equal the executor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import GENERAL, Graph, hardware_equals_executor

package_or_skip("qonnx")

IMAGE, ROW, MATRIX, VECTOR = (1, 4, 6, 6), (1, 4, 9), (1, 6, 8), (1, 6)
LAST = (1, 6, 6, 4)
SCALES = np.array([0.1, 0.3, 0.2, 0.7]).reshape(1, 4, 1, 1)
RNG = np.random.default_rng(0)


def signs(*shape: int) -> np.ndarray:
    return RNG.choice([-1.0, 1.0], shape)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def four(g: Graph, x: str = "x", scale: float = 0.5) -> str:
    return g.quant(x, scale, 0, 4)


def mixed(g: Graph, filters: int = 4) -> str:
    """A quantized convolution of single pixels."""
    return four(g, g.add("Conv", "x", signs(filters, 4, 1, 1)))


def padded(mode: str, *pads: int) -> Callable[[Graph], str]:
    return lambda g: g.add("Conv", g.add("Pad", four(g), whole(*pads), mode=mode), signs(4, 4, 3, 3))


def resized(*scales: float, **options: object) -> Callable[[Graph], str]:
    return lambda g: g.add("Resize", "x", "", np.array(scales, np.float32), mode="nearest", **options)


def turned(g: Graph) -> str:
    return g.add("Conv", g.add("Transpose", "x", perm=[0, 1, 3, 2]), signs(4, 4, 3, 3))


def shuffled_pixels(g: Graph) -> str:
    """DepthToSpace as PyTorch writes it by hand."""
    apart = g.add("Reshape", "x", whole(1, 2, 2, 1, 6, 6))
    return g.add("Reshape", g.add("Transpose", apart, perm=[0, 3, 4, 1, 5, 2]), whole(1, 1, 12, 12))


def shuffled_factors(g: Graph) -> str:
    apart = g.add("Reshape", g.add("GlobalMaxPool", "x"), whole(1, 2, 2))
    turned = g.add("Reshape", g.add("Transpose", apart, perm=[0, 2, 1]), whole(1, 4, 1, 1))
    return g.add("Mul", four(g), four(g, turned))


def larger(g: Graph, yes: str, no: object) -> str:
    return g.add("Where", g.add("Greater", "x", np.float32(0)), yes, no)


def bits(g: Graph, value: str) -> str:
    return g.add("Where", value, np.float32(1), np.float32(-1))


MOVES: dict[str, tuple[tuple[int, ...], Callable[[Graph], str]]] = {
    "a maximum over taps apart": (
        IMAGE,
        lambda g: g.add("MaxPool", "x", kernel_shape=[2, 3], dilations=[2, 1], pads=[1, 1, 0, 1]),
    ),
    "taps apart and a last partial window": (
        IMAGE,
        lambda g: g.add("MaxPool", "x", kernel_shape=[2, 2], dilations=[3, 2], strides=[2, 2], ceil_mode=1),
    ),
    "a maximum with channels last": (
        LAST,
        lambda g: g.add(
            "MaxPoolNHWC", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0], domain=GENERAL
        ),
    ),
    "a mirrored border": (IMAGE, padded("reflect", 0, 0, 1, 1, 0, 0, 1, 1)),
    "a wide mirrored border": (IMAGE, padded("reflect", 0, 0, 3, 2, 0, 0, 1, 3)),
    "a border of the last pixels": (IMAGE, padded("edge", 0, 0, 1, 2, 0, 0, 2, 1)),
    "channels as blocks": (IMAGE, lambda g: g.add("DepthToSpace", "x", blocksize=2)),
    "channels as blocks, by columns": (IMAGE, lambda g: g.add("DepthToSpace", "x", blocksize=2, mode="CRD")),
    "blocks as channels": (IMAGE, lambda g: g.add("SpaceToDepth", "x", blocksize=3)),
    "blocks by hand": (IMAGE, shuffled_pixels),
    "rows and columns exchanged": (IMAGE, turned),
    "columns backwards": (
        IMAGE,
        lambda g: g.add("Slice", "x", whole(5), whole(-7), whole(3), whole(-1)),
    ),
    "rows in any order": (IMAGE, lambda g: g.add("Gather", "x", whole(5, 0, 3), axis=2)),
    "one and a half times": (
        IMAGE,
        resized(1, 1, 1.5, 1.5, coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ),
    "a row twice": (ROW, resized(1, 1, 2)),
    "tiles": (IMAGE, lambda g: g.add("Tile", "x", whole(1, 2, 2, 1))),
    "expanded": (IMAGE, lambda g: g.add("Add", "x", g.add("Expand", mixed(g, 1), whole(1, 4, 1, 1)))),
    "a matrix on the left": (MATRIX, lambda g: g.add("MatMul", signs(5, 6), "x")),
    "a vector on the right": (MATRIX, lambda g: g.add("MatMul", "x", signs(8))),
    "a sum with a number per channel": (
        IMAGE,
        lambda g: g.add("Add", four(g), four(g, g.add("GlobalMaxPool", "x"))),
    ),
    "a number per channel minus values": (
        IMAGE,
        lambda g: g.add("Sub", four(g, g.add("GlobalMaxPool", "x")), four(g)),
    ),
    "a sum with one channel": (IMAGE, lambda g: g.add("Add", four(g), mixed(g, 1))),
    "a product with one channel": (IMAGE, lambda g: g.add("Mul", four(g), mixed(g, 1))),
    "a sum with one value": (VECTOR, lambda g: g.add("Add", "x", g.add("MatMul", "x", signs(6, 1)))),
    "a row for each column": (
        IMAGE,
        lambda g: g.add("Add", four(g), four(g, g.add("ReduceMax", "x", axes=[3], keepdims=1))),
    ),
    "a sum in two orders": (
        IMAGE,
        lambda g: g.add("Add", four(g), g.add("Transpose", four(g), perm=[0, 1, 3, 2])),
    ),
    "factors in another order": (IMAGE, shuffled_factors),
    "the largest of three": (
        IMAGE,
        lambda g: g.add("Max", "x", g.add("Neg", "x"), np.float32(1)),
    ),
    "a sum with a constant": (IMAGE, lambda g: g.add("Sum", "x", mixed(g), np.float32(1))),
    "two values compared": (IMAGE, lambda g: bits(g, g.add("Greater", mixed(g), four(g)))),
    "equal values": (IMAGE, lambda g: bits(g, g.add("Equal", mixed(g), four(g)))),
    "both": (
        IMAGE,
        lambda g: bits(
            g,
            g.add("And", g.add("Greater", "x", np.float32(-1)), g.add("Less", "x", np.float32(2))),
        ),
    ),
    "either": (
        IMAGE,
        lambda g: bits(
            g, g.add("Xor", g.add("Greater", "x", np.float32(0)), g.add("Less", mixed(g), four(g)))
        ),
    ),
    "a choice of two values": (IMAGE, lambda g: larger(g, "x", mixed(g))),
    "a value or a constant": (IMAGE, lambda g: larger(g, "x", np.float32(-1))),
    "a constant choice": (
        IMAGE,
        lambda g: g.add("Where", g.constant(RNG.random((1, 4, 6, 6)) < 0.5, bool), "x", mixed(g)),
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_values_are_moved_exactly(name: str) -> None:
    shape, grow = MOVES[name]
    graph = Graph(shape)

    accelerator = hardware_equals_executor(graph, grow(graph))

    assert {f.kind for f in accelerator.fidelity.values()} == {"exact"}


SIMULATED = (
    "taps apart and a last partial window",
    "a mirrored border",
    "channels as blocks",
    "a sum with a number per channel",
    "a choice of two values",
)


@pytest.mark.parametrize("name", SIMULATED)
def test_moved_values_in_hardware(name: str) -> None:
    shape, grow = MOVES[name]
    graph = Graph(shape)
    accelerator = hardware_equals_executor(graph, grow(graph))

    frames = RNG.choice(accelerator.input_specs.ints.values(), (4, *shape[1:]))

    accelerator.simulate(frames, stalls=0.2).check()


BY_CHANNEL: dict[str, Callable[[Graph], str]] = {
    "Quant": lambda g: g.quant(g.add("Conv", "x", signs(4, 4, 1, 1)), SCALES, 0, 4),
    "a zero point": lambda g: g.quant("x", SCALES, np.array([3, 1, 0, 9]).reshape(SCALES.shape), 4, signed=0),
    "BipolarQuant": lambda g: g.add("BipolarQuant", "x", SCALES),
    "thresholds and factors": lambda g: g.add(
        "Mul", g.add("MultiThreshold", "x", np.sort(RNG.normal(0, 3, (4, 3)), 1), out_dtype="UINT2"), SCALES
    ),
}


@pytest.mark.parametrize("follows", ["a convolution", "a sum", "blocks"])
@pytest.mark.parametrize("name", BY_CHANNEL)
def test_quantizers_with_a_scale_per_channel_decide_exactly(name: str, follows: str) -> None:
    # What follows may need one scale, which their levels are not multiples of.
    graph = Graph(IMAGE)
    value = BY_CHANNEL[name](graph)
    after = {
        "a convolution": lambda: graph.add("Conv", value, signs(4, 4, 3, 3), pads=[1] * 4),
        "a sum": lambda: graph.add("Add", value, graph.quant("x", 0.37, 0, 4)),
        "blocks": lambda: graph.add("DepthToSpace", value, blocksize=2),
    }[follows]

    hardware_equals_executor(graph, after())
