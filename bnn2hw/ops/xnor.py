"""Binary matrix-vector unit: XNOR, popcount, accumulate."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Param, Tensor
from bnn2hw.ops.base import parts
from bnn2hw.ops.base.compressor_plans import expected, plan
from bnn2hw.ops.base.compressors import Plan
from bnn2hw.ops.base.costs import address_copies, in_block_ram, ram_cost, state_bits
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.base.memory_choice import lut_rams
from bnn2hw.ops.base.popcount_trees import Chains, Tree, slices
from bnn2hw.targets.families import Family

TERNARY = Ints(-1, 1)

GROUP = 8
"""Neurons that share input registers; xnor.sv.j2 has the same number."""

BANK = "accumulator_bank"
"""Module with the accumulators of the neurons that share a DSP block."""

FLIPPED = 64
"""Bits of a buffer behind which inverters are in families without cells; matvec.j2 has the same number."""

NEAR = 32
"""Neurons that share input registers if lanes are counted as rows; rows.j2 has the same number."""

ACCUMULATORS = ("lut", "dsp")
"""Where the accumulators of a unit can be: in LUTs and flip-flops, or in DSP blocks."""

FOUR, TWO = 12, 24
"""Bits of the adders of a DSP block that is four of them, or two."""


@dataclass(frozen=True)
class Luts:
    """LUTs of the parts of a neuron in a device family.

    Attributes:
        tree: LUTs of a popcount tree.
        adder: LUTs of an adder, by its bits.
        accumulator: LUTs of an accumulator, by its bits.
    """

    tree: Callable[[Tree], float]
    adder: Callable[[int], float]
    accumulator: Callable[[int], float]


def _luts(family: Family, fixed: int, *, clears: bool) -> Luts:
    """Return the LUTs of a neuron's parts, by the coefficients of a family.

    All neurons with constant weights share the parity of three lanes. There are four majorities of
    three lanes up to inversion, so these neurons also share them. Carry chains cannot be shared.

    Args:
        family: Device family.
        fixed: Number of neurons with constant weights, or 0.
        clears: True if accumulators are cleared, so that they need not choose between total and 0.
    """
    if family.coefficient("xnor.carry_chains", 0, 0):
        return Luts(
            lambda tree: Chains(tree.lanes).luts, lambda bits: slices(bits + 2), lambda bits: slices(bits + 1)
        )
    triple, carry = family.coefficient("xnor.triple", 4, 2), family.coefficient("xnor.adder_carry", 1, 0)
    bit, more = family.coefficient("xnor.accumulator_bit", 2, 1), family.coefficient("xnor.accumulator", 1, 1)
    if clears:
        bit = 1
    if fixed:
        triple = (1 + 4 * (1 - 0.75**fixed)) / fixed

    def tree(of: Tree) -> float:
        first, *above = (level.sums for level in of.levels or ())
        rows = (n * (bits + 1 + carry * (bits > 1)) for bits, n in enumerate(above, 2))
        return triple * first + sum(rows)

    def accumulator(bits: int) -> float:
        # With a single fold nothing is accumulated; a last adder remains.
        return min(bits + 1, bit * bits + more) if fixed else bit * bits + more

    return Luts(tree, lambda bits: bits + 1 + carry * (bits > 1), accumulator)


@cache
def _tree(lanes: int, family: Family, fixed: int, *, clears: bool) -> tuple[Tree, Luts, Cost]:
    """Return a tree for some lanes, the LUTs of a neuron's parts (see `_luts`), and the cost of the tree."""
    tree, luts = Tree(lanes), _luts(family, fixed, clears=clears)
    return tree, luts, Cost(lut=luts.tree(tree) if tree.depth else 0, ff=tree.ffs)


