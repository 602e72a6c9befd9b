"""What a node can be, one file each."""

from bnn2hw.ir import HardwareOp
from bnn2hw.ops.add import Add
from bnn2hw.ops.affine import Affine
from bnn2hw.ops.argmax import Argmax
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.concat import Concat
from bnn2hw.ops.curve import Curve
from bnn2hw.ops.depthwise import Depthwise
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.multiply import Multiply
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.source import Source
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold
from bnn2hw.ops.topk import TopK
from bnn2hw.ops.unrolled import Unrolled
from bnn2hw.ops.width import Width
from bnn2hw.ops.window import Patch, Window
from bnn2hw.ops.xnor import Xnor

HARDWARE_OPS: tuple[type[HardwareOp], ...] = (
    Pad,
    Window,
    Patch,
    Xnor,
    Unrolled,
    Mac,
    Depthwise,
    Threshold,
    Table,
    Affine,
    Curve,
    Pool,
    Add,
    Concat,
    Multiply,
    Argmax,
    TopK,
    Width,
    Fifo,
)

__all__ = [
    "HARDWARE_OPS",
    "Add",
    "Affine",
    "Argmax",
    "Concat",
    "Curve",
    "Depthwise",
    "Fifo",
    "Mac",
    "MatVec",
    "Multiply",
    "Pad",
    "Patch",
    "Pool",
    "Source",
    "Table",
    "Threshold",
    "TopK",
    "Unrolled",
    "Width",
    "Window",
    "Xnor",
]
