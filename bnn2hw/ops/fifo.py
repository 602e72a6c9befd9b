"""FIFO between two ops, and the depth that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Beats, Cost, HardwareOp, Ints, Queue, Tensor
from bnn2hw.ops.base.costs import lutram_cost, ram_cost, state_bits
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Fifo(HardwareOp):
    """Pass beats on in order, after one cycle or more. Both handshakes are registered.

    Attributes:
        lanes: Values per beat.
        depth: Beats that it holds: 2 are enough for one beat per cycle, 1 for one in two cycles.
        vector: Values of a vector if beats are ragged, else 0 (see `Beats`).
        zeros: True if padding carries code 0 (see `Beats`).
        gated: True if the ops before it run free: a gate in front of the first of them lets a beat in only
            if this FIFO will have room for it (see `bnn2hw.estimate.gates`).
    """

    kind: ClassVar[str] = "fifo"

    lanes: int = 1
    depth: int = 2
    vector: int = 0
    zeros: bool = False
    gated: bool = False

    @classmethod
    def of(cls, beats: Beats) -> Self:
        """Return the FIFO of depth 2 for some beats.

        Args:
            beats: Beats of the stream.
        """
        return cls(beats.lanes, vector=beats.vector, zeros=beats.zeros)

    @property
    def module(self) -> str:
        return "fifo_register" if self.depth == 1 else self.kind

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].size % (self.vector or self.lanes) or self.depth < 1:
            raise ValueError(
                f"{self.vector or self.lanes} must divide {x[0].size} values, "
                f"and depth={self.depth} must be at least 1"
            )
        return x[0]

    def golden(self, *x: Array) -> Array:
        return x[0]

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        beats = Beats(self.lanes, self.vector, self.zeros)
        return beats, beats

    def interval(self, *x: Tensor) -> int:
        return self.timing(*x).interval

    def timing(self, *x: Tensor) -> Queue:
        every = np.ones(self.beats()[0].count(x[0].size), bool)
        return Queue(every, every, latency=1, depth=self.depth)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {"BITS": self.lanes * x[0].ints.bits, "DEPTH": self.depth}

    def cost(self, family: Family, *x: Tensor) -> Cost:
        return self._queue_cost(family, *x) + (self._gate_cost(family) if self.gated else Cost())

    def _gate_cost(self, family: Family) -> Cost:
        """Return the cost of the gate, which counts credits."""
        count = state_bits(self.depth + 1)
        return Cost(lut=family.by_lut(1, 0.6) * count + 1, ff=count + 1)

    def _queue_cost(self, family: Family, *x: Tensor) -> Cost:
        bits = self.lanes * x[0].ints.bits
        if self.depth == 1:
            return Cost(lut=2, ff=bits + 1)
        if any(least <= self.depth <= most and bits >= fewest for least, most, fewest in family.lutram_fifos):
            return self._direct_cost(family, bits)
        if self.depth == 2:
            return Cost(lut=bits + family.coefficient("fifo.pair", 8, 5), ff=2 * bits + 4)
        ring, count = ram_cost(family, self.depth - 1, bits, ring=True), state_bits(self.depth)
        # A word that bypasses a block RAM waits in its own registers.
        beside = 2 * bits if ring.bram else 0
        # Pointers wrap by overflow if the number of words is a power of two.
        pointer, wraps = state_bits(self.depth - 1), (self.depth - 1) & (self.depth - 2) == 0
        wrap = (0 if ring.bram else -1) * pointer if wraps else 0.9 * pointer
        logic = Cost(
            lut=family.coefficient("fifo.count", 8.2, 5.0) * count
            + wrap
            + bits
            + family.coefficient("fifo.bypass", 0.5, 0) * beside,
            ff=2 * pointer + count + 4 + beside,
        )
        return logic + ring

    def _direct_cost(self, family: Family, bits: int) -> Cost:
        """Return the cost of a FIFO that is read from LUT RAM, whose pointers wrap by overflow."""
        pointer, count = state_bits(self.depth), state_bits(self.depth + 1)
        each = family.coefficient("fifo.direct", 2.3, 1)
        logic = Cost(
            lut=each * (pointer + count) + family.by_lut(3, 5), ff=2 * pointer + count + 2 + (pointer == 1)
        )
        return logic + lutram_cost(family, 1 << pointer, bits, ring=True)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=2, depth=2), (Tensor((3, 4), BIPOLAR),)
        yield cls(lanes=2, depth=1), (Tensor((8,), Ints(-4, 3)),)
        yield cls(lanes=1, depth=3), (Tensor((7,), Ints(-4, 3)),)
        yield cls(lanes=3, depth=20), (Tensor((4, 6), Ints(0, 5)),)
        yield cls(lanes=1, depth=17), (Tensor((40,), Ints(-4, 3)),)
        yield cls(lanes=3, depth=2, vector=5, zeros=True), (Tensor((4, 5), Ints(0, 5)),)
        yield cls(lanes=1, depth=9, gated=True), (Tensor((6,), Ints(-4, 3)),)
