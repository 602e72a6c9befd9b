"""Lower changes of shape that mix channels with positions."""

from __future__ import annotations

from bnn2hw.ir import Node
from bnn2hw.lower.fidelity import INTEGERS
from bnn2hw.lower.fixed_point import Requirement
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.pending import Pending
from bnn2hw.ops.real import Refold


@lowers(Refold)
def refold(lowering: Lowering, node: Node, op: Refold, before: list[Pending]) -> Pending:
    """Lower a shape with other channels. It needs one scale and offset for all channels."""
    edge = lowering.integers(node, before[0], Requirement(single=True))
    lowering.b.mark(node.layer, INTEGERS)
    return Pending(lowering.b.view(edge, op.shape), node.name)
