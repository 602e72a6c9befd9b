"""Models of QKeras and HGQ2 in memory compile, and compute what the packages compute.

Needs the packages themselves, of which one wants another TensorFlow: `make test-qkeras`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import bnn2hw

STEP = 1 / 16


def agree(model: Any, *, exact: bool = True) -> None:
    """Compare an accelerator with its model on random frames."""
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("int8", scale=STEP))
    frames = np.random.default_rng(0).integers(-128, 128, (32, *model.input_shape[1:]))

    scores = accelerator.dequantize(accelerator.golden(frames))

    expected = model.predict(frames.astype(np.float32) * STEP, verbose=0)
    assert np.array_equal(scores, expected) if exact else np.allclose(scores, expected, 1e-5, 1e-5)


def shake(model: Any) -> Any:
    """Give the weights random values."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if any(part in weight.path for part in ("quantizer", "iteration", "ebops", "qnoise")):
            continue
        low = 0.5 if "variance" in weight.path else -1.0
        weight.assign(rng.uniform(low, 1.5, weight.shape))
    return model


KERNELS = [
    *(f"quantized_bits(4,0,alpha={alpha})" for alpha in ("None", "1", "'auto'", "'auto_po2'")),
    *(f"{kind}(alpha={alpha})" for kind in ("binary", "ternary") for alpha in ("1", "'auto'", "'auto_po2'")),
    *("stochastic_ternary(alpha=1)", "quantized_linear(4,0)", "quantized_po2(4)"),
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_dense_layers_of_qkeras(kernel: str) -> None:
    pytest.importorskip("qkeras.quantizers")
    import qkeras

    inputs = keras.Input((6,))
    hidden = qkeras.QDense(5, kernel_quantizer=kernel, bias_quantizer="quantized_bits(4,1)", name="a")(inputs)
    hidden = qkeras.QActivation("quantized_relu(4,2)", name="b")(hidden)
    outputs = qkeras.QDense(3, kernel_quantizer="quantized_bits(4,0,alpha=1)", use_bias=False, name="c")(
        hidden
    )

    agree(shake(keras.Model(inputs, outputs)), exact=False)


def test_convolutions_of_qkeras() -> None:
    pytest.importorskip("qkeras.quantizers")
    import qkeras

    bits, relu = "quantized_bits(4,0,alpha=1)", "quantized_relu(4,2)"
    both = {"kernel_quantizer": bits, "bias_quantizer": bits}
    inputs = keras.Input((8, 8, 3))
    x = qkeras.QConv2DBatchnorm(4, 3, activation=relu, name="a", **both)(inputs)
    x = qkeras.QDepthwiseConv2D(2, depthwise_quantizer=bits, activation=relu, name="b")(x)
    x = qkeras.QAveragePooling2D(2, average_quantizer="quantized_bits(8,0)", activation=relu, name="d")(x)
    outputs = qkeras.QDense(3, name="c", **both)(keras.layers.Flatten(name="f")(x))

    agree(shake(keras.Model(inputs, outputs)))


@pytest.mark.parametrize("overflow", ["WRAP", "SAT", "SAT_SYM"])
def test_models_of_hgq2(overflow: str) -> None:
    pytest.importorskip("hgq")
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QAdd, QBatchNormDense, QDense

    with QuantizerConfigScope(place="datalane", overflow_mode=overflow):
        inputs = keras.Input((6,))
        hidden = QDense(5, activation="relu", name="a")(inputs)
        other = QBatchNormDense(5, name="b")(inputs)
        outputs = QDense(3, name="c")(QAdd(name="d")([hidden, other]))

    agree(shake(keras.Model(inputs, outputs)))
