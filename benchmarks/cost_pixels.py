"""Designs for `cost.py` of ops that take several pixels per beat in a module of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bnn2hw.ir import BIPOLAR, HardwareOp, Ints, Tensor
from bnn2hw.ops import ParallelConcat, ParallelDepthwise, ParallelMultiply, ParallelPool

Case = tuple[str, HardwareOp, *tuple[Tensor, ...]]
WIDE, BYTE, CRUMB = Ints(-(2**15), 2**15 - 1), Ints(-128, 127), Ints(0, 3)


def concats() -> Iterator[Case]:
    """Concatenations whose codes stay, or change: of signs and numbers, and of numbers in steps."""
    for ours, theirs, pixels, a, b in (
        (64, 64, 2, BIPOLAR, BIPOLAR),
        (24, 8, 2, WIDE, BYTE),
        (16, 8, 4, BIPOLAR, Ints(-5, 7, step=4)),
        (32, 16, 2, Ints(-12, 12, step=4), Ints(-8, 7)),
        (16, 16, 2, Ints(-300, 300, step=2), Ints(-458, 458, step=2)),
    ):
        op = ParallelConcat(ours + theirs, pixels=pixels)
        yield f"{ours} and {theirs} channels pixels {pixels} of {a} and {b}", op, *_images(ours, theirs, a, b)


def multiplications() -> Iterator[Case]:
    """Products of streams, and of a stream and a vector."""
    for channels, pixels, kept, a, b in (
        (16, 2, True, WIDE, Ints(0, 255)),
        (16, 2, False, Ints(0, 15), Ints(0, 15)),
        (32, 4, True, BIPOLAR, BYTE),
        (24, 2, True, CRUMB, Ints(0, 15)),
        (8, 4, False, BYTE, BYTE),
        (16, 4, True, Ints(-8, 7), BIPOLAR),
    ):
        first, second = _images(channels, channels, a, b)
        second = Tensor((channels,), b) if kept else second
        name = f"{channels} channels pixels {pixels} of {a} and {'a vector of ' * kept}{b}"
        yield name, ParallelMultiply(channels, pixels=pixels), first, second


def pools() -> Iterator[Case]:
    """Maxima and minima of windows, of one bit and more."""
    for size, channels, windows, ints in (
        ((3, 3), 16, 2, BIPOLAR),
        ((3, 3), 4, 2, Ints(0, 15)),
        ((2, 2), 4, 2, BYTE),
        ((5, 5), 4, 1, CRUMB),
        ((3, 2), 6, 2, Ints(0, 7)),
    ):
        minimum = np.random.default_rng(channels).random(channels) < 0.5
        lanes = math.prod(size) * channels
        op = ParallelPool(minimum, size, True, lanes, windows)
        name = f"{size[0]}×{size[1]} of {channels} channels pixels {windows} of {ints}"
        yield name, op, Tensor((3, 8, lanes), ints)


def depthwises() -> Iterator[Case]:
    """Sums with signs, with other weights, and without weights; of whole windows and of pixels of an image."""
    rng = np.random.default_rng(7)
    for positions, channels, windows, bits, ints in (
        (9, 8, 2, 1, BIPOLAR),
        (9, 4, 2, 1, BYTE),
        (9, 4, 2, 4, CRUMB),
        (9, 4, 1, 8, Ints(0, 255)),
        (6, 5, 2, 3, Ints(0, 15)),
        (4, 8, 2, 0, Ints(0, 15)),
    ):
        reach = 2 ** max(bits - 1, 0)
        some = (
            rng.choice([-1, 1], (positions, channels))
            if bits == 1
            else np.ones((positions, channels), np.int64)
        )
        weights = rng.integers(-reach, reach, (positions, channels)) if bits > 1 else some
        domain = ints if ints.step > 1 else None
        op = ParallelDepthwise(weights, domain=domain, lanes=positions * channels, pixels=windows)
        name = f"{positions} positions {channels} channels pixels {windows} of {ints} weights {bits}"
        yield name, op, Tensor((3, 8, positions * channels), ints)
    ones = np.ones((64, 8), np.int64)
    op = ParallelDepthwise(ones, axes=3, lanes=8, pixels=4)
    yield "64 positions 8 channels, 4 per beat, of 0…15", op, Tensor((8, 8, 8), Ints(0, 15))


def unseen() -> Iterator[Case]:
    """A design that no factor has seen."""
    weights = np.random.default_rng(11).choice([-1, 1], (25, 6))
    op = ParallelDepthwise(weights, lanes=150)
    yield "25 positions 6 channels pixels 1 of -8…7 weights 1", op, Tensor((3, 8, 150), Ints(-8, 7))


def _images(ours: int, theirs: int, a: Ints, b: Ints) -> tuple[Tensor, Tensor]:
    return Tensor((3, 8, ours), a), Tensor((3, 8, theirs), b)
