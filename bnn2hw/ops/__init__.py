"""What a node can be, one file each."""

from bnn2hw.ir import HardwareOp
from bnn2hw.ops.add import Add
from bnn2hw.ops.affine import Affine
from bnn2hw.ops.argmax import Argmax
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.concat import Concat
from bnn2hw.ops.depthwise import Depthwise
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.interpolation import Interpolation
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.multiply import Multiply
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.sliding_window import ParallelWindow, SlidingWindow
from bnn2hw.ops.source import Source
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold
from bnn2hw.ops.topk import TopK
from bnn2hw.ops.unrolled import Unrolled
from bnn2hw.ops.width_converter import WidthConverter
from bnn2hw.ops.xnor import Xnor

HARDWARE_OPS: tuple[type[HardwareOp], ...] = (
    Pad,
    SlidingWindow,
    ParallelWindow,
    Xnor,
    Unrolled,
    Mac,
    Depthwise,
    Threshold,
    Table,
    Affine,
    Interpolation,
    Pool,
    Add,
    Concat,
    Multiply,
    Argmax,
    TopK,
    WidthConverter,
    Fifo,
)

__all__ = [
    "HARDWARE_OPS",
    "Add",
    "Affine",
    "Argmax",
    "Concat",
    "Depthwise",
    "Fifo",
    "Interpolation",
    "Mac",
    "MatVec",
    "Multiply",
    "Pad",
    "ParallelWindow",
    "Pool",
    "SlidingWindow",
    "Source",
    "Table",
    "Threshold",
    "TopK",
    "Unrolled",
    "WidthConverter",
    "Xnor",
]
