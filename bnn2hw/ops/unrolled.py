"""Unrolled binary layer: weights are wiring, and all neurons of a vector are computed per cycle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Param, Steps, Tensor
from bnn2hw.ops.adder_graph.sharing import adder_luts, share
from bnn2hw.ops.adder_graph.sums import Count, Sum, Sums
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.ops.base.pixelwise import Pixelwise
from bnn2hw.ops.xnor import Xnor
from bnn2hw.targets.families import Family

GROUP = 64
"""Nodes that share an enable signal; unrolled.sv.j2 has the same number."""


@dataclass(frozen=True)
class Wire:
    """A number after some registers: the value of a node, or an input.

    Attributes:
        node: Number of the node; -1 for an input.
        delay: Registers between the node or input and the reader.
        lane: Number of the input; -1 for a node.
        slot: Position of the input among those that are kept for later stages; -1 if it is not.
    """

    node: int
    delay: int
    lane: int = -1
    slot: int = -1


@dataclass(frozen=True)
class Table:
    """A popcount of a few inputs, as a table.

    Attributes:
        node: Number of the node.
        bits: Bits of the count.
        lanes: Inputs, each with True if it counts when it is 0.
    """

    node: int
    bits: int
    lanes: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class Adder:
    """A sum of two numbers and a carry bit.

    Attributes:
        node: Number of the node.
        bits: Bits of the sum.
        left: First operand.
        left_bits: Bits of the first operand.
        right: Second operand.
        right_bits: Bits of the second operand.
        minus: True if the bits of the second operand are inverted.
        carry: Input that is added as carry; None if there is none.
        inverted: True if the carry counts when it is 0.
    """

    node: int
    bits: int
    left: Wire
    left_bits: int
    right: Wire
    right_bits: int
    minus: bool
    carry: Wire | None
    inverted: bool


@dataclass(frozen=True)
class Neuron:
    """The output of a neuron: a comparison with a limit, a code, or a constant.

    Attributes:
        number: Number that is compared or converted; None if the output is always `decided`.
        bits: Bits of the number.
        limit: Limit of the comparison: the output is 1 if the number is at least the limit.
        falls: True if the comparison is inverted.
        decided: Output of a neuron without a number.
        sign: Sign in the code, which is sign · number + offset.
        offset: Offset in the code.
    """

    number: Wire | None
    bits: int
    limit: int = 0
    falls: bool = False
    decided: bool = False
    sign: int = 1
    offset: int = 0


@dataclass(frozen=True)
class Logic:
    """The logic of an unrolled matrix, as the templates print it.

    Attributes:
        inputs: Inputs of a vector.
        out_bits: Bits of the output of a neuron.
        compares: True if neurons compare their number with a limit.
        stages: Registers from the input to the output.
        nodes: Nodes of the program, including those that are not read.
        kept: Inputs that later stages read; those that are read last come first.
        held: Number of kept inputs after each register, from the first register on.
        tables: Popcounts, in the order of their nodes.
        adders: Sums, in the order of their nodes.
        delayed: Registers behind nodes: node, bits, and position of the register behind the node.
        neurons: Outputs, in the order of the neurons.
    """

    inputs: int
    out_bits: int
    compares: bool
    stages: int
    nodes: int
    kept: tuple[int, ...]
    held: tuple[int, ...]
    tables: tuple[Table, ...]
    adders: tuple[Adder, ...]
    delayed: tuple[tuple[int, int, int], ...]
    neurons: tuple[Neuron, ...]


@dataclass(frozen=True, eq=False)
class Unrolled(Pixelwise):
    """Multiply ±1 inputs with constant ±1 weights, and optionally compare, a vector per cycle.

    Without thresholds the output is the dot product, coded as in `Xnor`. With thresholds the output
    of a rising neuron is +1 if its dot product is at least the threshold, else -1. A falling neuron
    has the opposite sign.

    Attributes:
        weights: ±1, of shape (MW, MH).
        nodes: Program that computes the sums (see `Sums.encode`).
        outputs: For each neuron its node and the sign of that node; integers of shape (MH, 2).
        thresholds: Integers of shape (MH,); None for dot products.
        falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
        scale: Real value of a weight of 1: one number for all neurons, or one for each.
        axes: Trailing axes of the input that form a vector.
    """

    kind: ClassVar[str] = "unrolled"

    weights: Array
    nodes: Array
    outputs: Array
    thresholds: Array | None = None
    falls: Array | None = None
    scale: Meaning = 1.0
    axes: int = 1

    @classmethod
    def of(
        cls, unit: Xnor, thresholds: Array | None = None, falls: Array | None = None, table: int = 6
    ) -> Self:
        """Unroll a folded unit and the threshold that reads it.

        Args:
            unit: Folded unit.
            thresholds: Integers of shape (MH,); None for dot products.
            falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
            table: Inputs of the largest popcount table.
        """
        sums, found = share(unit.weights, table)
        outputs = np.array([(v.node, v.sign) for v in found])
        return cls(unit.weights, sums.encode(), outputs, thresholds, falls, unit.scale, unit.axes)

    @cached_property
    def folded(self) -> Xnor:
        """The folded unit with the same weights, without thresholds."""
        mw, mh = self.weights.shape
        return Xnor(self.weights, self.scale, self.axes, pe=mh, simd=mw)

    @cached_property
    def sums(self) -> Sums:
        """The program, after a check that it computes exactly these weights.

        Raises:
            ValueError: It computes other sums.
        """
        made = Sums.decode(self.nodes)
        if self.outputs.shape != (self.folded.mh, 2):
            raise ValueError(f"has outputs of shape {self.outputs.shape}, expected ({self.folded.mh}, 2)")
        factors, _ = made.meaning(self.folded.mw)
        node, sign = self.outputs.T
        if not np.array_equal(factors[node].T * sign, self.weights):
            raise ValueError("has a program that computes other sums than its weights")
        return made

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].ints != BIPOLAR:
            raise ValueError(f"needs inputs of ±1, not {x[0].ints}")
        dot = self.folded.infer(*x)
        self.check_pixels(*x)
        _ = self.sums
        if self.thresholds is None:
            return dot
        ints, neurons = dot.ints, (self.folded.mh,)
        if self.thresholds.shape != neurons or (self.falls is not None and self.falls.shape != neurons):
            raise ValueError(f"needs {self.folded.mh} thresholds, and as many directions or none")
        if not Ints(ints.lo, ints.hi + ints.step, ints.step).contains(self.thresholds):
            raise ValueError(f"thresholds must be dot products, {ints}, or one step above")
        return Tensor(dot.shape, BIPOLAR)

    def golden(self, *x: Array) -> Array:
        dot = self.folded.golden(*x)
        if self.thresholds is None:
            return dot
        fired = dot >= self.thresholds
        return np.where(fired if self.falls is None else fired ^ self.falls, 1, -1)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.folded.mw * self.pixels, self.folded.mh * self.pixels

    def interval(self, *x: Tensor) -> int:
        return self.folded.interval(*x) // self.pixels

    def whole(self, *x: Tensor) -> bool:
        return True

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    @cached_property
    def stages(self) -> int:
        """Registers from the input to the output."""
        return 1 + max(self.sums.stages[int(n)] for n in self.outputs[:, 0])

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=self.stages)

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {}

    @cached_property
    def logic(self) -> Logic:
        """The logic that the templates print."""
        dot = Ints(-self.folded.mw, self.folded.mw, 2)
        return _Layout(self).logic(dot if self.thresholds is None else BIPOLAR)

    def body(self, *x: Tensor) -> Logic:
        return self.logic

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        logic, sums = self.logic, self.sums
        registers = sum(sums.width(n) for n, made in enumerate(sums.nodes) if sums.stages[n])
        ff = registers + sum(logic.held) + sum(bits for _, bits, _ in logic.delayed)
        ff += logic.stages + len(logic.neurons) * logic.out_bits
        split = (1, 1, 1, 1, 1, 2, 4)  # LUTs with 4 inputs per bit of a table, by its inputs
        small = family.lut_inputs == 4
        lut = float(sum(t.bits * (split[len(t.lanes)] if small else 1) for t in logic.tables))
        for a in logic.adders:
            lut += adder_luts(max(a.left_bits, a.right_bits), a.carry is not None, family.lut_inputs)
            lut += a.inverted
        for neuron in logic.neurons:
            if neuron.number is None:
                continue
            each = family.lut_inputs - 1
            lut += math.ceil((neuron.bits - 1) / each) if logic.compares else logic.out_bits
        copies = math.ceil(logic.nodes / GROUP)
        return Cost(lut=lut + 1 + copies, ff=ff + copies)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        known = {name: getattr(self, name) for name in ("folded", "sums", "stages", "logic")}
        one = replace(self, pixels=1)
        for made in (one, *one.side_by_side(*x)):
            vars(made).update(known)  # independent of `pixels`, and slow to find
            yield made

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(1)

        def unit(mw: int, mh: int, scale: float = 1.0, axes: int = 1) -> Xnor:
            return Xnor(rng.choice(np.array([-1, 1], np.int8), (mw, mh)), scale, axes)

        def limits(mw: int, mh: int) -> Array:
            return 2 * rng.integers(-mw // 4, mw // 4 + 1, mh) + mw % 2

        yield cls.of(unit(9, 3, scale=0.5), table=4), (Tensor((2, 2, 9), BIPOLAR),)
        falls = rng.integers(0, 2, 5).astype(bool)
        yield cls.of(unit(34, 5, axes=2), limits(34, 5), falls), (Tensor((3, 2, 17), BIPOLAR),)
        same = unit(5, 8)
        same = replace(
            same, weights=np.repeat(same.weights[:, :2], 4, 1) * np.array([1, 1, -1, 1] * 2, np.int8)
        )
        yield cls.of(same, np.array([-5, 7, 1, -1, 3, 5, -3, 7])), (Tensor((5,), BIPOLAR),)
        yield cls.of(unit(1, 2)), (Tensor((3, 1), BIPOLAR),)
        yield replace(cls.of(unit(9, 3)), pixels=4), (Tensor((2, 6, 9), BIPOLAR),)
        yield replace(cls.of(unit(9, 4), limits(9, 4)), pixels=2), (Tensor((4, 9), BIPOLAR),)


class _Layout:
    """Layout of a program: a register behind each node, and delays for later readers."""

    def __init__(self, op: Unrolled) -> None:
        self._op, self._sums = op, op.sums
        self._last = op.stages - 1
        self._delays: dict[int, int] = {}  # by node, the largest delay of a reader
        self._lanes: dict[int, int] = {}  # by input, the last stage that reads it
        self._slots: dict[int, int] = {}  # by input, its position among those that are kept

    def logic(self, out: Ints) -> Logic:
        """Return the whole logic.

        Args:
            out: Integers of the output.
        """
        op, sums, last = self._op, self._sums, self._last
        decided = [self._decided(n) for n in range(op.folded.mh)]
        outputs = [int(n) for n, d in zip(op.outputs[:, 0], decided, strict=True) if d is None]
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
            inputs=op.folded.mw,
            out_bits=out.bits,
            compares=op.thresholds is not None,
            stages=op.stages,
            nodes=len(sums.nodes),
            kept=kept,
            held=tuple(h for h in held if h),
            tables=tuple(
                Table(n, sums.width(n), tuple(zip(made.lanes, made.inverted, strict=True)))
                for n in nodes
                if isinstance(made := sums.nodes[n], Count) and len(made.lanes) > 1
            ),
            adders=tuple(self._adder(n, made) for n, made in adders),
            delayed=tuple(
                (n, sums.width(n), delay)
                for n, most in sorted(self._delays.items())
                for delay in range(1, most + 1)
            ),
            neurons=tuple(self._neuron(n, decided[n], out.bits) for n in range(op.folded.mh)),
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
        )

    def _limit(self, neuron: int) -> int:
        """Return the limit of a neuron's node that corresponds to its threshold.

        The dot product is 2 · (sum of weight · bit) - (sum of weight), and that first sum is
        sign · (node - constant). With a negative sign, the dot product reaches its threshold if the
        node is below the limit.
        """
        op, (node, sign) = self._op, self._op.outputs[neuron].tolist()
        if op.thresholds is None:
            raise ValueError("has no thresholds to compare with")
        least = (int(op.thresholds[neuron]) + int(op.weights[:, neuron].sum())) // 2
        constant = self._sums.constant(node)
        return constant + least if sign > 0 else constant - least + 1

    def _falls(self, neuron: int) -> bool:
        falls = self._op.falls is not None and bool(self._op.falls[neuron])
        return falls ^ bool(self._op.outputs[neuron, 1] < 0)

    def _decided(self, neuron: int) -> bool | None:
        """Return the output of a neuron whose threshold is out of its node's range, else None."""
        if self._op.thresholds is None:
            return None
        limit, falls = self._limit(neuron), self._falls(neuron)
        if limit <= 0:
            return not falls
        return falls if limit > self._sums.highest[int(self._op.outputs[neuron, 0])] else None

    def _neuron(self, neuron: int, decided: bool | None, code_bits: int) -> Neuron:
        if decided is not None:
            return Neuron(None, 1, decided=decided)
        op, (node, sign) = self._op, self._op.outputs[neuron].tolist()
        wire, bits = self._wire(node, self._last), self._sums.width(node)
        if op.thresholds is not None:
            return Neuron(wire, bits, self._limit(neuron), self._falls(neuron))
        offset = (op.folded.mw - int(op.weights[:, neuron].sum())) // 2 - sign * self._sums.constant(node)
        return Neuron(wire, bits, sign=sign, offset=offset % (1 << code_bits))
