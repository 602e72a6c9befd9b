"""Designs for `cost.py` of ops that take several pixels per beat in a module of their own."""

from __future__ import annotations

from collections.abc import Iterator

from bnn2hw.ir import BIPOLAR, HardwareOp, Ints, Tensor
from bnn2hw.ops import ParallelConcat, ParallelMultiply

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


def _images(ours: int, theirs: int, a: Ints, b: Ints) -> tuple[Tensor, Tensor]:
    return Tensor((3, 8, ours), a), Tensor((3, 8, theirs), b)
