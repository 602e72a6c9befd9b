"""Every quantized layer equals the Keras layer on signs, survives its own config, and trains."""

import inspect

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn import locally_connected

L = nn.layers
K = keras.layers

CASES = {
    "dense": (L.QuantDense, K.Dense, (5,), {"units": 3}),
    "conv1d": (L.QuantConv1D, K.Conv1D, (9, 4), {"filters": 3, "kernel_size": 3}),
    "conv1d-causal": (
        L.QuantConv1D,
        K.Conv1D,
        (9, 4),
        {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
    ),
    "conv2d": (L.QuantConv2D, K.Conv2D, (9, 8, 4), {"filters": 3, "kernel_size": 3, "strides": 2}),
    "conv2d-same": (L.QuantConv2D, K.Conv2D, (9, 8, 4), {"filters": 3, "kernel_size": 3, "padding": "same"}),
    "conv2d-groups": (L.QuantConv2D, K.Conv2D, (9, 8, 4), {"filters": 6, "kernel_size": 3, "groups": 2}),
    "conv2d-dilation": (
        L.QuantConv2D,
        K.Conv2D,
        (9, 8, 4),
        {"filters": 3, "kernel_size": (2, 3), "dilation_rate": 2},
    ),
    "conv3d": (L.QuantConv3D, K.Conv3D, (5, 6, 7, 2), {"filters": 3, "kernel_size": 3}),
    "conv2dtranspose": (
        L.QuantConv2DTranspose,
        K.Conv2DTranspose,
        (5, 6, 4),
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"},
    ),
    "conv3dtranspose": (
        L.QuantConv3DTranspose,
        K.Conv3DTranspose,
        (3, 4, 5, 2),
        {"filters": 3, "kernel_size": 3, "strides": 2},
    ),
    "depthwise": (
        L.QuantDepthwiseConv2D,
        K.DepthwiseConv2D,
        (9, 8, 4),
        {"kernel_size": 3, "depth_multiplier": 2},
    ),
    "separable1d": (L.QuantSeparableConv1D, K.SeparableConv1D, (9, 4), {"filters": 3, "kernel_size": 3}),
    "separable2d": (
        L.QuantSeparableConv2D,
        K.SeparableConv2D,
        (9, 8, 4),
        {"filters": 3, "kernel_size": 3, "padding": "same"},
    ),
}
PADDED = {
    "conv1d": (L.QuantConv1D, K.Conv1D, (9, 4), {"filters": 3}),
    "conv2d": (L.QuantConv2D, K.Conv2D, (9, 8, 4), {"filters": 3}),
    "conv3d": (L.QuantConv3D, K.Conv3D, (5, 6, 7, 2), {"filters": 3}),
    "depthwise": (L.QuantDepthwiseConv2D, K.DepthwiseConv2D, (9, 9, 4), {}),
    "separable1d": (L.QuantSeparableConv1D, K.SeparableConv1D, (9, 4), {"filters": 3}),
    "separable2d": (L.QuantSeparableConv2D, K.SeparableConv2D, (9, 9, 4), {"filters": 3}),
}


def quantizers_of(cls):
    arguments = {"input_quantizer": "ste_sign"}
    for _, quantizer, constraint in cls.quantized_weights:
        arguments |= {quantizer: "ste_sign", constraint: "weight_clip"}
    return arguments


def signs(x):
    return np.where(np.asarray(x) < 0, -1, 1).astype("float32")


def on_signs(layer, plain, x):
    """Return the output of the plain layer for the signs of inputs and kernels."""
    plain.build(x.shape)
    kernels = len(layer.quantized_weights)
    weights = layer.get_weights()
    plain.set_weights([signs(w) for w in weights[:kernels]] + weights[kernels:])
    return plain(signs(x))


@pytest.mark.parametrize("name", CASES)
def test_equals_the_keras_layer_on_signs(rng, name):
    cls, plain, shape, arguments = CASES[name]
    layer = cls(**arguments, **quantizers_of(cls), bias_initializer="random_normal")
    x = rng.normal(size=(3, *shape)).astype("float32")

    y = layer(x)

    np.testing.assert_array_equal(y, on_signs(layer, plain(**arguments), x))


@pytest.mark.parametrize("name", CASES)
def test_without_quantizers_is_the_keras_layer(rng, name):
    cls, plain, shape, arguments = CASES[name]
    layer = cls(**arguments)
    x = rng.normal(size=(3, *shape)).astype("float32")

    y = layer(x)

    reference = plain(**arguments)
    reference.build(x.shape)
    reference.set_weights(layer.get_weights())
    np.testing.assert_array_equal(y, reference(x))


@pytest.mark.parametrize("name", CASES)
def test_config_makes_an_equal_layer(name):
    cls, _, shape, arguments = CASES[name]
    layer = cls(**arguments, **quantizers_of(cls), activation="approx_sign")

    copy = cls.from_config(layer.get_config())

    assert copy.get_config() == layer.get_config()
    assert isinstance(copy.input_quantizer, nn.quantizers.SteSign)
    assert isinstance(copy.activation, nn.quantizers.ApproxSign)
    assert copy.compute_output_shape((None, *shape)) == layer.compute_output_shape((None, *shape))


@pytest.mark.parametrize("name", CASES)
def test_kernels_and_inputs_get_gradients(rng, name):
    cls, _, shape, arguments = CASES[name]
    layer = cls(**arguments, **quantizers_of(cls))
    model = keras.Sequential([keras.Input(shape), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    before = layer.get_weights()

    model.fit(rng.normal(size=(8, *shape)), rng.normal(size=(8, 1)), verbose=0)

    for old, new in zip(before, layer.get_weights(), strict=True):
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize(("size", "strides", "dilation"), [(3, 1, 1), (4, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_pad_values_surround_the_input(rng, name, size, strides, dilation):
    cls, plain, shape, arguments = PADDED[name]
    arguments = arguments | {"kernel_size": size, "strides": strides, "dilation_rate": dilation}
    layer = cls(**arguments, **quantizers_of(cls), padding="same", pad_values=0.5)
    x = rng.normal(size=(2, *shape)).astype("float32")

    y = layer(x)

    widths = [(0, 0), *(pad(n, size, strides, dilation) for n in shape[:-1]), (0, 0)]
    framed = np.pad(signs(x), widths, constant_values=0.5)
    reference = plain(**arguments)
    reference.build(framed.shape)
    reference.set_weights([signs(w) for w in layer.get_weights()[:-1]] + layer.get_weights()[-1:])
    np.testing.assert_array_equal(y, reference(framed))
    assert tuple(y.shape) == tuple(layer.compute_output_shape(x.shape))


def pad(n, size, stride, dilation):
    """TensorFlow's rule for "same", written out."""
    reach = (size - 1) * dilation + 1
    total = max((-(-n // stride) - 1) * stride + reach, n) - n
    return total // 2, total - total // 2


def test_pad_values_with_a_size_that_is_known_only_at_run_time(rng):
    layer = L.QuantConv2D(3, 3, strides=2, padding="same", pad_values=1.0, **quantizers_of(L.QuantConv2D))
    model = keras.Sequential([keras.Input((None, None, 2)), layer])
    x = rng.normal(size=(2, 7, 8, 2)).astype("float32")

    np.testing.assert_array_equal(model.predict(x, verbose=0), layer(x))


def test_causal_padding_takes_no_other_value():
    with pytest.raises(
        ValueError,
        match=r"^Causal padding is always with 0\. Received: pad_values=1\.0 \(layer 'quant_conv1d'\)\.$",
    ):
        L.QuantConv1D(4, 3, padding="causal", pad_values=1.0)


def test_binary_kernel_without_constraint_warns(caplog):
    L.QuantDense(3, kernel_quantizer="ste_sign")

    assert "no `kernel_constraint`" in caplog.text


def test_no_warning_with_a_constraint_or_for_noop(caplog):
    L.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    L.QuantDense(3, kernel_quantizer=nn.quantizers.NoOp(precision=1))
    L.QuantDense(3, kernel_quantizer="dorefa_quantizer")

    assert caplog.text == ""


def test_separable_layer_warns_of_each_kernel(caplog):
    L.QuantSeparableConv2D(3, 3, depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign")

    assert "depthwise_constraint" in caplog.text
    assert "pointwise_constraint" in caplog.text


def test_depthwise_kernel_has_its_old_name_too():
    layer = L.QuantDepthwiseConv2D(3)
    layer.build((None, 5, 5, 2))

    assert layer.depthwise_kernel is layer.kernel


class Scale(keras.layers.Layer):
    """A quantizer of one's own, with a weight that is trained."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return self.scale * nn.quantizers.ste_sign(x)


def test_a_layer_with_weights_is_a_quantizer(rng, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            L.QuantDense(3, input_quantizer=Scale(), kernel_quantizer=Scale(), use_bias=False),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = rng.normal(size=(16, 4)).astype("float32")
    model.fit(x, rng.normal(size=(16, 3)), verbose=0)
    layer = model.layers[0]

    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Scale": Scale})

    assert len(layer.trainable_weights) == 3
    assert float(layer.kernel_quantizer.scale.numpy()) != 1
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_mixed_precision_keeps_signs(rng):
    layer = L.QuantDense(3, dtype="mixed_float16", **quantizers_of(L.QuantDense))
    x = rng.normal(size=(2, 5)).astype("float32")

    y = layer(x)

    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_array_equal(y, signs(x) @ signs(layer.kernel.numpy()))


def test_unknown_quantizer_is_named():
    with pytest.raises(
        ValueError,
        match=r"^Could not interpret quantization function identifier: ste_sing\. Write one of approx_sign, "
        r"dorefa_quantizer, magnitude_aware_sign, ste_heaviside, ste_sign, ste_tern, swish_sign, or pass an "
        r"object or a function\.$",
    ):
        L.QuantDense(3, kernel_quantizer="ste_sing")


@pytest.mark.parametrize(
    "name",
    [
        *("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv2D"),
        *("SeparableConv1D", "SeparableConv2D", "LocallyConnected1D", "LocallyConnected2D"),
    ],
)
def test_arguments_are_those_of_keras_and_the_quantizers(name):
    plain = getattr(keras.layers, name, None) or getattr(locally_connected, name)
    expected = {p.name: p.default for p in inspect.signature(plain).parameters.values()}
    own = {p.name: p.default for p in inspect.signature(getattr(L, f"Quant{name}")).parameters.values()}
    younger = {"lora_rank", "lora_alpha", "quantization_config"} - set(expected)
    added = {n for n in own if n.endswith("_quantizer")} | {"pad_values"} | younger

    assert [item for item in own.items() if item[0] not in added] == list(expected.items())


def test_dense_takes_lora():
    layer = L.QuantDense(3, kernel_quantizer="ste_sign", lora_rank=2)

    y = layer(np.ones((1, 4), "float32"))

    assert len(layer.trainable_weights) == 3
    assert np.all(np.isin(y, [-4, -2, 0, 2, 4]))
    assert L.QuantDense.from_config(layer.get_config()).lora_rank == 2
