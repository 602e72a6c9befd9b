"""Ops as machines that are stepped cycle by cycle: the timing of `bnn2hw.ir.timing` with FIFOs of finite depth.

A pipeline that stands still keeps its bubbles, so what a full FIFO does to its producer depends on the very
cycle, and no closed form gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from bnn2hw.ir.timing import Buffered, Queue, Steps, Timing


class Machine(Protocol):
    """One op. `valid` tells whether it offers an output in this cycle."""

    valid: bool

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        """Which inputs it would take in this cycle.

        Args:
            taken: whether its output is taken when offered.
            there: whether a beat is offered, by input.
        """

    def tick(self, entered: Sequence[bool], taken: bool) -> None:
        """Go to the next cycle, with a beat handed over or not, by input, and the output taken when offered or not."""


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
        self.reads: list[list[bool]] = np.stack(steps.inputs, axis=1).tolist()
        self.writes: list[bool] = steps.writes.tolist()
        self.at = 0

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        wanted = self.reads[self.at]
        if not taken and self.valid:
            return [False] * len(wanted)
        if len(wanted) == 1:
            return wanted
        return [
            w and all(t or not v for j, (v, t) in enumerate(zip(wanted, there, strict=True)) if j != i)
            for i, w in enumerate(wanted)
        ]

    def tick(self, entered: Sequence[bool], taken: bool) -> None:
        if self.valid and not taken:
            return
        step = list(entered) == self.reads[self.at]
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

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        return (not self.store[self.position] or self.written - self.free_for_writer < self.capacity,)

    def tick(self, entered: Sequence[bool], taken: bool) -> None:
        arrived = self.written
        if entered[0]:
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

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        return (self.held < self.depth,)

    def tick(self, entered: Sequence[bool], taken: bool) -> None:
        self.held += entered[0] - (self.valid and taken)
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


def run(machines: Sequence[Machine], inputs: Sequence[Sequence[int]]) -> Iterator[Sequence[bool]]:
    """Step machines that work together, with the inputs of the design always there and its outputs always taken.

    A machine that several others read hands a beat over when all of them take it.

    Args:
        machines: each after those that it reads.
        inputs: by machine, those that it reads; −1, −2, … stand for the inputs of the design.

    Yields:
        For each cycle, before its end, whether each machine's output is taken when offered.
    """
    count, ends = len(machines), -min(s for sources in inputs for s in sources)
    # Of these lists, the last entries are the design's inputs.
    readers: list[list[tuple[int, int]]] = [[] for _ in range(count + ends)]
    for i, sources in enumerate(inputs):
        for port, source in enumerate(sources):
            readers[source].append((i, port))
    ready: list[Sequence[bool]] = [()] * count
    moves = [False] * (count + ends)
    backwards = range(count - 1, -1, -1)
    while True:
        valid = [*(m.valid for m in machines), *[True] * ends]
        for i in backwards:
            moves[i] = all(ready[r][port] for r, port in readers[i])
            ready[i] = machines[i].ready(moves[i], [valid[s] for s in inputs[i]])
        for i in range(count, count + ends):
            moves[i] = all(ready[r][port] for r, port in readers[i])
        yield moves[:count]
        for i, each in enumerate(machines):
            each.tick([valid[s] and moves[s] for s in inputs[i]], moves[i])


def first_output(
    machines: Sequence[Machine], inputs: Sequence[Sequence[int]], last: int, limit: int
) -> int | None:
    """Cycles until a machine offers its first output, or None after `limit` cycles.

    Args:
        machines: as for `run`.
        inputs: likewise.
        last: the machine that makes the design's output.
        limit: cycles to wait.
    """
    for cycle, _ in zip(range(limit), run(machines, inputs), strict=False):
        if machines[last].valid:
            return cycle
    return None
