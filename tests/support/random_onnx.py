"""Random QONNX graphs: quantizers of every kind between convolutions, poolings, branches and products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

import bnn2hw
from tests.support.onnx_graphs import Graph

ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "half_even")
OPSETS = (9, 11, 13, 17, 20)


@dataclass
class Drawing:
    """A graph that is being drawn.

    Attributes:
        rng: Where all choices come from.
        exact: True if all scales are powers of two, so that float32 does not round sums.
        graph: The graph.
        shape: Channels, rows and columns of the last value.
    """

    rng: np.random.Generator
    exact: bool
    graph: Graph
    shape: tuple[int, int, int]

    def one_of(self, *choices: object) -> object:
        return choices[self.rng.integers(len(choices))]

    def scale(self, shape: tuple[int, ...] = ()) -> np.ndarray:
        if self.exact:
            return 2.0 ** -self.rng.integers(0, 5, shape)
        return self.rng.uniform(0.05, 0.9, shape)

    def weights(self, *shape: int) -> str:
        """A quantized kernel, with one scale or one per output."""
        latent = self.rng.normal(0, 1, shape).astype(np.float32)
        if self.rng.integers(3) == 0:
            return self.graph.add("BipolarQuant", latent, np.float32(self.scale()))
        rows = (shape[0], *(1,) * (len(shape) - 1))
        scale = self.scale(rows) if self.rng.integers(2) else self.scale()
        narrow = int(self.rng.integers(2))
        return self.graph.quant(latent, scale, 0, int(self.rng.integers(2, 6)), narrow=narrow)

    def bias(self, count: int) -> list[np.ndarray]:
        """A bias, or none. Without one, float32 decides the signs of sums of rounded scales that are 0."""
        return [self.rng.normal(0, 1, count)] if self.rng.integers(2) or not self.exact else []

    def activation(self, x: str, channels: int, rank: int = 4) -> str:
        """A normalization, perhaps, a function, perhaps, and a quantizer."""
        rng, add = self.rng, self.graph.add
        along = (1, channels, *(1,) * (rank - 2))
        if rng.integers(2):
            gamma, beta, mean = (
                rng.uniform(-1, 1, channels),
                rng.normal(0, 0.5, channels),
                rng.normal(0, 2, channels),
            )
            x = add("BatchNormalization", x, gamma, beta, mean, rng.uniform(0.5, 6, channels), epsilon=1e-3)
        functions = {
            0: lambda: add("Relu", x),
            1: lambda: add("LeakyRelu", x, alpha=0.25),
            2: lambda: add("PRelu", x, rng.uniform(0, 0.5, along[1:])),
            3: lambda: add("Mul", x, rng.uniform(-1, 1, along)),
            4: lambda: add("Sub", np.float32(rng.normal()), x),
            5: lambda: add("Mul", add("Tanh", x), np.float32(0.9)),
            6: lambda: add("HardSigmoid", x, alpha=0.25, beta=0.5),
        }
        return self.quantizer(functions.get(int(rng.integers(8)), lambda: x)(), channels, rank)

    def quantizer(self, x: str, channels: int, rank: int) -> str:
        rng, kind = self.rng, self.rng.integers(4)
        if kind == 0:
            return self.graph.add("BipolarQuant", x, np.float32(self.scale()))
        if kind == 1:
            rows = self.one_of(1, channels)
            thresholds = np.sort(rng.normal(0, 3, (rows, rng.integers(1, 6))), 1)
            given = {"out_scale": float(self.scale()), "out_bias": float(self.one_of(0.0, -1.0))}
            layout = "NCHW" if rank == 4 else "NC"
            return self.graph.add(
                "MultiThreshold", x, thresholds, out_dtype="INT8", data_layout=layout, **given
            )
        bits, signed = int(rng.integers(1, 6)), int(rng.integers(2))
        narrow = int(rng.integers(2)) if bits > 1 else 0
        zero = 0.0 if rng.integers(3) else 1.0
        mode = self.one_of(*ROUNDINGS)
        return self.graph.quant(x, self.scale(), zero, bits, signed=signed, narrow=narrow, rounding_mode=mode)

    def layer(self, x: str) -> str:
        """A pooling, a branch that is joined, or a convolution; the value itself if none fits."""
        channels, height, width = self.shape
        kind = self.rng.integers(6)
        if kind == 0 and min(height, width) >= 3:
            stride = int(self.rng.integers(1, 3))
            self.shape = (channels, (height - 2) // stride + 1, (width - 2) // stride + 1)
            return self.graph.add(
                self.one_of("MaxPool", "AveragePool"), x, kernel_shape=[2, 2], strides=[stride] * 2
            )
        if kind == 1:
            filters = int(self.rng.integers(1, 5))
            deeper = self.activation(
                self.graph.add("Conv", x, self.weights(filters, channels, 1, 1), *self.bias(filters)), filters
            )
            self.shape = (channels + filters, height, width)
            return self.graph.add("Concat", x, deeper, axis=1)
        if kind == 2:
            step = self.scale()
            y = self.graph.add(
                "Conv", x, self.weights(channels, channels, 3, 3), *self.bias(channels), pads=[1] * 4
            )
            branches = (self.graph.quant(v, step, 0, 4) for v in (x, y))
            return self.activation(self.graph.add("Add", *branches), channels)
        return self.convolution(x)

    def convolution(self, x: str) -> str:
        """A convolution with random windows, groups and bias; the value itself if no window fits."""
        rng, (channels, height, width) = self.rng, self.shape
        size, stride = rng.integers(1, 4, 2).tolist(), rng.integers(1, 3, 2).tolist()
        pads, dilation = rng.integers(0, 2, 4).tolist(), [int(self.one_of(1, 1, 2)), 1]
        spans = [
            n + pads[i] + pads[i + 2] - (size[i] - 1) * dilation[i] - 1 for i, n in enumerate((height, width))
        ]
        if min(spans) < 0:
            return x
        groups = channels if rng.integers(3) == 0 else 1
        filters = channels * int(self.one_of(1, 2)) if groups > 1 else int(rng.integers(1, 6))
        bias = self.bias(filters)
        kernel = self.weights(filters, channels // groups, *size)
        given = {"strides": stride, "pads": pads, "dilations": dilation, "group": groups}
        self.shape = (filters, spans[0] // stride[0] + 1, spans[1] // stride[1] + 1)
        return self.activation(self.graph.add("Conv", x, kernel, *bias, **given), filters)

    def head(self, x: str) -> str:
        """A vector in one of the ways in which files have it, and one or two products."""
        rng, add, features = self.rng, self.graph.add, int(np.prod(self.shape))
        kind = rng.integers(4)
        if kind == 0:
            x = add("Flatten", x)
        elif kind == 1:
            x = add("Reshape", add("Transpose", x, perm=[0, 2, 3, 1]), np.array([1, -1]))
        elif kind == 2:
            x, features = add("Flatten", add("GlobalAveragePool", x)), self.shape[0]
        else:
            x = add("Reshape", x, np.array([1, -1]))
        width = int(rng.integers(2, 6))
        kernel = self.weights(width, features)
        if rng.integers(2) or not self.exact:
            x = add("Gemm", x, kernel, rng.normal(0, 1, width), transB=1)
        else:
            x = add("MatMul", x, add("Transpose", kernel, perm=[1, 0]))
        if rng.integers(2):
            x = self.activation(x, width, 2)
            x = add("MatMul", x, add("Transpose", self.weights(3, width), perm=[1, 0]))
        return x


def drawn(seed: int) -> tuple[onnx.ModelProto, bnn2hw.Input]:
    """Return a random model, and what arrives on its wire, which the model itself states too."""
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 5)), int(rng.integers(5, 9)), int(rng.integers(5, 9))
    graph = Graph((1, *shape), opset=OPSETS[rng.integers(len(OPSETS))])
    drawing = Drawing(rng, bool(rng.integers(2)), graph, shape)
    bits = int(rng.integers(1, 9))
    signed = bits > 1 and bool(rng.integers(2))
    zero = 0 if rng.integers(3) else 1 if signed else int(rng.integers(0, 2**bits))
    scale = float(np.float32(drawing.scale()))
    x = graph.quant("x", scale, zero, bits, signed=int(signed))
    for _ in range(int(rng.integers(1, 4))):
        x = drawing.layer(x)
    wire = bnn2hw.Input(f"{'' if signed else 'u'}int{bits}", scale, -zero * scale)
    return graph.model(drawing.head(x)), wire
