"""Random small networks over everything that compiles: branches, precisions, paddings, poolings, quantizers."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import KerasTensor, layers

import bnn2hw
from bnn2hw import nn
from tests.support import networks as net

WIRES = (
    bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0),
    bnn2hw.Input("uint8", scale=1 / 255),
    bnn2hw.Input("int4"),
    bnn2hw.Input("bipolar"),
    bnn2hw.Input("bit"),
)


@keras.saving.register_keras_serializable("tests")
def sign_with_zero(x):
    return keras.ops.sign(x)


@keras.saving.register_keras_serializable("tests")
def hat(x):
    """Neither rising nor falling."""
    return keras.ops.cast(keras.ops.abs(x) < 0.7, "float32") * 2 - 1


class Random:
    """Draws networks; every choice comes from one generator."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    # ---- quantizers

    def activation_quantizer(self):
        q = nn.quantizers
        return self.pick(
            "ste_sign",
            "ste_sign",
            "approx_sign",
            "swish_sign",
            "ste_heaviside",
            q.SteTern(threshold_value=0.3),
            q.DoReFa(self.between(1, 8)),
            sign_with_zero,
            hat,
            None,
        )

    def kernel_quantizer(self):
        q = nn.quantizers
        return self.pick(
            "ste_sign",
            "ste_sign",
            q.SteTern(threshold_value=0.3),
            q.SteTern(ternary_weight_networks=True),
            q.MagnitudeAwareSign(),
            q.DoReFa(self.between(2, 8), mode="weights"),
            "ste_heaviside",
            None,
        )

    def quantizers(self, first: bool) -> dict[str, object]:
        return {
            "input_quantizer": None if first else self.activation_quantizer(),
            "kernel_quantizer": self.kernel_quantizer(),
            "use_bias": self.chance(0.3),
        }

    def padding(self) -> dict[str, object]:
        if self.chance(0.5):
            return {}
        return {"padding": "same", "pad_values": self.pick(0.0, 0.0, 1.0, -1.0)}

    # ---- layers that change the shape

    def convolution(
        self, x: KerasTensor, first: bool = False, channels: int | None = None, keep: bool = False
    ):
        """A convolution of any kind; `keep` asks for the same height and width."""
        height, width, before = x.shape[1:]
        size = (self.between(1, min(3, height)), self.between(1, min(3, width)))
        padding = {"padding": "same", "pad_values": self.pick(0.0, 1.0)} if keep else self.padding()
        stride: object = 1 if keep else self.pick(1, 1, 2, (1, 2))
        kind = (
            "conv"
            if keep
            else self.pick("conv", "conv", "dilated", "groups", "depthwise", "separable", "transposed")
        )
        filters = channels or self.between(1, 6)
        common = self.quantizers(first)
        if kind == "dilated" and min(height, width) > 4:
            return nn.layers.QuantConv2D(filters, 2, dilation_rate=2, **padding, **common)(x)
        if kind == "groups" and before > 1:
            return nn.layers.QuantConv2D(
                before * self.between(1, 2), size, groups=before, **padding, **common
            )(x)
        if kind in ("depthwise", "separable"):
            common["depthwise_quantizer"] = common.pop("kernel_quantizer")
            stride = self.pick(1, 2)
        if kind == "depthwise":
            multiplier = self.pick(1, 1, 2)
            return nn.layers.QuantDepthwiseConv2D(
                size, strides=stride, depth_multiplier=multiplier, **padding, **common
            )(x)
        if kind == "separable":
            return nn.layers.QuantSeparableConv2D(
                filters,
                size,
                strides=stride,
                pointwise_quantizer=self.kernel_quantizer(),
                **padding,
                **common,
            )(x)
        if kind == "transposed" and height * width < 40:
            return nn.layers.QuantConv2DTranspose(
                filters, size, strides=self.pick(1, 2), padding=self.pick("valid", "same"), **common
            )(x)
        return nn.layers.QuantConv2D(filters, size, strides=stride, **padding, **common)(x)

    def pooling(self, x: KerasTensor):
        height, width = x.shape[1:3]
        size = (self.between(1, min(3, height)), self.between(1, min(3, width)))
        stride = self.pick(None, 1, 2)
        if self.chance(0.7):
            return layers.MaxPooling2D(size, strides=stride, padding=self.pick("valid", "same"))(x)
        return layers.AveragePooling2D(size, strides=stride)(x)

    def around(self, x: KerasTensor):
        """Layers of single values."""
        inner = list(range(1, len(x.shape) - 1))
        for _ in range(self.between(0, 3)):
            x = self.pick(
                lambda: net.norm(scale=self.chance(0.6), center=self.chance(0.7)),
                lambda: net.norm(scale=self.chance(0.6), center=self.chance(0.7)),
                lambda: layers.ReLU(max_value=self.pick(None, 6.0), negative_slope=self.pick(0.0, 0.1)),
                lambda: layers.PReLU(shared_axes=inner or None),
                lambda: layers.Activation(self.pick("hard_tanh", "leaky_tanh", "tanh", "relu6", "sigmoid")),
                lambda: layers.Dropout(0.3),
            )()(x)
        return x

    # ---- branches

    def branches(self, x: KerasTensor):
        channels = x.shape[-1]
        kind = self.pick("add", "concatenate", "gate", "subtract", "average", "dense")
        if kind == "gate":
            pool = self.pick(layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
            gate = pool()(x)
            gate = layers.Dense(channels, activation=self.pick("sigmoid", "relu", None))(gate)
            return layers.Multiply()([x, layers.Reshape((1, 1, channels))(gate)])
        if kind in ("concatenate", "dense"):
            y = self.around(self.convolution(x, keep=True))
            return layers.Concatenate()([x, y] if kind == "dense" else [y, x, y])
        y = self.around(self.convolution(x, channels=channels, keep=True))
        join = {"add": layers.Add, "subtract": layers.Subtract, "average": layers.Average}[kind]
        return join()([x, y] if self.chance(0.5) else [y, x])

    # ---- networks

    def image_network(self) -> tuple[keras.Model, bnn2hw.Input]:
        wire = self.pick(*WIRES)
        inputs = keras.Input((self.between(4, 9), self.between(4, 9), self.between(1, 3)), name="image")
        x = self.around(self.convolution(inputs, first=True))
        for _ in range(self.between(1, 3)):
            step: Callable = self.pick(self.convolution, self.pooling, self.branches, self.branches)
            x = self.around(step(x))
            if np.prod(x.shape[1:3]) > 200:
                x = layers.AveragePooling2D(2)(x)
        end = self.pick("flatten", "flatten", "average", "maximum", "map")
        if end == "map":
            return self.finished(inputs, x), wire
        pools = {"average": layers.GlobalAveragePooling2D, "maximum": layers.GlobalMaxPooling2D}
        x = pools.get(end, layers.Flatten)()(x)
        return self.finished(inputs, self.vectors(x)), wire

    def row_network(self) -> tuple[keras.Model, bnn2hw.Input]:
        wire = self.pick(*WIRES)
        inputs = keras.Input((self.between(6, 12), self.between(1, 4)), name="image")
        x = inputs
        for i in range(self.between(1, 3)):
            pad = self.pick("valid", "same", "causal")
            size = self.between(1, min(3, x.shape[1]))
            stride = {"strides": self.pick(1, 2)} if self.chance(0.5) else {"dilation_rate": self.pick(1, 2)}
            if pad == "valid" and stride.get("dilation_rate", 1) * (size - 1) + 1 > x.shape[1]:
                pad = "same"
            x = nn.layers.QuantConv1D(
                self.between(1, 6), size, padding=pad, **stride, **self.quantizers(not i)
            )(x)
            x = self.around(x)
            if x.shape[1] > 2 and self.chance(0.5):
                x = self.pick(layers.MaxPooling1D, layers.AveragePooling1D)(2)(x)
        x = self.pick(layers.Flatten, layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D)()(x)
        return self.finished(inputs, self.vectors(x)), wire

    def vector_network(self) -> tuple[keras.Model, bnn2hw.Input]:
        wire = self.pick(*WIRES)
        inputs = keras.Input((self.between(3, 20),), name="image")
        x = self.around(nn.layers.QuantDense(self.between(2, 9), **self.quantizers(True))(inputs))
        for _ in range(self.between(0, 2)):
            y = nn.layers.QuantDense(x.shape[-1], **self.quantizers(False))(x)
            join = self.pick(layers.Add, layers.Multiply, layers.Concatenate, layers.Subtract)
            x = self.around(join()([x, self.around(y)]))
        return self.finished(inputs, self.vectors(x)), wire

    def vectors(self, x: KerasTensor) -> KerasTensor:
        for _ in range(self.between(1, 2)):
            x = self.around(nn.layers.QuantDense(self.between(1, 8), **self.quantizers(False))(x))
        return layers.Softmax()(x) if self.chance(0.3) and x.shape[-1] > 1 else x

    def finished(self, inputs: KerasTensor, outputs: KerasTensor) -> keras.Model:
        return net.shake(keras.Model(inputs, outputs), seed=self.between(0, 2**31 - 1))

    def network(self) -> tuple[keras.Model, bnn2hw.Input]:
        return self.pick(self.image_network, self.image_network, self.row_network, self.vector_network)()
