"""The logic of an unrolled matrix, in the form in which the templates print it."""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.ops.adder_graph.sums import LARGEST_TABLE, Count
from bnn2hw.ops.base.compressor_plans import bit_plan
from bnn2hw.ops.base.compressors import BitPlan


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
    """A popcount of inputs: of a few by a table, of more by compressors.

    Attributes:
        node: Number of the node.
        bits: Bits of the count.
        cycles: Registers from the inputs to the count.
        lanes: Inputs, each with True if it counts when it is 0. Compressors take them in this order.
    """

    node: int
    bits: int
    cycles: int
    lanes: tuple[tuple[int, bool], ...]

    @property
    def plan(self) -> BitPlan | None:
        """Plan by which compressors count the inputs; None if a table does."""
        return bit_plan(len(self.lanes)) if len(self.lanes) > LARGEST_TABLE else None


def ordered(count: Count) -> tuple[tuple[int, bool], ...]:
    """Return the inputs of a popcount, inverted ones where compressors take them for free if there is room."""
    lanes = tuple(zip(count.lanes, count.inverted, strict=True))
    if len(lanes) <= LARGEST_TABLE:
        return lanes
    free = bit_plan(len(lanes)).inverts
    rest = sorted(lanes, key=lambda lane: lane[1])
    places = sorted(range(len(lanes)), key=lambda place: free[place])
    return tuple(lane for _, lane in sorted(zip(places, rest, strict=True)))


@dataclass(frozen=True)
class Adder:
    """A sum of two numbers and a carry bit: left + (right + carry) · 2^shift.

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
        shift: Places by which the second operand and the carry are shifted.
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
    shift: int


@dataclass(frozen=True)
class Neuron:
    """The output of a neuron: a comparison with a limit, a code, or a constant.

    Attributes:
        number: Number that is compared or converted; None if the output is always `decided`, or the offset.
        bits: Bits of the number.
        limit: Limit of the comparison: the output is 1 if the number is at least the limit.
        falls: True if the comparison is inverted.
        decided: Output of a neuron without a number.
        sign: Sign in the code, which is sign · number · 2^shift + offset.
        offset: Offset in the code.
        shift: Places by which the number is shifted in the code.
    """

    number: Wire | None
    bits: int
    limit: int = 0
    falls: bool = False
    decided: bool = False
    sign: int = 1
    offset: int = 0
    shift: int = 0

    @property
    def as_it_is(self) -> bool:
        """True if the code is the number itself."""
        return self.sign == 1 and not self.offset and not self.shift


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
