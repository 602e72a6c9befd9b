"""Random weights, functions and quantizers of QONNX graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.support.onnx_graphs import Graph

ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "half_even")


@dataclass
class Drawing:
    """A graph that is being drawn.

    Attributes:
        rng: Where all choices come from.
        exact: True if all scales are powers of two, so that float32 does not round sums.
        graph: The graph.
        shape: Channels, rows and columns of the last value.
        step: Step of the last value if one quantizer of integers made it, else 0.
    """

    rng: np.random.Generator
    exact: bool
    graph: Graph
    shape: tuple[int, int, int]
    step: float = 0.0

    def one_of(self, *choices: object) -> object:
        return choices[self.rng.integers(len(choices))]

    def scale(self, shape: tuple[int, ...] = ()) -> np.ndarray:
        if self.exact:
            return 2.0 ** -self.rng.integers(0, 5, shape)
        return self.rng.uniform(0.05, 0.9, shape)

    def weights(self, *shape: int, outputs: int = 0) -> str:
        """A quantized kernel, with one scale or one per output, which an axis counts."""
        latent = self.rng.normal(0, 1, shape).astype(np.float32)
        kind = self.rng.integers(6)
        if kind < 2 or (kind == 2 and self.graph.opset < 10):
            return self.graph.add("BipolarQuant", latent, np.float32(self.scale()))
        rows = tuple(n if i == outputs else 1 for i, n in enumerate(shape))
        scale = self.scale(rows) if self.rng.integers(2) else self.scale()
        if kind == 2:
            return self._integers(latent, scale, outputs)
        narrow = int(self.rng.integers(2))
        return self.graph.quant(latent, scale, 0, int(self.rng.integers(2, 6)), narrow=narrow)

    def _integers(self, latent: np.ndarray, scale: np.ndarray, axis: int) -> str:
        """A kernel of 8 bits behind DequantizeLinear. Versions before 13 have one scale only."""
        by_output = self.graph.opset >= 13 and np.ndim(scale)
        scale = scale.ravel() if by_output else np.float32(np.ravel(scale)[0])
        kernel = self.graph.constant(np.clip(np.rint(latent * 8), -127, 127), np.int8)
        zero = self.graph.constant(np.zeros_like(scale), np.int8)
        given = {"axis": axis} if by_output else {}
        return self.graph.add("DequantizeLinear", kernel, scale, zero, **given)

    def bias(self, count: int) -> list[np.ndarray]:
        """A bias, or none. Without one, float32 decides the signs of sums of rounded scales that are 0."""
        return [self.rng.normal(0, 1, count)] if self.rng.integers(2) or not self.exact else []

    def activation(self, x: str, channels: int, rank: int = 4) -> str:
        """A normalization, perhaps, a function, perhaps, and a quantizer."""
        rng, add = self.rng, self.graph.add
        if rng.integers(2):
            gamma, beta, mean = (
                rng.uniform(-1, 1, channels),
                rng.normal(0, 0.5, channels),
                rng.normal(0, 2, channels),
            )
            x = add("BatchNormalization", x, gamma, beta, mean, rng.uniform(0.5, 6, channels), epsilon=1e-3)
        functions = self.functions(x, (1, channels, *(1,) * (rank - 2)))
        x = self.one_of(lambda: x, *functions)()
        return self.quantizer(x, channels, rank)

    def functions(self, x: str, along: tuple[int, ...]) -> list[Callable[[], str]]:
        """Functions of single values that the version of the graph has."""
        rng, add, opset = self.rng, self.graph.add, self.graph.opset
        one = np.float32(rng.normal())
        found = [
            *(
                lambda k=kind: add(k, x)
                for kind in ("Relu", "Sigmoid", "Softsign", "Abs", "Neg", "Sign", "Selu")
            ),
            lambda: add("LeakyRelu", x, alpha=0.25),
            lambda: add("Elu", x, alpha=0.5),
            lambda: add("ThresholdedRelu", x, alpha=0.75) if opset >= 10 else x,
            lambda: add("PRelu", x, rng.uniform(0, 0.5, along[1:])),
            lambda: add("Mul", x, rng.uniform(-1, 1, along)),
            lambda: add("Div", x, rng.uniform(0.5, 2, along)),
            lambda: add("Sub", one, x),
            lambda: add("Add", add("Identity", x), rng.normal(0, 1, along)),
            lambda: add("Mul", add("Tanh", x), np.float32(0.9)),
            lambda: add("HardSigmoid", x, alpha=0.25, beta=0.5),
            lambda: (
                add("Clip", x, np.float32(-1.5), np.float32(2))
                if opset >= 11
                else add("Clip", x, min=-1.5, max=2.0)
            ),
            lambda: add("Max", x, one) if opset >= 12 else add("Dropout", x),
        ]
        return [*found, lambda: add("HardSwish", x)] if opset >= 14 else found

    def quantizer(self, x: str, channels: int, rank: int) -> str:
        rng, kind = self.rng, self.rng.integers(6)
        self.step = 0.0
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
        if kind == 2 and self.graph.opset >= 10:
            return self._linear(x)
        bits, signed = int(rng.integers(1, 6)), int(rng.integers(2))
        narrow = int(rng.integers(2)) if bits > 1 else 0
        zero = 0.0 if rng.integers(3) else 1.0
        mode = self.one_of(*ROUNDINGS)
        by_channel = not rng.integers(4)
        scale = self.scale((1, channels, *(1,) * (rank - 2)) if by_channel else ())
        self.step = 0.0 if by_channel or zero or bits == 1 else float(np.float32(scale))
        kind = self.one_of("Quant", "Quant", "IntQuant")
        numbers = (np.asarray(n, np.float32) for n in (scale, zero, bits))
        return self.graph.add(kind, x, *numbers, signed=signed, narrow=narrow, rounding_mode=mode)

    def _linear(self, x: str) -> str:
        """QuantizeLinear and DequantizeLinear."""
        scale, kind = np.float32(self.scale()), self.one_of(np.int8, np.uint8)
        zero = self.graph.constant(int(self.rng.integers(0, 100)), kind)
        return self.graph.add(
            "DequantizeLinear", self.graph.add("QuantizeLinear", x, scale, zero), scale, zero
        )
