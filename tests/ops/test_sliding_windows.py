"""The ring of a sliding window has the rows that its interval needs, whatever windows skip."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.ir import Ints, Tensor
from bnn2hw.ops.sliding_window import SlidingWindow

FRAMES = 6
SKIPPING = [
    (SlidingWindow((1, 3), (2, 1)), (7, 5, 1)),
    (SlidingWindow((2, 2), (3, 1), (1, 2), lanes=2), (9, 9, 2)),
    (SlidingWindow((1, 2), (4, 1)), (13, 6, 2)),
]
"""Windows that skip rows and take longer than a row."""


def keeps_its_interval(op: SlidingWindow, shape: tuple[int, ...]) -> bool:
    """True if frames repeat every interval of the op, from an empty ring and in both periodic schedules."""
    x = Tensor(shape, Ints(0, 3))
    timing, period = op.timing(x), op.interval(x)
    timing.earliest(np.arange(timing.store.size), period=period)
    timing.latest(np.arange(timing.need.size), period=period)
    written = timing.asap(np.arange(timing.store.size * FRAMES)).written.reshape(FRAMES, -1)
    return bool(written[-1, -1] - written[-2, -1] <= period)


@pytest.mark.parametrize(("op", "shape"), SKIPPING)
def test_windows_that_skip_rows(op: SlidingWindow, shape: tuple[int, ...]) -> None:
    assert keeps_its_interval(op, shape)


def test_random_windows() -> None:
    rng, tried = np.random.default_rng(0), 0
    while tried < 150:
        kernel, stride, dilation = (tuple(rng.integers(1, n, 2).tolist()) for n in (5, 5, 3))
        op = SlidingWindow(kernel, stride, dilation, lanes=int(rng.integers(1, 3)))
        shape = (*rng.integers(1, 10, 2).tolist(), 2)
        if all(n >= s for n, s in zip(shape, op.span, strict=False)):
            tried += 1
            assert keeps_its_interval(op, shape), (op, shape)
