"""Ops as machines that are stepped cycle by cycle: the timing of `bnn2hw.ir.timing` with FIFOs of finite depth.

A pipeline that stands still keeps its bubbles, so what a full FIFO does to its producer depends on the very
cycle, and no closed form gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bnn2hw.ir.timing import Buffered, Queue, Steps, Timing


class Machine(Protocol):
    """One op. `valid` tells whether it offers an output in this cycle."""

    valid: bool

    def ready(self, taken: bool) -> bool:
        """Whether it would take an input in this cycle, if its output is taken when offered."""

    def tick(self, offered: bool, taken: bool) -> None:
        """Go to the next cycle, with an input offered or not, and the output taken when offered or not."""


class _Pipeline:
    """Registers that all move or all stand still; the lowest bit is the output."""

    def __init__(self, latency: int) -> None:
        self.bits = 0
        self.top = 1 << (latency - 1)
        self.valid = False

    def shift(self, entering: bool) -> None:
        self.bits = self.bits >> 1 | (self.top if entering else 0)
        self.valid = bool(self.bits & 1)


class _Process(_Pipeline):
    def __init__(self, steps: Steps) -> None:
        super().__init__(steps.latency)
        self.reads, self.writes = steps.reads.tolist(), steps.writes.tolist()
        self.at = 0

    def ready(self, taken: bool) -> bool:
        return bool((taken or not self.valid) and self.reads[self.at])

    def tick(self, offered: bool, taken: bool) -> None:
        if self.valid and not taken:
            return
        step = offered or not self.reads[self.at]
        self.shift(step and self.writes[self.at])
        if step:
            self.at = (self.at + 1) % len(self.reads)


class _Ring(_Pipeline):
    """Writer and reader around a memory; what the reader frees is free for the writer `release` cycles later."""

    def __init__(self, op: Buffered) -> None:
        super().__init__(op.latency)
        self.store, self.need, self.frees = op.store.tolist(), op.need.tolist(), dict(op.frees)
        self.capacity, self.kept = op.capacity, int(op.store.sum())
        self.position = self.output = 0
        self.written = self.frame_start = 0  # kept beats in all, and those of the frames before the reader's
        self.free_for_writer = self.freed = 0

    def ready(self, taken: bool) -> bool:
        return not self.store[self.position] or self.written - self.free_for_writer < self.capacity

    def tick(self, offered: bool, taken: bool) -> None:
        write = offered and self.ready(taken)
        arrived = self.written
        if write:
            self.written += self.store[self.position]
            self.position = (self.position + 1) % len(self.store)
        if self.valid and not taken:
            return
        self.free_for_writer = self.freed
        step = arrived >= self.frame_start + self.need[self.output]
        self.shift(step)
        if step:
            self.freed = self.frame_start + self.frees.get(self.output, self.freed - self.frame_start)
            self.output += 1
            if self.output == len(self.need):
                self.output, self.frame_start = 0, self.frame_start + self.kept


class _Queue:
    def __init__(self, queue: Queue) -> None:
        self.depth, self.held = queue.depth, 0
        self.valid = False

    def ready(self, taken: bool) -> bool:
        return self.held < self.depth

    def tick(self, offered: bool, taken: bool) -> None:
        self.held += (offered and self.held < self.depth) - (self.valid and taken)
        self.valid = self.held > 0


def machine(timing: Timing) -> Machine:
    """The machine of an op."""
    if isinstance(timing, Buffered):
        return _Ring(timing)
    if isinstance(timing, Queue):
        return _Queue(timing)
    if isinstance(timing, Steps):
        return _Process(timing)
    raise TypeError(f"{type(timing).__name__} has no machine")


def first_output(machines: Sequence[Machine], limit: int) -> int | None:
    """Cycles until the last machine of a chain offers its first output, or None after `limit` cycles.

    The input is always offered, from cycle 0 on; the output is always taken.
    """
    backwards = range(len(machines) - 1, -1, -1)
    last = machines[-1]
    ready = [True] * (
        len(machines) + 1
    )  # ready[i]: whether machine i takes an input; the last entry is the sink
    for cycle in range(limit):
        if last.valid:
            return cycle
        offered = [True, *(m.valid for m in machines)]
        for i in backwards:
            ready[i] = machines[i].ready(ready[i + 1])
        for i in backwards:
            machines[i].tick(offered[i] and ready[i], ready[i + 1])
    return None
