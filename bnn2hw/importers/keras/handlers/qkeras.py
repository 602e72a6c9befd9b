"""Layers of QKeras that have no counterpart in Keras: folded normalizations and quantized means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.importers.keras.calls import HANDLERS, Call, handles
from bnn2hw.importers.keras.functions import array
from bnn2hw.importers.keras.handlers.convolutions import convolved
from bnn2hw.importers.keras.handlers.depthwise import by_channel
from bnn2hw.importers.keras.handlers.windows import as_row
from bnn2hw.importers.keras.weights import activation, kernel


@handles("QConv2DBatchnorm")
def folded_convolution(call: Call) -> str:
    """Read a convolution whose kernel contains a normalization."""
    if not call.channels_last(call.layer.data_format):
        return call.edge
    return _finished(call, convolved(call, call.edge, kernel(call.layer, "folded_kernel")))


@handles("QDepthwiseConv2DBatchnorm")
def folded_depthwise(call: Call) -> str:
    """Read a convolution of each channel whose kernel contains a normalization."""
    return _finished(call, as_row(call, by_channel(call, call.name, call.edge, "folded_kernel")))


def _finished(call: Call, edge: str) -> str:
    """Append the bias, which contains a normalization, and the activation."""
    bias = kernel(call.layer, "folded_bias", "bias_quantizer")
    edge = call.pointwise(f"{call.name}.bias", lambda x: x + bias, edge, uniform=False)
    return activation(call, call.layer.activation, f"{call.name}.activation", edge)


@handles("QAveragePooling2D", "QGlobalAveragePooling2D")
def average(call: Call) -> str:
    """Read means whose factor is quantized."""
    plain = type(call.layer).__name__.removeprefix("Q")
    edge = HANDLERS[plain](replace(call, edges=(call.edge,)))
    factor = np.float32(array(call.layer.factor((None, *call.before))))
    if factor != 1:
        edge = call.pointwise(f"{call.name}.factor", lambda x: x * factor, edge, uniform=True)
    return activation(call, call.layer.activation, f"{call.name}.activation", edge)
