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
        """Return the inputs that it would take in this cycle.

        Args:
            taken: whether its output is taken when offered.
            there: whether a beat is offered, by input.
        """

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        """Go to the next cycle, with a beat handed over or not, by input, and the output taken when offered or not.

        Returns:
            Whether anything changed; if not, the same will not change it in the next cycle either.
        """


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

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        if self.valid and not taken:
            return False
        step = entered == self.reads[self.at]
        if not step and not self.bits:
            return False
        self.shift(step and self.writes[self.at])
        if step:
            self.at = (self.at + 1) % len(self.reads)
        return True


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

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        arrived = self.written
        if entered[0]:
            self.written += self.store[self.position]
            self.position = (self.position + 1) % len(self.store)
        if self.valid and not taken:
            return entered[0]
        step = arrived >= self.frame_start + self.need[self.output]
        if not step and not self.bits and self.free_for_writer == self.freed:
            return entered[0]
        self.free_for_writer = self.freed
        self.shift(step)
        if step:
            self.freed = self.frame_start + self.frees.get(self.output, self.freed - self.frame_start)
            self.output += 1
            if self.output == len(self.need):
                self.output, self.frame_start = 0, self.frame_start + self.kept
        return True


class _Queue:
    def __init__(self, queue: Queue) -> None:
        self.depth, self.held = queue.depth, 0
        self.valid = False

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        return (self.held < self.depth,)

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        left = self.valid and taken
        self.held += entered[0] - left
        self.valid = self.held > 0
        return left or entered[0]


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

    A machine that several others read hands a beat over when all of them take it. Those that wait are passed over until
    something around them changes.

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
    valid = [*(m.valid for m in machines), *[True] * ends]
    # Whether it must be asked again what a machine would take, and whether it must be ticked.
    asked, awake = [True] * (count + ends), [True] * (count + ends)
    backwards = [*range(count - 1, -1, -1), *range(count, count + ends)]
    while True:
        for i in backwards:
            if not asked[i]:
                continue
            asked[i] = False
            moved = all(ready[r][port] for r, port in readers[i])
            if moved != moves[i]:
                moves[i], awake[i] = moved, True
                for r, _ in readers[i]:
                    awake[r] = True
            if i < count:
                takes = machines[i].ready(moved, [valid[s] for s in inputs[i]])
                if takes != ready[i]:
                    ready[i] = takes
                    for s in inputs[i]:
                        asked[s] = True
        yield moves[:count]
        for i, each in enumerate(machines):
            if awake[i]:
                entered = [valid[s] and moves[s] for s in inputs[i]]
                awake[i] = asked[i] = each.tick(entered, moves[i])
        for i, each in enumerate(machines):
            if asked[i] and each.valid != valid[i]:
                valid[i] = each.valid
                for r, _ in readers[i]:
                    awake[r] = True
                    asked[r] = asked[r] or len(inputs[r]) > 1


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
