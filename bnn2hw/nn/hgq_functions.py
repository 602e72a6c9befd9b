# mypy: allow-subclassing-any
"""Layers of HGQ2 without kernels: poolings, sums, joins and functions of single values."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from bnn2hw.nn.hgq_layers import Quantized
from bnn2hw.nn.hgq_quantizers import Description, Quantizer, described


class _Pooling(Quantized):
    """Mixin of poolings."""

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return self.quantized("oq", super().call(self.quantized("iq", inputs)))


def _pooling(name: str) -> type:
    """The class of a pooling."""
    return type(f"Q{name}", (_Pooling, getattr(keras.layers, name)), {"handler": f"hgq>{name}"})


POOLINGS = [
    _pooling(f"{scope}{kind}Pooling{rank}D")
    for scope in ("", "Global")
    for kind in ("Average", "Max")
    for rank in (1, 2, 3)
]


class QSum(Quantized):
    """The sum over some axes, times a power of two."""

    handler = "hgq>Sum"

    def __init__(self, axes: Any = -1, scale: float = 1.0, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = (axes,) if isinstance(axes, int) else tuple(axes)
        self.scale, self.keepdims = scale, keepdims
        self._given |= {"axes": self.axes, "scale": scale, "keepdims": keepdims}

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        x = self.quantized("iq", inputs)
        total = ops.sum(x, axis=self.axes, keepdims=self.keepdims) * self.factor(x.shape)
        return self.quantized("oq", total)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the sums."""
        gone = [axis % len(input_shape) for axis in self.axes]
        sizes = [(1 if axis in gone else n) for axis, n in enumerate(input_shape)]
        return tuple(n for axis, n in enumerate(sizes) if self.keepdims or axis not in gone)

    def factor(self, shape: Any) -> float:
        """Return the power of two by which the sum is multiplied."""
        return float(self.scale)


class QMeanPow2(QSum):
    """The mean over some axes, with a power of two in place of their number."""

    def get_config(self) -> Description:
        """Return the arguments of an equal layer."""
        return {n: v for n, v in super().get_config().items() if n != "scale"}

    def factor(self, shape: Any) -> float:
        """Return the power of two by which the sum is multiplied."""
        return float(2.0 ** -round(math.log2(math.prod(shape[axis] for axis in self.axes))))


class _Several(keras.layers.Layer):
    """The quantizers of several inputs."""

    def __init__(self, confs: list[Description]) -> None:
        super().__init__()
        self.quantizers = tuple(Quantizer(conf) for conf in confs)

    def build(self, shapes: Any) -> None:
        """Make the bits."""
        for quantizer, shape in zip(self.quantizers, shapes, strict=True):
            quantizer.build(tuple(shape))
        self.built = True

    def call(self, x: Any) -> Any:
        """Quantize each input."""
        return [quantizer(v) for quantizer, v in zip(self.quantizers, x, strict=True)]


class _Join(Quantized):
    """Mixin of layers with several inputs."""

    def build(self, input_shape: Any) -> None:
        """Make the quantizers."""
        shapes = [tuple(shape) for shape in input_shape]
        super().build(shapes)
        if self._confs is not None:
            confs = self._confs if isinstance(self._confs, list | tuple) else [self._confs] * len(shapes)
            self.iq = _Several([dict(conf) for conf in confs])
            self.iq.build(shapes)

    def get_config(self) -> Description:
        """Return the arguments of an equal layer."""
        inputs = {} if self._confs is None else {"iq_confs": described(self._confs), "enable_iq": True}
        return {**super().get_config(), **inputs}

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return self.quantized("oq", super().call(self.quantized("iq", inputs)))


def _join(name: str) -> type:
    """The class of a join."""
    return type(f"Q{name}", (_Join, getattr(keras.layers, name)), {"handler": f"hgq>{name}"})


JOINS = [_join(name) for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")]


class QAveragePow2(_Join, keras.layers.Add):
    """The mean of its inputs, with a power of two in place of their number."""

    handler = "hgq>AveragePow2"

    def build(self, input_shape: Any) -> None:
        """Make the quantizers."""
        self.factor = 2.0 ** -round(math.log2(len(input_shape)))
        super().build(input_shape)

    def _merge_function(self, inputs: Any) -> Any:
        return super()._merge_function(inputs) * self.factor


class QUnaryFunctionLUT(Quantized, keras.layers.Activation):
    """A function of single values."""

    handler = "hgq>Function"

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return self.quantized("oq", self.function(self.quantized("iq", inputs)))

    def function(self, x: Any) -> Any:
        """Return the function of some values."""
        return self.activation(x)


class QAffinedUnaryFunctionLUT(QUnaryFunctionLUT):
    """A function of single values with a trained factor and summand in front."""

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.scale = self.add_weight(name="scale", shape=(1,), initializer="ones")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")
        super().build(input_shape)

    def function(self, x: Any) -> Any:
        """Return the function of some values."""
        return self.activation(x * self.scale + self.bias)
