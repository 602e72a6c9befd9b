"""A small accelerator that no model was read for: tests of what is done with accelerators need no Keras."""

from __future__ import annotations

from dataclasses import replace

import bnn2hw
from bnn2hw.dataflow import connect
from bnn2hw.ir import Graph
from bnn2hw.lower.fidelity import INTEGERS
from bnn2hw.targets import devices
from tests.support import mlp


def accelerator(*widths: int, name: str = "plain", target: str = devices.DEFAULT) -> bnn2hw.Accelerator:
    """Dense layers with a threshold after each but the last.

    Args:
        widths: values of the input, and neurons of each layer.
        name: of the model.
        target: device that it is for.
    """
    graph = connect.connect(mlp(*(widths or (8, 6, 4))))
    nodes = tuple(replace(n, layer=n.name.partition(".")[0]) for n in graph)
    return bnn2hw.Accelerator(
        name=name,
        graph=Graph(nodes, graph.outputs),
        device=devices.device(target),
        fidelity={n.layer: INTEGERS for n in nodes},
        input_specs=bnn2hw.Input("bipolar"),
    )
