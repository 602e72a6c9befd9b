"""Lay a program of sums out in pipeline stages."""

from __future__ import annotations

from bnn2hw.ir import Array, Ints
from bnn2hw.ops.adder_graph.logic import Adder, Logic, Neuron, Table, Wire, ordered
from bnn2hw.ops.adder_graph.sums import Count, Sum, Sums


class Layout:
    """Layout of a program: a register behind each node, and delays for later readers.

    Args:
        sums: The program.
        outputs: For each neuron its node and the factor of that node, ± a power of two; integers of
            shape (MH, 2). The node is -1 for a neuron without weights.
        weights: Integers of shape (MW, MH).
        thresholds: Integers of shape (MH,); None for sums.
        falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
        signs: True for dot products of signs, coded as such; false for sums of weight · bit.
    """

    def __init__(
        self,
        sums: Sums,
        outputs: Array,
        weights: Array,
        thresholds: Array | None,
        falls: Array | None,
        *,
        signs: bool,
    ) -> None:
        self._sums, self._outputs, self._weights = sums, outputs, weights
        self._thresholds, self._falling, self._signs = thresholds, falls, signs
        self._last = max((sums.stages[n] for n in outputs[:, 0].tolist() if n >= 0), default=0)
        self._delays: dict[int, int] = {}  # by node, the largest delay of a reader
        self._lanes: dict[int, int] = {}  # by input, the last stage that reads it
        self._slots: dict[int, int] = {}  # by input, its position among those that are kept

    def logic(self, out: Ints) -> Logic:
        """Return the whole logic.

        Args:
            out: Integers of the output.
        """
        sums, last, (inputs, neurons) = self._sums, self._last, self._weights.shape
        decided = [self._decided(n) for n in range(neurons)]
        outputs = [
            n for n, d in zip(self._outputs[:, 0].tolist(), decided, strict=True) if d is None and n >= 0
        ]
        nodes = sums.reached(outputs)
        adders = [(n, made) for n in nodes if isinstance(made := sums.nodes[n], Sum)]
        for n, made in adders:
            stage = sums.stages[n] - 1
            self._read(made.left, stage)
            self._read(made.right, stage)
            if made.carry is not None:
                self._lanes[made.carry] = max(self._lanes.get(made.carry, 0), stage)
        for n in outputs:
            self._read(n, last)
        kept = tuple(sorted((i for i, s in self._lanes.items() if s), key=lambda i: (-self._lanes[i], i)))
        self._slots = {lane: slot for slot, lane in enumerate(kept)}
        held = (sum(s >= stage for s in self._lanes.values()) for stage in range(1, last + 1))
        return Logic(
            inputs=inputs,
            out_bits=out.bits,
            compares=self._thresholds is not None,
            stages=last + 1,
            nodes=len(sums.nodes),
            kept=kept,
            held=tuple(h for h in held if h),
            tables=tuple(
                Table(n, sums.width(n), sums.stages[n], ordered(made))
                for n in nodes
                if isinstance(made := sums.nodes[n], Count) and len(made.lanes) > 1
            ),
            adders=tuple(self._adder(n, made) for n, made in adders),
            delayed=tuple(
                (n, sums.width(n), delay)
                for n, most in sorted(self._delays.items())
                for delay in range(1, most + 1)
            ),
            neurons=tuple(self._neuron(n, decided[n], out.bits) for n in range(neurons)),
        )

    def _single(self, node: int) -> int | None:
        """Return the input if a node is a single input, else None."""
        made = self._sums.nodes[node]
        return made.lanes[0] if isinstance(made, Count) and len(made.lanes) == 1 else None

    def _read(self, node: int, stage: int) -> None:
        lane = self._single(node)
        if lane is not None:
            self._lanes[lane] = max(self._lanes.get(lane, 0), stage)
        elif stage > self._sums.stages[node]:
            self._delays[node] = max(self._delays.get(node, 0), stage - self._sums.stages[node])

    def _lane(self, lane: int, stage: int) -> Wire:
        return Wire(-1, stage, lane, self._slots.get(lane, -1))

    def _wire(self, node: int, stage: int) -> Wire:
        lane = self._single(node)
        return Wire(node, stage - self._sums.stages[node]) if lane is None else self._lane(lane, stage)

    def _adder(self, node: int, made: Sum) -> Adder:
        sums, stage = self._sums, self._sums.stages[node] - 1
        return Adder(
            node,
            sums.width(node),
            self._wire(made.left, stage),
            sums.width(made.left),
            self._wire(made.right, stage),
            sums.width(made.right),
            made.minus,
            None if made.carry is None else self._lane(made.carry, stage),
            made.inverted,
            made.shift,
        )

    def _limit(self, neuron: int) -> int:
        """Return the limit of a neuron's node that corresponds to its threshold.

        A dot product of signs is 2 · (sum of weight · bit) - (sum of weight). The sum of weight ·
        bit is factor · (node - constant). With a negative factor, it reaches its threshold if the
        node is below the limit.
        """
        node, factor = map(int, self._outputs[neuron])
        if self._thresholds is None:
            raise ValueError("has no thresholds to compare with")
        least = int(self._thresholds[neuron])
        if self._signs:
            least = (least + int(self._weights[:, neuron].sum())) // 2
        least = -(-least // abs(factor))
        constant = self._sums.constant(node)
        return constant + least if factor > 0 else constant - least + 1

    def _falls(self, neuron: int) -> bool:
        falls = self._falling is not None and bool(self._falling[neuron])
        return falls ^ bool(self._outputs[neuron, 1] < 0)

    def _decided(self, neuron: int) -> bool | None:
        """Return the output of a neuron whose threshold is out of its node's range, else None."""
        if self._thresholds is None:
            return None
        limit, falls = self._limit(neuron), self._falls(neuron)
        if limit <= 0:
            return not falls
        node = int(self._outputs[neuron, 0])
        return falls if node < 0 or limit > self._sums.highest[node] else None

    def _neuron(self, neuron: int, decided: bool | None, code_bits: int) -> Neuron:
        if decided is not None:
            return Neuron(None, 1, decided=decided)
        node, factor = self._outputs[neuron].tolist()
        offset = -factor * self._sums.constant(node)
        if self._signs:
            offset += (len(self._weights) - int(self._weights[:, neuron].sum())) // 2
        offset %= 1 << code_bits
        if node < 0:
            return Neuron(None, 1, offset=offset)
        wire, bits = self._wire(node, self._last), self._sums.width(node)
        if self._thresholds is not None:
            return Neuron(wire, bits, self._limit(neuron), self._falls(neuron))
        sign, shift = (1 if factor > 0 else -1), abs(factor).bit_length() - 1
        return Neuron(wire, bits, sign=sign, offset=offset, shift=shift)
