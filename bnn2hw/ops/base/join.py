"""Helpers for ops with two inputs: a common integer type, wire codes, and scales by channel."""

from __future__ import annotations

import math

from bnn2hw.ir import Ints, Tensor
from bnn2hw.ops.base.channels import Meaning


def spanning(*parts: Ints) -> Ints:
    """Return the smallest type, in steps of one size, that contains all given types.

    Args:
        parts: Integer types; at least one.
    """
    step = math.gcd(*(p.step for p in parts), *(p.lo - parts[0].lo for p in parts))
    return Ints(min(p.lo for p in parts), max(p.hi for p in parts), step)


def zero(ints: Ints) -> int:
    """Return the value of wire code 0, so that code c has the value zero + c · step.

    Args:
        ints: Integer type of the stream.
    """
    return ints.lo if ints.step > 1 else 0


def coded(name: str, ints: Ints) -> dict[str, int]:
    """Return the parameters that tell a template how an input is coded.

    Args:
        name: Prefix of the parameters.
        ints: Integer type of the input.
    """
    return {f"{name}_BITS": ints.bits, f"{name}_SIGNED": int(ints.signed)}


def by_channel(meaning: Meaning, channels: int) -> tuple[float, ...]:
    """Return a scale or an offset as one number per channel.

    Args:
        meaning: One number for all channels, or one for each.
        channels: Number of channels.
    """
    return meaning if isinstance(meaning, tuple) else (meaning,) * channels


def same_places(first: Tensor, second: Tensor) -> None:
    """Check that two streams have the same shape up to the number of channels.

    Args:
        first: Type of the first input.
        second: Type of the second input.

    Raises:
        ValueError: The shapes differ before their last axis.
    """
    if first.shape[:-1] != second.shape[:-1]:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ before their last axis")
