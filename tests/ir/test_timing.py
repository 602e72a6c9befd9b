"""Schedules that repeat: they are the limit of those from an empty op, and nothing in them can be moved."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.ir import Buffered, Steps, Supply, Timing
from bnn2hw.ir.timing import Times
from bnn2hw.ops import HARDWARE_OPS
from tests.support import long_runs

FRAMES = 12

TIMINGS = [
    pytest.param(op.timing(*x), id=f"{kind.__name__}-{number}")
    for kind in HARDWARE_OPS
    for number, (op, x) in enumerate(kind.examples())
]
SMALL_RING = Buffered(
    np.ones(6, bool), np.array([2, 3, 4, 5, 6]), ((1, 2), (4, 6)), capacity=4, latency=3, release=2
)


def beats_in(timing: Timing) -> list[int]:
    if isinstance(timing, Buffered):
        return [timing.store.size]
    return [int(mask.sum()) for mask in timing.inputs]


def repeated(times: Times, period: int, frames: int = FRAMES) -> Times:
    return np.add.outer(period * np.arange(frames), times).ravel()


def arrivals(timing: Timing, period: int, seed: int) -> list[Times]:
    """Random cycles in which the beats of a frame arrive."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.choice(period, count, replace=False)) for count in beats_in(timing)]


def spare(timing: Timing) -> int:
    """A period that leaves some time, and whose frames hold all beats of every input."""
    return max(timing.interval, *beats_in(timing)) + 5


@pytest.mark.parametrize("timing", [*TIMINGS, pytest.param(SMALL_RING, id="a ring smaller than a frame")])
@pytest.mark.parametrize("seed", long_runs.after(1, range(2)))
def test_the_earliest_schedule_is_where_frames_settle(timing: Timing, seed: int) -> None:
    period = spare(timing)
    arrive = arrivals(timing, period, seed)

    found = timing.earliest(*arrive, period=period)

    settled = timing.asap(*(repeated(times, period) for times in arrive))
    shift = (FRAMES - 1) * period
    assert np.array_equal(settled.written[-found.written.size :] - shift, found.written)
    for all_frames, taken in zip(settled.taken, found.taken, strict=True):
        assert np.array_equal(all_frames[-taken.size :] - shift, taken)


@pytest.mark.parametrize("timing", [*TIMINGS, pytest.param(SMALL_RING, id="a ring smaller than a frame")])
@pytest.mark.parametrize("seed", long_runs.after(1, range(2)))
def test_the_latest_schedule_can_be_followed_and_no_later_one(timing: Timing, seed: int) -> None:
    period = spare(timing)
    count = timing.earliest(*arrivals(timing, period, seed), period=period).written.size
    deadline = np.sort(np.random.default_rng(seed).choice(period, count, replace=False))

    found = timing.latest(deadline, period)

    assert np.all(found.written <= deadline)
    followed = timing.earliest(*found.taken, period=period)
    assert np.all(followed.written <= found.written)
    for again, taken in zip(followed.taken, found.taken, strict=True):
        assert np.array_equal(again, taken)
    for port, taken in enumerate(found.taken):
        later = list(found.taken)
        later[port] = taken + 1
        assert np.any(timing.earliest(*later, period=period).written > deadline)


def test_an_input_of_the_design_is_in_time_for_its_reader() -> None:
    found = Supply(4).latest(np.array([9, 5, 7, 8]), 6)

    assert found.written.tolist() == [4, 5, 7, 8]
    assert Supply(4).latest(np.array([9, 9, 9, 5]), 4).written.tolist() == [2, 3, 4, 5]


def test_frames_without_idle_cycles_delay_each_other() -> None:
    steps = Steps(np.array([True, False, False]), np.array([False, False, True]), latency=1)

    assert steps.latest(np.array([10]), 3).taken[0].tolist() == [7]
    assert steps.earliest(np.array([7]), period=3).written.tolist() == [10]