@dataclass(frozen=True, eq=False)
class Xnor(MatVec):
    """Multiply ±1 inputs with ±1 weights.

    The wire code of a dot product is the number of synapses at which input and weight agree. If
    inputs are -1, 0 or +1, as after zero padding, synapses with input 0 add nothing. The dot
    product is then any integer, and its wire code is two's complement.

    Attributes:
        accumulators: "dsp" if the sums of the synapse folds are in DSP blocks, several neurons in
            each, in families that have a form for it; else "lut".
    """

    kind: ClassVar[str] = "xnor"
    knobs: ClassVar[tuple[str, ...]] = (*MatVec.knobs, "accumulators")
    spare: ClassVar[int] = 1  # disagrees with input code 0; an input of 0 adds nothing

    accumulators: str = "lut"

    @property
    def counts_padding(self) -> bool:
        return True

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].ints not in (BIPOLAR, TERNARY):
            raise ValueError(f"needs inputs of ±1 or {TERNARY}, not {x[0].ints}")
        dot = Ints(-self.mw, self.mw, x[0].ints.step)
        outer = self.outer(x[0])
        if self.accumulators not in ACCUMULATORS:
            raise ValueError(f"accumulators={self.accumulators!r} must be one of {', '.join(ACCUMULATORS)}")
        if self.accumulators == "dsp" and (reason := self.keeps_luts(x[0])):
            raise ValueError(f"accumulators='dsp' is not possible: {reason}")
        return Tensor((*outer, self.mh), dot, self.meaning(x[0]))

    def keeps_luts(self, x: Tensor) -> str:
        """Return why the accumulators of this folding cannot be in DSP blocks; "" if they can.

        Args:
            x: Type of the input.
        """
        if x.ints != BIPOLAR:
            return f"the inputs are {x.ints}, and only sums of ±1 are counted as rows"
        if self.mw.bit_length() >= TWO:
            return f"{self.mw:,} synapses are too many for adders of {TWO} bits"
        if not self.in_rows(x):
            return "the unit needs at least two folds and three synapses in parallel"
        return ""

    def neurons_of_block(self, x: Tensor) -> int:
        """Return the accumulators that a DSP block holds.

        If the rows leave a third bit in column 0, each adder has one bit more for it.

        Args:
            x: Type of the input.
        """
        bits = self.sums(x).bits
        if bits == FOUR:
            rows = plan(self.simd)
            bits += rows is not None and rows.has_extra
        return 4 if bits <= FOUR else 2

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

    def clears(self, x: Tensor) -> bool:
        """Return True if units without cells clear the accumulators when a result is complete.

        Results must be so far apart, and so long in the unit, that it can decide four cycles ahead
        whether to stall.

        Args:
            x: Type of the input.
        """
        registers = self.pipeline(x) - 1 - self.stalls_ahead  # DEPTH in xnor.sv.j2
        return self.stalls_ahead and self.synapse_folds > 4 and registers > 3

    def pipeline(self, x: Tensor) -> int:
        masked = x.ints == TERNARY
        return 2 + self.count_bits + 2 * masked + 3 * self.weights_in_block_ram + self.stalls_ahead

    def params(self, *x: Tensor) -> dict[str, int | str]:
        return {**super().params(*x), "MASKED": int(x[0].ints == TERNARY)}

    def form_params(self, *x: Tensor) -> Mapping[str, Mapping[str, Param]]:
        return {BANK: {"DSP_ACCUMULATORS": 1}} if self.accumulators == "dsp" else {}

    def in_rows(self, *x: Tensor) -> bool:
        """Return True if families that have cells for it count the lanes of a neuron as two rows.

        Units with inputs of 0 mask lanes first, and constant weights make a tree smaller.

        Args:
            x: Types of the inputs.
        """
        folds = self.synapse_folds * self.neuron_folds
        return self.simd > 2 and folds > 1 and x[0].ints == BIPOLAR

    def shapes(self, *x: Tensor) -> Mapping[str, Sequence[Plan | Chains | int]]:
        rows = plan(self.simd) if self.in_rows(*x) else None
        banks = {BANK: [self.neurons_of_block(x[0])]} if self.accumulators == "dsp" else {}
        return {"popcount": [Chains(max(self.simd - 1, 1))], **({"rows": [rows]} if rows else {}), **banks}

    def weight_codes(self) -> Array:
        return (self.weights > 0).astype(np.int64)

    def cost_key(self, *x: Tensor) -> Hashable:
        return super().cost_key(*x), self.accumulators

    def allowed(self, *x: Tensor) -> Iterator[Self]:
        for folding in super().allowed(*x):
            yield from folding.with_accumulators(x[0])

    def with_accumulators(self, x: Tensor) -> Iterator[Self]:
        """Return this folding with its accumulators in LUTs, and in DSP blocks if that is possible.

        Args:
            x: Type of the input.
        """
        yield replace(self, accumulators="lut")
        if not self.keeps_luts(x):
            yield replace(self, accumulators="dsp")

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        if family.coefficient("xnor.rows", 0, 0) and self.in_rows(*x):
            return self._cost_in_rows(family, *x)
        masked, acc = x[0].ints == TERNARY, self.sums(*x).bits
        fixed = self.pe if self.synapse_folds * self.neuron_folds == 1 else 0
        tree, luts, counted = _tree(self.simd - 1, family, fixed, clears=self.clears(x[0]))
        delays = tree.delays + tree.depth
        # Cost per neuron, and cost that all neurons share. Plain numbers are faster than `Cost`,
        # and a search asks for many thousands of foldings.
        lut, ff = counted.lut + luts.accumulator(acc), counted.ff + acc * (1 + self.stalls_ahead)
        groups = 1 if masked else math.ceil(self.pe / GROUP)
        shared_lut = family.coefficient("xnor.control", 5.0, 11.0)
        shared_ff: float = groups * (delays + 4 * self.stalls_ahead)
        if masked:  # a register for agreeing lanes; missing lanes are counted and added
            lut += self.simd + luts.adder(self.count_bits)
            ff += self.simd + self.count_bits + 1
            shared_lut += counted.lut
            shared_ff += counted.ff + self.simd + 2
        if not self._selects(family, x[0]):
            shared_lut += self.simd  # inverters of the inputs
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

    def _selects(self, family: Family, x: Tensor) -> bool:
        """Return True if the LUTs that select a word of the vector's buffer invert the inputs, too."""
        beat, words = self.simd * x.ints.bits, self.synapse_folds
        if not self.buffered or not family.cells:
            return self.buffered and words * beat <= FLIPPED
        rams = lut_rams(family, words, beat, 2)
        return rams is not None and rams.rows > 1 and not ram_cost(family, words, beat).bram

    def _cost_in_rows(self, family: Family, *x: Tensor) -> Cost:
        """Return the cost of a unit that counts the lanes of a neuron as two rows."""
        rows, acc, simd = expected(self.simd), self.sums(*x).bits, self.simd
        folds, groups = self.synapse_folds * self.neuron_folds, math.ceil(self.pe / GROUP)
        due = 1 + self.count_bits + 3 * self.weights_in_block_ram - rows.levels  # cycles to the lanes
        near = due > 2
        in_dsps = self.accumulators == "dsp"
        ff = self.pe * (rows.ffs + acc * (self.stalls_ahead + (not in_dsps)))
        ff += groups * 4 * self.stalls_ahead + 6.0
        ff += (due - 2) * state_bits(folds) + near * math.ceil(self.pe / NEAR) * simd
        lut = self.pe * rows.luts + (groups if in_dsps else self.pe * acc)
        lut += family.coefficient("xnor.control", 5.0, 11.0)
        total = Cost(lut=lut, ff=ff, dsp=self._blocks(*x) if in_dsps else 0)
        total += self.steps_cost(family, x[0]) + self.weights_cost(family)
        given = due - near  # cycles to the inputs, before the register near the neurons
        if self.neuron_folds == 1:
            return total + Cost(ff=given * simd)
        wait = given - 1 if self.synapse_folds > given - 1 else 1
        delays = wait * state_bits(self.synapse_folds) + (given - 1 - wait) * simd
        return total + Cost(ff=delays) + ram_cost(family, self.synapse_folds, simd)

    def _blocks(self, *x: Tensor) -> int:
        """Return the DSP blocks of the accumulators of all parts."""
        count, each = parts.count(self.pe, self.lane_bits(*x)), self.neurons_of_block(x[0])
        size, larger = divmod(self.pe, count)
        return larger * -(-(size + 1) // each) + (count - larger) * -(-size // each)

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
        yield cls(weights(30, 4), pe=2, simd=5), (Tensor((3, 30), TERNARY),)
        # Rows whose column 0 has a third bit.
        yield cls(weights(57, 8), pe=4, simd=19), (Tensor((2, 57), BIPOLAR),)
        # Accumulators in DSP blocks: blocks that are not full, several groups of neurons, a third bit of
        # column 0, sums of more than 12 bits, folds with padding, and results in every cycle.
        yield cls(weights(60, 18), pe=9, simd=12, accumulators="dsp"), (Tensor((3, 60), BIPOLAR),)
        yield cls(weights(57, 8), pe=4, simd=19, accumulators="dsp"), (Tensor((2, 57), BIPOLAR),)
        yield cls(weights(4100, 3), pe=3, simd=100, accumulators="dsp"), (Tensor((4100,), BIPOLAR),)
        yield cls(weights(2052, 3), pe=3, simd=19, accumulators="dsp"), (Tensor((2052,), BIPOLAR),)
        yield cls(weights(27, 7), pe=4, simd=4, accumulators="dsp"), (Tensor((2, 27), BIPOLAR),)
        yield (
            cls(weights(70, 50), pe=10, simd=18, accumulators="dsp", loadable=True),
            (Tensor((70,), BIPOLAR),),
        )
        yield cls(weights(16, 12), pe=6, simd=16, accumulators="dsp"), (Tensor((5, 16), BIPOLAR),)
