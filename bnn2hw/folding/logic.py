"""Layers as logic: which layers can be logic, what they cost, and when the search may choose it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.ir import Array, Graph, Node, StreamOp, Tensor
from bnn2hw.ops import Mac, Unrolled, Xnor
from bnn2hw.ops.adder_graph.planes import digits
from bnn2hw.ops.adder_graph.plans import Cells
from bnn2hw.ops.base.folds import MOST_INSIDE
from bnn2hw.targets.devices import Device

MOST_OFFERED = 2**12
"""Digits of a layer's weights up to which its logic is found without being asked for: it takes seconds at most."""

LEAST = 0.25
"""LUTs of each digit at least; layers with many neurons for each input share the most."""


def bits(x: Tensor) -> bool:
    """True if an input takes two values, whose wire codes are 0 and 1."""
    return x.ints.count == 2 and not x.ints.signed


def count(weights: Array) -> int:
    """Return the digits of weights other than 0: each adds or subtracts an input.

    Args:
        weights: Integers of shape (inputs, neurons).
    """
    return int(np.count_nonzero(digits(weights)))


def made(
    unit: Xnor | Mac, x: Tensor, device: Device, thresholds: Array | None = None, falls: Array | None = None
) -> Unrolled:
    """Return a unit as logic. What is found once for its weights serves all later calls.

    Args:
        unit: Folded unit.
        x: Its input, of two values.
        device: Device for whose cells the logic is made.
        thresholds: Integers of shape (MH,); None for sums.
        falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
    """
    cells = Cells.of(device.family)
    nodes, outputs = unit.known(("program", cells), lambda: Unrolled.program_of(unit.weights, cells))
    return Unrolled(unit.weights, nodes, outputs, thresholds, falls, unit.scale, unit.axes, x.ints)


def offered(graph: Graph, node: Node, device: Device) -> Sequence[StreamOp]:
    """Return the foldings of a node as logic that the search may choose beside those of the unit.

    They are few sums with zeros among their weights, as those of groups of neurons: a unit that reads a
    whole vector would multiply with the zeros too.

    Args:
        graph: Graph in hardware form.
        node: Node of the graph.
        device: Device for whose cells the logic is made.
    """
    unit = node.op
    if not isinstance(unit, Mac) or unit.writable or unit.mw > MOST_INSIDE:
        return ()
    [x] = graph.inputs_of(node)
    if not bits(x) or not 2 * np.count_nonzero(unit.weights) <= unit.weights.size:
        return ()
    if unit.known("digits", lambda: count(unit.weights)) > MOST_OFFERED:
        return ()
    return list(made(unit, x, device).foldings(x))
