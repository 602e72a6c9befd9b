"""Scopes for ``with`` blocks: quantized reading of variables, and metrics for new quantizers.

The state belongs to the thread. Scopes nest. Each scope restores the previous state, also if an
exception leaves the block.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

TRAINING_METRICS = frozenset({"flip_ratio"})
"""Names of the metrics that a quantizer can record."""


class _State(threading.local):
    """State of the open scopes in this thread."""

    def __init__(self) -> None:
        self.quantize = False
        self.metrics: set[str] = set()


_state = _State()


@contextmanager
def quantized_scope(quantize: bool) -> Iterator[None]:
    """Select whether reading a quantized variable returns quantized or latent values.

    Each layer opens ``quantized_scope(True)`` around its forward pass. If you open the scope around
    ``model.get_weights()`` or ``model.save(...)``, you get the quantized weights instead of the
    latent ones.

    Args:
        quantize: True to read quantized values inside the block, False to read latent ones.
    """
    before = _state.quantize
    _state.quantize = quantize
    try:
        yield
    finally:
        _state.quantize = before


def should_quantize() -> bool:
    """Return True if reading a quantized variable returns quantized values at this point."""
    return _state.quantize


@contextmanager
def metrics_scope(metrics: Iterable[str] = ()) -> Iterator[set[str]]:
    """Attach metrics to the kernel quantizers of all layers that are created inside the block.

    A quantizer that was created with ``metrics`` keeps its own.

    Args:
        metrics: Names of metrics, each one of `TRAINING_METRICS`.

    Raises:
        ValueError: A name is not one of `TRAINING_METRICS`.
    """
    wanted = set(metrics)
    for name in sorted(wanted - TRAINING_METRICS):
        known = ", ".join(sorted(TRAINING_METRICS))
        raise ValueError(f"Unknown training metric '{name}'. Known training metrics: {known}.")
    before = set(_state.metrics)
    _replace_metrics(wanted | before)
    try:
        yield _state.metrics
    finally:
        _replace_metrics(before)


def _replace_metrics(metrics: set[str]) -> None:
    """Replace the contents of the set in place, because callers may hold a reference to it."""
    _state.metrics.clear()
    _state.metrics.update(metrics)


def get_training_metrics() -> set[str]:
    """Return the set of metrics of the open `metrics_scope` blocks; it changes as blocks open and close."""
    return _state.metrics
