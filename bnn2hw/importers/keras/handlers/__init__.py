"""Handlers of Keras layers by group. Importing a file registers its handlers."""

from __future__ import annotations

from bnn2hw.importers.keras.handlers import (
    convolutions,
    dense,
    depthwise,
    dot,
    hgq,
    joins,
    pointwise,
    pooling,
    qkeras,
    shapes,
    sparse,
    steps,
    wiring,
    wrapped,
)

FILES = (
    convolutions,
    dense,
    depthwise,
    dot,
    hgq,
    joins,
    pointwise,
    pooling,
    qkeras,
    shapes,
    sparse,
    steps,
    wiring,
    wrapped,
)
