"""Quantizers: values, the value at 0, pseudo-gradients, names, files; on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

import bnn2hw.nn as nn
from bnn2hw.nn import quantizers as q

X = np.array([-3, -1.25, -1, -0.6, -0.04, -0.0, 0.0, 0.05, 0.3, 0.5, 1, 1.5], "float32")


def gradient(function, x, upstream=1.0):
    """The vector-Jacobian product on whatever backend runs."""
    if keras.backend.backend() == "jax":
        import jax

        _, pull = jax.vjp(function, jax.numpy.asarray(x))
        return np.asarray(pull(np.broadcast_to(np.float32(upstream), x.shape))[0])
    import tensorflow as tf

    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = function(tensor) * upstream
    return tape.gradient(y, tensor).numpy()


def sign(x):
    return np.where(x < 0, -1, 1)


SIGNS = ["ste_sign", "approx_sign", "swish_sign"]


@pytest.mark.parametrize("name", SIGNS)
def test_signs_are_never_zero(name):
    quantizer = q.get(name)

    np.testing.assert_array_equal(quantizer(X), sign(X))
    np.testing.assert_array_equal(getattr(q, name)(X), sign(X))
    assert quantizer.precision == 1
    assert getattr(q, name).precision == 1


def test_nan_is_not_hidden():
    assert np.isnan(np.asarray(q.ste_sign(np.array([np.nan], "float32"))))


@pytest.mark.parametrize("clip", [1.0, 1.25, None])
@pytest.mark.parametrize("cls", [q.SteSign, q.SteHeaviside, q.SteTern])
def test_straight_through_gradient_ends_at_the_clip_value(cls, clip):
    inside = np.ones_like(X) if clip is None else np.abs(X) <= clip

    np.testing.assert_array_equal(gradient(cls(clip_value=clip), X, 3.0), 3.0 * inside)


def test_gradient_of_approx_sign():
    expected = np.where(np.abs(X) <= 1, 2 - 2 * np.abs(X), 0)

    np.testing.assert_allclose(gradient(q.ApproxSign(), X, 3.0), 3 * expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [5.0, 2.0])
def test_gradient_of_swish_sign(beta):
    b = beta * X.astype("float64")
    expected = beta * (2 - b * np.tanh(b / 2)) / (1 + np.cosh(b))

    np.testing.assert_allclose(gradient(q.SwishSign(beta), X), expected, rtol=1e-4, atol=1e-6)


def test_gradient_of_swish_sign_far_out_is_zero_and_not_nan():
    assert gradient(q.SwishSign(), np.array([1e4, -1e4], "float32")).tolist() == [0, 0]


def test_heaviside_is_zero_at_zero():
    np.testing.assert_array_equal(q.get("ste_heaviside")(X), X > 0)


def test_magnitude_aware_sign_scales_each_channel(rng):
    w = rng.normal(size=(3, 3, 2, 4)).astype("float32")

    y = np.asarray(q.MagnitudeAwareSign()(w))

    scale = np.abs(w).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(y, scale * sign(w), rtol=1e-6)
    np.testing.assert_allclose(gradient(q.MagnitudeAwareSign(), w), scale * (np.abs(w) <= 1), rtol=1e-6)


def test_ternary_thresholds_belong_to_the_outer_value():
    x = np.array([-0.06, -0.05, -0.04, 0, 0.04, 0.05, 0.06], "float32")

    np.testing.assert_array_equal(q.SteTern()(x), [-1, -1, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(q.SteTern(threshold_value=0.055)(x), [-1, 0, 0, 0, 0, 0, 1])


def test_ternary_weight_networks_take_the_threshold_from_the_mean(rng):
    w = rng.normal(size=(50, 4)).astype("float32")
    threshold = 0.7 * np.abs(w).mean()

    y = q.SteTern(ternary_weight_networks=True)(w)

    np.testing.assert_array_equal(y, np.where(np.abs(w) >= threshold, sign(w), 0))


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_dorefa_activations(k):
    n = 2**k - 1
    x = np.linspace(-0.5, 1.5, 201).astype("float32")

    y = np.asarray(q.DoReFa(k)(x))

    np.testing.assert_allclose(y, np.round(np.clip(x, 0, 1) * np.float32(n)) / n, rtol=1e-6)
    np.testing.assert_array_equal(gradient(q.DoReFa(k), x), (x >= 0) & (x <= 1))


def test_dorefa_rounds_ties_to_even():
    assert np.asarray(q.DoReFa(1)(np.array([0.5], "float32"))).tolist() == [0]
    np.testing.assert_allclose(q.DoReFa(2)(np.array([0.5], "float32")), [2 / 3])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_dorefa_weights(rng, k):
    n = 2**k - 1
    w = rng.normal(size=(40,)).astype("float32")
    squashed, largest = np.tanh(w), np.abs(np.tanh(w)).max()

    y = np.asarray(q.DoReFa(k, mode="weights")(w))

    np.testing.assert_allclose(y, 2 * np.round(n * (squashed / (2 * largest) + 0.5)) / n - 1, atol=1e-6)
    expected = (1 - squashed**2) / largest
    np.testing.assert_allclose(gradient(q.DoReFa(k, mode="weights"), w), expected, rtol=1e-4, atol=1e-6)


def test_dorefa_weights_that_are_all_zero():
    y = q.DoReFa(2, mode="weights")(np.zeros(3, "float32"))

    np.testing.assert_allclose(y, 1 / 3, rtol=1e-6)


def test_dorefa_mode_is_checked():
    with pytest.raises(
        ValueError,
        match=r"^Invalid DoReFa quantizer mode sideways\. Valid values are 'activations' and 'weights'\.$",
    ):
        q.DoReFa(mode="sideways")


def test_noop_changes_nothing_and_has_a_precision():
    quantizer = q.NoOp(precision=3)

    np.testing.assert_array_equal(quantizer(X), X)
    np.testing.assert_array_equal(gradient(quantizer, X, 2.0), np.full_like(X, 2))
    assert quantizer.precision == 3


def test_old_names_are_the_new_classes():
    assert q.DoReFaQuantizer is q.DoReFa
    assert q.NoOpQuantizer is q.NoOp


ALL = [
    q.SteSign(1.3),
    q.ApproxSign(),
    q.SwishSign(3.0),
    q.SteHeaviside(None),
    q.MagnitudeAwareSign(1.5),
    q.SteTern(0.1, True, 2.0),
    q.DoReFa(3, "weights"),
    q.NoOp(4),
]


@pytest.mark.parametrize("quantizer", ALL, ids=lambda quantizer: type(quantizer).__name__)
@pytest.mark.parametrize("legacy", [False, True])
def test_description_makes_an_equal_quantizer(quantizer, legacy):
    copy = q.get(q.serialize(quantizer, use_legacy_format=legacy))

    assert type(copy) is type(quantizer)
    assert copy.get_config() == quantizer.get_config()
    assert copy.precision == quantizer.precision


@pytest.mark.parametrize("name", ["ste_sign", "ste_tern", "SteSign", "dorefa_quantizer", "DoReFa"])
def test_names_make_new_quantizers(name):
    assert isinstance(q.get(name), q.Quantizer)
    assert q.get(name) is not q.get(name)


def test_get_passes_on_callables_and_none():
    assert q.get(None) is None
    assert q.get(np.tanh) is np.tanh
    assert q.get(ALL[0]) is ALL[0]


def test_get_makes_an_object_of_a_class():
    assert isinstance(q.get(q.SteSign), q.SteSign)
    assert isinstance(nn.layers.QuantDense(2, input_quantizer=q.SteTern).input_quantizer, q.SteTern)


@pytest.mark.parametrize("identifier", ["NoOp", "wrong", 42])
def test_what_is_no_quantizer(identifier):
    with pytest.raises(
        ValueError, match=f"^Could not interpret quantization function identifier: {identifier}"
    ):
        q.get(identifier)


@pytest.mark.parametrize("function", [q.ste_sign, q.approx_sign, q.ste_tern], ids=lambda f: f.__name__)
def test_functions_survive_a_file(rng, tmp_path, function):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            nn.layers.QuantDense(3, kernel_quantizer=function, kernel_constraint="weight_clip"),
            keras.layers.Activation(function),
        ]
    )
    model.save(tmp_path / "m.keras")

    loaded = keras.models.load_model(tmp_path / "m.keras")

    assert loaded.layers[0].kernel_quantizer is function
    assert loaded.layers[1].activation is function


@pytest.mark.parametrize("name", ["ste_sign", "approx_sign", "ste_heaviside", "leaky_tanh"])
def test_names_are_activations_of_any_layer(rng, tmp_path, name):
    x = rng.normal(size=(5, 4)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Activation(name),
            keras.layers.Dense(4, activation=name),
            nn.layers.QuantDense(4, activation=name),
        ]
    )
    model.save(tmp_path / "m.keras")

    loaded = keras.models.load_model(tmp_path / "m.keras")

    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    "function", [lambda x: q.ste_sign(x, 1.5), q.approx_sign, nn.math.sign], ids=["ste", "approx", "sign"]
)
def test_functions_take_symbolic_tensors(function):
    inputs = keras.Input((X.size,))
    model = keras.Model(inputs, function(inputs))

    np.testing.assert_array_equal(model.predict(X[None], verbose=0), sign(X[None]))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 by default")
def test_quantizers_keep_float64():
    x = np.linspace(-2, 2, 9)

    assert keras.backend.standardize_dtype(q.SteSign()(x).dtype) == "float64"


def test_sign_and_heaviside():
    np.testing.assert_array_equal(nn.math.sign(X), sign(X))
    np.testing.assert_array_equal(nn.math.heaviside(X), X > 0)


def test_activations():
    outer = np.maximum(X, 1) - 1 + np.minimum(X, -1) + 1

    np.testing.assert_array_equal(nn.activations.hard_tanh(X), np.clip(X, -1, 1))
    np.testing.assert_allclose(nn.activations.leaky_tanh(X), np.clip(X, -1, 1) + 0.2 * outer, rtol=1e-6)
    assert nn.activations.get("leaky_tanh") is nn.activations.leaky_tanh
    assert isinstance(nn.activations.get("ste_sign"), q.SteSign)
    with pytest.raises(ValueError, match="Could not interpret activation function identifier: nothing"):
        nn.activations.get("nothing")


def test_constraints():
    np.testing.assert_array_equal(nn.constraints.WeightClip(0.5)(X), np.clip(X, -0.5, 0.5))
    np.testing.assert_array_equal(nn.constraints.get("weight_clip")(X), np.clip(X, -1, 1))
    layer = keras.layers.Dense(3, kernel_constraint="weight_clip")
    assert isinstance(layer.kernel_constraint, nn.constraints.weight_clip)
    copy = keras.constraints.deserialize(keras.constraints.serialize(nn.constraints.WeightClip(1.3)))
    assert copy.clip_value == 1.3


def test_sum_of_signs_is_exact_in_float32(rng):
    """The reason for which hidden layers can be compared bit by bit."""
    layer = nn.layers.QuantDense(3, input_quantizer="ste_sign", kernel_quantizer="ste_sign", use_bias=False)
    x = rng.normal(size=(4, 4000)).astype("float32")

    y = ops.convert_to_numpy(layer(x))

    np.testing.assert_array_equal(y, sign(x) @ sign(ops.convert_to_numpy(layer.kernel)))
