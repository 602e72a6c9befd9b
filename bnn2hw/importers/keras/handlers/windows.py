"""Windows, paddings and convolutions that several handlers share."""

from __future__ import annotations

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides


def valid_convolution(
    call: Call, name: str, edge: str, weights: Array, windows: Windows, levels: real.Levels | None = None
) -> str:
    """Append a convolution without padding and return its output edge.

    Args:
        call: The call of the layer.
        name: Name of the node.
        edge: Edge that it reads.
        weights: Kernel of shape (*windows.size, inputs, outputs).
        windows: The windows.
        levels: The kernel as integers, if they are known.
    """
    values = keras.ops.convert_to_tensor(weights)
    stride, dilation = windows.stride, windows.dilation

    def apply(x: Array) -> Array:
        return array(
            keras.ops.conv(
                tensor(x),
                values,
                strides=stride,
                padding="valid",
                data_format="channels_last",
                dilation_rate=dilation,
            )
        )

    shape = (*windows.grid(call.shape_of(edge)), weights.shape[-1])
    return call.add(name, real.Convolution(apply, shape, weights, stride, dilation, levels), edge)


def padded(call: Call, edge: str, windows: Windows) -> str:
    """Append the border that the padding of a layer asks for, and return its output edge."""
    padding = call.layer.padding
    if padding == "valid":
        return edge
    if padding == "causal":
        sides = [(0, 0)] * (len(windows.size) - 1) + [(windows.extent[-1] - 1, 0)]
    else:
        sides = windows.same(call.shape_of(edge))
    value = float(getattr(call.layer, "pad_values", 0.0))
    return border(call, f"{call.name}.pad", edge, sides, value)


def border(
    call: Call, name: str, edge: str, sides: list[Sides], value: float, gaps: tuple[int, ...] | None = None
) -> str:
    """Append a border and return its output edge; the edge itself if there is nothing to add.

    Args:
        call: The call of the layer.
        name: Name of the node.
        edge: Edge that it reads.
        sides: By axis, the pixels that are added before and after.
        value: Value of the pixels that are added.
        gaps: By axis, the distance between the pixels of the input; 1 if None.
    """
    apart = gaps or (1,) * len(sides)
    if not any(map(any, sides)) and set(apart) == {1}:
        return edge
    before = call.shape_of(edge)
    spread = [(n - 1) * gap + 1 for n, gap in zip(before, apart, strict=False)]
    shape = (*(n + sum(s) for n, s in zip(spread, sides, strict=True)), before[-1])

    def apply(x: Array) -> Array:
        y = np.full((len(x), *shape), value, np.float32)
        at = tuple(slice(b, b + n, gap) for (b, _), n, gap in zip(sides, spread, apart, strict=True))
        y[(slice(None), *at)] = x
        return y

    return call.add(name, real.Border(apply, shape, tuple(sides), value, apart), edge)


def as_row(call: Call, edge: str) -> str:
    """Return an image of one row as a row again, if the layer's output is a row."""
    return call.reshape(f"{call.name}.row", call.shape, edge) if len(call.shape) == 2 else edge
