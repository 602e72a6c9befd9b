"""A streamed graph of one op: its inputs at ports, and its output at a port."""

from __future__ import annotations

from collections.abc import Sequence

from bnn2hw.dataflow import converters
from bnn2hw.ir import Graph, HardwareOp, Node, Tensor
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.source import Source

OUTPUT = "y"
"""Name of the node of the op."""


def inputs(count: int) -> list[str]:
    """Return the names of the sources of an op by their number: x, x1, x2 and so on."""
    return [f"x{i or ''}" for i in range(count)]


def alone(op: HardwareOp, *x: Tensor) -> Graph:
    """Return a streamed graph of one op.

    The beats of ports have no padding. If those of the op have padding, a converter connects them.

    Args:
        op: The op.
        *x: Types of its inputs.
    """
    given, names = op.beats(*x)[1], inputs(len(x))
    every = [op.input_beats(port, *x) for port in range(len(x))]
    nodes = [Node(n, Source(t, taken.whole.lanes)) for n, t, taken in zip(names, x, every, strict=True)]
    for i, (name, taken) in enumerate(zip(list(names), every, strict=True)):
        for converter in _converters(converters.between(taken.whole, taken, fifo=False)):
            nodes.append(Node(f"{name}.ragged", converter, (name,)))
            names[i] = nodes[-1].name
    nodes.append(Node(OUTPUT, op, tuple(names)))
    for converter in _converters(converters.to_output(given, fifo=False)):
        nodes.append(Node(f"{OUTPUT}.whole", converter, (OUTPUT,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def _converters(laid: Sequence[HardwareOp]) -> list[HardwareOp]:
    return [op for op in laid if not isinstance(op, Fifo)]
