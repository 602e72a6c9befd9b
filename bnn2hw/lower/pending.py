"""Integers and the layers that have not been applied to them yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnn2hw.ir import Node
from bnn2hw.ops.real import MaxPool, Pointwise, RealOp, Softmax


@dataclass(frozen=True)
class Pending:
    """An edge of the real form as integers of the hardware form and the ops that still follow them.

    Lowering collects the ops behind a unit here until another unit needs integers. Then it reduces
    all of them at once to thresholds, a table or fixed point.

    Attributes:
        edge: Edge of the hardware form that carries the integers. It has the shape of `start`.
        start: Node of the real form whose output these integers are.
        chain: Nodes of the real form whose ops still follow, in order.
        target: Name of the edge of the real form, if it is not the last of `chain`: where a pooling
            was done before layers that precede it in the model.
    """

    edge: str
    start: str
    chain: tuple[Node, ...] = ()
    target: str = ""

    def then(self, node: Node) -> Pending:
        """Return the edge with another op behind it."""
        return replace(self, chain=(*self.chain, node), target="")

    def until(self, count: int) -> Pending:
        """Return the edge with its first `count` ops only."""
        return replace(self, chain=self.chain[:count], target="")

    @property
    def ops(self) -> tuple[RealOp, ...]:
        """The ops of the chain."""
        return tuple(n.op for n in self.chain if isinstance(n.op, RealOp))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the chain's nodes."""
        return tuple(n.layer for n in self.chain)

    @property
    def end(self) -> str:
        """The edge of the real form that this object represents."""
        return self.target or (self.chain[-1].name if self.chain else self.start)

    @property
    def pools(self) -> bool:
        """True if a max pooling is in the chain."""
        return any(isinstance(op, MaxPool) for op in self.ops)

    @property
    def maps(self) -> bool:
        """True if a function of single values is in the chain."""
        return any(isinstance(op, Pointwise) for op in self.ops)

    @property
    def step(self) -> float | None:
        """The number that the last function of single values states to divide all its values."""
        functions = [op for op in self.ops if isinstance(op, Pointwise | Softmax)]
        last = functions[-1] if functions else None
        return last.step if isinstance(last, Pointwise) else None

    @property
    def softmax(self) -> str | None:
        """The layer of the first softmax in the chain; None if there is none."""
        return next((n.layer for n in self.chain if isinstance(n.op, Softmax)), None)

    @property
    def computes(self) -> bool:
        """True if an op in the chain changes values, rather than only their shape."""
        return self.pools or self.maps or self.softmax is not None
