"""The one data structure that flows: a graph of ops over integer-typed tensors."""

from bnn2hw.ir.graph import Array, Cost, Cycles, Graph, HardwareOp, Memory, Node, Op, Param
from bnn2hw.ir.timing import Buffered, Queue, Steps, Timing
from bnn2hw.ir.types import BIPOLAR, Ints, Tensor

__all__ = [
    "BIPOLAR",
    "Array",
    "Buffered",
    "Cost",
    "Cycles",
    "Graph",
    "HardwareOp",
    "Ints",
    "Memory",
    "Node",
    "Op",
    "Param",
    "Queue",
    "Steps",
    "Tensor",
    "Timing",
]
