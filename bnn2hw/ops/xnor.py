"""Binary matrix-vector unit: XNOR, popcount, accumulate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Tensor
from bnn2hw.ops.base.compressor_plans import expected, plan
from bnn2hw.ops.base.compressors import Plan
from bnn2hw.ops.base.costs import address_copies, in_block_ram, ram_cost, state_bits
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.targets.families import Family

TERNARY = Ints(-1, 1)

GROUP = 8
"""Neurons that share input registers; xnor.sv.j2 has the same number."""

NEAR = 32
"""Neurons that share input registers if lanes are counted as rows; rows.j2 has the same number."""


@dataclass(frozen=True)
class Tree:
    """A popcount tree: nodes of three lanes, and above them adders that take a lane as carry.

    A full node of level l counts 2^(l + 1) - 1 lanes. At most one node of a level is not full.

    Attributes:
        lanes: Bits that the tree counts.
    """

    lanes: int

    @property
    def levels(self) -> int:
        """Levels of the tree, each of which has a register."""
        return max((self.lanes.bit_length()) - 1, 0)

    @cached_property
    def nodes(self) -> list[tuple[int, int, bool]]:
        """For each level: its number, its sums, and True if it also passes a number on."""
        found = []
        full, rest = 0, self.lanes
        for level in range(self.levels, 0, -1):
            capacity = 2 ** (level + 1) - 1
            full *= 2
            if rest > capacity:
                full, rest = full + 1, rest - 1 - capacity
            if rest == capacity:
                full, rest = full + 1, 0
            sums = full + (rest > capacity // 2 or (level == 1 and rest > 0))
            found.append((level, sums, 0 < rest <= capacity // 2 and level > 1))
        return found[::-1]

    @cached_property
    def delays(self) -> int:
        """Registers that delay lanes until their level."""
        return sum((level - 1) * sums for level, sums, _ in self.nodes)

    def cost(self, luts: Luts) -> Cost:
        """Return the cost of one tree.

        Args:
            luts: LUTs of the parts in a device family.
        """
        total = Cost()
        for level, sums, passes in self.nodes:
            lut = luts.popcount3(sums) if level == 1 else luts.adder_row(sums, level)
            total += Cost(lut=lut, ff=sums * (level + 1) + passes * level)
        return total


@dataclass(frozen=True)
class Luts:
    """LUTs of the parts of a neuron in a device family.

    Attributes:
        popcount3: LUTs of some popcounts of three lanes, by their number.
        adder_row: LUTs of a row of adders, by their number and their bits.
        accumulator: LUTs of an accumulator, by its bits.
        shares: True if neurons with constant weights share popcounts. Carry chains cannot be
            shared.
    """

    popcount3: Callable[[int], float]
    adder_row: Callable[[int, int], float]
    accumulator: Callable[[int], float]
    shares: bool = True

    def fixed(self, neurons: int) -> Luts:
        """Return the LUTs of one of several neurons with constant weights.

        All neurons share the parity of three lanes. There are four majorities of three lanes up to
        inversion, so neurons also share these.

        Args:
            neurons: Number of neurons.
        """
        if not self.shares:
            return self
        each = (1 + 4 * (1 - 0.75**neurons)) / neurons
        # With a single fold nothing is accumulated; a last adder remains.
        return replace(
            self, popcount3=lambda n: each * n, accumulator=lambda bits: min(bits + 1, self.accumulator(bits))
        )


def _chains(count: int, step: int, most: int) -> int:
    """Return the LUTs of carry chains on ECP5, in whole slices of two LUTs.

    Args:
        count: Number of sums.
        step: Half slices of a sum; each chain needs one more.
        most: Sums of a chain.
    """
    whole, rest = divmod(count, most)
    return whole * 2 * ((most * step + 2) // 2) + (2 * ((rest * step + 2) // 2) if rest else 0)


def _luts(family: Family) -> Luts:
    """Return the LUTs of a neuron's parts, by the coefficients of a family."""
    triples = int(family.coefficient("xnor.triples_per_chain", 0, 0))
    if triples:
        halves = int(family.coefficient("xnor.adder_bits_per_chain", 0, 0))
        return Luts(
            lambda n: _chains(n, 2, triples),
            lambda n, bits: _chains(n, bits + 1, max(halves // (bits + 1), 1)),
            lambda bits: _chains(1, bits + 1, 1),
            shares=False,
        )
    triple, carry = family.coefficient("xnor.triple", 4, 2), family.coefficient("xnor.adder_carry", 1, 0)
    bit, more = family.coefficient("xnor.accumulator_bit", 2, 1), family.coefficient("xnor.accumulator", 1, 1)
    return Luts(
        lambda n: triple * n,
        lambda n, bits: n * (bits + 1 + carry * (bits > 1)),
        lambda bits: bit * bits + more,
    )


@cache
def _tree(lanes: int, family: Family, fixed: int) -> tuple[Tree, Luts, Cost]:
    """Return a tree for some lanes, its parts and its cost.

    `fixed` is the number of neurons with constant weights that share parts, or 0.
    """
    tree, luts = Tree(lanes), _luts(family)
    luts = luts.fixed(fixed) if fixed else luts
    return tree, luts, tree.cost(luts)


@dataclass(frozen=True, eq=False)
class Xnor(MatVec):
    """Multiply ±1 inputs with ±1 weights.

    The wire code of a dot product is the number of synapses at which input and weight agree. If
    inputs are -1, 0 or +1, as after zero padding, synapses with input 0 add nothing. The dot
    product is then any integer, and its wire code is two's complement.
    """

    kind: ClassVar[str] = "xnor"
    spare: ClassVar[int] = 1  # disagrees with input code 0; an input of 0 adds nothing

    @property
    def counts_padding(self) -> bool:
        return True

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].ints not in (BIPOLAR, TERNARY):
            raise ValueError(f"needs inputs of ±1 or {TERNARY}, not {x[0].ints}")
        dot = Ints(-self.mw, self.mw, x[0].ints.step)
        return Tensor((*self.outer(x[0]), self.mh), dot, self.meaning(x[0]))

    @property
    def count_bits(self) -> int:
        """Bits of the count of all lanes but one. The tree that counts them has one level less."""
        return max((self.simd - 1).bit_length(), 1)

    @property
    def weights_in_block_ram(self) -> bool:
        """True if block RAM holds the weights; its ports then have three more registers."""
        return in_block_ram(self.synapse_folds * self.neuron_folds, self.pe * self.simd)

    @property
    def stalls_ahead(self) -> bool:
        """True if results are at least four cycles apart.

        The unit then decides three cycles ahead whether to stall, so the enable can be registered
        once per group of eight neurons, and the output has a separate register.
        """
        return self.synapse_folds > 3 and self.simd > 2

    def pipeline(self, x: Tensor) -> int:
        masked = x.ints == TERNARY
        return 2 + self.count_bits + 2 * masked + 3 * self.weights_in_block_ram + self.stalls_ahead

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {**super().params(*x), "MASKED": int(x[0].ints == TERNARY)}

    def in_rows(self, *x: Tensor) -> bool:
        """Return True if families that have cells for it count the lanes of a neuron as two rows.

        Units with inputs of 0 mask lanes first, and constant weights make a tree smaller.

        Args:
            x: Types of the inputs.
        """
        folds = self.synapse_folds * self.neuron_folds
        return self.simd > 2 and folds > 1 and x[0].ints == BIPOLAR

    def shapes(self, *x: Tensor) -> Mapping[str, Plan]:
        found = plan(self.simd) if self.in_rows(*x) else None
        return {"rows": found} if found else {}

    def weight_codes(self) -> Array:
        return (self.weights > 0).astype(np.int64)

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        if family.coefficient("xnor.rows", 0, 0) and self.in_rows(*x):
            return self._cost_in_rows(family, *x)
        masked, acc = x[0].ints == TERNARY, self.sums(*x).bits
        fixed = self.pe if self.synapse_folds * self.neuron_folds == 1 else 0
        tree, luts, counted = _tree(self.simd - 1, family, fixed)
        delays = tree.delays + tree.levels
        # Cost per neuron, and cost that all neurons share. Plain numbers are faster than `Cost`,
        # and a search asks for many thousands of foldings.
        lut, ff = counted.lut + luts.accumulator(acc), counted.ff + acc * (1 + self.stalls_ahead)
        groups = 1 if masked else math.ceil(self.pe / GROUP)
        shared_lut = family.coefficient("xnor.control", 5.0, 14.0)
        shared_ff = groups * (delays + 4 * self.stalls_ahead) + 3.0
        if masked:  # a register for agreeing lanes; missing lanes are counted and added
            lut += self.simd + luts.adder_row(1, self.count_bits)
            ff += self.simd + self.count_bits + 1
            shared_lut += counted.lut
            shared_ff += counted.ff + self.simd + 2
        if self.neuron_folds == 1:  # there is no vector buffer, whose output would invert the inputs
            shared_lut += self.simd
        if not fixed:  # constant weights need no registers
            ff += delays
        if self.weights_in_block_ram:
            folds = self.synapse_folds * self.neuron_folds
            shared_ff += (
                self.pe * self.simd + (groups + 2) * self.simd * x[0].ints.bits + 2 * state_bits(folds)
            )
            shared_ff += address_copies(family, folds, self.pe * self.simd)
        own = Cost(lut=lut * self.pe + shared_lut, ff=ff * self.pe + shared_ff)
        return own + self.schedule_cost(family, x[0])

    def _cost_in_rows(self, family: Family, *x: Tensor) -> Cost:
        """Return the cost of a unit that counts the lanes of a neuron as two rows."""
        rows, acc, simd = expected(self.simd), self.sums(*x).bits, self.simd
        folds, groups = self.synapse_folds * self.neuron_folds, math.ceil(self.pe / GROUP)
        due = 1 + self.count_bits + 3 * self.weights_in_block_ram - rows.levels  # cycles to the lanes
        near = due > 2
        ff = self.pe * (rows.ffs + acc * (1 + self.stalls_ahead)) + groups * 4 * self.stalls_ahead + 3.0
        ff += (due - 2) * state_bits(folds) + near * math.ceil(self.pe / NEAR) * simd
        lut = self.pe * (rows.luts + acc) + family.coefficient("xnor.control", 5.0, 14.0)
        total = Cost(lut=lut, ff=ff) + self.steps_cost(family, x[0]) + self.weights_cost(family)
        given = due - near  # cycles to the inputs, before the register near the neurons
        if self.neuron_folds == 1:
            return total + Cost(ff=given * simd)
        wait = given - 1 if self.synapse_folds > given - 1 else 1
        delays = wait * state_bits(self.synapse_folds) + (given - 1 - wait) * simd
        return total + Cost(ff=delays) + ram_cost(family, self.synapse_folds, simd)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(1)

        def weights(mw: int, mh: int) -> Array:
            return rng.choice(np.array([-1, 1], np.int8), (mw, mh))

        yield cls(weights(12, 6), pe=2, simd=3), (Tensor((2, 2, 12), BIPOLAR),)
        yield cls(weights(8, 4), scale=0.5, pe=4, simd=8), (Tensor((5, 8), BIPOLAR),)
        yield cls(weights(28, 3), axes=2, pe=3, simd=14), (Tensor((2, 14), BIPOLAR),)
        yield cls(weights(65, 4), pe=1, simd=65), (Tensor((65,), BIPOLAR),)
        yield cls(weights(1, 2), pe=1, simd=1), (Tensor((3, 1), BIPOLAR),)
        yield cls(weights(72, 4), pe=2, simd=36), (Tensor((2, 72), BIPOLAR),)
        yield cls(weights(64, 40), pe=4, simd=8), (Tensor((2, 64), BIPOLAR),)
        yield cls(weights(18, 6), pe=2, simd=9), (Tensor((4, 18), TERNARY),)
        yield cls(weights(40, 2), pe=2, simd=20), (Tensor((2, 40), TERNARY),)
        yield cls(weights(12, 4), axes=2, pe=4, simd=4), (Tensor((3, 2, 6), TERNARY),)
        yield cls(weights(1, 2), pe=2, simd=1), (Tensor((3, 1), TERNARY),)
        # Units that decide ahead whether to stall: with inputs of 0, and with several groups of
        # neurons.
        yield cls(weights(20, 4), pe=2, simd=5), (Tensor((3, 20), TERNARY),)
        yield cls(weights(15, 12), pe=12, simd=3), (Tensor((5, 15), BIPOLAR),)
        yield cls(weights(9, 4), pe=4, simd=9, pixels=4), (Tensor((2, 6, 9), BIPOLAR),)
        yield cls(weights(6, 3), axes=2, pe=3, simd=6, pixels=2), (Tensor((4, 2, 3), TERNARY),)
        yield cls(weights(80, 40), pe=4, simd=8, loadable=True), (Tensor((80,), BIPOLAR),)
        # Last folds with padding: of neurons, of synapses and of both.
        yield cls(weights(12, 10), pe=4, simd=6), (Tensor((3, 12), BIPOLAR),)
        yield cls(weights(20, 4), pe=2, simd=7), (Tensor((3, 20), BIPOLAR),)
        yield cls(weights(27, 7), axes=2, pe=4, simd=4), (Tensor((2, 3, 9), BIPOLAR),)
        yield cls(weights(18, 5), pe=3, simd=5), (Tensor((3, 18), TERNARY),)
        yield cls(weights(70, 50), pe=17, simd=12, loadable=True), (Tensor((70,), BIPOLAR),)
        yield cls(weights(8, 4), pe=4, simd=8, loadable=True), (Tensor((3, 8), TERNARY),)
