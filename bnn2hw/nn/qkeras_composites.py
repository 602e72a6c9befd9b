# mypy: allow-subclassing-any
"""Layers of QKeras that are several in one: separable, transposed, averaging, and with a folded normalization."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from bnn2hw.nn.qkeras_base import Description, Quantized


class _Separable(Quantized):
    """Mixin of separable convolutions."""

    quantizers = ("depthwise_quantizer", "pointwise_quantizer", "bias_quantizer")
    ignored = ("groups",)

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        x = inputs
        padding = self.padding
        if padding == "causal":
            x, padding = ops.pad(x, self._compute_causal_padding()), "valid"
        product = ops.separable_conv(
            x,
            self.weights_of("depthwise_kernel", "depthwise_quantizer"),
            self.weights_of("pointwise_kernel", "pointwise_quantizer"),
            strides=self.strides,
            padding=padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self.finish(product)


class QSeparableConv1D(_Separable, keras.layers.SeparableConv1D):
    """A separable convolution over one axis with quantized weights."""


class QSeparableConv2D(_Separable, keras.layers.SeparableConv2D):
    """A separable convolution over two axes with quantized weights."""


class QConv2DTranspose(Quantized, keras.layers.Conv2DTranspose):
    """A transposed convolution with quantized weights."""

    ignored = ("groups",)

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        product = ops.conv_transpose(
            inputs,
            self.weights_of("kernel", "kernel_quantizer"),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self.finish(product)


class _Averaging(Quantized):
    """Mixin of means: a sum times a quantized factor, if there is a quantizer for it."""

    quantizers = ("average_quantizer",)
    scaled = ()

    def factor(self, input_shape: Any) -> Any:
        """Return the number by which the quantized factor differs from the mean's.

        Args:
            input_shape: Shape of the input with its batch.
        """
        if self.average_quantizer is None:
            return 1.0
        area = float(self.area(input_shape))
        return area * self.average_quantizer(ops.convert_to_tensor(1.0 / area))

    def area(self, input_shape: Any) -> int:
        """Return the number of values of a mean."""
        size = self.pool_size
        return int(size * size) if isinstance(size, int) else math.prod(size)

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        mean = super().call(inputs) * self.factor(inputs.shape)
        return mean if self.activation is None else self.activation(mean)


class QAveragePooling2D(_Averaging, keras.layers.AveragePooling2D):
    """Means over windows."""


class QGlobalAveragePooling2D(_Averaging, keras.layers.GlobalAveragePooling2D):
    """Means over whole images."""

    def area(self, input_shape: Any) -> int:
        """Return the number of values of a mean."""
        first = self.data_format == "channels_first"
        return math.prod(input_shape[2:] if first else input_shape[1:3])


class _Folded(Quantized):
    """Mixin of convolutions whose kernel and bias contain a normalization of their output.

    Attributes:
        of_kernel: Name of the quantizer of the kernel.
    """

    of_kernel = "kernel_quantizer"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in ("ema_freeze_delay", "folding_mode"):
            kwargs.pop(name, None)
        names = ("axis", "momentum", "epsilon", "center", "scale")
        own = {name: kwargs.pop(name) for name in names if name in kwargs}
        super().__init__(*args, **kwargs)
        self.batchnorm = keras.layers.BatchNormalization(**own)
        self._given = own

    def get_config(self) -> Description:
        """Return the arguments of an equal layer."""
        return {**super().get_config(), **self._given}

    def build(self, input_shape: Any) -> None:
        """Make the weights, and the counter of steps that QKeras keeps among them."""
        super().build(input_shape)
        self.add_weight(name="iteration", shape=(), dtype="int64", trainable=False, initializer="zeros")
        self.batchnorm.build((None, 1, 1, self.channels()))

    def channels(self) -> int:
        """Return the number of channels of the output."""
        return int(self.filters)

    def factors(self) -> Any:
        """Return the factor of the normalization by channel."""
        inverse = ops.rsqrt(ops.convert_to_tensor(self.batchnorm.moving_variance) + self.batchnorm.epsilon)
        return inverse * self.batchnorm.gamma if self.batchnorm.scale else inverse

    @property
    def folded_kernel(self) -> Any:
        """The kernel with the normalization, in front of its quantizer."""
        return self.factors() * ops.convert_to_tensor(self.kernel)

    @property
    def folded_bias(self) -> Any:
        """The bias with the normalization, in front of its quantizer."""
        bias = (self.bias if self.use_bias else 0.0) - self.batchnorm.moving_mean
        return self.factors() * bias + (self.batchnorm.beta if self.batchnorm.center else 0.0)

    def call(self, inputs: Any) -> Any:
        """Compute the layer with the trained statistics."""
        y = self.product(inputs, self.weights_of("folded_kernel", self.of_kernel))
        y = y + self.weights_of("folded_bias", "bias_quantizer")
        return y if self.activation is None else self.activation(y)

    def product(self, x: Any, kernel: Any) -> Any:
        """Return the product of the input and the kernel."""
        return self.convolution_op(x, kernel)


class QConv2DBatchnorm(_Folded, keras.layers.Conv2D):
    """A convolution and a normalization."""


class QDepthwiseConv2DBatchnorm(_Folded, keras.layers.DepthwiseConv2D):
    """A convolution of each channel and a normalization."""

    quantizers = ("depthwise_quantizer", "bias_quantizer")
    of_kernel = "depthwise_quantizer"
    ignored = ("groups", "filters")

    def load_own_variables(self, store: Any) -> None:
        """Take the weights from an archive, which holds the counter of steps twice."""
        super().load_own_variables({n: store[n] for n in store.keys() if n != "iteration"})  # noqa: SIM118

    def channels(self) -> int:
        """Return the number of channels of the output."""
        return math.prod(self.kernel.shape[2:])

    @property
    def folded_kernel(self) -> Any:
        """The kernel with the normalization, in front of its quantizer."""
        return ops.reshape(self.factors(), self.kernel.shape[2:]) * ops.convert_to_tensor(self.kernel)

    def product(self, x: Any, kernel: Any) -> Any:
        """Return the product of the input and the kernel."""
        return ops.depthwise_conv(
            x,
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )


LAYERS = (
    *(QSeparableConv1D, QSeparableConv2D, QConv2DTranspose, QAveragePooling2D, QGlobalAveragePooling2D),
    *(QConv2DBatchnorm, QDepthwiseConv2DBatchnorm),
)
"""The layers of this file."""
