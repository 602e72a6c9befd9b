"""Locally connected layers: three ways to store one kernel, checked place by place in NumPy."""

from itertools import product

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn

L = nn.layers


def reference(x, kernel, size, strides):
    """Each window times the kernel of its place; the kernel as implementation 1 stores it."""
    spatial = x.shape[1:-1]
    places = [(n - k) // s + 1 for n, k, s in zip(spatial, size, strides, strict=True)]
    y = np.zeros((len(x), *places, kernel.shape[-1]))
    for number, place in enumerate(product(*map(range, places))):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, size, strict=True))
        y[(slice(None), *place)] = x[(slice(None), *window)].reshape(len(x), -1) @ kernel[number]
    return y


@pytest.mark.parametrize(
    ("cls", "shape", "size", "strides"),
    [
        (L.QuantLocallyConnected1D, (9, 4), (3,), (2,)),
        (L.QuantLocallyConnected2D, (7, 6, 3), (3, 2), (2, 1)),
    ],
)
def test_each_place_has_its_own_kernel(rng, cls, shape, size, strides):
    layer = cls(
        5,
        size,
        strides,
        use_bias=False,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
    )
    x = rng.normal(size=(2, *shape)).astype("float32")

    y = layer(x)

    kernel = np.where(layer.kernel.numpy() < 0, -1, 1)
    np.testing.assert_array_equal(y, reference(np.where(x < 0, -1, 1), kernel, size, strides))
    assert tuple(y.shape) == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_matrix_and_list_agree(rng, data_format, padding):
    """Implementation 3 lists those entries of implementation 2's matrix that are connected."""
    full, flat = (
        L.QuantLocallyConnected2D(
            3,
            (3, 2),
            (2, 1),
            padding,
            data_format,
            implementation=i,
            bias_initializer="random_normal",
            activation="leaky_tanh",
        )
        for i in (2, 3)
    )
    x = rng.normal(size=(2, 5, 6, 5)).astype("float32")
    for layer in (full, flat):
        layer.build(x.shape)
    matrix = np.asarray(full.get_weights()[0]).reshape(5 * 6 * 5, -1)
    pairs = flat.connections()
    flat.set_weights([matrix[pairs[:, 1], pairs[:, 0]], full.get_weights()[1]])

    np.testing.assert_allclose(flat(x), full(x), atol=1e-5)
    assert tuple(full(x).shape) == full.compute_output_shape(x.shape)


def test_windows_and_matrix_agree(rng):
    windows, matrix = (L.LocallyConnected1D(3, 2, implementation=i, use_bias=False) for i in (1, 2))
    x = rng.normal(size=(4, 6, 5)).astype("float32")
    for layer in (windows, matrix):
        layer.build(x.shape)
    kernel = windows.get_weights()[0]
    full = np.zeros(matrix.kernel.shape, "float32")
    for place in range(5):
        full[place : place + 2, :, place, :] = kernel[place].reshape(2, 5, 3)
    matrix.set_weights([full])

    np.testing.assert_allclose(matrix(x), windows(x), atol=1e-5)


def test_config_makes_an_equal_layer():
    layer = L.QuantLocallyConnected2D(3, 2, kernel_quantizer="ste_tern", implementation=3, padding="same")

    assert L.QuantLocallyConnected2D.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"implementation": 4}, r"^`implementation` must be 1, 2 or 3\. Received: 4$"),
        ({"padding": "causal"}, r"""^`padding` must be "valid" or "same"\. Received: 'causal'$"""),
        ({"padding": "same"}, r'^`padding="same"` needs `implementation=2` or `implementation=3`\.$'),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        L.QuantLocallyConnected1D(3, 2, **arguments)


def test_unknown_size_is_refused():
    layer = L.QuantLocallyConnected1D(3, 2, name="lc")

    with pytest.raises(
        ValueError,
        match=r"^The layer 'lc' has weights for each position, so all axes of its input but the "
        r"batch must be known\. Received: input_shape=\(None, None, 4\)$",
    ):
        layer.build((None, None, 4))


def test_trains(rng):
    layer = L.QuantLocallyConnected1D(3, 2, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    model = keras.Sequential([keras.Input((6, 2)), layer])
    model.compile("sgd", "mse")
    before = layer.get_weights()[0]

    model.fit(rng.normal(size=(8, 6, 2)), rng.normal(size=(8, 5, 3)), verbose=0)

    assert not np.array_equal(before, layer.get_weights()[0])
