"""Small instances of each op, whose proofs end in seconds or minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bnn2hw import ops
from bnn2hw.ir import BIPOLAR, HardwareOp, Ints, Tensor

Instance = tuple[HardwareOp, tuple[Tensor, ...]]
"""An op and the types of its inputs."""

TERNARY = Ints(-1, 1)
SMALL, SIGNED = Ints(0, 3), Ints(-2, 1)


def signs(*rows: str) -> np.ndarray:
    """Return ±1 weights of shape (synapses, neurons) from rows of + and -."""
    return np.array([[1 if c == "+" else -1 for c in row] for row in rows], np.int8)


def of(values: tuple[int, ...] | int, ints: Ints) -> Tensor:
    """Return the type of an input."""
    return Tensor(values if isinstance(values, tuple) else (values,), ints)


def _moving() -> Iterator[Instance]:
    yield ops.Fifo(lanes=1, depth=2), (of(3, SMALL),)
    yield ops.Fifo(lanes=2, depth=1), (of(4, BIPOLAR),)
    yield ops.Fifo(lanes=2, depth=3), (of(4, BIPOLAR),)
    yield ops.Fifo(lanes=1, depth=5), (of(3, BIPOLAR),)
    yield ops.WidthConverter(1, 2, widens=True), (of(4, SMALL),)
    yield ops.WidthConverter(1, 3, widens=False), (of(6, BIPOLAR),)
    yield ops.WidthConverter(2, 2, widens=True, vector=3), (of((2, 3), BIPOLAR),)
    yield ops.WidthConverter(1, 2, widens=False, vector=3), (of((2, 3), BIPOLAR),)
    yield ops.Concat(lanes=1), (of((2, 1), BIPOLAR), of((2, 1), TERNARY))
    yield ops.Concat(lanes=2), (of(2, SMALL), of(4, SIGNED))
    yield ops.ParallelConcat(3, pixels=2), (of((2, 1), BIPOLAR), of((2, 2), TERNARY))


def _images() -> Iterator[Instance]:
    yield ops.Pad((1, 0), (0, 1), 0, lanes=1), (of((1, 2, 1), BIPOLAR),)
    yield ops.Pad((0, 1), (1, 0), (-1, 1), lanes=1), (of((2, 1, 2), BIPOLAR),)
    yield ops.Pad((0, 0), (0, 0), 1, (2, 2), lanes=1), (of((2, 2, 1), TERNARY),)
    yield ops.Pad((0, 0), (1, 1), 0, lanes=1, pixels=2), (of((1, 2, 1), BIPOLAR),)
    yield ops.Pool(np.array([False]), (2, 2)), (of((2, 4, 1), BIPOLAR),)
    yield ops.Pool(np.array([False, True]), (1, 2), lanes=1), (of((1, 3, 2), SIGNED),)
    yield ops.Pool(np.array([True]), (1, 2), windowed=True), (of((2, 2), SMALL),)
    yield ops.Pool(np.array([False]), (2, 2), pixels=2), (of((2, 2, 1), SMALL),)
    yield ops.ParallelPool(np.array([False]), (2, 2), True, 4, 2), (of((2, 4), SMALL),)
    yield ops.ParallelPool(np.array([True, False]), (1, 2), False, 4), (of((2, 2, 2), BIPOLAR),)
    yield ops.SlidingWindow((1, 2)), (of((1, 3, 1), BIPOLAR),)
    yield ops.SlidingWindow((2, 1)), (of((2, 2, 1), BIPOLAR),)
    yield ops.SlidingWindow((2, 2)), (of((3, 2, 1), BIPOLAR),)
    yield ops.ParallelWindow((2, 2), lanes=4), (of((2, 2, 1), BIPOLAR),)
    yield ops.ParallelWindow((2, 2), lanes=4), (of((3, 3, 1), BIPOLAR),)
    yield ops.ParallelWindow((1, 2), (1, 2), lanes=2), (of((1, 4, 1), SMALL),)


def _products() -> Iterator[Instance]:
    square = signs("+-", "++", "-+", "--")
    yield ops.Xnor(square, pe=1, simd=2), (of(4, BIPOLAR),)
    yield ops.Xnor(square, pe=2, simd=4), (of(4, BIPOLAR),)
    yield ops.Xnor(square[:3], pe=1, simd=2), (of(3, BIPOLAR),)
    yield ops.Xnor(square[:2], pe=2, simd=1), (of(2, TERNARY),)
    yield ops.Xnor(square[:2], pe=2, simd=2, pixels=2), (of((2, 2), BIPOLAR),)
    yield ops.Mac(np.array([[1, -2], [3, 0]]), pe=1, simd=1), (of(2, SIGNED),)
    yield ops.Mac(np.array([[1, -2], [3, 1]]), pe=2, simd=2), (of(2, SMALL),)
    yield ops.Mac(square[:2], pe=1, simd=2, domain=None), (of(2, SMALL),)
    yield ops.Mac(np.array([[1, -2, 0, 1]]), pe=2, simd=1, packed=2), (of(1, SIGNED),)
    yield ops.Mac(np.array([[1, -2, 0], [-2, 1, 1], [0, 0, -2]]), pe=3, simd=2, packed=3), (of(3, SMALL),)
    yield ops.Mac(np.array([[1, -2], [3, -4]]), pe=1, simd=2, packed=0), (of(2, SIGNED),)
    yield ops.Depthwise(np.array([[1, -2], [3, 1]]), lanes=1), (of(4, SIGNED),)
    yield ops.Depthwise(np.ones((2, 1), np.int64), lanes=1), (of(2, SMALL),)
    yield ops.ParallelDepthwise(np.array([[1, -2], [3, 1]]), lanes=4), (of(4, SIGNED),)
    yield ops.ParallelDepthwise(signs("+-", "--"), lanes=4, pixels=2), (of((2, 4), SMALL),)
    yield ops.ParallelDepthwise(np.ones((4, 1), np.int64), lanes=1, pixels=2), (of(4, SMALL),)
    yield ops.Unrolled.of(ops.Xnor(square, pe=2, simd=4)), (of(4, BIPOLAR),)
    yield (
        ops.Unrolled.of(ops.Xnor(square, pe=2, simd=4), np.array([0, 2]), np.array([False, True])),
        (of(4, BIPOLAR),),
    )
    yield ops.Unrolled.of(ops.Mac(np.array([[1, -2], [3, 0]]), pe=2, simd=2)), (of(2, BIPOLAR),)


def _values() -> Iterator[Instance]:
    yield ops.Add(), (of(2, SMALL), of(2, SIGNED))
    yield ops.Add(first=1), (of(2, SMALL), of(1, BIPOLAR))
    yield ops.Multiply(), (of(2, SIGNED), of(2, SMALL))
    yield ops.Multiply(), (of((2, 1), SIGNED), of(1, SIGNED))
    yield ops.ParallelMultiply(1, pixels=2), (of((2, 1), SIGNED), of((2, 1), SMALL))
    yield ops.ParallelMultiply(1, pixels=2), (of((4, 1), BIPOLAR), of(1, SIGNED))
    yield ops.Threshold(np.array([[0], [2]])), (of(2, Ints(-3, 3)),)
    yield ops.Threshold(np.array([[-1, 0, 2]]), SMALL, pe=2, falls=np.array([True])), (of(2, Ints(-3, 3)),)
    yield (
        ops.Affine(np.array([[3]]), np.array([[-1]]), np.zeros((1, 0), np.int64), 1, Ints(-2, 3)),
        (of(2, SIGNED),),
    )
    yield (
        ops.Affine(
            np.array([[1, -2], [2, 1]]), np.array([[0, 3], [1, -1]]), np.array([[0], [1]]), 0, Ints(-4, 3)
        ),
        (of(2, SIGNED),),
    )
    yield (
        ops.Quantize(np.array([1]), np.array([-4]), np.array([2]), True, "even", 1, SIGNED),
        (of(1, Ints(-8, 7)),),
    )
    yield (
        ops.Quantize(np.array([1]), np.array([-4]), np.array([2]), False, "up", 1, SIGNED),
        (of(2, Ints(-8, 7)),),
    )
    yield (
        ops.Interpolation(np.array([1, -3, 5, 2]), np.array([2, -1, 1, 3]), 2, Ints(-8, 7), Ints(-8, 7)),
        (of(1, Ints(-8, 7)),),
    )
    yield ops.Table(np.array([[3, 0, 2, 1]]), SMALL, SMALL), (of(2, SMALL),)
    yield ops.Table(np.array([[3, 0, 2, 1], [0, 3, 3, 1]]), SIGNED, SMALL, pe=1), (of(2, SIGNED),)
    yield (
        ops.Lut(np.array([[0, 1], [2, -1]]), np.array([[0, 1, 1, 0], [1, 0, 1, 0]]), BIPOLAR, Ints(0, 1)),
        (of(3, BIPOLAR),),
    )
    yield ops.Argmax(), (of(3, SIGNED),)
    yield ops.Argmax(lanes=2), (of(4, SMALL),)
    yield ops.Argmax(lanes=3), (of(3, SIGNED),)
    yield ops.TopK(2), (of(3, SMALL),)
    yield ops.TopK(2, lanes=3), (of(3, SIGNED),)


def instances() -> Mapping[str, Instance]:
    """Return all instances by name: the kind of the op and a number."""
    found: dict[str, Instance] = {}
    for op, x in (*_moving(), *_images(), *_products(), *_values()):
        number = sum(name.rpartition("-")[0] == op.kind for name in found)
        found[f"{op.kind}-{number}"] = op, x
    return found
