r"""Quantized layers: Keras layers with a quantizer for the input and one for each kernel.

A layer computes \\( \sigma(f(q_{kernel}(w), q_{input}(x)) + b) \\), where f is its product or
convolution. It stores each kernel as real numbers, which training updates, and quantizes the kernel
in each forward pass. It does not quantize the bias or the activation. If all quantizers are None,
the layer equals the Keras layer that it extends.
"""

from __future__ import annotations

from bnn2hw.nn.convolutional import QuantConv1D, QuantConv2D, QuantConv3D
from bnn2hw.nn.dense import QuantDense
from bnn2hw.nn.encoders import Thermometer
from bnn2hw.nn.locally_connected import (
    LocallyConnected1D,
    LocallyConnected2D,
    QuantLocallyConnected1D,
    QuantLocallyConnected2D,
)
from bnn2hw.nn.separable import QuantDepthwiseConv2D, QuantSeparableConv1D, QuantSeparableConv2D
from bnn2hw.nn.sparse import GatheredDense, GroupSum, MaskedDense
from bnn2hw.nn.transposed import QuantConv2DTranspose, QuantConv3DTranspose

__all__ = [
    "GatheredDense",
    "GroupSum",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MaskedDense",
    "QuantConv1D",
    "QuantConv2D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantConv3DTranspose",
    "QuantDense",
    "QuantDepthwiseConv2D",
    "QuantLocallyConnected1D",
    "QuantLocallyConnected2D",
    "QuantSeparableConv1D",
    "QuantSeparableConv2D",
    "Thermometer",
]
