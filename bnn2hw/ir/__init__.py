"""The one data structure that flows: a graph of ops over integer-typed tensors."""

from bnn2hw.ir.axes import AxisOrder
from bnn2hw.ir.graph import Graph, Node, hardware_nodes, stream_op
from bnn2hw.ir.op import USUAL, Cost, Cycles, HardwareOp, Op, StreamOp, startup
from bnn2hw.ir.parts import Array, Memory, Param, Part
from bnn2hw.ir.ranges import Ranges
from bnn2hw.ir.timing import Buffered, Gated, Handshakes, Queue, Steps, Supply, Timing
from bnn2hw.ir.types import BIPOLAR, Beats, Ints, Tensor
from bnn2hw.ir.view import View

__all__ = [
    "BIPOLAR",
    "USUAL",
    "Array",
    "AxisOrder",
    "Beats",
    "Buffered",
    "Cost",
    "Cycles",
    "Gated",
    "Graph",
    "Handshakes",
    "HardwareOp",
    "Ints",
    "Memory",
    "Node",
    "Op",
    "Param",
    "Part",
    "Queue",
    "Ranges",
    "Steps",
    "StreamOp",
    "Supply",
    "Tensor",
    "Timing",
    "View",
    "hardware_nodes",
    "startup",
    "stream_op",
]
