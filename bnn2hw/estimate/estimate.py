"""Cycles and resources of a whole graph, before any tool runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bnn2hw.errors import Bnn2hwError, MissingToolError
from bnn2hw.estimate import stepper
from bnn2hw.ir import Cost, Cycles, Graph, HardwareOp, Node
from bnn2hw.ir.machine import Machine, first_output, machine
from bnn2hw.ir.timing import Times
from bnn2hw.ops.source import Source
from bnn2hw.targets.devices import Device


@dataclass(frozen=True)
class Estimate:
    """What a design needs and does on a device.

    Attributes:
        cycles: interval and latency of the network, exact.
        cost: predicted resources.
        device: where it is to run, at `device.clock_mhz`.
    """

    cycles: Cycles
    cost: Cost
    device: Device

    @property
    def fps(self) -> float:
        """Frames per second at the device's planned clock."""
        return self.device.clock_mhz * 1e6 / self.cycles.interval

    @property
    def latency_us(self) -> float:
        """Microseconds from the first input beat to the first output beat, at the device's planned clock."""
        return self.cycles.latency / self.device.clock_mhz

    @property
    def use(self) -> dict[str, float]:
        """Share of the device that each resource takes."""
        have = {
            "lut": self.device.lut,
            "ff": self.device.ff,
            "bram": self.device.bram,
            "dsp": self.device.dsp,
        }
        return {name: _share(getattr(self.cost, name), count) for name, count in have.items()}

    @property
    def bram_fill(self) -> float | None:
        """Share of the bits of its block RAMs that hold something; None where there are none."""
        block = max(depth * width for depth, width in self.device.family.bram_shapes)
        return self.cost.held / (self.cost.bram * block) if self.cost.bram else None

    @property
    def fits(self) -> bool:
        """Whether every resource suffices."""
        return max(self.use.values()) <= 1.0

    @property
    def excess(self) -> str:
        """What the device has too little of, and the way out; nothing where all suffices."""
        short = [f"{share:.0%} of the {name.upper()}s" for name, share in self.use.items() if share > 1.0]
        way_out = "ask for fewer fps, or choose a larger target"
        return f"it needs {' and '.join(short)} of {self.device.name}; {way_out}" if short else ""


LUT_ERRORS = {
    "ecp5": (0.031, 0.114),
    "xilinx": (0.037, 0.133),
    "ice40": (0.038, 0.148),
    "gowin": (0.036, 0.134),
}
"""Mean and worst error of the LUTs of single ops, by the families whose models are held against synthesis.

Over the designs of 50 LUTs and more in docs/estimates.md.
"""


def _share(needed: float, there: int) -> float:
    if there:
        return needed / there
    return float("inf") if needed else 0.0


def hardware_nodes(graph: Graph) -> Iterator[tuple[Node, HardwareOp]]:
    """The nodes that become hardware, with their ops."""
    return ((n, n.op) for n in graph if isinstance(n.op, HardwareOp))


def interval(graph: Graph) -> int:
    """Cycles between frames: the slowest op's, or the input stream's own length."""
    beats = [graph.types[n.name].size // n.op.lanes for n in graph if isinstance(n.op, Source)]
    return max(beats + [op.interval(*graph.inputs_of(n)) for n, op in hardware_nodes(graph)])


EXACT_STEPS = 1_000_000_000
"""Ops times cycles up to which the latency of a network is stepped cycle by cycle, by compiled code."""

UNCOMPILED_STEPS = 10_000_000
"""The same where there is no C++ compiler."""

QUICK_STEPS = 100_000
"""The same up to which compiled code is not worth its start."""


def latency(graph: Graph) -> int:
    """Cycles from the first input beat to the first output beat of a streamed graph, from an empty pipeline.

    Exact while there are fewer than `EXACT_STEPS` op-cycles (`UNCOMPILED_STEPS` without a C++ compiler); beyond,
    a lower bound that takes the FIFOs as endless and misses only the few cycles that a pipeline loses when it stands
    still with a bubble in it.
    """
    written: dict[str, Times] = {}
    for node in graph:
        if isinstance(node.op, Source):
            written[node.name] = np.arange(graph.types[node.name].size // node.op.lanes, dtype=np.int64)
        elif isinstance(node.op, HardwareOp):
            timing = node.op.timing(*graph.inputs_of(node))
            written[node.name] = timing.asap(*(written[graph.wire(i)] for i in node.inputs)).written
    last = graph.wire(graph.outputs[0])
    if isinstance(graph[last].op, Source):
        return 0
    bound = int(written[last][0])
    steps, limit = bound * len(written), 4 * bound + 1000
    del written  # large designs have millions of beats
    if steps > EXACT_STEPS:
        return bound
    try:
        exact = _compiled(graph, last, limit) if steps > QUICK_STEPS else _stepped(graph, last, limit)
    except MissingToolError:
        if steps > UNCOMPILED_STEPS:
            return bound
        exact = _stepped(graph, last, limit)
    if exact is None:
        raise Bnn2hwError(f"the design gives no output within {limit} cycles; please report this")
    return exact


def _stepped(graph: Graph, last: str, limit: int) -> int | None:
    made, inputs = machines(graph)
    return first_output(list(made.values()), inputs, list(made).index(last), limit)


def _compiled(graph: Graph, last: str, limit: int) -> int | None:
    timings = {n.name: op.timing(*graph.inputs_of(n)) for n, op in hardware_nodes(graph)}
    return stepper.first_output(list(timings.values()), _inputs(graph), list(timings).index(last), limit)


def machines(graph: Graph) -> tuple[dict[str, Machine], list[list[int]]]:
    """The ops of a streamed graph as machines, by name, and which of them each one reads (see `ir.machine.run`)."""
    made = {n.name: machine(op.timing(*graph.inputs_of(n))) for n, op in hardware_nodes(graph)}
    return made, _inputs(graph)


def _inputs(graph: Graph) -> list[list[int]]:
    nodes = [n for n, _ in hardware_nodes(graph)]
    number = {n.name: i for i, n in enumerate(nodes)}
    number |= {n.name: -1 - i for i, n in enumerate(n for n in graph if isinstance(n.op, Source))}
    return [[number[graph.wire(i)] for i in n.inputs] for n in nodes]


def cycles(graph: Graph) -> Cycles:
    """Interval and latency of a streamed graph."""
    return Cycles(interval(graph), latency(graph))


def cost(graph: Graph, device: Device) -> Cost:
    """Predicted resources of a folded or streamed graph."""
    total = Cost()
    for node, op in hardware_nodes(graph):
        total += op.cost(device.family, *graph.inputs_of(node))
    return total


def estimate(graph: Graph, device: Device) -> Estimate:
    """Cycles and resources of a streamed graph on a device."""
    return Estimate(cycles(graph), cost(graph, device), device)
