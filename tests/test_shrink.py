"""The shrinker finds the smallest network that still shows a fault."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.errors import Bnn2hwError
from bnn2hw.ops import Xnor
from tests.support import networks as net
from tests.support import shrink


def names(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def values(model: keras.Model) -> int:
    return sum(int(np.prod(w.shape)) for w in model.weights)


def differs(model: keras.Model) -> bool:
    """True if golden and Keras differ in a layer, or if the compiler finds so itself."""
    wire = bnn2hw.Input("bipolar")
    try:
        accelerator = bnn2hw.compile(model, input=wire)
        x = np.random.default_rng(0).choice([-1, 1], (20, *accelerator.input.shape))
    except Bnn2hwError as error:
        return "report the model as a fault" in str(error)
    return any(d.different for d in accelerator.deviation(x))


def network() -> keras.Model:
    """A network of binary layers with a pooling."""
    inputs = keras.Input((6, 6, 2))
    x = layers.MaxPooling2D(2)(net.norm()(net.conv(4)(inputs)))
    x = net.norm()(net.dense(5)(layers.Flatten()(x)))
    return net.shake(keras.Model(inputs, net.dense(3)(x)))


def test_a_fault_of_golden_is_shrunk_to_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that is wrong for more than four values fails in one layer alone, with few more values than that."""
    model = network()
    assert not differs(model)
    right = Xnor.golden

    def wrong(op: Xnor, x: np.ndarray) -> np.ndarray:
        return -right(op, x) if op.weights.shape[0] > 4 else right(op, x)

    monkeypatch.setattr(Xnor, "golden", wrong)

    found = shrink.shrink(model, differs)

    assert differs(found)
    assert len(found.layers) == 2
    assert 4 < values(found) <= 8


def test_branches_shrink_together() -> None:
    inputs = keras.Input((8,))
    left, right = layers.Dense(6)(inputs), layers.Dense(6)(layers.ReLU()(inputs))
    model = keras.Model(inputs, layers.Dense(5)(layers.Add()([left, right])))

    found = shrink.shrink(model, lambda m: "Add" in names(m) and names(m).count("Dense") >= 2)

    assert sorted(names(found)) == ["Add", "Dense", "Dense", "InputLayer"]
    assert values(found) <= 4
    assert found.input_shape == (None, 1)


def test_a_network_that_never_fails_again_is_returned() -> None:
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(6)(inputs))

    assert shrink.shrink(model, lambda m: False) is model
