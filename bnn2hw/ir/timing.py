"""When an op reads and writes its beats, as arrays of cycle numbers.

Every op of the hardware is deterministic and its timing does not depend on the data, so its behaviour
over time is a max-plus system. Two questions are asked of it:

* `asap`: beats become available at given cycles and the output is always ready; when is each beat taken,
  and when does each output appear? This gives latencies.
* `alap`: each output must have been handed over by a given cycle; what is the latest cycle for each of the
  op's own handshakes? This gives the depths of FIFOs (see `bnn2hw.dataflow.insert`).

A frame is one sample. Arrays hold a whole number of frames, one int64 per beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnn2hw.errors import Bnn2hwError

Times = NDArray[np.int64]
NEVER = np.int64(-(2**60))
ALWAYS = np.int64(2**60)


@dataclass(frozen=True)
class Handshakes:
    """The cycles in which an op takes its beats, by input, and hands over its output."""

    taken: tuple[Times, ...]
    written: Times


class Timing(Protocol):
    """The behaviour of one op over time."""

    @property
    def interval(self) -> int:
        """Cycles per frame when frames follow each other and nothing outside the op delays it."""

    def asap(self, *arrive: Times) -> Handshakes:
        """From the cycles at which the beats of each input arrive to the op's own handshakes."""

    def alap(self, deadline: Times) -> Handshakes:
        """From the last cycle allowed for each output handshake to the op's own handshakes."""


def _forward(bound: Times) -> Times:
    """Earliest strictly rising cycles not before `bound`."""
    order = np.arange(bound.size)
    slack = bound - order
    np.maximum.accumulate(slack, out=slack)
    slack += order
    return slack


def backward(bound: Times) -> Times:
    """Latest strictly rising cycles not after `bound`."""
    order = np.arange(bound.size)
    slack = (bound - order)[::-1]
    np.minimum.accumulate(slack, out=slack)
    slack = slack[::-1]
    slack += order
    return slack


@dataclass(frozen=True)
class Supply:
    """An input of the design: it reads nothing, and can hand over a beat in every cycle.

    Attributes:
        interval: Beats per frame.
    """

    interval: int

    def asap(self, *arrive: Times) -> Handshakes:
        """Return the cycles of the first frame, which begins in cycle 0."""
        return Handshakes((), np.arange(self.interval, dtype=np.int64))

    def alap(self, deadline: Times) -> Handshakes:
        return Handshakes((), backward(deadline))


@dataclass(frozen=True)
class Steps:
    """One process that makes one step per cycle: in some it reads a beat, in some it writes one.

    `reads` and `writes` are boolean arrays over the steps of one frame; `others` say the same of a second and
    further inputs, and a step is made when all beats that it reads are there. What a step computes is on the
    output `latency` cycles later. While the output is not taken, the whole process stands still.
    """

    reads: NDArray[np.bool_]
    writes: NDArray[np.bool_]
    latency: int
    others: tuple[NDArray[np.bool_], ...] = ()

    @property
    def interval(self) -> int:
        return int(self.reads.size)

    @property
    def inputs(self) -> tuple[NDArray[np.bool_], ...]:
        """The steps that read, by input."""
        return (self.reads, *self.others)

    def asap(self, *arrive: Times) -> Handshakes:
        frames = arrive[0].size // int(self.reads.sum())
        reads = [np.tile(mask, frames) for mask in self.inputs]
        bound = np.full(frames * self.reads.size, NEVER)
        for where, beats in zip(reads, arrive, strict=True):
            bound[where] = np.maximum(bound[where], beats)
        steps = _forward(bound)
        return Handshakes(
            tuple(steps[where] for where in reads), steps[np.tile(self.writes, frames)] + self.latency
        )

    def alap(self, deadline: Times) -> Handshakes:
        frames = deadline.size // int(self.writes.sum())
        write = np.tile(self.writes, frames)
        bound = np.full(write.size, ALWAYS)
        bound[write] = deadline - self.latency
        steps = backward(bound)
        taken = tuple(steps[np.tile(mask, frames)] for mask in self.inputs)
        return Handshakes(taken, steps[write] + self.latency)


