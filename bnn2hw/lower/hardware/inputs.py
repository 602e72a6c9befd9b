"""Lower the inputs of a model."""

from __future__ import annotations

from bnn2hw.ir import Node
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.pending import Pending
from bnn2hw.ops.source import Input, Source


@lowers(Source)
def source(lowering: Lowering, node: Node, op: Source, before: list[Pending]) -> Pending:
    """Lower an input to the integers that arrive on its wire."""
    if node.name not in lowering.wires:
        lowering.b.problem(
            node.layer,
            "the integers that arrive at this input are not known",
            "a Rescaling layer in front of the model, or input=",
            "for pixels p that the model sees as p/255, pass input=bnn2hw.Input('uint8', scale=1/255)",
        )
    wire = lowering.wires.get(node.name, Input())
    return Pending(lowering.b.add(node.name, Source(wire.tensor(op.tensor.shape))), node.name)
