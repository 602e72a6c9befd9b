"""Sums of weighted bits as a straight-line program of popcounts and additions.

A node is a popcount of a few bits, or the sum of two nodes and a carry bit, where the second one may be
shifted. The value of a node is
never negative. Minus signs and constants cost nothing: a carry chain takes an operand inverted,
since -n equals ~n plus a constant, and all constants move into the threshold at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.ops.base.compressor_plans import bit_levels

LARGEST_TABLE = 8
"""Bits that a table counts at most; compressors count more of them."""


@dataclass(frozen=True, slots=True)
class Count:
    """A popcount of some bits: of up to `LARGEST_TABLE` by a table, else by compressors. That of one bit is the bit.

    Attributes:
        lanes: Inputs, ascending.
        inverted: For each input, True if it counts when it is 0. False for the first one of a table, and for most
            inputs of compressors.
    """

    lanes: tuple[int, ...]
    inverted: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum left + (right + carry) · 2^shift.

    Attributes:
        left: Node of the first operand.
        right: Node of the second operand.
        minus: True if the bits of `right` are inverted before the addition.
        carry: Input that is added as carry; None if there is none.
        inverted: True if the carry counts when it is 0.
        shift: Places by which the second operand and the carry are shifted.
    """

    left: int
    right: int
    minus: bool
    carry: int | None = None
    inverted: bool = False
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """The value sign · node, up to a constant.

    Attributes:
        node: Number of the node; -1 for no node, whose value is 0.
        sign: +1 or -1, or such a power of two.
    """

    node: int
    sign: int

    def times(self, sign: int) -> Value:
        """Return this value, or its negative.

        Args:
            sign: +1 or -1.
        """
        return Value(self.node, self.sign * sign)


NOTHING = Value(-1, 1)
"""The value 0."""

Lane = tuple[int, int]
"""An input and its sign."""


