"""Step ops cycle by cycle: the timing of `bnn2hw.ir.timing` with FIFOs of finite depth.

A pipeline that stalls keeps its bubbles. The delay that a full FIFO causes therefore depends on the
exact cycle in which it is full, and no closed form gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from bnn2hw.ir.timing import Buffered, Gated, Queue, Steps, Timing


class Machine(Protocol):
    """One op.

    Attributes:
        valid: Whether the op offers an output in this cycle.
    """

    valid: bool

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        """Return for each input whether the op takes a beat in this cycle.

        Args:
            taken: Whether the output is taken if it is offered.
            there: For each input, whether a beat is offered.
        """

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        """Go to the next cycle.

        Args:
            entered: For each input, whether a beat is handed over in this cycle.
            taken: Whether the output is taken if it is offered.

        Returns:
            Whether anything changed. If not, the same arguments will change nothing in the next
            cycle either.
        """

    @property
    def state(self) -> tuple[int, ...]:
        """Everything that decides what the op does from now on."""


class _Pipeline:
    """Registers that either all move or all stall. The lowest bit is the output."""

    def __init__(self, latency: int) -> None:
        self.bits = 0
        self.top = 1 << (latency - 1)
        self.valid = False

    def shift(self, entering: bool) -> None:
        self.bits = self.bits >> 1 | (self.top if entering else 0)
        self.valid = bool(self.bits & 1)


class _Process(_Pipeline):
    """A process of `Steps`, with the pipeline behind it."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps.latency)
        self.reads: list[list[bool]] = np.stack(steps.inputs, axis=1).tolist()
        self.writes: list[bool] = steps.writes.tolist()
        self.at = 0

    @property
    def state(self) -> tuple[int, ...]:
        return self.bits, self.at

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


class _Gated(_Process):
    """The first of several ops that run free. `returned` is set while a beat leaves the FIFO behind the last."""

    def __init__(self, timing: Gated) -> None:
        super().__init__(timing)
        self.credits, self.exit = timing.credits, timing.exit
        self.returned = False

    @property
    def state(self) -> tuple[int, ...]:
        return *super().state, self.credits

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        return super().ready(taken, there) if self.credits else [False]

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        self.credits += self.returned - entered[0]
        super().tick(entered, taken)
        return True  # the FIFO may return a credit in any cycle


class _Ring(_Pipeline):
    """The writer and the reader of `Buffered`, with the pipeline behind the reader.

    The writer can use room `release` cycles after the read that makes it.
    """

    def __init__(self, op: Buffered) -> None:
        super().__init__(op.latency)
        self.store, self.need, self.frees = op.store.tolist(), op.need.tolist(), dict(op.frees)
        self.capacity, self.kept = op.capacity, int(op.store.sum())
        self.position = self.output = 0
        # Numbers of kept beats since the start; `frame_start` is that of the reader's frame.
        self.written = self.frame_start = 0
        self.free_for_writer = self.freed = 0

    @property
    def state(self) -> tuple[int, ...]:
        counts = (n - self.frame_start for n in (self.written, self.free_for_writer, self.freed))
        return self.bits, self.position, self.output, *counts

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
    """A FIFO."""

    def __init__(self, queue: Queue) -> None:
        self.depth, self.held = queue.depth, 0
        self.valid = False

    @property
    def state(self) -> tuple[int, ...]:
        return (self.held,)

    def ready(self, taken: bool, there: Sequence[bool]) -> Sequence[bool]:
        return (self.held < self.depth,)

    def tick(self, entered: Sequence[bool], taken: bool) -> bool:
        left = self.valid and taken
        self.held += entered[0] - left
        self.valid = self.held > 0
        return left or entered[0]


def machine(timing: Timing) -> Machine:
    """Return the machine of an op, in its state after reset.

    Raises:
        TypeError: The timing belongs to no op of the hardware.
    """
    if isinstance(timing, Buffered):
        return _Ring(timing)
    if isinstance(timing, Queue):
        return _Queue(timing)
    if isinstance(timing, Gated):
        return _Gated(timing)
    if isinstance(timing, Steps):
        return _Process(timing)
    raise TypeError(f"{type(timing).__name__} has no machine")


def run(machines: Sequence[Machine], inputs: Sequence[Sequence[int]]) -> Iterator[Sequence[bool]]:
    """Step machines that work together.

    The inputs of the design always offer a beat, and its outputs are always taken. A machine with
    several readers hands a beat over once all of them take it. Machines that wait are skipped until
    something around them changes.

    Args:
        machines: The machines, each after those that it reads.
        inputs: For each machine, the numbers of those that it reads; −1, −2, … are the inputs of
            the design.

    Yields:
        For each cycle, before its end, whether each machine's output is taken if it is offered.
    """
    count, ends = len(machines), -min(s for sources in inputs for s in sources)
    # The last entries of these lists are the inputs of the design.
    readers: list[list[tuple[int, int]]] = [[] for _ in range(count + ends)]
    for i, sources in enumerate(inputs):
        for port, source in enumerate(sources):
            readers[source].append((i, port))
    ready: list[Sequence[bool]] = [()] * count
    moves = [False] * (count + ends)
    valid = [*(m.valid for m in machines), *[True] * ends]
    # `asked`: the machine must decide again what it takes. `awake`: it may change in this cycle.
    asked, awake = [True] * (count + ends), [True] * (count + ends)
    backwards = [*range(count - 1, -1, -1), *range(count, count + ends)]
    gates = [m for m in machines if isinstance(m, _Gated)]
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
        for gate in gates:
            gate.returned = valid[gate.exit] and moves[gate.exit]
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
    """Step machines until one of them offers its first output.

    Args:
        machines: As for `run`.
        inputs: As for `run`.
        last: Number of the machine that makes the design's output.
        limit: Largest number of cycles to step.

    Returns:
        The cycle of the first output, or None if there is none within `limit` cycles.
    """
    for cycle, _ in zip(range(limit), run(machines, inputs), strict=False):
        if machines[last].valid:
            return cycle
    return None


def frame_ends(
    machines: Sequence[Machine],
    inputs: Sequence[Sequence[int]],
    outputs: Mapping[int, int],
    limit: int,
    frames: int,
) -> tuple[list[int], bool]:
    """Step machines until their pace is steady, and record the cycles in which frames end.

    A frame ends when all outputs have left. The pace is steady once the machines are in the same
    state after two frames in a row. From then on everything repeats.

    Args:
        machines: As for `run`.
        inputs: As for `run`.
        outputs: By number of each machine that makes an output of the design, its beats per frame.
        limit: Largest number of cycles to step.
        frames: Largest number of frames to record.

    Returns:
        The cycles in which frames end, and whether the pace is steady.
    """
    ends: list[int] = []
    made, before = dict.fromkeys(outputs, 0), None
    for cycle, moves in zip(range(limit), run(machines, inputs), strict=False):
        for i in outputs:
            made[i] += machines[i].valid and moves[i]
        if min(made[i] // beats for i, beats in outputs.items()) == len(ends):
            continue
        ends.append(cycle)
        state = tuple(m.state for m in machines)
        if state == before or len(ends) == frames:
            return ends, state == before
        before = state
    return ends, False
