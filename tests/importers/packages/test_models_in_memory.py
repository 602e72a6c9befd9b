"""Models of QKeras in memory compile, and compute what the package computes.

Needs the package itself, which wants another TensorFlow, in an environment without HGQ2, which has a
package of the same name: `make test-qkeras`.
"""

from __future__ import annotations

import dataclasses
import inspect
from importlib import metadata

import keras
import pytest

from bnn2hw.nn.qkeras_objects import KINDS, REFUSED
from tests.support.in_memory import agree, shake

pytestmark = pytest.mark.skipif(
    not list(metadata.Distribution.discover(name="qkeras-v3")),
    reason="needs the package qkeras-v3: make test-qkeras",
)

KERNELS = [
    *(f"quantized_bits(4,0,alpha={alpha})" for alpha in ("None", "1", "'auto'", "'auto_po2'")),
    *(f"{kind}(alpha={alpha})" for kind in ("binary", "ternary") for alpha in ("1", "'auto'", "'auto_po2'")),
    *("stochastic_ternary(alpha=1)", "quantized_linear(4,0)", "quantized_po2(4)"),
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_dense_layers_of_qkeras(kernel: str) -> None:
    import qkeras

    inputs = keras.Input((6,))
    hidden = qkeras.QDense(5, kernel_quantizer=kernel, bias_quantizer="quantized_bits(4,1)", name="a")(inputs)
    hidden = qkeras.QActivation("quantized_relu(4,2)", name="b")(hidden)
    outputs = qkeras.QDense(3, kernel_quantizer="quantized_bits(4,0,alpha=1)", use_bias=False, name="c")(
        hidden
    )

    agree(shake(keras.Model(inputs, outputs)), exact=False)


def test_convolutions_of_qkeras() -> None:
    import qkeras

    bits, relu = "quantized_bits(4,0,alpha=1)", "quantized_relu(4,2)"
    both = {"kernel_quantizer": bits, "bias_quantizer": bits}
    inputs = keras.Input((8, 8, 3))
    x = qkeras.QConv2DBatchnorm(4, 3, activation=relu, name="a", **both)(inputs)
    x = qkeras.QDepthwiseConv2D(2, depthwise_quantizer=bits, activation=relu, name="b")(x)
    x = qkeras.QAveragePooling2D(2, average_quantizer="quantized_bits(8,0)", activation=relu, name="d")(x)
    outputs = qkeras.QDense(3, name="c", **both)(keras.layers.Flatten(name="f")(x))

    agree(shake(keras.Model(inputs, outputs)))


@pytest.mark.parametrize("kind", sorted(name for name, cls in KINDS.items() if cls.kind == name))
def test_every_argument_of_a_quantizer_is_known(kind: str) -> None:
    """An argument that a new version adds is refused until somebody reads it, so this fails."""
    from qkeras import quantizers

    theirs = list(inspect.signature(getattr(quantizers, kind).__init__).parameters)[1:]

    assert theirs == [f.name for f in dataclasses.fields(KINDS[kind])]


def test_every_quantizer_is_read_or_refused() -> None:
    from qkeras import quantizers
    from qkeras.base_quantizer import BaseQuantizer as base  # noqa: N813

    theirs = {
        name
        for name, cls in inspect.getmembers(quantizers, inspect.isclass)
        if issubclass(cls, base) and cls is not base
    }

    assert theirs <= {*KINDS, *REFUSED}