@dataclass
class Sums:
    """A program. Each node reads earlier nodes, and no node occurs twice.

    Attributes:
        nodes: Nodes in the order of their computation.
        highest: For each node, the largest value that the ranges of its operands allow.
        stages: For each node, the registers after which its value is available; 0 for a single
            input.
    """

    nodes: list[Count | Sum] = field(default_factory=list)
    highest: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    _made: dict[Count | Sum, int] = field(default_factory=dict, repr=False)
    _constants: list[int] = field(default_factory=list, repr=False)

    def width(self, node: int) -> int:
        """Return the bits of a node.

        Args:
            node: Number of the node.
        """
        return self.highest[node].bit_length()

    def operand_top(self, node: Sum) -> int:
        """Return the largest value of the right operand of a sum, after inversion.

        Args:
            node: The sum.
        """
        return (1 << self.width(node.right)) - 1 if node.minus else self.highest[node.right]

    def count(self, lanes: Iterable[Lane]) -> Value:
        """Add a popcount: the sum of sign · bit.

        Args:
            lanes: Inputs and their signs.

        Returns:
            The sum, up to a constant.
        """
        ordered = sorted(lanes)
        first = ordered[0][1]
        if len(ordered) > LARGEST_TABLE and sum(sign for _, sign in ordered) * first < 0:
            first = -first
        return Value(
            self.append(Count(tuple(i for i, _ in ordered), tuple(sign != first for _, sign in ordered))),
            first,
        )

    def add(self, a: Value, b: Value, carry: Lane | None = None) -> Value:
        """Add the sum of two values and a signed bit.

        If the signs of a and b differ, either can be the operand that is inverted. The choice that
        needs fewer inverters wins: inverters of the carry, and of the bits by which an operand is
        longer.

        Args:
            a: First value.
            b: Second value.
            carry: Input and sign of the bit; None if there is none.

        Returns:
            The sum, up to a constant.
        """
        lane, sign = carry or (None, None)

        def inverters(left: Value, right: Value) -> int:
            longer = max(self.width(right.node) - self.width(left.node), 0)
            return longer + (lane is not None and sign != left.sign)

        if a.sign != b.sign:
            a, b = min((a, b), (b, a), key=lambda pair: inverters(*pair))
        elif b.node < a.node:
            a, b = b, a
        inverted = lane is not None and sign != a.sign
        return Value(self.append(Sum(a.node, b.node, a.sign != b.sign, lane, inverted)), a.sign)

    def add_shifted(self, a: Value, b: Value, shift: int) -> Value:
        """Add the sum of a value and another one times 2^shift.

        Args:
            a: First value, of sign +1 or -1.
            b: Value that is shifted, of sign +1 or -1.
            shift: Places, at least 1.
        """
        return Value(self.append(Sum(a.node, b.node, a.sign != b.sign, shift=shift)), a.sign)

    def append(self, node: Count | Sum) -> int:
        """Return the number of a node, which is appended if it is new.

        Args:
            node: Popcount or sum of earlier nodes.
        """
        if node not in self._made:
            self._made[node] = len(self.nodes)
            self.nodes.append(node)
            if isinstance(node, Count):
                self.highest.append(len(node.lanes))
                self.stages.append(_stages(len(node.lanes)))
            else:
                upper = self.operand_top(node) + (node.carry is not None)
                self.highest.append(self.highest[node.left] + (upper << node.shift))
                self.stages.append(max(self.stages[node.left], self.stages[node.right]) + 1)
        return self._made[node]

    def meaning(self, lanes: int) -> tuple[Array, Array]:
        """Return what each node computes.

        Args:
            lanes: Number of inputs.

        Returns:
            The factor of each input, of shape (nodes, lanes), and the constant, of shape (nodes,).
        """
        factors = np.zeros((len(self.nodes), lanes), np.int32)
        for i, node in enumerate(self.nodes):
            if isinstance(node, Count):
                factors[i, list(node.lanes)] = np.where(node.inverted, -1, 1)
                continue
            unit = 1 << node.shift
            factors[i] = factors[node.left] + (-unit if node.minus else unit) * factors[node.right]
            if node.carry is not None:
                factors[i, node.carry] += -unit if node.inverted else unit
        return factors, np.array([self.constant(n) for n in range(len(self.nodes))], np.int64)

    def constant(self, node: int) -> int:
        """Return the value of a node if all inputs are 0.

        Args:
            node: Number of the node; -1 for none.
        """
        if node < 0:
            return 0
        for i in range(len(self._constants), node + 1):
            made = self.nodes[i]
            if isinstance(made, Count):
                self._constants.append(sum(made.inverted))
                continue
            left, right = self._constants[made.left], self._constants[made.right]
            if made.minus:
                right = (1 << self.width(made.right)) - 1 - right
            self._constants.append(left + ((right + made.inverted) << made.shift))
        return self._constants[node]

    def needed(self, outputs: Sequence[Value]) -> tuple[Sums, list[Value]]:
        """Remove the nodes that no output needs.

        Args:
            outputs: Values that are needed.

        Returns:
            The smaller program, and the outputs in it.
        """
        made, numbers = Sums(), {-1: -1}
        for i in self.reached(v.node for v in outputs if v.node >= 0):
            node = self.nodes[i]
            if isinstance(node, Sum):
                node = replace(node, left=numbers[node.left], right=numbers[node.right])
            numbers[i] = made.append(node)
        return made, [Value(numbers[v.node], v.sign) for v in outputs]

    def reached(self, outputs: Iterable[int]) -> list[int]:
        """List the nodes that some nodes need, including themselves, in order.

        Args:
            outputs: Numbers of the nodes.
        """
        found = set(outputs)
        waiting = list(found)
        while waiting:
            node = self.nodes[waiting.pop()]
            if isinstance(node, Sum):
                fresh = {node.left, node.right} - found
                found |= fresh
                waiting += fresh
        return sorted(found)

    def encode(self) -> Array:
        """Encode the program as integers: a row per node.

        The row of a popcount lists its inputs: i + 1, or -(i + 1) for an inverted input i, one that is
        not inverted first. The row of a sum is -1, left, right, minus, its carry in the same form, or
        0, and the shift. Zeros fill the rows.

        Returns:
            Integers of shape (nodes, columns), int32.
        """
        most = max([5, *(len(n.lanes) for n in self.nodes if isinstance(n, Count))])
        rows = np.zeros((len(self.nodes), most + 1), np.int32)
        for row, node in zip(rows, self.nodes, strict=True):
            if isinstance(node, Count):
                signed = [_signed(*lane) for lane in zip(node.lanes, node.inverted, strict=True)]
                row[: len(signed)] = signed if signed[0] > 0 else sorted(signed, key=lambda v: v < 0)
            else:
                carry = 0 if node.carry is None else _signed(node.carry, node.inverted)
                row[:6] = -1, node.left, node.right, node.minus, carry, node.shift
        return rows

    @classmethod
    def decode(cls, rows: Array) -> Self:
        """Decode a program that `encode` has encoded.

        Args:
            rows: Integers of shape (nodes, columns).

        Raises:
            ValueError: The rows are not a program.
        """
        made = cls()
        for number, row in enumerate(rows.tolist()):
            if row[0] == -1:
                _, left, right, minus, carry, shift = row[:6]
                if not (0 <= left < number and 0 <= right < number):
                    raise ValueError(
                        f"node {number} of the program reads nodes {left} and {right}, not earlier ones"
                    )
                lane = abs(carry) - 1 if carry else None
                made.append(Sum(left, right, bool(minus), lane, carry < 0, shift))
            else:
                lanes = sorted((v for v in row if v), key=abs)
                if not lanes:
                    raise ValueError(f"node {number} of the program counts no inputs")
                made.append(Count(tuple(abs(v) - 1 for v in lanes), tuple(v < 0 for v in lanes)))
        if len(made.nodes) != len(rows):
            raise ValueError("the program has two equal nodes")
        return made


def _stages(lanes: int) -> int:
    """Return the registers of a popcount; compressors have one behind each level, and one behind their adder."""
    return min(lanes - 1, 1) if lanes <= LARGEST_TABLE else bit_levels(lanes) + 1


def _signed(lane: int, inverted: bool) -> int:
    return -lane - 1 if inverted else lane + 1
