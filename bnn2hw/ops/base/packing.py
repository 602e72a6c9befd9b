"""Products of integers in LUTs, and products of several weights with one input in one multiplication.

The weights w[0], w[1], … of several neurons for one input x are one number, W = sum of w[i] ·
2^(i · spacing). Then W · x holds all products in fields of `spacing` bits. Product i is its field,
plus 1 if what is below the field is negative. AMD's WP486 packs two products of 8 bits into a DSP48
in this way. Fields wider than a product hold sums of products, so several lanes are added before
their sum is taken apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from bnn2hw.ir import Cost, Ints
from bnn2hw.ops.base.costs import adder, adder_tree, dsps, product_luts, state_bits
from bnn2hw.targets import families
from bnn2hw.targets.families import Family

NARROWEST = 4
"""Bits of the narrower operand of a product in LUTs at most: its sums follow each other in one cycle."""


@cache
def widest() -> int:
    """Return the bits of the widest operand of a DSP block of any family."""
    return max(family.dsp_bits[0] for family in families.known().values())


@dataclass(frozen=True)
class Packing:
    """Neurons that share multiplications, or have products in LUTs.

    Attributes:
        neurons: Neurons that share a multiplication; 0 if products are sums in LUTs.
        weights: Integers of the weights.
        inputs: Integers of the inputs.
        simd: Lanes of each neuron.
    """

    neurons: int
    weights: Ints
    inputs: Ints
    simd: int

    @property
    def digit_bits(self) -> int:
        """Bits of a weight less 1, with its sign."""
        return Ints(self.weights.lo - 1, self.weights.hi).bits

    @property
    def field_bits(self) -> int:
        """Bits of a product less 1, with its sign; those of both operands if products are sums in LUTs."""
        if not self.neurons:
            return self.weights.bits + self.inputs.bits
        ends = [w * x for w in (self.weights.lo, self.weights.hi) for x in (self.inputs.lo, self.inputs.hi)]
        return max(Ints(min(ends) - 1, max(ends)).bits, self.digit_bits)

    @property
    def fits(self) -> bool:
        """True if the weights fit the wide operand of a DSP block of some family, or sums in LUTs are few."""
        if not self.neurons:
            return min(self.weights.bits, self.inputs.bits) <= NARROWEST
        return (self.neurons - 1) * self.field_bits + self.digit_bits <= widest()

    def guard(self, family: Family) -> int:
        """Return the bits of a field beyond a product; mac_products.sv.j2 has the same formula.

        Args:
            family: Device family.
        """
        room = (family.dsp_bits[0] - self.digit_bits) // (self.neurons - 1) - self.field_bits
        return min(max(room, 0), state_bits(self.simd))

    def cost(self, family: Family, count: int) -> Cost:
        """Return the cost of the products, and of their sums by neuron.

        Args:
            family: Device family.
            count: Neurons in all, the last of which may be too few to fill a multiplication.
        """
        if not self.neurons:
            each = Cost(lut=lut_product(family, self.weights.bits, self.inputs.bits), ff=self.field_bits)
            return each * (self.simd * count) + adder_tree(family, self.simd, self.field_bits, count)
        whole, rest = divmod(count, self.neurons)
        total = self._shared(family, self.neurons) * whole
        if rest:
            total += self._shared(family, rest)
        groups = math.ceil(self.simd / (1 << self.guard(family)))
        return total + adder_tree(family, groups, self.field_bits + self.guard(family), count)

    def _shared(self, family: Family, neurons: int) -> Cost:
        """Return the cost of the products of neurons that share multiplications, to the separate sums."""
        guard = self.guard(family)
        spacing = self.field_bits + guard
        wide, product = ((neurons - 1) * spacing + bits for bits in (self.digit_bits, self.field_bits))
        x = self.inputs.bits
        if neurons > 1:
            x += not self.inputs.signed
        else:
            wide = self.weights.bits
        blocks = dsps(family, wide, x)
        luts = product_luts(family, wide, x) if blocks else soft_product(family, wide, x)
        digits = (neurons - 1) * adder(family, self.digit_bits)
        held = 0 if blocks and family.dsp_registers else product
        total = Cost(lut=luts + digits, ff=held, dsp=blocks) * self.simd
        lanes = 1 << guard
        groups, rest = divmod(self.simd, lanes)
        if rest:
            total += self._sum(family, rest, product, guard, adds=blocks > 0)
        total += self._sum(family, lanes, product, guard, adds=blocks > 0) * groups
        # In a family with large LUTs, a carry chain adds 1 to a number without a LUT.
        correction = (neurons - 1) * family.by_lut(adder(family, spacing), 0)
        return total + Cost(lut=correction, ff=neurons * spacing) * (groups + (rest > 0))

    @staticmethod
    def _sum(family: Family, lanes: int, bits: int, guard: int, *, adds: bool) -> Cost:
        """Return the cost of the sum of some lanes, before the fields are taken apart."""
        waits = guard - state_bits(lanes)  # of a last group with few lanes
        if family.dsp_adds and adds and lanes > 1:  # a DSP block sums two products
            lanes, bits = math.ceil(lanes / 2), bits + 1
        return adder_tree(family, lanes, bits, 1) + Cost(ff=waits * (bits + state_bits(lanes)))


def lut_product(family: Family, a: int, b: int) -> float:
    """Return the LUTs of the module bnn2hw_lut_product.

    Args:
        family: Device family.
        a: Bits of one operand.
        b: Bits of the other operand.
    """
    wide, sums = max(a, b), min(a, b) - 1
    if "CCU2C" in family.cells:
        return sums * adder(family, wide + 2) + wide
    # The LUTs of a carry chain do not take or leave a bit of both of their operands.
    return sums * adder(family, wide + 1) + family.by_lut(a * b, wide)


def soft_product(family: Family, a: int, b: int) -> float:
    """Return the LUTs of a product that Yosys makes of LUTs.

    Args:
        family: Device family. A LUT with six inputs holds a bit of the product of small operands, and two with a
            multiplexer a bit of 3 × 4 bits, of which three bits depend on six inputs or fewer.
        a: Bits of one operand.
        b: Bits of the other operand.
    """
    if a + b <= family.by_lut(0, 6):
        return a + b
    if {a, b} == {3, 4} and family.by_lut(0, 1):
        return 2 * (a + b) - 3
    return family.by_lut(1, 0.72) * (a + b) * min(a, b)
