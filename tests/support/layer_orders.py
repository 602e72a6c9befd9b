"""Random layers in any order, sensible or not: all that docs/coverage.md lists meets everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import FoldingError, InputError, UnsupportedError
from bnn2hw.estimate import cycles
from bnn2hw.ir import machine
from tests.support.random_networks import WIRES, Random

Step = Callable[[KerasTensor], KerasTensor]

SIZE = 400
"""Largest number of values on an edge: what is larger is pooled, or the step is drawn again."""


class LayerOrders(Random):
    """Draws chains of layers with branches. Only Keras itself rules out a step."""

    # ---- kinds of layers; each may fail for a shape, and is then drawn again

    def kernel_layer(self, x: KerasTensor) -> KerasTensor:
        common, filters = self.quantizers(first=self.chance(0.3)), self.between(1, 5)
        if self.chance(0.5):
            common["activation"] = self.pick("relu", "ste_sign", "tanh", "sigmoid", "softmax", None)
        rank = len(x.shape) - 1
        if rank == 1 or self.chance(0.2):
            return nn.layers.QuantDense(filters, **common)(x)
        size, pad = self.between(1, 3), {"padding": self.pick("valid", "same")}
        if rank == 2:
            return self.pick(nn.layers.QuantConv1D, nn.layers.QuantSeparableConv1D)(filters, size, **pad)(x)
        if rank == 4:
            return nn.layers.QuantConv3D(filters, size, **pad, **common)(x)
        return self.convolution(x, first=self.chance(0.3))

    def pooling_layer(self, x: KerasTensor) -> KerasTensor:
        rank = len(x.shape) - 2
        kind = self.pick("MaxPooling", "MaxPooling", "AveragePooling")
        size, pad = self.between(1, 3), self.pick("valid", "same")
        return getattr(layers, f"{kind}{rank}D")(size, strides=self.pick(None, 1, 2), padding=pad)(x)

    def global_pooling(self, x: KerasTensor) -> KerasTensor:
        rank, keep = len(x.shape) - 2, self.chance(0.4)
        return getattr(layers, f"Global{self.pick('Max', 'Average')}Pooling{rank}D")(keepdims=keep)(x)

    def single_values(self, x: KerasTensor) -> KerasTensor:
        names = ("relu", "relu6", "leaky_relu", "hard_sigmoid", "tanh", "sigmoid", "elu", "gelu", "softplus")
        kinds: tuple[Step, ...] = (
            layers.BatchNormalization(scale=self.chance(0.6), center=self.chance(0.7)),
            layers.BatchNormalization(axis=self.pick(-1, 1)),
            layers.Activation(self.pick(*names, "ste_sign", "exponential", "linear")),
            layers.ReLU(max_value=self.pick(None, 1.0), threshold=self.pick(0.0, 0.5)),
            layers.PReLU(shared_axes=self.pick(None, list(range(1, len(x.shape) - 1)) or None)),
            layers.Rescaling(self.pick(0.5, -2.0, 1 / 3), self.pick(0.0, 0.25)),
            layers.Softmax() if self.chance(0.2) else layers.LeakyReLU(0.25),
            layers.Dropout(0.2),
            self.activation_quantizer() or "ste_sign",
        )
        kind = self.pick(*kinds)
        return layers.Activation(kind)(x) if isinstance(kind, str) or not hasattr(kind, "name") else kind(x)

    def operators(self, x: KerasTensor) -> KerasTensor:
        ops = keras.ops
        vector = self.rng.normal(size=x.shape[-1]).astype("float32")
        return self.pick(
            lambda: x * 0.5,
            lambda: 1.0 - x,
            lambda: x + vector,
            lambda: x / 3,
            lambda: ops.maximum(x, 0.1),
            lambda: ops.sign(x),
            lambda: ops.square(x),
            lambda: -x,
            lambda: ops.clip(x, -1, 1),
        )()

    def shapes(self, x: KerasTensor) -> KerasTensor:
        sizes = list(x.shape[1:])
        total = int(np.prod(sizes))
        half = next((d for d in (2, 3, 5) if total % d == 0), 1)
        side = max(d for d in range(1, 9) if total % d == 0)
        target = self.pick((total,), (half, total // half), (total // half, half), (1, 1, total))
        rank = len(sizes) - 1
        return self.pick(
            layers.Flatten(),
            layers.Flatten(),
            layers.Reshape(target),
            layers.Reshape((side, total // side, 1)),
            layers.Reshape((*sizes, 1)),
            layers.Permute([1 + int(axis) for axis in self.rng.permutation(len(sizes))]),
            getattr(layers, f"ZeroPadding{max(rank, 1)}D")(1),
            getattr(layers, f"UpSampling{max(rank, 1)}D")(2),
        )(x)

    def joining(self, x: KerasTensor) -> KerasTensor:
        y = self.step(x)
        kind = self.pick("Add", "Subtract", "Average", "Multiply", "Concatenate", "Maximum", "Minimum")
        other = y if self.chance(0.7) else self.single_values(x)
        return getattr(layers, kind)()([x, other] if self.chance(0.5) else [other, x])

    # ---- networks

    def step(self, x: KerasTensor) -> KerasTensor:
        kinds = (self.kernel_layer, self.single_values, self.pooling_layer, self.shapes)
        while True:
            kind = self.pick(*kinds, *kinds, self.global_pooling, self.operators, self.joining)
            try:
                y = kind(x)
            except (ValueError, AttributeError, TypeError):  # Keras has no such layer for this shape
                continue
            if np.prod(y.shape[1:]) <= SIZE and None not in y.shape[1:] and 0 not in y.shape[1:]:
                return y

    def order(self) -> tuple[keras.Model, bnn2hw.Input]:
        """A network of one to eight steps, with random weights, and what arrives on its wire."""
        shape = self.pick((self.between(2, 9),), (6, 2), (5, 6, 2), (4, 4, 1), (3, 4, 4, 2))
        inputs = keras.Input(shape, name="image")
        x = inputs
        for _ in range(self.between(1, 8)):
            x = self.step(x)
        outputs = x if self.chance(0.85) else {"one": x, "two": self.step(x)}
        return self.finished(inputs, outputs), self.pick(*WIRES)

    def options(self, wire: bnn2hw.Input, shape: tuple[int, ...]) -> dict[str, object]:
        """Options of a compilation, half of the time with calibration data."""
        chosen: dict[str, object] = {"output": self.pick(None, None, "scores", "class", "top2")}
        if self.chance(0.5):
            chosen["calibration"] = self.frames(wire, shape, self.between(1, 40))
        if self.chance(0.3):
            chosen["bits"] = self.between(2, 32)
        return chosen

    def frames(self, wire: bnn2hw.Input, shape: tuple[int, ...], count: int) -> np.ndarray:
        return self.rng.choice(wire.ints.values(), (count, *shape))


# ---- answers

REFUSALS = (InputError, UnsupportedError, FoldingError)

FRAMES = cycles.STARTUP_FRAMES
"""Frames in which the pace of these small designs becomes steady; most need a few, some more than twenty."""

SIMULATED = 12
"""Frames that run in Verilator."""

STEPS = 200_000
"""Work up to which the first latency is also stepped in Python, in ops times cycles."""


@dataclass(frozen=True)
class Compiled:
    """A random order of layers that compiled, held against what is promised of it.

    Attributes:
        accelerator: The compiled network.
        x: Frames for its input.
        calibrated: Whether it had calibration data.
        beyond: Values that are farther from the model's than their derived bound.
        changed: Frames in which rounding changed a decision of a quantizer; bounds hold in the others.
        nearest: Largest error as a share of its bound, in the frames without a changed decision.
        interval: Cycles between frames: predicted, and of the compiled machines.
        latency: Cycles to the first output: predicted, and of the machines in Python; equal where these
            would take too long.
    """

    accelerator: bnn2hw.Accelerator
    x: np.ndarray
    calibrated: bool
    beyond: int
    changed: int
    nearest: float
    interval: tuple[int, int]
    latency: tuple[int, int]

    @property
    def as_promised(self) -> bool:
        """True if no value is beyond its bound, and the design is as fast as predicted."""
        return not self.beyond and self.interval[1] <= self.interval[0] and len(set(self.latency)) == 1


def compile_order(seed: int) -> Compiled | str:
    """Compile and run a random order of layers, or return the refusal."""
    draw = LayerOrders(seed)
    model, wire = draw.order()
    shape = model.inputs[0].shape[1:]
    options = draw.options(wire, shape)
    try:
        accelerator = bnn2hw.compile(model, input=wire, target="xc7z045", **options)
    except REFUSALS as error:
        return str(error)
    x = draw.frames(wire, shape, SIMULATED)
    accelerator.dequantize(accelerator.golden(x[:5]))
    calibrated = "calibration" in options
    others = list(accelerator.deviation(x[:5]))
    # Other frames may leave the calibrated ranges; then no bound holds.
    measured = (list(accelerator.measured.values()), [] if calibrated else others)
    edges = [edge for found in measured for edge in found]
    beyond = sum(edge.beyond for edge in edges)
    changed = sum(max((edge.changed for edge in found), default=0) for found in measured)
    nearest = max((edge.steady / edge.bound for edge in edges if edge.bound), default=0.0)
    return Compiled(accelerator, x, calibrated, beyond, changed, nearest, *_cycles(accelerator))


def simulated(found: Compiled) -> tuple[bool, bool, bool]:
    """Run a compiled network in Verilator.

    Returns:
        True if all streams equal golden, if frames leave at the predicted pace, and if the first latency is the
        predicted one.
    """
    run = found.accelerator.simulate(found.x)
    between = run.predicted.between(SIMULATED)
    paced = run.interval <= run.predicted.interval if between is None else run.intervals == between
    return run.exact, paced, run.latency == run.predicted.latency


def _cycles(accelerator: bnn2hw.Accelerator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return interval and latency, each as predicted and as stepped."""
    graph = accelerator.graph
    predicted = cycles.cycles(graph)
    interval = cycles.pace(graph, FRAMES).interval
    made, inputs = cycles.machines(graph)
    latency: int | None = predicted.latency
    if predicted.latency * len(made) <= STEPS:
        last = list(made).index(graph.wire(graph.outputs[0]))
        latency = machine.first_output(list(made.values()), inputs, last, 2 * predicted.latency + 1)
    return (predicted.interval, interval), (predicted.latency, latency or 0)
