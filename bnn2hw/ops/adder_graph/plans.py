"""LUTs of popcounts and adders, and the cheapest way to count some lanes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from bnn2hw.ops.adder_graph.sums import LARGEST_TABLE, Count, Sums
from bnn2hw.ops.base.compressor_plans import REACH, bit_luts
from bnn2hw.targets.families import Family


@dataclass(frozen=True)
class Cells:
    """Cells of a family that count bits.

    Attributes:
        inputs: Inputs of a LUT, and of the largest table; they also decide the cost of carry chains.
        compressors: True if compressors are made of the family's cells; then they count where they are smaller.
    """

    inputs: int = 6
    compressors: bool = False

    @classmethod
    def of(cls, family: Family) -> Cells:
        """Return those of a family."""
        return cls(family.lut_inputs, "LUT6_2" in family.cells)


ANY = Cells()
"""Those of families that are not known."""


def table_luts(lanes: int) -> int:
    """Return the LUTs of a popcount by table: one per bit of the count.

    Args:
        lanes: Bits that are counted.
    """
    return lanes.bit_length() if lanes > 1 else 0


def adder_luts(bits: int, carry: bool, inputs: int) -> int:
    """Return the LUTs of an adder in a carry chain.

    With 6-input LUTs there is one LUT per bit of the longer operand. 4-input LUTs come in pairs,
    and the chain also needs one LUT to read the carry out, and one to take a carry in.

    Args:
        bits: Bits of the longer operand.
        carry: True if the adder takes a carry.
        inputs: Inputs of a LUT.
    """
    return bits if inputs > 4 else 2 * math.ceil((bits + 1 + carry) / 2)


def node_luts(sums: Sums, node: int, inputs: int) -> int:
    """Return the LUTs of a node, if a table fits into one LUT per bit.

    Args:
        sums: The program.
        node: Number of the node.
        inputs: Inputs of a LUT.
    """
    made = sums.nodes[node]
    if isinstance(made, Count):
        lanes = len(made.lanes)
        return table_luts(lanes) if lanes <= LARGEST_TABLE else bit_luts(lanes)
    longer = max(sums.width(made.left) - made.shift, sums.width(made.right))
    return adder_luts(longer, made.carry is not None, inputs) + made.inverted


@dataclass(frozen=True)
class Plan:
    """A way to count lanes: at once, or as the sum of two counts, possibly with a lane as carry.

    Attributes:
        luts: LUTs of the count.
        carries: Number of lanes that are carries.
        parts: Lanes of the two counts; None for a table or compressors.
        carry: True if the sum of the counts takes a lane as carry.
    """

    luts: int
    carries: int = 0
    parts: tuple[int, int] | None = None
    carry: bool = False


@cache
def plan(lanes: int, cells: Cells) -> Plan:
    """Return the cheapest way to count lanes.

    Args:
        lanes: Number of lanes, at least 1.
        cells: Cells of the family.
    """
    by_tree = tree(lanes, cells.inputs)
    if cells.compressors and LARGEST_TABLE < lanes <= REACH[-1] and bit_luts(lanes) < by_tree.luts:
        return Plan(bit_luts(lanes))
    return by_tree


@cache
def tree(lanes: int, table: int) -> Plan:
    """Return the cheapest way to count lanes by tables and adders.

    Args:
        lanes: Number of lanes, at least 1.
        table: Inputs of the largest table.
    """
    if lanes <= table:
        return Plan(table_luts(lanes))

    def made(left: int, right: int, carry: int) -> Plan:
        a, b = tree(left, table), tree(right, table)
        return Plan(
            a.luts + b.luts + adder_luts(left.bit_length(), bool(carry), table),
            a.carries + b.carries + carry,
            (left, right),
            bool(carry),
        )

    pairs = [(a, lanes - c - a, c) for c in (1, 0) for a in range((lanes - c + 1) // 2, lanes - c)]
    return min((made(*p) for p in pairs), key=lambda p: p.luts)
