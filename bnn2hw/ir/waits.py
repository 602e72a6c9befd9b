"""Find for which beat of its inputs an op waits, and how long one beat takes through an op at least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.ir.timing import Buffered, Steps, Times, Timing


def fewest(timing: Timing, port: int, taken: int, written: int) -> int | None:
    """Return the fewest cycles from the arrival of a beat to the handing over of another, in any design.

    Args:
        timing: Timing of an op.
        port: Number of the input.
        taken: Number of the beat at this input, within a frame.
        written: Number of the beat at the output, within the same frame.

    Returns:
        The cycles. None if the output does not wait for this beat.

    Raises:
        TypeError: The timing belongs to no op of the hardware.
    """
    if isinstance(timing, Buffered):
        after = np.searchsorted(_stored(timing)[: written + 1], taken)
        waits = (_stored(timing) - np.arange(timing.need.size))[after : written + 1]
        return int(waits.max()) + written - taken + 1 + timing.latency if waits.size else None
    if isinstance(timing, Steps):
        steps = _step(timing.writes, written) - _step(timing.inputs[port], taken)
        return steps + timing.latency if steps >= 0 else None
    raise TypeError(f"{type(timing).__name__} has no steps")


def cause(timing: Timing, arrive: Sequence[Times], written: int) -> tuple[int, int]:
    """Return the input and its beat for which an output of the first frame waits longest, with endless FIFOs.

    Args:
        timing: Timing of an op.
        arrive: For each input, the cycle in which each beat of the first frame is offered.
        written: Number of the beat at the output.

    Raises:
        TypeError: The timing belongs to no op of the hardware.
    """
    if isinstance(timing, Buffered):
        slack = np.maximum.accumulate(arrive[0] - np.arange(arrive[0].size))
        stored = _stored(timing)[: written + 1]
        last = stored[np.argmax(slack[stored] + stored - np.arange(stored.size))]
        return 0, int(np.argmax(slack[: last + 1]))
    if isinstance(timing, Steps):
        end = _step(timing.writes, written)
        found = [
            _latest(np.flatnonzero(mask[: end + 1]), times)
            for mask, times in zip(timing.inputs, arrive, strict=True)
        ]
        port = max(range(len(found)), key=lambda p: found[p][0])
        return port, found[port][1]
    raise TypeError(f"{type(timing).__name__} has no steps")


def _latest(steps: Times, arrive: Times) -> tuple[float, int]:
    """Return how late the beat that most delays some steps is, against one step per cycle, and its number."""
    if not steps.size:
        return -np.inf, 0
    late = arrive[: steps.size] - steps
    beat = int(np.argmax(late))
    return float(late[beat]), beat


def _step(mask: Times | np.ndarray, count: int) -> int:
    """Return the step of the beat with a number."""
    return int(np.flatnonzero(mask)[count])


def _stored(timing: Buffered) -> Times:
    """Return for each output the last beat of the input that it, or an output before it, needs."""
    stored: Times = np.flatnonzero(timing.store)[np.maximum.accumulate(timing.need) - 1]
    return stored
