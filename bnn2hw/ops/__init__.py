"""The ops of a graph in hardware form, one file each.

`X as X` exports a class. A new op is one such line here; `HARDWARE_OPS` finds it by itself.
"""

from inspect import isabstract

from bnn2hw.ir import HardwareOp
from bnn2hw.ops.add import Add as Add
from bnn2hw.ops.affine import Affine as Affine
from bnn2hw.ops.argmax import Argmax as Argmax
from bnn2hw.ops.base.matvec import MatVec as MatVec
from bnn2hw.ops.concat import Concat as Concat
from bnn2hw.ops.concat import ParallelConcat as ParallelConcat
from bnn2hw.ops.depthwise import Depthwise as Depthwise
from bnn2hw.ops.depthwise import ParallelDepthwise as ParallelDepthwise
from bnn2hw.ops.fifo import Fifo as Fifo
from bnn2hw.ops.interpolation import Interpolation as Interpolation
from bnn2hw.ops.lut import Lut as Lut
from bnn2hw.ops.mac import Mac as Mac
from bnn2hw.ops.multiply import Multiply as Multiply
from bnn2hw.ops.multiply import ParallelMultiply as ParallelMultiply
from bnn2hw.ops.pad import Pad as Pad
from bnn2hw.ops.pool import ParallelPool as ParallelPool
from bnn2hw.ops.pool import Pool as Pool
from bnn2hw.ops.quantize import Quantize as Quantize
from bnn2hw.ops.sliding_window import ParallelWindow as ParallelWindow
from bnn2hw.ops.sliding_window import SlidingWindow as SlidingWindow
from bnn2hw.ops.source import Source as Source
from bnn2hw.ops.table import Table as Table
from bnn2hw.ops.threshold import Threshold as Threshold
from bnn2hw.ops.topk import TopK as TopK
from bnn2hw.ops.unrolled import Unrolled as Unrolled
from bnn2hw.ops.width_converter import WidthConverter as WidthConverter
from bnn2hw.ops.xnor import Xnor as Xnor

HARDWARE_OPS: tuple[type[HardwareOp], ...] = tuple(
    op
    for op in list(vars().values())
    if isinstance(op, type) and issubclass(op, HardwareOp) and not isabstract(op)
)
"""Every hardware op that a graph can hold, in the order of the lines above."""
