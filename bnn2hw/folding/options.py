"""The foldings of one node, the costs of one stream and a folding of a graph, as beats, cycles and resources."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bnn2hw.dataflow import converters
from bnn2hw.folding.widths import MOST_INSIDE
from bnn2hw.ir import Array, Beats, Cost, HardwareOp, Ints, Node, Op, StreamOp, Tensor
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Family

BLOCK_WEIGHT = 0.5
"""Weight of block RAMs and DSP blocks relative to LUTs, as shares of the device: many blocks stay unused."""

TOO_WIDE = 1e7
"""LUTs that a stream with a beat of more than `widths.MOST_INSIDE` bits counts with: more than any device has."""

RESOURCES = 4
"""Number of resources: LUTs, flip-flops, block RAMs and DSP blocks."""


def price(cost: Cost, device: Device) -> float:
    """Return a cost as a weighted share of the device."""
    return float(vector(cost) @ weights_of(device))


def weights_of(device: Device) -> Array:
    """Return the weight of one unit of each resource in a price, shape (RESOURCES,)."""
    blocks = (BLOCK_WEIGHT / max(device.bram, 1), BLOCK_WEIGHT / max(device.dsp, 1))
    return np.array([1 / device.lut, 1 / (2 * device.ff), *blocks])


def vector(cost: Cost) -> Array:
    """Return a cost as one number per resource, shape (RESOURCES,)."""
    return np.array([cost.lut, cost.ff, cost.bram, cost.dsp])


@dataclass(frozen=True)
class FoldingPoint:
    """A folding of a graph.

    Attributes:
        ops: Op by node.
        interval: Cycles per frame of the slowest op.
        total: Predicted resources, with FIFOs of depth two, then other sums that the search bounds.
        price: The cost as a weighted share of the device.
        bound: Lower bound on the price of every folding as it was asked for; equal to the price if it is proved
            least.
    """

    ops: Mapping[str, Op]
    interval: int
    total: Array
    price: float
    bound: float

    @property
    def cost(self) -> Cost:
        """The predicted resources."""
        return Cost(*map(float, self.total[:RESOURCES]))

    @property
    def proved(self) -> bool:
        """True if no folding for this rate is cheaper by the cost models."""
        return self.price - self.bound <= 1e-9 * abs(self.price)


def _taken(op: StreamOp, inputs: tuple[Tensor, ...]) -> tuple[Beats, ...]:
    """Return the beats of each input."""
    return tuple(op.input_beats(port, *inputs) for port in range(len(inputs))) or op.beats(*inputs)[:1]


class NodeOptions:
    """A node and its foldings. `known` caches the costs of all nodes' ops by `cost_key`.

    `taken` lists the different beats of its inputs, a tuple of one for each input, and `given` those of its output;
    `lanes` has their places in these lists by folding, of shape (foldings, 2).
    """

    def __init__(
        self,
        node: Node,
        ops: Sequence[StreamOp],
        inputs: tuple[Tensor, ...],
        fixed: bool,
        known: dict[Hashable, Array],
    ) -> None:
        self.node, self.ops, self.inputs, self.fixed = node, ops, inputs, fixed
        beats = [(_taken(op, inputs), op.beats(*inputs)[1]) for op in ops]
        self.taken = sorted({taken for taken, _ in beats})
        self.given = sorted({given for _, given in beats})
        to, at = ({value: i for i, value in enumerate(values)} for values in (self.taken, self.given))
        self.lanes = np.array([[to[taken], at[given]] for taken, given in beats])
        same = all(each[:2] == given[:2] for taken, given in beats for each in taken)
        self.single = same and bool(np.all(self.lanes[:, 0] == self.lanes[:, 1]))
        self.intervals = np.array([op.interval(*inputs) for op in ops])
        self._costs = np.full((len(ops), RESOURCES), np.nan)
        self._known = known

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.node.name

    def with_more(self, ops: Sequence[StreamOp]) -> NodeOptions:
        """Return these options and some others, whose beats some of these have."""
        return (
            NodeOptions(self.node, [*self.ops, *ops], self.inputs, self.fixed, self._known) if ops else self
        )

    @property
    def fastest(self) -> int:
        """The fewest cycles per frame of any folding."""
        return int(min(self.intervals))

    def legal(self, period: int) -> Array:
        """Return the numbers of the foldings that need at most `period` cycles; by hand at least the fastest."""
        kept = np.flatnonzero(self.intervals <= period)
        if self.fixed and not len(kept):
            return np.flatnonzero(self.intervals == self.fastest)
        return kept if self.node.inputs else kept[:1]

    def costs(self, which: Array, family: Family) -> Array:
        """Return the costs of some foldings, shape (foldings, resources)."""
        for i in which[np.isnan(self._costs[which, 0])]:
            op = self.ops[i]
            key = op.cost_key(*self.inputs)
            if key is None or key not in self._known:
                self._known[key] = vector(op.cost(family, *self.inputs))
            self._costs[i] = self._known[key]
        costs: Array = self._costs[which]
        return costs


@dataclass(frozen=True)
class StreamCosts:
    """The costs of a stream by the beats at its two ends.

    If `maker` equals `reader`, the stream leaves the design and has costs by the beats of its maker. `port` is the
    number of the input of the reader.
    """

    maker: int
    reader: int
    costs: Array
    port: int = 0


@lru_cache(2**18)
def stream_cost(family: Family, bits: int, have: Beats, want: Beats | None, fifo: bool) -> tuple[float, ...]:
    """Return the resources of the FIFOs and converters of a stream: LUTs, flip-flops, block RAMs, DSP blocks.

    Args:
        family: The device family.
        bits: Width of one value.
        have: The beats that the producer writes.
        want: The beats that the reader takes; None if the stream leaves the design.
        fifo: Whether a FIFO follows the producer directly.
    """
    ops = converters.between(have, want, fifo=fifo) if want else converters.to_output(have, fifo=fifo)
    lut, ff, bram, dsp = 0.0, 0.0, 0.0, 0.0
    for op in ops:
        if max(op.beats()[1].lanes * bits, op.inner_bits(Tensor((1,), Ints(0, 2**bits - 1)))) > MOST_INSIDE:
            return TOO_WIDE, ff, bram, dsp
        cost = _cost_of(op, family, bits)
        lut, ff, bram, dsp = lut + cost.lut, ff + cost.ff, bram + cost.bram, dsp + cost.dsp
    return lut, ff, bram, dsp


@lru_cache(2**16)
def _cost_of(op: HardwareOp, family: Family, bits: int) -> Cost:
    """The cost of a FIFO or converter. `converters` makes few different ones, so most calls hit the cache."""
    return op.cost(family, Tensor((1,), Ints(0, 2**bits - 1)))
