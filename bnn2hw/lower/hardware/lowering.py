"""The state of lowering that handlers share, and the registry of handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bnn2hw.ir import BIPOLAR, Graph, Node, Op, Tensor
from bnn2hw.lower import unfit_layers
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fidelity import INTEGERS
from bnn2hw.lower.fixed_point import ANY, Requirement
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.precision import FEWEST_BITS
from bnn2hw.lower.probe import Unfit
from bnn2hw.lower.requantize import requantize
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.base.channels import WORD
from bnn2hw.ops.source import Input, Source

GROWTH = 6
"""Bits by which a sum of streams may exceed the bits of a stream before it is rounded again."""


@dataclass(frozen=True)
class Lowering:
    """The lowering of one graph.

    Attributes:
        b: The hardware form so far.
        work: The strategies that reduce layers to integers.
        wires: Integers that arrive at each source, and their real meaning to the model.
    """

    b: Builder
    work: Strategies
    wires: Mapping[str, Input]

    @property
    def real(self) -> Graph:
        """The graph in real form."""
        return self.b.real

    def integers(
        self, reader: Node, pending: Pending, requirement: Requirement = ANY, bits: int | None = None
    ) -> str:
        """Return the integers that a node reads, in the shape that the model has there.

        If the layers in front of the node cannot be reduced to integers, note the problem and
        return a stand-in, so that later problems are found too.

        Args:
            reader: The node of the real form.
            pending: What it reads.
            requirement: What it needs.
            bits: Bits of the integers if they must be rounded; the layer's own bits if None.
        """
        edge = requantize(self.work, Task(pending, requirement, bits))
        if edge is not None:
            return edge
        unfit_layers.refuse(self.b, reader.layer, pending)
        return self.stand_in(reader, pending.end)

    def stand_in(self, reader: Node, name: str) -> str:
        """Return an edge in place of a node of the real form that cannot be lowered."""
        source = Source(Tensor(self.real.types[name].shape, BIPOLAR))
        return self.b.add(reader.name, source, part="missing")

    def refused(self, node: Node, before: list[Pending], error: Exception) -> Pending:
        """Note why a node cannot be lowered, and return a stand-in for it.

        Args:
            node: The node of the real form.
            before: What it reads.
            error: The reason.
        """
        if isinstance(error, Unfit):
            self.b.problem(
                node.layer, str(error), "narrower numbers", "use fewer bits=, or quantize before it"
            )
        else:
            unfit_layers.refuse(self.b, node.layer, before[0].then(node))
        return Pending(self.stand_in(node, node.name), node.name)

    def bounded(self, node: Node, *, zero: bool = False) -> Requirement:
        """Return the requirement of a node that multiplies or sums what it reads.

        The integers must not have too many bits.

        Args:
            node: The node of the real form.
            zero: True if the integer 0 must mean 0.
        """
        return Requirement(zero=zero, bits=self.input_bits(node))

    def input_bits(self, node: Node) -> int:
        """Return the largest number of bits of the integers that a node reads."""
        return self.b.precision.of_stream(node.layer) + GROWTH

    def kernel_bits(self, node: Node, edge: str, terms: int) -> int:
        """Return the bits of a rounded kernel: those of its layer, or fewer if sums would get too wide.

        Args:
            node: The node of the real form.
            edge: Edge of the hardware form that the kernel multiplies.
            terms: Products of a sum.

        Raises:
            Unfit: Fewer than two bits are left.
        """
        x, growth = self.b.types[edge].ints.bits, (terms - 1).bit_length()
        left = WORD - x - growth
        if left < FEWEST_BITS:
            raise Unfit(f"sums of {terms} values of {x} bits leave no bits of {WORD} to the kernel")
        return min(self.b.precision.of_kernel(node.layer), left)

    def finished(self, node: Node, edge: str, error: float) -> Pending:
        """Return the output of a node that computes with integers, and note that it is exact.

        Args:
            node: The node of the real form.
            edge: Edge of the hardware form that carries its output.
            error: Bound of the float32 rounding inside Keras in the real value of the edge.
        """
        self.b.errors[edge] = error
        self.b.mark(node.layer, INTEGERS)
        self.b.match(edge, node.name)
        return Pending(self.b.view(edge, self.real.types[node.name].shape), node.name)


Handler = Callable[[Lowering, Node, Any, list[Pending]], Pending]
"""Lower a node of the real form: takes the lowering, the node, its op, and its inputs; returns its
output."""

HANDLERS: dict[type[Op], Handler] = {}
"""Handlers by class of the op. Ops without a handler are functions of single values, poolings and
changes of shape: they are collected in `Pending` until a node reads integers."""


def lowers(*kinds: type[Op]) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of some ops."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
