"""Rows of docs/coverage.md: layers of QKeras, as files describe them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bnn2hw.nn.qkeras_layers import LAYERS
from tests.importers.case import IMAGE, PIXELS, ROW, Case, alone

KERNELS = (
    *("binary(alpha=1)", "binary(alpha='auto')", "ternary(alpha=1)", "ternary(alpha='auto_po2')"),
    *("stochastic_binary(alpha=1)", "stochastic_ternary(alpha=1)", "quantized_bits(4,0,alpha=1)"),
    *("quantized_bits(4,0)", "quantized_bits(4,0,alpha='auto')", "quantized_linear(4,0)", "quantized_po2(4)"),
)
"""Quantizers of kernels. Without an alpha it is found by least squares."""

VALUES = (
    *("binary(alpha=1)", "ternary(alpha=1)", "quantized_bits(4,1,alpha=1)", "quantized_relu(4,2)"),
    *("quantized_relu(4,1,negative_slope=0.25)", "quantized_tanh(4)", "quantized_sigmoid(4)"),
    *("quantized_po2(4)", "quantized_relu_po2(4)", "quantized_linear(4,1)", "hard_tanh"),
)
"""Quantizers of activations."""


def layer(kind: str, name: str = "it", **config: Any) -> Any:
    """Return a layer of QKeras as it is read from a file."""
    return LAYERS[kind].from_config({"name": name, **config})


def qkeras_layers() -> Iterator[Case]:
    at, bits = "Layers of QKeras, from files", "quantized_bits(4,0,alpha=1)"
    for text in KERNELS:
        option = f"kernel_quantizer={text}"
        yield alone(at, (6,), layer("QDense", units=3, kernel_quantizer=text, use_bias=False), option)
    kernel = {"kernel_quantizer": bits, "bias_quantizer": bits, "kernel_size": 2, "filters": 4}
    yield alone(at, ROW, layer("QConv1D", **kernel), "padding='valid'")
    yield alone(at, IMAGE, layer("QConv2D", **kernel), "padding='valid'")
    yield alone(at, IMAGE, layer("QConv2D", padding="same", **kernel), "padding='same'")
    relu = "quantized_relu(4,2)"
    yield alone(at, IMAGE, layer("QConv2D", activation=relu, **kernel), "activation='quantized_relu(4,2)'")
    depthwise = {"depthwise_quantizer": bits, "bias_quantizer": bits, "kernel_size": 2}
    yield alone(at, IMAGE, layer("QDepthwiseConv2D", **depthwise), "padding='valid'")
    for kind in ("QConv2DBatchnorm", "QConv2DTranspose"):
        yield alone(at, IMAGE, layer(kind, **kernel), "padding='valid'")
    yield alone(at, IMAGE, layer("QDepthwiseConv2DBatchnorm", **depthwise), "padding='valid'")
    both = {**depthwise, "pointwise_quantizer": bits, "filters": 4}
    yield alone(at, ROW, layer("QSeparableConv1D", **both), "padding='valid'")
    yield alone(at, IMAGE, layer("QSeparableConv2D", **both), "padding='valid'")
    for kind, size in (("QAveragePooling2D", {"pool_size": 2}), ("QGlobalAveragePooling2D", {})):
        yield alone(
            at, IMAGE, layer(kind, average_quantizer="quantized_bits(8,0)", **size), "average_quantizer"
        )
    for text in VALUES:
        yield alone(at, (6,), layer("QActivation", activation=text), f"activation='{text}'", input=PIXELS)
    norm = {f"{n}_quantizer": "quantized_po2(5)" for n in ("beta", "mean")}
    norm |= {f"{n}_quantizer": "quantized_relu_po2(6)" for n in ("gamma", "variance")}
    yield alone(at, IMAGE, layer("QBatchNormalization", **norm), "powers of two")
