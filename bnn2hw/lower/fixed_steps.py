"""Fix the steps of layers that round each input vector in steps that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnn2hw import golden
from bnn2hw.ir import Array, Graph, Node
from bnn2hw.lower.calibration import batches
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.ops.real import Dense, Pointwise
from bnn2hw.ops.source import Input


def fix(
    real: Graph, wires: Mapping[str, Input], calibration: Mapping[str, Array]
) -> tuple[Graph, dict[str, Fidelity]]:
    """Put a quantizer with a fixed step in front of each layer that rounds its input.

    The step is that of the largest value in the calibration data; larger values are clipped. A
    layer whose inputs all have one magnitude stays, because they pass its rounding unchanged.

    Args:
        real: A graph in real form.
        wires: Integers that arrive at each source and their real meaning.
        calibration: Integers on the wire, arrays of shape (frames, *input shape) by source.

    Returns:
        The graph, and the fidelity of each layer that was changed.
    """
    rounding = {n.name: n.op for n in real if isinstance(n.op, Dense) and n.op.rounds_input}
    if not rounding:
        return real, {}
    largest = _largest(real, wires, calibration, {real[name].inputs[0] for name in rounding})
    nodes: list[Node] = []
    marks = {}
    for node in real:
        op, top = rounding.get(node.name), largest.get(node.inputs[0], 0.0) if node.inputs else 0.0
        if op is None or not top:
            nodes.append(node)
            continue
        quantizer = _quantizer(real.types[node.inputs[0]].shape, op.rounds_input, top)
        name = f"{node.name}.steps"
        nodes.append(Node(name, quantizer, node.inputs, node.layer))
        nodes.append(replace(node, op=_plain(op), inputs=(name,)))
        marks[node.layer] = Fidelity(
            "rounded",
            f"it rounds its input in fixed steps of {top / op.rounds_input:.2g}, from calibration data; "
            "the model fits the steps to each vector",
        )
    return Graph(tuple(nodes), real.outputs), marks


def _largest(
    real: Graph, wires: Mapping[str, Input], calibration: Mapping[str, Array], edges: set[str]
) -> dict[str, float]:
    """The largest magnitude on each edge, without those edges whose values all have one magnitude or none."""
    low, high = dict.fromkeys(edges, np.inf), dict.fromkeys(edges, 0.0)
    for x in batches(real, wires, calibration):
        values = golden.run(real, x)
        for edge in edges:
            sizes = np.abs(values[edge])
            low[edge] = min(low[edge], float(sizes[sizes > 0].min(initial=np.inf)))
            high[edge] = max(high[edge], float(sizes.max(initial=0.0)))
    return {edge: high[edge] for edge in edges if low[edge] < high[edge]}


def _quantizer(shape: tuple[int, ...], top: int, largest: float) -> Pointwise:
    factor = np.float32(top / largest)

    def apply(x: Array) -> Array:
        return np.asarray(np.clip(np.rint(x * factor), -top, top) / factor, np.float32)

    return Pointwise(apply, shape, uniform=True, step=float(1 / factor))


def _plain(op: Dense) -> Dense:
    """A product with the same kernel that does not round its input."""

    def apply(x: Array) -> Array:
        return np.asarray(x @ op.kernel, np.float32)

    return replace(op, apply=apply, rounds_input=0)
