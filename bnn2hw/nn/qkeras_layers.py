# mypy: allow-subclassing-any
"""Layers of QKeras as they compute at inference, and their reading from a file's description.

A file holds latent weights. A layer quantizes them in each call, as QKeras does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import qkeras_composites, qkeras_objects
from bnn2hw.nn.qkeras_base import Description, Quantized

INSTEAD = {
    "QDenseBatchnorm": "QDense and BatchNormalization",
    "QMobileNetSeparableConv2D": "QDepthwiseConv2D and a QConv2D of 1x1",
    "QSeparableConv2DTranspose": "UpSampling2D and QConv2D",
    "QDepthwiseConv2DTranspose": "UpSampling2D and QDepthwiseConv2D",
    "QAdaptiveActivation": "QActivation with the bits that were found",
    "QOctaveConv2D": "QConv2D",
    "QScaleShift": "QBatchNormalization",
    "QSimpleRNN": "layers without state",
    "QLSTM": "layers without state",
    "QGRU": "layers without state",
    "QBidirectional": "layers without state",
}
"""Layers of QKeras that are refused, with what to use."""


class QDense(Quantized, keras.layers.Dense):
    """A dense layer with quantized weights."""

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return self.finish(ops.matmul(inputs, self.weights_of("kernel", "kernel_quantizer")))


class _Convolution(Quantized):
    """Mixin of convolutions."""

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return self.finish(self.convolution_op(inputs, self.weights_of("kernel", "kernel_quantizer")))


class QConv1D(_Convolution, keras.layers.Conv1D):
    """A convolution over one axis with quantized weights."""


class QConv2D(_Convolution, keras.layers.Conv2D):
    """A convolution over two axes with quantized weights."""


class QDepthwiseConv2D(Quantized, keras.layers.DepthwiseConv2D):
    """A convolution of each channel with quantized weights."""

    quantizers = ("depthwise_quantizer", "bias_quantizer")
    ignored = ("groups", "filters")

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        product = ops.depthwise_conv(
            inputs,
            self.weights_of("kernel", "depthwise_quantizer"),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self.finish(product)


class QActivation(Quantized):
    """A quantizer of values, as a layer."""

    quantizers = ()

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        return inputs if self.activation is None else self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape


class QBatchNormalization(Quantized, keras.layers.BatchNormalization):
    """A normalization with quantized parameters and statistics."""

    quantizers = (
        *("gamma_quantizer", "beta_quantizer", "mean_quantizer", "variance_quantizer"),
        "inverse_quantizer",
    )
    scaled = ("gamma_quantizer", "variance_quantizer")

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Compute the layer with the trained statistics."""
        mean = self.weights_of("moving_mean", "mean_quantizer")
        variance = self.weights_of("moving_variance", "variance_quantizer")
        factor = 1 / ops.sqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.weights_of("gamma", "gamma_quantizer")
        if self.inverse_quantizer is not None:
            factor = self.inverse_quantizer(factor)
        offset = -mean * factor
        if self.center:
            offset = self.weights_of("beta", "beta_quantizer") - mean * factor
        shape = [1] * len(inputs.shape)
        axis = self.axis if isinstance(self.axis, int) else self.axis[0]
        shape[axis] = -1
        return inputs * ops.reshape(factor, shape) + ops.reshape(offset, shape)


LAYERS: dict[str, type[keras.layers.Layer]] = {
    cls.__name__: cls
    for cls in (
        *(QDense, QConv1D, QConv2D, QDepthwiseConv2D, QActivation, QBatchNormalization),
        *qkeras_composites.LAYERS,
    )
}


def refusal(name: str, config: Any) -> str | None:
    """Return why a layer of QKeras can't be read; None for one that can, and for one of others."""
    if name not in INSTEAD:
        return None
    own = config.get("name", name) if isinstance(config, dict) else name
    return f"layer '{own}' is a {name} of QKeras, which is not supported; use {INSTEAD[name]}"


def _refused(name: str) -> type:
    """A class that says why no layer of it is made."""

    def from_config(cls: type, config: Description) -> Any:
        raise ValueError(refusal(name, config))

    return type(name, (), {"from_config": classmethod(from_config)})


def _kept(name: str) -> type:
    """A class of which a description remains one: the layer around it reads it and names itself if it can't."""

    def from_config(cls: type, config: Description) -> Description:
        return {"class_name": name, "config": config}

    return type(name, (), {"from_config": classmethod(from_config)})


def problem(kind: str, config: Description) -> str | None:
    """Return why a layer can't be read; None if it can, or if it is none of QKeras."""
    if kind not in LAYERS:
        return refusal(kind, config)
    try:
        LAYERS[kind].from_config(config)
    except ValueError as error:
        return str(error)
    return None


def objects() -> Mapping[str, Any]:
    """Return the classes by the names in files of QKeras on Keras 3.

    Names without the package's prefix count unless something else is registered by them.
    """
    classes = {**LAYERS, **{name: _refused(name) for name in INSTEAD}}
    plain = {n: c for n, c in classes.items() if keras.saving.get_registered_object(n) is None}
    parts = (*qkeras_objects.KINDS, *qkeras_objects.REFUSED, "Clip", "QInitializer")
    own = {**classes, **{name: _kept(name) for name in parts}}
    return {**plain, **{f"qkeras>{name}": cls for name, cls in own.items()}}


@contextmanager
def registered(others: Mapping[str, Any]) -> Iterator[None]:
    """Register the classes with Keras for a while. A scope of Keras would hide the objects of the user's.

    Args:
        others: More classes by name.
    """
    known = keras.saving.get_custom_objects()
    before = dict(known)
    known.update({**objects(), **others})
    try:
        yield
    finally:
        known.clear()
        known.update(before)
