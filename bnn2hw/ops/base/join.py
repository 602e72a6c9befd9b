"""What ops with two inputs share: integers that hold those of both, their codes, and the meaning of channels."""

from __future__ import annotations

import math

from bnn2hw.ir import Ints, Tensor
from bnn2hw.ops.base.channels import Meaning


def spanning(*parts: Ints) -> Ints:
    """The fewest integers in even steps that hold all of these."""
    step = math.gcd(*(p.step for p in parts), *(p.lo - parts[0].lo for p in parts))
    return Ints(min(p.lo for p in parts), max(p.hi for p in parts), step)


def zero(ints: Ints) -> int:
    """The value that code 0 stands for, so that a code c stands for zero + c · step."""
    return ints.lo if ints.step > 1 else 0


def coded(name: str, ints: Ints) -> dict[str, int]:
    """What the templates need to know of the codes of an input."""
    return {f"{name}_BITS": ints.bits, f"{name}_SIGNED": int(ints.signed)}


def by_channel(meaning: Meaning, channels: int) -> tuple[float, ...]:
    """A scale or an offset of each channel."""
    return meaning if isinstance(meaning, tuple) else (meaning,) * channels


def same_places(first: Tensor, second: Tensor) -> None:
    """Refuse streams that differ in more than their channels.

    Raises:
        ValueError: they do.
    """
    if first.shape[:-1] != second.shape[:-1]:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ before their last axis")
