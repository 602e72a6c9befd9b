"""Quantizers of the user's own: classes in place of objects, and those that return no weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import UnsupportedError
from tests.support import networks as net

X = np.random.default_rng(1).integers(-8, 8, (40, 6))


class FromAHalf(nn.quantizers.Quantizer):
    """A quantizer whose class may be given, since it needs no arguments."""

    precision = 1

    def call(self, inputs: Any) -> Any:
        return super().call(ops.where(inputs >= 0.5, 1.0, -1.0))


def model(**quantizers: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    given = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", **quantizers}
    layer = nn.layers.QuantDense(3, use_bias=False, name="head", **given)
    return keras.Sequential([keras.Input((6,)), layer])


@pytest.mark.parametrize("where", ["input_quantizer", "kernel_quantizer"])
def test_the_class_of_a_quantizer_is_as_good_as_an_object(where: str) -> None:
    made = [model(**{where: given}) for given in (FromAHalf, FromAHalf())]
    own = model(**{where: FromAHalf})

    golden = [bnn2hw.compile(m, input=bnn2hw.Input("int4")).golden(X) for m in made]

    assert np.array_equal(golden[0], golden[1])
    assert np.array_equal(golden[0], net.said(own, X.astype(np.float32)))


@pytest.mark.parametrize(
    ("quantizer", "reason"),
    [
        (lambda w: w[:, :2], "kernel_quantizer returns shape (6, 2) for weights of shape (6, 3)"),
        (ops.transpose, "kernel_quantizer returns shape (3, 6) for weights of shape (6, 3)"),
        (lambda w: (w, w), "kernel_quantizer returns shape (2, 6, 3) for weights of shape (6, 3)"),
        (lambda w: w / 0.0, "kernel_quantizer returns NaN or infinite values for finite weights"),
        (lambda w: ops.sqrt(-ops.abs(w) - 1), "kernel_quantizer returns NaN or infinite values"),
        (lambda w: None, "its code ends with TypeError: it returns None, not a tensor"),
    ],
)
def test_a_kernel_quantizer_that_returns_no_weights(quantizer: Callable[..., Any], reason: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        bnn2hw.compile(model(kernel_quantizer=quantizer), input=bnn2hw.Input("int4"))

    assert f"layer 'head': {reason}" in str(caught.value)
    assert "Way out: mend" in str(caught.value)
