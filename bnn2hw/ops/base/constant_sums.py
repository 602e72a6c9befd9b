"""Resources of sums of inputs with constant weights: shifted inputs, and the module bnn2hw_adder_tree behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from bnn2hw.ir import Array, Cost, Ints
from bnn2hw.ops.base.costs import adder
from bnn2hw.ops.base.recoding import columns
from bnn2hw.targets.families import Family


@dataclass(frozen=True)
class Leaves:
    """Numbers that trees add: arrays of shape (terms, trees).

    Attributes:
        present: False where a number is always 0.
        plain: True where a number is never negative.
        bits: Bits that are not constant.
    """

    present: Array
    plain: Array
    bits: Array

    @classmethod
    def of(
        cls, present: Array, term: int, *, unsigned: bool, weights: Array | None = None, largest: int = 0
    ) -> Self:
        """Return the terms of trees.

        Args:
            present: False where a term is always 0.
            term: Bits of a term.
            unsigned: True if inputs are never negative.
            weights: Weights of the inputs; None if inputs are terms themselves.
            largest: Largest input if inputs are never negative.
        """
        plain = np.full(present.shape, unsigned)
        bits = np.full(present.shape, term)
        if weights is not None:
            plain &= weights >= 0
            bits = np.where(plain, _bits(np.maximum(weights, 0) * largest), bits)
        return cls(present, plain, bits)


def _bits(values: Array) -> Array:
    """Return the bits of numbers that are not negative."""
    found: Array = np.ceil(np.log2(values.astype(np.float64) + 1)).astype(np.int64)
    return found


SHIFTED = 3
"""Registers in a row that become a shift register in families with LUTs of six inputs."""


def tree(family: Family, leaves: Leaves, term: int, most: int) -> Cost:
    """Return the cost of the adders of trees and their registers.

    Args:
        family: Device family.
        leaves: The terms of the first level.
        term: Bits of a term.
        most: Bits of a sum that are used.
    """
    lut, ff, level, passed, at = 0.0, 0.0, 0, 0, leaves
    while len(at.present) > 1:
        level += 1
        passed = passed + 1 if len(at.present) % 2 else 0
        if passed:
            if passed == SHIFTED and family.lut_inputs > 4:
                held = float((at.bits * at.present)[-1].sum())
                lut, ff = lut + held, ff - SHIFTED * held
            at = Leaves(*(np.concatenate([a, np.zeros_like(a[:1])]) for a in (at.present, at.plain, at.bits)))
        ours, theirs = (Leaves(at.present[i::2], at.plain[i::2], at.bits[i::2]) for i in (0, 1))
        both = ours.present & theirs.present
        plain = (ours.plain | ~ours.present) & (theirs.plain | ~theirs.present)
        bits = np.maximum(ours.bits * ours.present, theirs.bits * theirs.present)
        bits = np.minimum(np.where(both, np.where(plain, bits + 1, term + level), bits), most)
        lut += float(_adders(family, ours.bits, theirs.bits, bits, plain, most)[both].sum())
        at = Leaves(ours.present | theirs.present, plain, bits)
        ff += float(bits[at.present].sum())
    return Cost(lut=lut, ff=ff)


def _adders(family: Family, a: Array, b: Array, bits: Array, plain: Array, most: int) -> Array:
    """Return the LUTs of sums of two numbers each."""
    luts: Array = family.adder_bits * -(-bits // family.adder_bits)
    if family.lut_inputs > 4:
        # A carry chain takes no LUTs for bits that only one number has. Sums of one-bit numbers take two LUTs.
        chain: Array = np.minimum(bits, np.where(bits > 2, np.minimum(a, b), 2))
        luts = np.where(plain, chain, luts)
    else:
        # In some families the highest bit of a sum is the end of the carry chain.
        ends = family.coefficient("parallel_depthwise.carry", 0, 0)
        luts = luts - ends * (plain & (bits > 2) & (bits < most))
    return luts


def products(family: Family, ints: Ints, weights: Array, bits: int) -> Cost:
    """Return the cost of the products of an input with constant weights and their registers.

    Args:
        family: Device family.
        ints: Integers of the input.
        weights: Integers.
        bits: Bits of a product.
    """
    lut, ff = 0.0, 0.0
    # In some families a carry chain inverts no input.
    inverter = family.coefficient("parallel_depthwise.inverter", 0, 0) * ints.bits
    for weight, count in zip(*np.unique(weights, return_counts=True), strict=True):
        kept, made = columns(ints, int(weight), 0, bits)
        logic = made + inverter * len(_signed_digits(int(weight))[1])
        if ints.bits > family.lut_inputs:
            logic = _shifted(family, int(weight), bits)
        lut, ff = lut + float(count) * logic, ff + float(count) * kept
    return Cost(lut=lut, ff=ff)


def _shifted(family: Family, weight: int, bits: int) -> int:
    """Return the LUTs that add an input for each digit of a weight, in the order of parallel_depthwise.sv.j2."""
    plus, minus = _signed_digits(weight)
    shifts = [*plus, *minus]
    return sum(adder(family, bits - shift) for shift in (shifts[1:] if plus else shifts))


def _signed_digits(weight: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the places of the digits 1 and of the digits -1 of an integer."""
    plus, minus = digits(abs(weight))
    return (plus, minus) if weight >= 0 else (minus, plus)


@lru_cache(2**12)
def digits(size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the places of the digits 1 and of the digits -1 in the form of a number without neighboring digits.

    See H. Prodinger, On binary representations of integers with digits -1, 0, 1, Integers 0 (2000).

    Args:
        size: A number that is not negative.
    """
    half = size >> 1
    more = size + half
    changes = half ^ more
    places = range(more.bit_length())
    return (
        tuple(k for k in places if more & changes & 1 << k),
        tuple(k for k in places if half & changes & 1 << k),
    )
