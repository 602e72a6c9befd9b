"""The meaning of each op in plain loops over the values of a frame: what its hardware is proved to compute.

The functions know neither the golden functions nor the templates. They work on numbers, which the tests
compare with golden, and on expressions, whose text the proofs compare with the hardware.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bnn2hw import ops
from bnn2hw.formal.terms import (
    Value,
    choose,
    entry,
    is_number,
    larger,
    modulo,
    reaches,
    smaller,
)
from bnn2hw.ir import HardwareOp, Ints, Tensor

Frame: TypeAlias = Sequence[Value]
"""The values of a frame in row-major order."""

Meaning: TypeAlias = Callable[[Any, Sequence[Tensor], Sequence[Frame]], list[Value]]
"""The values of the output of an op, from the op, the types of its inputs and their values."""

MEANINGS: dict[type[HardwareOp], Meaning] = {}
"""The meaning of each op by its class."""


def means(*kinds: type[HardwareOp]) -> Callable[[Meaning], Meaning]:
    """Return a decorator that enters a function as the meaning of some ops."""

    def enter(meaning: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(kinds, meaning))
        return meaning

    return enter


def _code(value: Value, ints: Ints) -> Value:
    """Return the number that stands for a value on the wire, without the wrap of negative ones."""
    return value if ints.step == 1 else _divided(value - ints.lo, ints.step)


def _divided(value: Value, step: int) -> Value:
    """Return a multiple of a step, divided by it."""
    if isinstance(value, int):
        return value // step
    return entry(range((value.hi // step) + 1), _index_of_multiple(value, step))


def _index_of_multiple(value: Value, step: int) -> Value:
    count = 0 if isinstance(value, int) else value.hi // step
    return sum((reaches(value, k * step) for k in range(1, count + 1)), start=0)


def _vectors(frame: Frame, size: int) -> list[Frame]:
    return [frame[i : i + size] for i in range(0, len(frame), size)]


@means(ops.Fifo, ops.WidthConverter)
def same(op: object, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the values themselves, in order."""
    return list(frames[0])


