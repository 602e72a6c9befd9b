"""Images, their windows and borders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import Call
from bnn2hw.importers.onnx.model import Op
from bnn2hw.importers.onnx.values import Grid, Value, ordered
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
"""Ways of padding that ONNX defines."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image or a row of pixels that a node reads.

    Attributes:
        edge: Edge of shape (rows, columns, channels), or (planes, rows, columns, channels). A row of
            pixels is an image of one row.
        shape: Its shape.
        channels: For each channel of the model, the channel of the edge.
        axis: Axis of the channels in the model.
        row: True if the model has a row of pixels.
    """

    edge: str
    shape: tuple[int, ...]
    channels: Array
    axis: int
    row: bool

    @property
    def rank(self) -> int:
        """Number of axes along which windows move."""
        return len(self.shape) - 1

    def whole(self, values: Sequence[int] | None, default: int) -> tuple[int, ...]:
        """Return one number for each axis of the image, from those that the node states.

        Args:
            values: Numbers by axis of the model; None for the default.
            default: The number of an axis that the model does not have.
        """
        missing = self.rank - (1 if self.row else 0)
        stated = tuple(values) if values else (1,) * (1 if self.row else missing)
        return (default, *stated) if self.row else stated


def image(call: Call) -> Image | None:
    """Return the image that a node reads; None with a problem if it is none."""
    return image_of(call, call.value)


def image_of(call: Call, value: Value) -> Image | None:
    """Return a value as an image; None with a problem if it is none.

    Args:
        call: The node that reads it.
        value: The value.
    """
    rank = len(value.shape)
    axis = rank - 1 if call.op.channels_last else 1
    if rank not in (3, 4, 5):
        call.problem(f"an input of shape {value.shape}", "rows, images and volumes", "reshape the input")
        return None
    found = call.on_grid(value, axis)
    if found is None:
        return None
    edge, grid = found
    shape = grid.shape
    if rank == 3:
        shape = (1, *shape)
        edge = call.draft.reshape(call.name, edge, shape)
    return Image(edge, shape, grid.channels, axis, rank == 3)


def result(call: Call, image: Image, edge: str, channels: Array | None = None) -> Value:
    """Return an edge that was made from an image as the output of a node.

    Args:
        call: The node.
        image: The image.
        edge: Edge of as many axes as the image.
        channels: For each channel of the model, the channel of the edge; None for those of the image.
    """
    shape = call.draft.shapes[edge]
    if image.row:
        edge = call.draft.reshape(call.name, edge, shape[1:])
        shape = shape[1:]
    order = image.channels if channels is None else channels
    return Value(edge, ordered(Grid(shape[:-1], order), image.axis))


def windows(call: Call, image: Image, size: Sequence[int]) -> Windows:
    """Return the windows of a convolution or pooling.

    Args:
        call: The node.
        image: The image.
        size: Values of a window along the axes of the model.
    """
    attributes = call.op.attributes
    return Windows(
        image.whole(size, 1),
        image.whole(attributes.get("strides"), 1),
        image.whole(attributes.get("dilations"), 1),
    )


def sides_of(call: Call, image: Image, windows: Windows) -> list[Sides]:
    """Return the border that the padding of a node asks for.

    Raises:
        ValueError: The node asks for two of them, or for one that ONNX does not define.
    """
    kind = call.op.attributes.get("auto_pad") or "NOTSET"
    if kind not in AUTO_PADS or (kind != "NOTSET" and any(call.op.attributes.get("pads") or [])):
        raise ValueError(f"auto_pad={kind!r} with pads={call.op.attributes.get('pads')}")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        return windows.same(image.shape[:-1], lower=kind == "SAME_LOWER")
    pads = list(call.op.attributes.get("pads") or []) if kind == "NOTSET" else []
    count = image.rank - image.row
    stated = list(zip(pads[:count], pads[count:], strict=True)) if pads else [(0, 0)] * count
    return [(0, 0), *stated] if image.row else stated


def border(
    call: Call,
    image: Image,
    sides: Sequence[Sides],
    value: float,
    gaps: tuple[int, ...] | None = None,
    part: str = "pad",
) -> Image:
    """Append a border and return the larger image; the image itself if there is nothing to add.

    Args:
        call: The node.
        image: The image.
        sides: By axis, the pixels that are added before and after.
        value: Value of the pixels that are added.
        gaps: By axis, the distance between the pixels of the image; 1 if None.
        part: Appended to the name of the node.
    """
    apart = gaps or (1,) * len(sides)
    if not any(map(any, sides)) and set(apart) == {1}:
        return image
    spread = [(n - 1) * gap + 1 for n, gap in zip(image.shape, apart, strict=False)]
    shape = (*(n + sum(s) for n, s in zip(spread, sides, strict=True)), image.shape[-1])

    def apply(x: Array) -> Array:
        y = np.full((len(x), *shape), value, np.float32)
        at = tuple(slice(b, b + n, gap) for (b, _), n, gap in zip(sides, spread, apart, strict=True))
        y[(slice(None), *at)] = x
        return y

    edge = call.add(real.Border(apply, shape, tuple(sides), value, apart), image.edge, part=part)
    return replace(image, edge=edge, shape=shape)


def on_images(op: Op, constants: dict[int, Array]) -> Callable[[Array], Array]:
    """Return a node of ONNX as a function of images with their channels last.

    Args:
        op: The node, whose first input is the image.
        constants: Its other inputs by position.
    """
    fn = executor.function(op, constants)

    def apply(x: Array) -> Array:
        return np.moveaxis(fn(np.moveaxis(x, -1, 1)), 1, -1)

    return apply


def windowed(call: Call, kind: str, windows: Windows, **attributes: int) -> Op:
    """Return a node of ONNX over windows of an image without padding.

    Args:
        call: The node that it is a part of.
        kind: Name of the op.
        windows: The windows.
        **attributes: Further attributes.
    """
    given = {"kernel_shape": windows.size, "strides": windows.stride, **attributes}
    inputs = ("x", "w") if kind == "Conv" else ("x",)
    if kind == "Conv" or set(windows.dilation) != {1}:
        given["dilations"] = windows.dilation
    return Op(kind, "", call.op.version if call.op.domain == "" else 13, kind, inputs, ("y",), given)
