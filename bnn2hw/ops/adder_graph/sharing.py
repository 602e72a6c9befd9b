"""Share partial sums between the neurons of a constant matrix of signs and zeros.

Take two neurons. Each input has equal signs in both, or opposite signs. Let A be the sum of the
inputs with equal signs, and B the sum of the others. Then the neurons are A + B and A - B: two sums
over all inputs become two sums over about half of them, and two additions.

A group of k neurons has 2^(k-1) such classes of inputs. The group is split in halves. Two classes
that differ only in the signs of the second half form a pair, with the butterfly u = A + B, v = A -
B: the first half needs u, the second half v. Each half continues with its own classes, which are
fewer.

Where an input has no weight in one of the halves, only the other half needs its class.

Tables with as many inputs as a LUT count the inputs of a class; where there are many, compressors do.
Each adder takes one more input at its carry for free. Inputs that a class leaves out go there, within
the halves or at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.ops.adder_graph.plans import ANY, Cells, adder_luts, node_luts, plan, table_luts, tree
from bnn2hw.ops.adder_graph.sums import NOTHING, Lane, Sums, Value

Signs = tuple[int, ...]
"""Signs of an input, by neuron; 0 where a neuron does not read it."""

Halves = tuple[Signs, Signs]
"""A pair of classes: signs in both halves of a group, each up to a common sign."""


@dataclass(frozen=True)
class Class:
    """Class of an input, or of a sum, in a group of two halves.

    Attributes:
        first: Signs in the first half, relative to the first of them that is not 0.
        second: Signs in the second half, relative to the first of them that is not 0.
        sign: First sign that is not 0, of the first half if it has one.
        opposite: True if the first sign of the second half is the opposite one.
    """

    first: Signs
    second: Signs
    sign: int
    opposite: bool


@cache
def class_of(signs: Signs) -> Class:
    """Return the class of some signs. The first half of the group is the larger one.

    Args:
        signs: Signs by neuron; at least two, not all of them 0.
    """
    half = (len(signs) + 1) // 2
    p, q = signs[:half], signs[half:]
    one, other = first_sign(p), first_sign(q)
    return Class(tuple(s * one for s in p), tuple(s * other for s in q), one or other, one * other < 0)


def first_sign(signs: Iterable[int]) -> int:
    """Return the first sign that is not 0, or 0 if all are."""
    return next((s for s in signs if s), 0)


@dataclass
class Pair:
    """Sums and lanes of a pair of classes, with equal and with opposite first signs in both halves.

    Attributes:
        values: Sums.
        lanes: Inputs that are carries in the sums of `values`.
        carry: Input that is the carry of the butterfly, and True if its signs are opposite.
    """

    values: tuple[list[Value], list[Value]] = field(default_factory=lambda: ([], []))
    lanes: tuple[list[Lane], list[Lane]] = field(default_factory=lambda: ([], []))
    carry: tuple[Lane, bool] | None = None


@dataclass
class Group:
    """Neurons that share sums. Some inputs can be left to the carries of later adders.

    Attributes:
        weights: Signs and zeros of shape (inputs, neurons); each neuron reads an input.
        cells: Cells of the family.
        sums: Program to which nodes are added.
    """

    weights: Array
    cells: Cells
    sums: Sums
    _known: dict[tuple[Halves, frozenset[int]], tuple[Value, Value]] = field(default_factory=dict)
    _luts: list[int] = field(default_factory=list)

    @cached_property
    def signs(self) -> dict[int, Signs]:
        """Signs of each input that a neuron reads."""
        read = np.flatnonzero(self.weights.any(1)).tolist()
        return {i: tuple(row) for i, row in zip(read, self.weights[read].tolist(), strict=True)}

    @cached_property
    def members(self) -> dict[Halves, tuple[list[Lane], list[Lane]]]:
        """Inputs of each pair of classes: with equal first signs in both halves, opposite ones."""
        found: dict[Halves, tuple[list[Lane], list[Lane]]] = {}
        for i, signs in self.signs.items():
            where = class_of(signs)
            found.setdefault((where.first, where.second), ([], []))[where.opposite].append((i, where.sign))
        return found

    def outputs(self, late: frozenset[int]) -> list[Value]:
        """Add the sums of all neurons to the program.

        Args:
            late: Inputs that are left to the carries of later adders.
        """
        neurons = range(self.weights.shape[1])
        if len(neurons) == 1:
            return [self._count([(i, s[0]) for i, s in self.signs.items()])]
        missing: dict[Halves, set[int]] = {}
        for i in late:
            where = class_of(self.signs[i])
            missing.setdefault((where.first, where.second), set()).add(i)
        made = {}
        for halves, (equal, opposite) in self.members.items():
            without = frozenset(missing.get(halves, ()))
            if len(without) == len(equal) + len(opposite):
                continue
            if (halves, without) not in self._known:
                lanes = ([x for x in part if x[0] not in without] for part in (equal, opposite))
                self._known[halves, without] = self._of_lanes(*lanes)
            made[halves] = self._known[halves, without]
        return self._halves(made, neurons, sorted(late))

    def luts(self, late: frozenset[int]) -> int:
        """Return the LUTs of all neurons.

        Args:
            late: Inputs that are left to the carries of later adders.
        """
        outputs = self.outputs(late)
        self._luts += [
            node_luts(self.sums, n, self.cells.inputs) for n in range(len(self._luts), len(self.sums.nodes))
        ]
        return sum(self._luts[n] for n in self.sums.reached(v.node for v in outputs))

    def _halves(
        self, pairs: dict[Halves, tuple[Value, Value]], neurons: Sequence[int], late: Sequence[int]
    ) -> list[Value]:
        first = [(u, halves[0]) for halves, (u, _) in pairs.items() if any(halves[0])]
        second = [(v, halves[1]) for halves, (_, v) in pairs.items() if any(halves[1])]
        half = (len(neurons) + 1) // 2
        return self._later(neurons[:half], first, late) + self._later(neurons[half:], second, late)

    def _later(
        self, neurons: Sequence[int], values: Sequence[tuple[Value, Signs]], late: Sequence[int]
    ) -> list[Value]:
        """Return sums of neurons from sums over classes; late inputs become carries on the way."""
        rows = {i: signs for i in late if any(signs := tuple(self.signs[i][n] for n in neurons))}
        if len(neurons) == 1:
            return [self._merge([v.times(s[0]) for v, s in values], [(i, s[0]) for i, s in rows.items()])]
        pairs: dict[Halves, Pair] = {}
        for value, signs in values:
            where = class_of(signs)
            pair = pairs.setdefault((where.first, where.second), Pair())
            pair.values[where.opposite].append(value.times(where.sign))
        further = []
        for i, signs in rows.items():
            where = class_of(signs)
            found = pairs.get((where.first, where.second))
            lane = i, where.sign
            if found and len(found.values[where.opposite]) - 1 > len(found.lanes[where.opposite]):
                found.lanes[where.opposite].append(lane)
            elif found and all(found.values) and not found.carry:
                found.carry = lane, where.opposite
            else:
                further.append(i)
        made = {halves: self._butterfly(pair) for halves, pair in pairs.items()}
        return self._halves(made, neurons, further)

    def _butterfly(self, pair: Pair) -> tuple[Value, Value]:
        """Return A + B and A - B."""
        a, b = (
            self._merge(values, lanes) if values else None
            for values, lanes in zip(pair.values, pair.lanes, strict=True)
        )
        return self._both(a, b, pair.carry)

    def _both(
        self, a: Value | None, b: Value | None, carry: tuple[Lane, bool] | None = None
    ) -> tuple[Value, Value]:
        """Return a ± b with a lane as carry; if only one exists, return it with either sign."""
        if a is None or b is None:
            one = a or b
            if one is None:
                raise ValueError("a pair of classes needs at least one sum")
            return one, one.times(1 if a else -1)
        if carry is None:
            return self.sums.add(a, b), self.sums.add(a, b.times(-1))
        lane, opposite = carry
        other = (lane[0], -lane[1]) if opposite else lane
        return self.sums.add(a, b, lane), self.sums.add(a, b.times(-1), other)

    def _of_lanes(self, equal: list[Lane], opposite: list[Lane]) -> tuple[Value, Value]:
        """Return (sum of equal) ± (sum of opposite): by tables, or as a butterfly with a carry."""
        if not equal or not opposite:
            return self._both(
                self._count(equal) if equal else None, self._count(opposite) if opposite else None
            )
        sizes = len(equal), len(opposite)

        def price(less: tuple[int, int]) -> int:
            rest = [s - l for s, l in zip(sizes, less, strict=True)]
            adders = 2 * adder_luts(max(rest).bit_length(), any(less), self.cells.inputs)
            return sum(plan(r, self.cells).luts for r in rest) + adders

        ways = [w for w in ((0, 0), (1, 0), (0, 1)) if w[0] < sizes[0] and w[1] < sizes[1]]
        less = min(ways, key=price)
        if sum(sizes) <= self.cells.inputs and 2 * table_luts(sum(sizes)) <= price(less):
            return self.sums.count([*equal, *opposite]), self.sums.count(
                [*equal, *((i, -s) for i, s in opposite)]
            )
        if less == (0, 0):
            return self._both(self._count(equal), self._count(opposite))
        side = [equal, opposite][less[1]]
        lane = next((x for x in reversed(side) if x[1] > 0), side[-1])
        a, b = (self._count([x for x in lanes if x != lane]) for lanes in (equal, opposite))
        return self._both(a, b, (lane, bool(less[1])))

    def _count(self, lanes: Sequence[Lane]) -> Value:
        """Return the sum of sign · bit by the cheapest plan."""
        rising = sorted(lanes, key=lambda x: x[1])
        if sum(sign for _, sign in lanes) < 0:
            rising.reverse()
        how = plan(len(lanes), self.cells)
        if how.parts is None:
            return self.sums.count(lanes)
        carries = how.carries  # of the more frequent sign, while there are any
        rest, spare = rising[: len(rising) - carries], rising[len(rising) - carries :]
        return self._planned(len(lanes), iter(sorted(rest)), iter(spare))

    def _planned(self, size: int, lanes: Iterable[Lane], carries: Iterable[Lane]) -> Value:
        how = tree(size, self.cells.inputs)
        if how.parts is None:
            return self.sums.count([next(iter(lanes)) for _ in range(size)])
        a, b = (self._planned(part, lanes, carries) for part in how.parts)
        return self.sums.add(a, b, next(iter(carries)) if how.carry else None)

    def _merge(self, values: Sequence[Value], lanes: Sequence[Lane]) -> Value:
        """Return the sum of values and lanes: narrow values first, with lanes as carries."""
        waiting, carries = list(values), list(lanes)
        over = len(carries) - (len(waiting) - 1)
        if over > 0:  # counted lanes become another value, whose addition takes one more carry
            counted = max(over - 1, 1)
            waiting.append(self._count(carries[:counted]))
            carries = carries[counted:]
        while len(waiting) > 1:
            waiting.sort(key=lambda v: (self.sums.width(v.node), self.sums.stages[v.node]), reverse=True)
            a, b = waiting.pop(), waiting.pop()
            # A carry may have either sign if a and b differ in sign; otherwise theirs is cheaper.
            lane = next((x for x in carries if a.sign != b.sign or x[1] == a.sign), None)
            if lane is None and len(carries) > len(waiting):
                lane = carries[0]
            if lane:
                carries.remove(lane)
            waiting.append(self.sums.add(a, b, lane))
        return waiting[0]


def settle(weights: Array, cells: Cells) -> tuple[int, frozenset[int]]:
    """Choose, one by one, inputs of a group that are left to later carries to save LUTs.

    Args:
        weights: Signs and zeros of shape (inputs, neurons).
        cells: Cells of the family.

    Returns:
        The LUTs of the group, and those inputs.
    """
    group = Group(weights, cells, Sums())
    members: dict[Signs, list[int]] = {}
    for i, signs in group.signs.items():
        members.setdefault(signs, []).append(i)
    best, late = group.luts(frozenset()), frozenset[int]()
    while True:
        candidates = [m[0] for m in members.values() if m]
        found = min(((group.luts(late | {i}), i) for i in candidates), default=(best, -1))
        if found[0] >= best:
            return best, late
        best, late = found[0], late | {found[1]}
        members[group.signs[found[1]]].remove(found[1])


MOST_NEURONS = 6
"""Neurons of the largest group."""

EXCHANGES = 8
"""Exchanges of neurons between groups that are tried, per neuron."""

SAMPLES = 3
"""Groups of each size that are evaluated before the sizes are ranked."""


def share(weights: Array, cells: Cells = ANY) -> tuple[Sums, list[Value]]:
    """Find a program for the sums of all neurons, each the sum of weight · bit.

    Args:
        weights: ±1 and 0, of shape (inputs, neurons).
        cells: Cells of the family.

    Returns:
        The program, and the value of each neuron in it; `NOTHING` for a neuron without weights.
    """
    columns, numbers, flips = _distinct(np.asarray(weights, np.int64))
    sums, found = Sums(), dict[int, Value]()
    read = np.flatnonzero(columns.any(0))
    for group in _grouped(columns[:, read], cells):
        part = columns[:, read[group]]
        made = Group(part, cells, sums).outputs(settle(part, cells)[1])
        found.update(zip(read[group].tolist(), made, strict=True))
    return sums.needed(
        [found[n].times(s) if n in found else NOTHING for n, s in zip(numbers, flips, strict=True)]
    )


def _distinct(weights: Array) -> tuple[Array, list[int], list[int]]:
    """Return the columns that differ up to sign, and for each neuron its column and sign."""
    first = np.argmax(weights != 0, axis=0)
    flips = np.where(weights.any(0), weights[first, np.arange(weights.shape[1])], 1)
    columns, numbers = np.unique(weights * flips, axis=1, return_inverse=True)
    return columns, numbers.reshape(-1).tolist(), flips.tolist()


def _grouped(columns: Array, cells: Cells) -> list[list[int]]:
    """Return neurons in groups of the better of two sizes, the best two by samples."""
    neurons = columns.shape[1]
    if not neurons:
        return []
    # Classes at least double with each neuron, and few should be empty.
    worth = max((int(np.count_nonzero(columns)) // neurons).bit_length() - 3, 2)
    sizes = range(1, min(MOST_NEURONS, neurons, worth) + 1)

    def sampled(size: int) -> float:
        starts = range(0, neurons - size + 1, max(neurons // SAMPLES, size))
        return float(np.mean([settle(columns[:, i : i + size], cells)[0] for i in starts])) / size

    found = [_exchanged(columns, cells, size) for size in sorted(sizes, key=sampled)[:2]]
    return min(found, key=lambda f: f[0])[1]


def _exchanged(columns: Array, cells: Cells, size: int) -> tuple[int, list[list[int]]]:
    """Return LUTs and groups of about `size` neurons, after exchanges that save LUTs."""
    neurons = columns.shape[1]
    groups = [list(map(int, part)) for part in np.array_split(np.arange(neurons), -(-neurons // size))]

    def price(neurons: Sequence[int]) -> int:
        return Group(columns[:, neurons], cells, Sums()).luts(frozenset())

    prices = [price(g) for g in groups]
    rng = np.random.default_rng(0)
    for _ in range(EXCHANGES * neurons if len(groups) > 1 else 0):
        a, b = rng.choice(len(groups), 2, replace=False).tolist()
        one, other = list(groups[a]), list(groups[b])
        i, j = int(rng.integers(len(one))), int(rng.integers(len(other)))
        one[i], other[j] = other[j], one[i]
        tried = price(one), price(other)
        if sum(tried) <= prices[a] + prices[b]:
            groups[a], groups[b] = one, other
            prices[a], prices[b] = tried
    return sum(settle(columns[:, g], cells)[0] for g in groups), groups