@means(ops.Add)
def add(op: ops.Add, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the sums: the second input is added from channel `first` on."""
    a, b = (_vectors(f, t.channels) for f, t in zip(frames, x, strict=True))
    return [
        ours[c] + (theirs[c - op.first] if c >= op.first else 0)
        for ours, theirs in zip(a, b, strict=True)
        for c in range(len(ours))
    ]


@means(ops.Concat, ops.ParallelConcat)
def concat(op: object, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return all channels of the first input, then all of the second, at each position."""
    a, b = (_vectors(f, t.channels) for f, t in zip(frames, x, strict=True))
    return [v for pair in zip(a, b, strict=True) for part in pair for v in part]


@means(ops.Multiply, ops.ParallelMultiply)
def multiply(op: object, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the products; a second input of one vector has a factor for each channel."""
    return [v * frames[1][i % len(frames[1])] for i, v in enumerate(frames[0])]


@means(ops.Argmax)
def argmax(op: ops.Argmax, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the first index of the largest value of each vector."""
    return [_best(list(vector)) for vector in _vectors(frames[0], math.prod(x[0].shape[-op.axes :]))]


def _best(vector: Sequence[Value]) -> Value:
    """Return the index that no later value exceeds and no earlier value reaches."""
    index: Value = 0
    top = vector[0]
    for i, value in enumerate(vector[1:], 1):
        exceeds = 1 - reaches(top, value)
        index, top = choose(exceeds, i, index), larger(value, top)
    return index


@means(ops.TopK)
def topk(op: ops.TopK, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the index whose rank is 0, then that of rank 1, and so on; the rank is the number of better values."""
    found = []
    for vector in _vectors(frames[0], math.prod(x[0].shape[-op.axes :])):
        ranks = [sum(_before(vector, j, i) for j in range(len(vector)) if j != i) for i in range(len(vector))]
        for k in range(op.k):
            found.append(sum(is_number(rank, k) * i for i, rank in enumerate(ranks)))
    return found


def _before(vector: Frame, j: int, i: int) -> Value:
    """Return 1 if value j comes before value i: it is larger, or equal and earlier."""
    return reaches(vector[j], vector[i]) if j < i else 1 - reaches(vector[i], vector[j])


@means(ops.Xnor)
def xnor(op: ops.Xnor, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the dot products with the weights."""
    return _products(op.weights, frames[0])


@means(ops.Mac)
def mac(op: ops.Mac, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the dot products with the weights; of wire codes if values lie in larger steps."""
    return _products(op.weights, [_code(v, x[0].ints) for v in frames[0]])


def _products(weights: Any, frame: Frame) -> list[Value]:
    mw, mh = weights.shape
    return [
        sum(int(weights[i, n]) * vector[i] for i in range(mw))
        for vector in _vectors(frame, mw)
        for n in range(mh)
    ]


@means(ops.Unrolled)
def unrolled(op: ops.Unrolled, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the dot products with the weights, or signs of their comparisons with thresholds.

    The products are those of values if all weights and inputs are ±1, else those of wire codes.
    """
    codes = frames[0] if op.signs else [_code(v, x[0].ints) for v in frames[0]]
    dots, mh = _products(op.weights, codes), op.weights.shape[1]
    if op.thresholds is None:
        return dots
    return [_sign(dot, int(op.thresholds[i % mh]), _falls(op, i % mh)) for i, dot in enumerate(dots)]


def _sign(value: Value, level: int, falls: int) -> Value:
    return (2 * reaches(value, level) - 1) * falls


def _falls(op: ops.Unrolled, neuron: int) -> int:
    """Return -1 if the output of a neuron falls, else 1."""
    return -1 if op.falls is not None and op.falls[neuron] else 1


@means(ops.Threshold)
def threshold(op: ops.Threshold, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Count the thresholds that each value reaches, upward or downward from an end of the output's type."""
    found = []
    for i, value in enumerate(frames[0]):
        row = i % op.rows
        count = sum(reaches(value, int(level)) for level in op.thresholds[row])
        falls = op.falls is not None and bool(op.falls[row])
        found.append((op.type.hi - op.type.step * count) if falls else (op.type.lo + op.type.step * count))
    return found


@means(ops.Affine)
def affine(op: ops.Affine, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return slope times input plus bias of the segment that holds each value, shifted and limited."""
    found = []
    for i, value in enumerate(frames[0]):
        row = i % op.rows
        line = [(int(s), int(b)) for s, b in zip(op.slopes[row], op.biases[row], strict=True)]
        sums = [s * (value >> op.drop) + b for s, b in line]
        total = sums[0]
        for cut, other in zip(op.cuts[row], sums[1:], strict=True):
            total = choose(reaches(value, int(cut)), other, total)
        found.append(_limited(total >> op.shift, op.type.lo, op.type.hi))
    return found


def _limited(value: Value, lo: int, hi: int) -> Value:
    return smaller(larger(value, lo), hi)


@means(ops.Quantize)
def quantize(op: ops.Quantize, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return each value rounded to a multiple of 2^drop, wrapped or limited, and shifted."""
    found = []
    for i, value in enumerate(frames[0]):
        drop, lo, hi = (int(v[i % op.rows]) for v in (op.drops, op.lows, op.highs))
        rounded = _rounded(value, drop, op.rounding) * 2**drop
        if op.wraps:
            bits = (hi - lo + 2**drop).bit_length() - 1
            limited = modulo(rounded - lo, bits) + lo
        else:
            limited = _limited(rounded, lo, hi)
        found.append(limited >> op.shift)
    return found


def _rounded(value: Value, drop: int, rounding: str) -> Value:
    """Return a value divided by 2^drop and rounded."""
    if not drop or rounding == "down":
        return value >> drop
    half: int = 2 ** (drop - 1)
    up: Value = (value + half) >> drop
    if rounding == "up":
        return up
    tie = is_number(modulo(value, drop), half)
    return up - tie * modulo(up, 1)


@means(ops.Interpolation)
def interpolation(op: ops.Interpolation, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the height of the line of each value's segment; heights have two bits of fraction."""
    first = op.domain.lo >> op.low
    found = []
    for value in frames[0]:
        segment = (value >> op.low) - first
        base, slope = (entry([int(v) for v in line], segment) for line in (op.bases, op.slopes))
        found.append((base * 2**op.low + slope * modulo(value, op.low)) >> (op.low + 2))
    return found


@means(ops.Table)
def table(op: ops.Table, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the entry of each value in the table of its channel."""
    rows = [[int(v) for v in row] for row in op.table]
    return [
        entry(rows[i % len(rows)], _code(value - _first(op.domain), op.domain))
        for i, value in enumerate(frames[0])
    ]


def _first(ints: Ints) -> int:
    """Return what is subtracted from a value in steps of 1 for its index."""
    return ints.lo if ints.step == 1 else 0


@means(ops.Lut)
def lut(op: ops.Lut, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the entries of the truth tables that the wire codes of the inputs name."""
    found = []
    for vector in _vectors(frames[0], math.prod(x[0].shape[-op.axes :])):
        for wires, row in zip(op.wires, op.tables, strict=True):
            bits = op.domain.bits
            codes = [modulo(_code(vector[w], op.domain), bits) if w >= 0 else 0 for w in wires]
            index = sum(code * 2 ** (bits * j) for j, code in enumerate(codes))
            found.append(entry([int(v) for v in row], index))
    return found


@means(ops.Depthwise, ops.ParallelDepthwise)
def depthwise(
    op: ops.Depthwise | ops.ParallelDepthwise, x: Sequence[Tensor], frames: Sequence[Frame]
) -> list[Value]:
    """Return the weighted sum of each channel over each window; of wire codes if steps are larger."""
    positions, channels = op.weights.shape
    return [
        sum(int(op.weights[p, c]) * _code(window[p * channels + c], x[0].ints) for p in range(positions))
        for window in _vectors(frames[0], positions * channels)
        for c in range(channels)
    ]


def _images(x: Tensor, frame: Frame) -> list[list[list[Frame]]]:
    """Return the images of a frame as rows of pixels."""
    height, width, channels = x.shape[-3:]
    return [
        [_vectors(row, channels) for row in _vectors(image, width * channels)]
        for image in _vectors(frame, height * width * channels)
    ]


@means(ops.Pad)
def pad(op: ops.Pad, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the images with the border around their pixels and between them."""
    channels = x[0].channels
    border = [op.value] * channels if isinstance(op.value, int) else list(op.value)
    height, width = x[0].shape[-3:-1]
    rows = sum(op.rows) + (height - 1) * op.gaps[0] + 1
    columns = sum(op.columns) + (width - 1) * op.gaps[1] + 1
    found: list[Value] = []
    for image in _images(x[0], frames[0]):
        for r, c in itertools.product(range(rows), range(columns)):
            row, column = divmod(r - op.rows[0], op.gaps[0]), divmod(c - op.columns[0], op.gaps[1])
            inside = 0 <= row[0] < height and 0 <= column[0] < width and row[1] == column[1] == 0
            found += image[row[0]][column[0]] if inside else border
    return found


@means(ops.Pool, ops.ParallelPool)
def pool(op: ops.Pool | ops.ParallelPool, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the largest or smallest value of each window, channel by channel."""
    channels = op.minimum.size
    folds = [smaller if falls else larger for falls in op.minimum]
    return [
        functools.reduce(folds[c], (pixel[c] for pixel in window))
        for window in (_given_windows if op.windowed else _tiles)(op, x[0], frames[0])
        for c in range(channels)
    ]


def _given_windows(op: ops.Pool | ops.ParallelPool, x: Tensor, frame: Frame) -> list[list[Frame]]:
    return [_vectors(window, op.minimum.size) for window in _vectors(frame, x.channels)]


def _tiles(op: ops.Pool | ops.ParallelPool, x: Tensor, frame: Frame) -> list[list[Frame]]:
    (rows, columns), (height, width) = op.size, x.shape[-3:-1]
    return [
        [image[r + i][c + j] for i in range(rows) for j in range(columns)]
        for image in _images(x, frame)
        for r in range(0, height - rows + 1, rows)
        for c in range(0, width - columns + 1, columns)
    ]


@means(ops.SlidingWindow, ops.ParallelWindow)
def windows(op: ops.SlidingWindow, x: Sequence[Tensor], frames: Sequence[Frame]) -> list[Value]:
    """Return the pixels under the kernel at each of its places, row by row."""
    (height, width), (rows, columns) = x[0].shape[-3:-1], op.kernel
    bottom, right = (rows - 1) * op.dilation[0], (columns - 1) * op.dilation[1]
    return [
        value
        for image in _images(x[0], frames[0])
        for r in range(0, height - bottom, op.stride[0])
        for c in range(0, width - right, op.stride[1])
        for i in range(rows)
        for j in range(columns)
        for value in image[r + i * op.dilation[0]][c + j * op.dilation[1]]
    ]
