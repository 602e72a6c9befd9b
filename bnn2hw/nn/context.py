"""What holds inside a ``with`` block: quantized reading of variables, metrics of new quantizers.

The state belongs to the thread, scopes nest, and each scope restores what it found even if an
exception leaves it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

TRAINING_METRICS = frozenset({"flip_ratio"})
"""The metrics that a quantizer can keep."""


class _State(threading.local):
    """The scopes that are open in this thread."""

    def __init__(self) -> None:
        self.quantize = False
        self.metrics: set[str] = set()


_state = _State()


@contextmanager
def quantized_scope(quantize: bool) -> Iterator[None]:
    """Decide whether quantized variables are read as their quantized values.

    The layers open ``quantized_scope(True)`` around their own forward pass. Opened by hand around
    ``model.get_weights()`` or ``model.save(...)`` it gives the quantized weights instead of
    the latent ones.

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
    """Tell whether quantized variables are read quantized at this point."""
    return _state.quantize


@contextmanager
def metrics_scope(metrics: Iterable[str] = ()) -> Iterator[set[str]]:
    """Give the kernel quantizers of all layers that are made inside the block these metrics.

    Quantizers with ``metrics`` of their own keep theirs.

    Args:
        metrics: Names of metrics; ``"flip_ratio"`` is the only one at present.

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
    """Set the live set of metrics in place: callers may hold it."""
    _state.metrics.clear()
    _state.metrics.update(metrics)


def get_training_metrics() -> set[str]:
    """Return the live set of metrics that the open `metrics_scope` blocks ask for."""
    return _state.metrics
