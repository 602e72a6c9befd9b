"""Helpers for ops that take several whole pixels per beat in a module of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bnn2hw.ir import Tensor
from bnn2hw.ops.base.folds import divisors


def abreast(*x: Tensor) -> Iterator[int]:
    """List the numbers of pixels above 1 that a beat may hold: divisors of the frame's pixels, up to one row.

    Args:
        x: Types of the inputs; the first one counts.
    """
    *axes, _ = x[0].shape
    if axes:
        yield from (pixels for pixels in divisors(math.prod(axes)) if 1 < pixels <= axes[-1])


def check_pixels(pixels: int, x: Tensor) -> None:
    """Check a number of pixels per beat.

    Args:
        pixels: Pixels per beat.
        x: Type of an input.

    Raises:
        ValueError: It does not divide the pixels of a frame.
    """
    count = x.size // x.channels
    if pixels < 1 or count % pixels:
        raise ValueError(f"pixels={pixels} must divide the {count} pixels of a frame")
