"""Evaluate layers of mixed-precision models in float32 (docs/decisions/0002)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

HALVES = ("float16", "bfloat16")
"""Types in which layers of mixed-precision models compute."""


def half_layers(layer: Any) -> list[Any]:
    """Return the layers that compute in half precision: a layer, and those that it contains."""
    flatten = getattr(layer, "_flatten_layers", None)
    inside = flatten() if flatten else [layer]
    return [each for each in inside if getattr(each, "compute_dtype", None) in HALVES]


@contextmanager
def in_float32(halves: Sequence[Any]) -> Iterator[None]:
    """Let layers compute in float32, and give them their policies back.

    Args:
        halves: Layers that compute in half precision.
    """
    policies = [(layer, layer._dtype_policy) for layer in halves]
    for layer in halves:
        layer._dtype_policy = _wide(layer.dtype_policy)
    try:
        yield
    finally:
        for layer, policy in policies:
            layer._dtype_policy = policy


def _wide(policy: Any) -> Any:
    """The same policy with float32 as the type of its computations."""
    wide = copy.copy(policy)
    wide._compute_dtype = "float32"
    return wide
