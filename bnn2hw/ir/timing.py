"""Compute when an op reads and writes its beats, as arrays of cycle numbers.

The timing of every op is fixed: it does not depend on the data. Each op answers three questions:

* `asap`: The design starts empty, beats arrive at given cycles, and every output is taken at once. When is each beat
  taken, and when is each output offered? The answer gives latencies.
* `earliest`: Frames repeat forever, one every `period` cycles, and beats arrive at given cycles of each period. What
  are the earliest cycles at which the op can do its work?
* `latest`: The same, but each output has a deadline. What are the latest cycles at which the op can do its work?

`earliest` and `latest` give the depths of FIFOs (see `bnn2hw.dataflow.fifo_depths`). A frame is one sample. An array
holds one int64 per beat: whole frames for `asap`, exactly one frame for the others.

Without FIFOs of finite depth, such a system is max-plus linear: Baccelli, Cohen, Olsder, Quadrat, *Synchronization
and Linearity*, 1992.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bnn2hw.errors import Bnn2hwError

Times = NDArray[np.int64]
NEVER = np.int64(-(2**60))
ALWAYS = np.int64(2**60)

MOST_ROUNDS = 100_000
"""Passes over the schedule of a buffered op before its timing is declared contradictory."""


@dataclass(frozen=True)
class Handshakes:
    """The cycles of an op's handshakes.

    Attributes:
        taken: For each input, the cycle in which the op takes each beat.
        written: The cycle in which the op hands over each beat of its output.
    """

    taken: tuple[Times, ...]
    written: Times


class Timing(Protocol):
    """The timing of one op."""

    @property
    def interval(self) -> int:
        """Cycles per frame if frames follow each other and nothing outside the op delays it."""

    @property
    def latency(self) -> int:
        """Cycles from a step to the cycle in which its output is offered."""

    def asap(self, *arrive: Times) -> Handshakes:
        """Return the earliest handshakes from an empty op, if every output is taken at once.

        Args:
            arrive: For each input, the first cycle in which each beat is offered; any number of frames.
        """

    def earliest(self, *arrive: Times, period: int) -> Handshakes:
        """Return one frame of the earliest schedule that repeats.

        Args:
            arrive: For each input, the first cycle in which each beat of a frame is offered.
            period: Cycles from one frame to the next, at least `interval`.
        """

    def latest(self, deadline: Times, period: int) -> Handshakes:
        """Return one frame of the latest schedule that repeats.

        Args:
            deadline: The last cycle allowed for handing over each beat of a frame.
            period: Cycles from one frame to the next, at least `interval`.
        """


def repeated(pattern: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return the first `count` elements of a pattern that repeats."""
    return np.tile(pattern, -(-count // pattern.size))[:count]


def _from_empty(bound: Times) -> Times:
    """The earliest strictly rising cycles that are not before `bound`."""
    order = np.arange(bound.size)
    slack = bound - order
    np.maximum.accumulate(slack, out=slack)
    slack += order
    return slack


def _earliest(bound: Times, period: int) -> Times:
    """The same, one cycle per step of a frame, if frames repeat every `period` cycles."""
    order = np.arange(bound.size)
    slack = bound - order
    np.maximum.accumulate(slack, out=slack)
    # A step of the frame before delays this one by what it exceeds the idle cycles between frames.
    np.maximum(slack, slack[-1] - (period - bound.size), out=slack)
    slack += order
    return slack


def _latest(bound: Times, period: int) -> Times:
    """The latest strictly rising cycles that are not after `bound`, if frames repeat every `period` cycles."""
    order = np.arange(bound.size)
    slack = (bound - order)[::-1]
    np.minimum.accumulate(slack, out=slack)
    np.minimum(slack, slack[-1] + (period - bound.size), out=slack)
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
    latency = 0

    def asap(self, *arrive: Times) -> Handshakes:
        """Return the cycles of the first frame, which begins in cycle 0."""
        return Handshakes((), np.arange(self.interval, dtype=np.int64))

    def earliest(self, *arrive: Times, period: int) -> Handshakes:
        return self.asap()

    def latest(self, deadline: Times, period: int) -> Handshakes:
        return Handshakes((), _latest(deadline, period))


@dataclass(frozen=True)
class Steps:
    """One process that makes one step per cycle. In some steps it reads a beat, in some it writes one.

    A step is made once all beats that it reads are offered. Its output is offered `latency` cycles later. While an
    output is offered but not taken, the whole process stalls.

    Attributes:
        reads: For each step of a frame, whether it reads a beat of the first input.
        writes: For each step of a frame, whether it writes a beat.
        latency: Cycles from a step to its output.
        others: Like `reads`, for each further input.
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
        """For each input, the steps that read it."""
        return (self.reads, *self.others)

    def asap(self, *arrive: Times) -> Handshakes:
        frames = arrive[0].size // int(self.reads.sum())
        reads = tuple(np.tile(mask, frames) for mask in self.inputs)
        steps = _from_empty(_bound(reads, arrive))
        return self._handshakes(steps, reads, np.tile(self.writes, frames))

    def earliest(self, *arrive: Times, period: int) -> Handshakes:
        steps = _earliest(_bound(self.inputs, arrive), period)
        return self._handshakes(steps, self.inputs, self.writes)

    def latest(self, deadline: Times, period: int) -> Handshakes:
        bound = np.full(self.writes.size, ALWAYS)
        bound[self.writes] = deadline - self.latency
        return self._handshakes(_latest(bound, period), self.inputs, self.writes)

    def _handshakes(
        self, steps: Times, reads: tuple[NDArray[np.bool_], ...], writes: NDArray[np.bool_]
    ) -> Handshakes:
        return Handshakes(tuple(steps[mask] for mask in reads), steps[writes] + self.latency)


def _bound(reads: tuple[NDArray[np.bool_], ...], arrive: tuple[Times, ...]) -> Times:
    """For each step, the first cycle in which all beats that it reads are offered."""
    bound = np.full(reads[0].size, NEVER)
    for mask, beats in zip(reads, arrive, strict=True):
        bound[mask] = np.maximum(bound[mask], beats)
    return bound


@dataclass(frozen=True)
class Queue(Steps):
    """A FIFO. While it has room, nothing stalls. Where its depth does not matter, it is a pipeline of one step."""

    depth: int = 2

    @property
    def interval(self) -> int:
        return int(self.reads.size) * (2 if self.depth == 1 else 1)


@dataclass(frozen=True)
class Gated(Steps):
    """The entry of ops that run free: a step also needs a credit, and nothing stalls.

    A step takes a credit. A beat that leaves the exit returns one, which can be used from the next cycle on.

    Attributes:
        credits: Credits at first: the beats that the FIFO at the exit holds.
        exit: Number of that FIFO among the machines of the design.
    """

    credits: int = 2
    exit: int = 0


class _Room(NamedTuple):
    """The reads that make room for writes, if frames repeat: one entry per block of beats that need the same read.

    Attributes:
        first: The first kept beat of the block.
        output: The output whose read makes room for it.
        frames: The frame of that read, relative to the frame of the block.
    """

    first: NDArray[np.int64]
    output: NDArray[np.int64]
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class Buffered:
    """Two processes around a memory: a writer that takes every input beat, and a reader that makes the outputs.

    Both make one step per cycle.

    Attributes:
        store: For each input beat of a frame, whether it is kept.
        need: For each output, the number of kept beats of its frame that must be in the memory before it can be read.
            The writer must have written them in an earlier cycle.
        frees: Pairs (j, n) in rising order: once output j is read, the first n kept beats of its frame are free.
        capacity: Beats that fit into the memory.
        latency: Cycles from a read to its output.
        release: Cycles from a read until the writer can use the room that it makes.
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

    @property
    def _kept(self) -> int:
        """Kept beats per frame."""
        return int(self.store.sum())

    @cached_property
    def _first_need(self) -> NDArray[np.int64]:
        """For each kept beat of a frame, the first output that needs it; the number of outputs if none does."""
        return np.searchsorted(np.maximum.accumulate(self.need), np.arange(1, self._kept + 1))

    @cached_property
    def _room(self) -> _Room:
        kept = self._kept
        outputs, freed = np.array(self.frees, np.int64).T
        # Before the kept beat with index i is written, i + 1 − capacity beats must be free, counted over all frames.
        frames, beats = np.divmod(np.arange(kept) - self.capacity, kept)
        marks = np.searchsorted(freed, beats + 1)
        _, first = np.unique(frames * freed.size + marks, return_index=True)
        return _Room(first, outputs[marks[first]], frames[first])

    def _settle(self, update: Callable[[], bool]) -> None:
        for _ in range(MOST_ROUNDS):
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
            taken = _from_empty(bound)
            read = _from_empty(taken[keep][needed] + 1)
            kept_bound = bound[keep]
            room = np.where(waits, read[freed] + self.release, NEVER)
            if not np.any(room > taken[keep]):
                return True
            bound[keep] = np.maximum(kept_bound, room)
            return False

        self._settle(update)
        return Handshakes((taken,), read + self.latency)

    def _needed(self, frames: int) -> Times:
        """For each output of some frames, the index of the last kept beat that it needs."""
        return (np.arange(frames)[:, None] * self._kept + self.need[None, :] - 1).reshape(-1)

    def _freed_by(self, frames: int) -> Times:
        """For each kept beat of some frames, the output whose read makes room for it; −1 if there is room anyway."""
        kept, outs = self._kept, self.need.size
        marks = np.array(
            [(f * outs + j, f * kept + n) for f in range(frames) for j, n in self.frees], np.int64
        )
        short = np.arange(frames * kept) + 1 - self.capacity
        freed = np.full(frames * kept, -1, np.int64)
        late = short > 0
        freed[late] = marks[np.searchsorted(marks[:, 1], short[late]), 0]
        return freed

    def earliest(self, *arrive: Times, period: int) -> Handshakes:
        room, needed = self._room, self._first_need < self.need.size
        bound = arrive[0].copy()
        places = np.flatnonzero(self.store)[room.first]
        taken, read = bound, bound

        def update() -> bool:
            nonlocal taken, read
            taken = _earliest(bound, period)
            ready = np.full(self.need.size, NEVER)
            # Where an output is the first to need several beats, the assignment keeps the last and thus latest one.
            ready[self._first_need[needed]] = taken[self.store][needed] + 1
            read = _earliest(ready, period)
            free = read[room.output] + room.frames * period + self.release
            if np.all(free <= taken[places]):
                return True
            bound[places] = np.maximum(bound[places], free)
            return False

        self._settle(update)
        return Handshakes((taken,), read + self.latency)

    def latest(self, deadline: Times, period: int) -> Handshakes:
        room, needed = self._room, self._first_need < self.need.size
        places = np.flatnonzero(self.store)
        bound = deadline - self.latency
        taken, read = bound, bound

        def update() -> bool:
            nonlocal taken, read
            read = _latest(bound, period)
            write = np.full(self.store.size, ALWAYS)
            write[places[needed]] = read[self._first_need[needed]] - 1
            taken = _latest(write, period)
            limit = taken[places[room.first]] - room.frames * period - self.release
            if np.all(limit >= read[room.output]):
                return True
            np.minimum.at(bound, room.output, limit)
            return False

        self._settle(update)
        return Handshakes((taken,), read + self.latency)