@dataclass(frozen=True)
class Queue(Steps):
    """A FIFO: while it has room nothing stands still. Where its depth does not matter it is a one-step pipeline."""

    depth: int = 2


@dataclass(frozen=True)
class Buffered:
    """Two processes around a memory: a writer that takes every input beat, a reader that makes the outputs.

    Both make one step per cycle. For one frame: `store[i]` says whether input beat i is kept; `need[j]` is the
    number of kept beats of this frame that must lie in the memory before output j can be read (they must have
    been written in an earlier cycle); `frees` lists (j, kept beats of this frame that are free once output j
    was read), in rising order. The memory holds `capacity` beats, and room that a read makes can be written to
    `release` cycles later. Outputs appear `latency` cycles after the read.
    """

    store: NDArray[np.bool_]
    need: NDArray[np.int64]
    frees: tuple[tuple[int, int], ...]
    capacity: int
    latency: int
    release: int = 1

    @property
    def interval(self) -> int:
        return max(self.store.size, self.need.size)

    def _needed(self, frames: int) -> Times:
        """Index into the kept beats of the last one that each output waits for."""
        kept = int(self.store.sum())
        return (np.arange(frames)[:, None] * kept + self.need[None, :] - 1).reshape(-1)

    def _freed_by(self, frames: int) -> Times:
        """For each kept beat, the output whose read makes room for it, or −1 where there always is room."""
        kept, outs = int(self.store.sum()), self.need.size
        marks = np.array(
            [(f * outs + j, f * kept + n) for f in range(frames) for j, n in self.frees], np.int64
        )
        short = np.arange(frames * kept) + 1 - self.capacity
        freed = np.full(frames * kept, -1, np.int64)
        late = short > 0
        freed[late] = marks[np.searchsorted(marks[:, 1], short[late]), 0]
        return freed

    def _settle(self, update: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if update():
                return
        raise Bnn2hwError("the schedule of a buffered op does not settle; please report this")

    def asap(self, *arrive: Times) -> Handshakes:
        frames = arrive[0].size // self.store.size
        keep = np.tile(self.store, frames)
        needed, freed = self._needed(frames), self._freed_by(frames)
        waits = freed >= 0
        bound = arrive[0].copy()
        taken, read = bound, bound

        def update() -> bool:
            nonlocal taken, read
            taken = _forward(bound)
            read = _forward(taken[keep][needed] + 1)
            kept_bound = bound[keep]
            room = np.where(waits, read[freed] + self.release, NEVER)
            if not np.any(room > taken[keep]):
                return True
            bound[keep] = np.maximum(kept_bound, room)
            return False

        self._settle(update)
        return Handshakes((taken,), read + self.latency)

    def alap(self, deadline: Times) -> Handshakes:
        frames = deadline.size // self.need.size
        keep = np.tile(self.store, frames)
        needed, freed = self._needed(frames), self._freed_by(frames)
        waits = freed >= 0
        bound = deadline - self.latency
        taken, read = bound, bound

        def update() -> bool:
            nonlocal taken, read
            read = backward(bound)
            kept_bound = np.full(int(keep.sum()), ALWAYS)
            np.minimum.at(kept_bound, needed, read - 1)
            write_bound = np.full(keep.size, ALWAYS)
            write_bound[keep] = kept_bound
            # Beats after the last one that is needed have no deadline: they come at the end of the schedule.
            write_bound[-1] = min(write_bound[-1], read[-1])
            taken = backward(write_bound)
            limit = np.full(read.size, ALWAYS)
            np.minimum.at(limit, freed[waits], taken[keep][waits] - self.release)
            if not np.any(limit < read):
                return True
            np.minimum(bound, limit, out=bound)
            return False

        self._settle(update)
        return Handshakes((taken,), read + self.latency)
