"""Random QONNX graphs: quantizers of every kind between convolutions, poolings, branches and products."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

import bnn2hw
from tests.support.onnx_drawing import Drawing
from tests.support.onnx_graphs import CHANNELS_LAST, Graph

OPSETS = (9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23)


def pooled(d: Drawing, x: str) -> str:
    """A pooling, perhaps with a border, or a mean whose low bits are dropped."""
    channels, height, width = d.shape
    kind = d.one_of("MaxPool", "AveragePool", "Global") if min(height, width) >= 3 else "Global"
    if kind == "Global":
        kind, size, stride = "AveragePool", [height, width], 1
    else:
        size, stride = [2, 2], int(d.rng.integers(1, 3))
    given = {"kernel_shape": size, "strides": [stride] * 2}
    if kind == "MaxPool" and d.rng.integers(2):
        given["pads"] = d.rng.integers(0, 2, 4).tolist()
    pads, step = given.get("pads", [0] * 4), d.step
    spans = [n + pads[i] + pads[i + 2] - size[i] for i, n in enumerate((height, width))]
    made = d.graph.add(kind, x, **given)
    d.shape, d.step = (channels, *(s // stride + 1 for s in spans)), step if kind == "MaxPool" else 0.0
    count = float(np.prod(size))
    return truncated(d, made, np.float32(step / count)) if kind == "AveragePool" and step else made


def truncated(d: Drawing, x: str, scale: np.float32) -> str:
    """A Trunc node of the version of the graph, behind values in whole steps."""
    dropped = int(d.rng.integers(1, 4))
    mode = d.one_of("FLOOR", "ROUND", "CEIL", "HALF_UP", "DOWN", "floor")
    if d.graph.general == 1:
        numbers = (scale, 0, 8, 8 - dropped)
        given = {}
    else:
        numbers = (scale, 0, 8, scale * np.float32(2**dropped), int(d.rng.integers(3, 7)))
        given = {"signed": int(d.rng.integers(2)), "narrow": int(d.rng.integers(2))}
    return d.graph.add("Trunc", x, *map(np.float32, numbers), rounding_mode=mode, **given)


def concatenated(d: Drawing, x: str) -> str:
    """The value and what a convolution of single pixels makes of it, as channels of one."""
    channels, height, width = d.shape
    filters = int(d.rng.integers(1, 5))
    kernel = d.weights(filters, channels, 1, 1)
    deeper = d.activation(d.graph.add("Conv", x, kernel, *d.bias(filters)), filters)
    d.shape, d.step = (channels + filters, height, width), 0.0
    return d.graph.add("Concat", x, deeper, axis=1)


def joined(d: Drawing, x: str) -> str:
    """A sum, a difference or a product of the value and a convolution of it, in equal steps."""
    channels, step = d.shape[0], d.scale()
    kernel = d.weights(channels, channels, 3, 3)
    y = d.graph.add("Conv", x, kernel, *d.bias(channels), pads=[1] * 4)
    branches = (d.graph.quant(v, step, 0, 4) for v in (x, y))
    return d.activation(d.graph.add(d.one_of("Add", "Add", "Sub", "Mul"), *branches), channels)


def gated(d: Drawing, x: str) -> str:
    """The value times a factor for each channel, which its means give."""
    channels = d.shape[0]
    means = d.graph.quant(d.graph.add("GlobalAveragePool", x), d.scale(), 0, 4)
    factor = d.graph.add("Conv", means, d.weights(channels, channels, 1, 1), *d.bias(channels))
    factor = d.graph.quant(factor, d.scale(), 0, 3, signed=0)
    return d.activation(d.graph.add("Mul", d.graph.quant(x, d.scale(), 0, 4), factor), channels)


def windows(d: Drawing) -> tuple[list[int], list[int], list[int], list[int], list[int]] | None:
    """Size, strides, pads and dilations of a random window, and the positions along each axis."""
    rng = d.rng
    size, stride = rng.integers(1, 4, 2).tolist(), rng.integers(1, 3, 2).tolist()
    pads, dilation = rng.integers(0, 2, 4).tolist(), [int(d.one_of(1, 1, 2)), int(d.one_of(1, 1, 2))]
    spans = [n + pads[i] + pads[i + 2] - (size[i] - 1) * dilation[i] - 1 for i, n in enumerate(d.shape[1:])]
    return (
        None
        if min(spans) < 0
        else (size, stride, pads, dilation, [s // t + 1 for s, t in zip(spans, stride, strict=True)])
    )


def convolution(d: Drawing, x: str) -> str:
    """A convolution with random windows, groups and bias; the value itself if no window fits."""
    found, channels = windows(d), d.shape[0]
    if found is None:
        return x
    size, stride, pads, dilation, grid = found
    groups = channels if d.rng.integers(3) == 0 else 1
    filters = channels * int(d.one_of(1, 2)) if groups > 1 else int(d.rng.integers(1, 6))
    bias = d.bias(filters)
    kernel = d.weights(filters, channels // groups, *size)
    given = {"strides": stride, "pads": pads, "dilations": dilation, "group": groups}
    d.shape = (filters, *grid)
    return d.activation(d.graph.add("Conv", x, kernel, *bias, **given), filters)


def transposed(d: Drawing, x: str) -> str:
    """A transposed convolution."""
    (channels, height, width), rng = d.shape, d.rng
    size, stride = rng.integers(2, 4, 2).tolist(), rng.integers(1, 3, 2).tolist()
    pads = rng.integers(0, 2, 4).tolist()
    groups = channels if rng.integers(3) == 0 else 1
    filters = int(rng.integers(1, 4))
    kernel = d.weights(channels, filters, *size, outputs=1)
    grid = [(n - 1) * stride[i] + size[i] - pads[i] - pads[i + 2] for i, n in enumerate((height, width))]
    if min(grid) < 1 or max(grid) > 12:
        return x
    d.shape = (filters * groups, *grid)
    y = d.graph.add(
        "ConvTranspose", x, kernel, *d.bias(filters * groups), strides=stride, pads=pads, group=groups
    )
    return d.activation(y, filters * groups)


def resized(d: Drawing, x: str) -> str:
    """Pixels that are repeated, in the way of the version of the graph."""
    (channels, height, width), opset = d.shape, d.graph.opset
    if max(height, width) > 6:
        return bordered(d, x)
    times = d.rng.integers(1, 3, 2).tolist()
    scales = np.array([1, 1, *times], np.float32)
    d.shape = (channels, height * times[0], width * times[1])
    if opset < 11:
        return d.graph.add("Upsample" if opset == 9 else "Resize", x, scales, mode="nearest")
    given = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return d.graph.add("Resize", x, np.zeros(0, np.float32), scales, mode="nearest", **given)


def bordered(d: Drawing, x: str) -> str:
    """A border of zeros."""
    (channels, height, width), opset = d.shape, d.graph.opset
    above, left, below, right = d.rng.integers(0, 2, 4).tolist()
    pads = [0, 0, above, left, 0, 0, below, right]
    d.shape = (channels, height + above + below, width + left + right)
    return d.graph.add("Pad", x, np.array(pads)) if opset >= 11 else d.graph.add("Pad", x, pads=pads)


def channels_last(d: Drawing, x: str) -> str:
    """A convolution, or a maximum over windows, between transpositions, with the channels last."""
    channels, height, width = d.shape
    if min(height, width) < 2 or d.graph.opset > 20:
        return x
    turned = d.graph.add("Transpose", x, perm=[0, 2, 3, 1])
    d.graph.shapes[turned] = (1, height, width, channels)
    filters = int(d.rng.integers(1, 5))
    given = {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [0] * 4}
    if d.rng.integers(2):
        kernel = d.graph.add("Transpose", d.weights(filters, channels, 2, 2), perm=[0, 2, 3, 1])
        d.graph.shapes[kernel] = (filters, 2, 2, channels)
        turned = d.graph.add(
            "Conv", turned, kernel, *d.bias(filters), **given, dilations=[1, 1], group=1, domain=CHANNELS_LAST
        )
    else:
        filters = channels
        turned = d.graph.add("MaxPool", turned, **given, domain=CHANNELS_LAST)
    d.shape = (filters, height - 1, width - 1)
    return d.activation(d.graph.add("Transpose", turned, perm=[0, 3, 1, 2]), filters)


def patches(d: Drawing, x: str) -> str:
    """A convolution as windows and a matrix product."""
    channels, height, width = d.shape
    if min(height, width) < 2:
        return x
    filters, stride = int(d.rng.integers(1, 5)), int(d.rng.integers(1, 3))
    pads = d.rng.integers(0, 2, 4).tolist()
    grid = [(n + pads[i] + pads[i + 2] - 2) // stride + 1 for i, n in enumerate((height, width))]
    turned = d.graph.add("Transpose", x, perm=[0, 2, 3, 1])
    d.graph.shapes[turned] = (1, height, width, channels)
    found = d.graph.add(
        "Im2Col",
        turned,
        kernel_size=[2, 2],
        stride=[stride] * 2,
        pad_amount=pads,
        input_shape=str((1, height, width, channels)),
    )
    y = d.graph.add("MatMul", found, d.weights(4 * channels, filters, outputs=1))
    d.shape = (filters, *grid)
    return d.activation(d.graph.add("Transpose", y, perm=[0, 3, 1, 2]), filters)


LAYERS = (
    *(convolution, convolution, convolution, pooled, pooled, concatenated, joined),
    *(gated, transposed, resized, bordered, channels_last, patches),
)


def head(d: Drawing, x: str) -> str:
    """A vector in one of the ways in which files have it, and one or two products."""
    rng, add, features = d.rng, d.graph.add, int(np.prod(d.shape))
    kind = rng.integers(5)
    if kind == 0:
        x = add("Flatten", x)
    elif kind == 1:
        x = add("Reshape", add("Transpose", x, perm=[0, 2, 3, 1]), np.array([1, -1]))
    elif kind == 2:
        x, features = add("Flatten", add("GlobalAveragePool", x)), d.shape[0]
    elif kind == 3:
        x, features = squeezed(d, add("GlobalMaxPool", x)), d.shape[0]
    else:
        x = add("Reshape", x, np.array([1, -1]))
    width = int(rng.integers(2, 6))
    kernel = d.weights(width, features)
    if rng.integers(2) or not d.exact:
        x = add("Gemm", x, kernel, rng.normal(0, 1, width), transB=1)
    else:
        x = add("MatMul", x, add("Transpose", kernel, perm=[1, 0]))
    if rng.integers(2):
        x = d.activation(x, width, 2)
        x = add("MatMul", x, add("Transpose", d.weights(3, width), perm=[1, 0]))
    return x


def ends(d: Drawing, x: str) -> str:
    """The scores, or what a model may return instead of them."""
    kind = d.rng.integers(8)
    if kind == 0:
        return d.graph.add("Softmax", x, axis=1)
    if kind == 1:
        return d.graph.add("ArgMax", x, axis=1, keepdims=int(d.rng.integers(2)))
    if kind == 2 and d.graph.opset >= 10:
        return d.graph.best(x, int(d.rng.integers(1, 3)))
    return x


def squeezed(d: Drawing, x: str) -> str:
    """A value without its rows and columns of length 1."""
    newer = d.graph.opset >= 13
    return d.graph.add("Squeeze", x, np.array([2, 3])) if newer else d.graph.add("Squeeze", x, axes=[2, 3])


def drawn(seed: int) -> tuple[onnx.ModelProto, bnn2hw.Input]:
    """Return a random model, and what arrives on its wire, which the model itself states too."""
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 5)), int(rng.integers(5, 9)), int(rng.integers(5, 9))
    graph = Graph((1, *shape), opset=OPSETS[rng.integers(len(OPSETS))], general=int(rng.integers(1, 3)))
    drawing = Drawing(rng, bool(rng.integers(2)), graph, shape)
    bits = int(rng.integers(1, 9))
    signed = bits > 1 and bool(rng.integers(2))
    zero = 0 if rng.integers(3) else 1 if signed else int(rng.integers(0, 2**bits))
    scale = float(np.float32(drawing.scale()))
    x = graph.quant("x", scale, zero, bits, signed=int(signed))
    for _ in range(int(rng.integers(1, 4))):
        x = LAYERS[rng.integers(len(LAYERS))](drawing, x)
    wire = bnn2hw.Input(f"{'' if signed else 'u'}int{bits}", scale, -zero * scale)
    output = ends(drawing, head(drawing, x))
    indices = output.startswith(("ArgMax", "TopK"))
    return graph.model(output, kind=TensorProto.INT64 if indices else TensorProto.FLOAT), wire
