"""The handlers of nodes. Importing a file registers its handlers."""

from bnn2hw.importers.onnx.handlers import (
    convolutions,
    ends,
    joins,
    matrices,
    pointwise,
    pooling,
    quantizers,
    resizing,
    shapes,
    slicing,
)

FILES = (convolutions, ends, joins, matrices, pointwise, pooling, quantizers, resizing, shapes, slicing)
