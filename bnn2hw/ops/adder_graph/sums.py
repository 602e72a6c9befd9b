"""Sums of signed bits as a straight-line program: counts of a few bits, and sums of two numbers and a further bit.

Every node is a number that is never negative. Minus signs and constants cost nothing and are kept aside: an operand
enters a carry chain inverted, −n being ~n and a constant, and what the constants come to moves into the threshold
at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from bnn2hw.ir import Array


@dataclass(frozen=True, slots=True)
class Count:
    """How many of some bits are 1; those that are marked count when they are 0. Of one bit, that bit.

    Attributes:
        lanes: inputs, in rising order.
        inverted: for each, whether it counts when it is 0; never so for the first.
    """

    lanes: tuple[int, ...]
    inverted: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """left + right + carry.

    Attributes:
        left: a node.
        right: a node.
        minus: whether the bits of `right` are inverted first.
        carry: an input, or None.
        inverted: whether `carry` counts when it is 0.
    """

    left: int
    right: int
    minus: bool
    carry: int | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """sign · node, up to a constant."""

    node: int
    sign: int

    def times(self, sign: int) -> Value:
        """This value, or its negative."""
        return Value(self.node, self.sign * sign)


Lane = tuple[int, int]
"""An input and its sign."""


@dataclass
class Sums:
    """A program: nodes in the order of their making, each of which reads earlier ones and is made once.

    Attributes:
        nodes: what is computed.
        highest: of each node, the largest value that its operands' ranges allow.
        stages: of each node, after how many registers it is there; inputs, and so counts of one, are there at once.
    """

    nodes: list[Count | Sum] = field(default_factory=list)
    highest: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    _made: dict[Count | Sum, int] = field(default_factory=dict, repr=False)
    _constants: list[int] = field(default_factory=list, repr=False)

    def width(self, node: int) -> int:
        """Bits of a node."""
        return self.highest[node].bit_length()

    def operand_top(self, node: Sum) -> int:
        """The largest value of a sum's right operand as it is added."""
        return (1 << self.width(node.right)) - 1 if node.minus else self.highest[node.right]

    def count(self, lanes: Iterable[Lane]) -> Value:
        """Σ sign · bit."""
        ordered = sorted(lanes)
        first = ordered[0][1]
        return Value(
            self.append(Count(tuple(i for i, _ in ordered), tuple(sign != first for _, sign in ordered))),
            first,
        )

    def add(self, a: Value, b: Value, carry: Lane | None = None) -> Value:
        """A + b, and a further bit times its sign.

        Where the signs of a and b differ there is a choice, and the one that inverts less is taken: the further bit, or
        what an operand is longer than the other one.
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

    def append(self, node: Count | Sum) -> int:
        """The number of a node, which is made where it is new."""
        if node not in self._made:
            self._made[node] = len(self.nodes)
            self.nodes.append(node)
            if isinstance(node, Count):
                self.highest.append(len(node.lanes))
                self.stages.append(min(len(node.lanes) - 1, 1))
            else:
                self.highest.append(
                    self.highest[node.left] + self.operand_top(node) + (node.carry is not None)
                )
                self.stages.append(max(self.stages[node.left], self.stages[node.right]) + 1)
        return self._made[node]

    def meaning(self, lanes: int) -> tuple[Array, Array]:
        """What each node computes: the factors of the inputs, shape (nodes, lanes), and its constant."""
        factors = np.zeros((len(self.nodes), lanes), np.int16)
        for i, node in enumerate(self.nodes):
            if isinstance(node, Count):
                factors[i, list(node.lanes)] = np.where(node.inverted, -1, 1)
                continue
            factors[i] = factors[node.left] + (-1 if node.minus else 1) * factors[node.right]
            if node.carry is not None:
                factors[i, node.carry] += -1 if node.inverted else 1
        return factors, np.array([self.constant(n) for n in range(len(self.nodes))], np.int64)

    def constant(self, node: int) -> int:
        """What a node is where all inputs are 0."""
        for i in range(len(self._constants), node + 1):
            made = self.nodes[i]
            if isinstance(made, Count):
                self._constants.append(sum(made.inverted))
                continue
            left, right = self._constants[made.left], self._constants[made.right]
            if made.minus:
                right = (1 << self.width(made.right)) - 1 - right
            self._constants.append(left + right + made.inverted)
        return self._constants[node]

    def needed(self, outputs: Sequence[Value]) -> tuple[Sums, list[Value]]:
        """The program without what no output needs, and the outputs in it."""
        made, numbers = Sums(), dict[int, int]()
        for i in self.reached(v.node for v in outputs):
            node = self.nodes[i]
            if isinstance(node, Sum):
                node = Sum(numbers[node.left], numbers[node.right], node.minus, node.carry, node.inverted)
            numbers[i] = made.append(node)
        return made, [Value(numbers[v.node], v.sign) for v in outputs]

    def reached(self, outputs: Iterable[int]) -> list[int]:
        """The nodes that some nodes need, themselves included, in order."""
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
        """The program as integers, a row per node: lanes of a count, or the fields of a sum behind a −1."""
        most = max([4, *(len(n.lanes) for n in self.nodes if isinstance(n, Count))])
        rows = np.zeros((len(self.nodes), most + 1), np.int32)
        for row, node in zip(rows, self.nodes, strict=True):
            if isinstance(node, Count):
                signed = [_signed(*lane) for lane in zip(node.lanes, node.inverted, strict=True)]
                row[: len(signed)] = signed
            else:
                carry = 0 if node.carry is None else _signed(node.carry, node.inverted)
                row[:5] = -1, node.left, node.right, node.minus, carry
        return rows

    @classmethod
    def decode(cls, rows: Array) -> Self:
        """The inverse of `encode`.

        Raises:
            ValueError: rows that are no program.
        """
        made = cls()
        for number, row in enumerate(rows.tolist()):
            if row[0] == -1:
                _, left, right, minus, carry = row[:5]
                if not (0 <= left < number and 0 <= right < number):
                    raise ValueError(f"node {number} of the sums reads a node that does not precede it")
                lane = abs(carry) - 1 if carry else None
                made.append(Sum(left, right, bool(minus), lane, carry < 0))
            else:
                lanes = [v for v in row if v]
                if not lanes:
                    raise ValueError(f"node {number} of the sums counts nothing")
                made.append(Count(tuple(abs(v) - 1 for v in lanes), tuple(v < 0 for v in lanes)))
        if len(made.nodes) != len(rows):
            raise ValueError("a node of the sums is there twice")
        return made


def _signed(lane: int, inverted: bool) -> int:
    return -lane - 1 if inverted else lane + 1
