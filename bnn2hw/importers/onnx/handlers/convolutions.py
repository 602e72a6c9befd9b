"""Convolutions, transposed convolutions, and windows that a matrix product follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.importers.onnx import kernels
from bnn2hw.importers.onnx.calls import Call, along, handles
from bnn2hw.importers.onnx.images import (
    Image,
    border,
    image,
    on_images,
    result,
    sides_of,
    windowed,
    windows,
)
from bnn2hw.importers.onnx.kernels import Kernel
from bnn2hw.importers.onnx.values import Grid, Value, ordered
from bnn2hw.importers.windows import Windows
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.real import Sides


@handles("Conv")
def convolution(call: Call) -> Value:
    """Read a convolution as a border and a convolution without padding."""
    found, weights = image(call), call.known(1)
    if weights is None:
        call.constant(1, "a kernel")
    if found is None or weights is None:
        return call.value
    last = call.op.channels_last
    kernel = kernels.of(weights).map(lambda a: np.moveaxis(a, 0, -1) if last else _last(a))
    if found.row:
        kernel = kernel.map(lambda a: a[None])
    of_model = kernel.values.shape[1 if found.row else 0 : -2]
    over = windows(call, found, of_model)
    padded = border(call, found, sides_of(call, found, over), 0.0)
    value = _convolved(call, padded, kernel, over, int(call.op.attributes.get("group", 1)))
    return _biased(call, value)


def _last(weights: Array) -> Array:
    """A kernel (out, in, *sizes) as (*sizes, in, out)."""
    return np.moveaxis(weights, (0, 1), (-1, -2))


def _biased(call: Call, value: Value) -> Value:
    """Append the bias of a convolution, if it has one."""
    if not call.present(2):
        return value
    bias = call.constant(2, "a bias")
    if bias is None:
        return value
    axis = len(value.shape) - 1 if call.op.channels_last else 1
    wide = along(axis, len(value.shape), bias.astype(np.float32))
    return call.pointwise(np.add, value, [wide], part="bias")


def _convolved(call: Call, found: Image, kernel: Kernel, over: Windows, groups: int) -> Value:
    """Append a convolution without padding, of each channel by itself where each has one kernel."""
    channels, filters = found.shape[-1], kernel.values.shape[-1]
    if groups == channels == filters and found.rank == 2:
        return _depthwise(call, found, kernel, over)
    kernel = kernels.ungrouped(kernel, groups)
    if kernel.values.shape[-2] != channels:
        return call.problem(
            f"a kernel of {kernel.values.shape[-2]} channels for {channels}",
            "as many",
            "export the file again",
        )
    back = np.argsort(found.channels)
    kernel = kernel.map(lambda a: a[..., back, :])
    weights = np.moveaxis(kernel.values, (-1, -2), (0, 1))
    fn = on_images(windowed(call, "Conv", over), {1: weights})
    shape = (*over.grid(found.shape), filters)
    op = real.Convolution(fn, shape, kernel.values, over.stride, over.dilation, levels=kernel.levels)
    return result(call, found, call.add(op, found.edge), np.arange(filters))


def _depthwise(call: Call, found: Image, kernel: Kernel, over: Windows) -> Value:
    """Append a convolution of each channel with its own kernel."""
    back = np.argsort(found.channels)
    kernel = kernel.map(lambda a: a[..., 0, back])
    weights = np.moveaxis(kernel.values, -1, 0)[:, None]
    fn = on_images(windowed(call, "Conv", over, group=found.shape[-1]), {1: weights})
    shape = (*over.grid(found.shape), found.shape[-1])
    stride, dilation = (over.stride[0], over.stride[1]), (over.dilation[0], over.dilation[1])
    op = real.DepthwiseConvolution(fn, shape, kernel.values, stride, dilation, levels=kernel.levels)
    return result(call, found, call.add(op, found.edge))


@handles("ConvTranspose")
def transposed_convolution(call: Call) -> Value:
    """Read a transposed convolution as one with the mirrored kernel over an image with gaps."""
    found, weights = image(call), call.known(1)
    if weights is None:
        call.constant(1, "a kernel")
    if found is None or weights is None:
        return call.value
    attributes, groups = call.op.attributes, int(call.op.attributes.get("group", 1))
    if found.rank != 2 or attributes.get("output_shape"):
        return call.problem(
            f"output_shape={attributes.get('output_shape')}, {found.rank} axes",
            "images or rows, padding by pads",
            "use pads, or Upsample and Conv",
        )
    axes = tuple(range(2, weights.values.ndim))
    kernel = kernels.of(weights).map(
        lambda a: _by_groups(np.moveaxis(np.flip(a, axes), (0, 1), (-2, -1)), groups)
    )
    if found.row:
        kernel = kernel.map(lambda a: a[None])
    over = windows(call, found, kernel.values.shape[1 if found.row else 0 : -2])
    sides = _transposed_sides(call, found, over)
    if any(min(s) < 0 for s in sides):
        return call.problem("pads larger than the kernel", "pads inside of the kernel", "crop afterwards")
    spread = border(call, found, sides, 0.0, over.stride)
    value = _convolved(call, spread, kernel, replace(over, stride=(1, 1)), groups)
    return _biased(call, value)


def _by_groups(kernel: Array, groups: int) -> Array:
    """Return the kernel of a transposed convolution with the channels of groups where a convolution has them.

    Args:
        kernel: Weights of shape (*sizes, inputs, outputs / groups).
        groups: Number of groups.

    Returns:
        Weights of shape (*sizes, inputs / groups, outputs).
    """
    *sizes, inputs, outputs = kernel.shape
    apart = kernel.reshape(*sizes, groups, inputs // groups, outputs)
    return np.moveaxis(apart, -3, -2).reshape(*sizes, inputs // groups, groups * outputs)


def _transposed_sides(call: Call, found: Image, over: Windows) -> list[Sides]:
    """The border around the image with gaps."""
    extra = found.whole(call.op.attributes.get("output_padding") or (0,) * (found.rank - found.row), 0)
    kind = call.op.attributes.get("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max(e + x - s, 0) for e, x, s in zip(over.extent, extra, over.stride, strict=True)]
        halves = [(t // 2, t - t // 2) for t in totals]
        cut = halves if kind == "SAME_UPPER" else [(b, a) for a, b in halves]
    else:
        cut = sides_of(call, found, over)
    each = zip(over.extent, cut, extra, strict=True)
    return [(extent - 1 - a, extent - 1 - b + x) for extent, (a, b), x in each]


@handles("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """Read blocks of pixels as channels: a convolution with a single 1 for each output."""
    found, block = image(call), int(call.op.attributes["blocksize"])
    if found is None or not _flat(call, found):
        return call.value
    if any(n % block for n in found.shape[:2]):
        raise ValueError(f"{found.shape[:2]} pixels in blocks of {block}")
    kernel = _ones(found.shape[-1], block, crd=False)
    return _convolved(call, found, kernel, Windows((block, block), (block, block), (1, 1)), 1)


@handles("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """Read channels as blocks of pixels: a convolution with a single 1 for each output over spread pixels."""
    found, block = image(call), int(call.op.attributes["blocksize"])
    if found is None or not _flat(call, found):
        return call.value
    ones = _ones(found.shape[-1] // block**2, block, crd=call.op.attributes.get("mode") == "CRD")
    kernel = ones.map(lambda a: np.flip(np.swapaxes(a, -1, -2), (0, 1)))
    spread = border(call, found, [(block - 1, block - 1)] * 2, 0.0, (block, block))
    return _convolved(call, spread, kernel, Windows((block, block), (1, 1), (1, 1)), 1)


def _flat(call: Call, found: Image) -> bool:
    if found.rank == 2 and not found.row:
        return True
    call.problem("an input that is no image", "images", "reshape the input")
    return False


def _ones(channels: int, block: int, *, crd: bool) -> Kernel:
    """A kernel (block, block, channels, channels * block²) with a single 1 for each output.

    Args:
        channels: Channels of the image.
        block: Rows and columns of a block.
        crd: True if the channels of the image come before those of the block in the order of the outputs.
    """
    kernel = np.zeros((block, block, channels, channels * block**2), np.float32)
    row, column, channel = np.indices((block, block, channels))
    place = row * block + column
    kernel[row, column, channel, channel * block**2 + place if crd else place * channels + channel] = 1
    return Kernel(kernel, kernel, np.ones_like(kernel))


@handles("Im2Col")
def im2col(call: Call) -> Value:
    """Read an image whose windows a matrix product multiplies: both together are a convolution."""
    attributes = call.op.attributes
    if attributes.get("depthwise"):
        return call.problem(
            "depthwise=1", "windows with all channels of a pixel together", "use Conv with groups"
        )
    found = call.on_grid(call.value, 3) if len(call.value.shape) == 4 else None
    if found is None:
        return call.value
    edge, grid = found
    picture = Image(edge, grid.shape, grid.channels, 3, False)
    pads = list(attributes.get("pad_amount") or (0, 0, 0, 0))
    sides = [(pads[0], pads[2]), (pads[1], pads[3])]
    padded = border(call, picture, sides, float(attributes.get("pad_value", 0)))
    over = _patches(call)
    depth = int(np.prod(over.size)) * grid.shape[-1]
    # The order of the channels in a window is that of the image; the matrix product undoes it.
    order = ordered(Grid(over.grid(padded.shape), np.arange(depth)), 3)
    call.draft.channels[call.name] = grid.channels
    return Value(padded.edge, order, call.op)


def _patches(call: Call) -> Windows:
    a = call.op.attributes
    size, stride, dilation = (tuple(a.get(n) or (1, 1)) for n in ("kernel_size", "stride", "dilations"))
    return Windows(size, stride, dilation)


def of_windows(call: Call, value: Value, kernel: Kernel) -> Value:
    """Append the convolution that windows and a matrix product are.

    Args:
        call: The node of the product.
        value: The windows, whose values come row by row, the channels of a pixel together.
        kernel: Kernel of shape (values of a window, filters).
    """
    if value.windows is None:
        return value
    over = _patches(Call(call.draft, value.windows))
    shape = call.draft.shapes[value.edge]
    channels = call.draft.channels[value.windows.name]
    picture = Image(value.edge, shape, channels, 3, False)
    whole = kernel.map(lambda a: a.reshape(*over.size, shape[-1], -1))
    return _convolved(call, picture, whole, over, 1)
