"""Bop against its own rule in NumPy, and CaseOptimizer's division of labour."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn.optimizers import Bop, CaseOptimizer


def bop_step(w, m, g, threshold, gamma):
    m = (m + np.float32(gamma) * (g - m)).astype("float32")
    return np.where(w * m == threshold, 1, np.where(w * m > threshold, -w, w)), m


def test_bop_follows_its_rule(rng):
    variable = keras.Variable(np.where(rng.random(50) < 0.5, -1.0, 1.0))
    optimizer = Bop(threshold=1e-2, gamma=0.1)
    w, m = variable.numpy(), np.zeros(50, "float32")

    for _ in range(30):
        g = rng.normal(size=50).astype("float32")
        optimizer.apply([g], [variable])
        w, m = bop_step(w, m, g, np.float32(1e-2), 0.1)
        np.testing.assert_array_equal(variable.numpy(), w)

    assert np.unique(w).tolist() == [-1, 1]


def test_bop_at_the_threshold_gives_plus_one():
    variable = keras.Variable([1.0, -1.0])

    Bop(threshold=0.5, gamma=1.0).apply([np.array([0.5, -0.5], "float32")], [variable])

    np.testing.assert_array_equal(variable.numpy(), [1, 1])


def test_bop_makes_real_weights_binary():
    variable = keras.Variable([0.3, -0.2, 0.0])

    Bop(threshold=10.0).apply([np.ones(3, "float32")], [variable])

    np.testing.assert_array_equal(variable.numpy(), [1, -1, 1])


def test_bop_with_schedules_uses_the_value_of_the_step():
    decay = keras.optimizers.schedules.PiecewiseConstantDecay
    variable = keras.Variable([1.0])
    optimizer = Bop(threshold=decay([1], [10.0, 0.1]), gamma=decay([0], [0.0, 1.0]))
    gradient = np.ones(1, "float32")

    seen = []
    for _ in range(3):
        optimizer.apply([gradient], [variable])
        seen.append(float(variable.numpy()[0]))

    assert seen == [1, 1, -1]


@pytest.mark.parametrize("hyper", [5e-4, keras.optimizers.schedules.PolynomialDecay(5e-4, 100)])
def test_bop_config_makes_an_equal_optimizer(hyper):
    optimizer = Bop(threshold=hyper, gamma=hyper)

    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))

    assert copy.get_config() == optimizer.get_config()
    assert type(copy.gamma) is type(optimizer.gamma)
    assert type(copy.threshold) is type(optimizer.threshold)


def small_model(rng):
    model = keras.Sequential(
        [
            keras.Input((10,)),
            nn.layers.QuantDense(
                20,
                kernel_quantizer="ste_sign",
                kernel_constraint="weight_clip",
                activation="relu",
                use_bias=False,
            ),
            keras.layers.BatchNormalization(),
            nn.layers.QuantDense(
                2,
                input_quantizer="ste_sign",
                kernel_quantizer=nn.quantizers.NoOp(precision=1),
                activation="softmax",
                use_bias=False,
            ),
        ]
    )
    x = rng.normal(size=(1000, 10)).astype("float32")
    return model, x, (x @ rng.normal(size=10) > 0).astype("int32")


def bop_and_adam():
    return CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=keras.optimizers.Adam(0.01))


def test_case_optimizer_trains_all_and_keeps_kernels_binary(rng):
    model, x, y = small_model(rng)
    model.compile(bop_and_adam(), "sparse_categorical_crossentropy", metrics=["acc"])
    before = [w.numpy() for w in model.trainable_variables]

    history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)

    for old, new in zip(before, model.trainable_variables, strict=True):
        assert not np.array_equal(old, new.numpy())
    for layer in (model.layers[0], model.layers[2]):
        assert set(np.unique(layer.kernel.numpy())) == {-1, 1}
    assert history.history["acc"][-1] > 0.75


def test_case_optimizer_concatenates_states(rng):
    model, x, y = small_model(rng)
    model.compile(
        CaseOptimizer(
            (Bop.is_binary_variable, Bop()), default_optimizer=keras.optimizers.SGD(0.1, momentum=0.9)
        ),
        "sparse_categorical_crossentropy",
    )
    model.fit(x[:16], y[:16], verbose=0)
    optimizer = model.optimizer

    assert len(optimizer.weights) == len(model.trainable_variables) + 2
    assert len(optimizer.variables) == len(optimizer.weights) + 2 + 3
    assert int(optimizer.iterations.numpy()) == 1


def test_case_optimizer_survives_a_file(rng, tmp_path):
    model, x, y = small_model(rng)
    model.compile(bop_and_adam(), "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")

    loaded = keras.models.load_model(tmp_path / "m.keras")

    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for a, b in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for m in (model, loaded):
        keras.utils.set_random_seed(0)
        m.fit(x, y, shuffle=False, verbose=0)
    for a, b in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_case_optimizer_without_default_leaves_the_rest(rng):
    model, x, y = small_model(rng)
    model.compile(CaseOptimizer((Bop.is_binary_variable, Bop())), "sparse_categorical_crossentropy")
    beta = model.layers[1].beta.numpy()

    words = "No `default_optimizer` provided to train variable `.*/"
    with pytest.warns(UserWarning, match=words + "gamma"), pytest.warns(UserWarning, match=words + "beta"):
        model.fit(x, y, verbose=0)

    np.testing.assert_array_equal(model.layers[1].beta.numpy(), beta)


def test_case_optimizer_under_loss_scaling(rng):
    model, x, y = small_model(rng)
    optimizer = keras.optimizers.LossScaleOptimizer(bop_and_adam())
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc"])

    history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)

    assert history.history["acc"][-1] > 0.75


def always(_):
    return True


def never(_):
    return False


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(always, Bop()), (always, Bop())], r"^Variable `v` claimed by multiple optimizers\.$"),
        ([(never, Bop())], r"^Optimizer `Bop` did not claim any variables\.$"),
    ],
)
def test_claims_must_be_unique_and_used(pairs, message):
    optimizer = CaseOptimizer(*pairs, default_optimizer=keras.optimizers.SGD(0.1))

    with pytest.raises(ValueError, match=message):
        optimizer.build([keras.Variable([1.0], name="v")])


@pytest.mark.parametrize(
    ("arguments", "default", "message"),
    [
        ((False, Bop()), None, r"^Expected a callable at `predicate_optimizer_pairs\[0\]\[0\]`, not bool\.$"),
        (
            (always, 3),
            None,
            r"^Expected a Keras optimizer at `predicate_optimizer_pairs\[0\]\[1\]`, not int\.$",
        ),
        ((always, Bop()), "adam", r"^Expected a Keras optimizer as `default_optimizer`, not str\.$"),
    ],
)
def test_types_are_checked(arguments, default, message):
    with pytest.raises(TypeError, match=message):
        CaseOptimizer(arguments, default_optimizer=default)


def test_case_optimizer_minimizes_a_loss():
    binary = nn.quantized_variable.QuantizedVariable.from_variable(keras.Variable([1.0, -1.0]), precision=1)
    real = keras.Variable([2.0, 3.0])
    optimizer = CaseOptimizer(
        (Bop.is_binary_variable, Bop(threshold=0.5, gamma=1.0)), default_optimizer=keras.optimizers.SGD(0.5)
    )

    optimizer.minimize(lambda: keras.ops.sum(binary * real), [binary, real])

    np.testing.assert_array_equal(binary.numpy(), [-1, -1])
    np.testing.assert_array_equal(real.numpy(), [1.5, 3.5])
    with pytest.raises(ValueError, match=r"^`tape` is required when `loss` is a tensor\.$"):
        optimizer.minimize(keras.ops.sum(real), [real])


def test_minimize_takes_variables_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    variable = tf.Variable([2.0])
    optimizer = CaseOptimizer((always, keras.optimizers.SGD(1.0)))

    with tf.GradientTape() as tape:
        loss = 3 * variable
    optimizer.minimize(loss, [variable], tape)

    np.testing.assert_array_equal(variable.numpy(), [-1])


def test_iterations_and_learning_rate_are_not_settable():
    optimizer = bop_and_adam()

    with pytest.raises(NotImplementedError, match=r"^CaseOptimizer does not support setting iterations\.$"):
        optimizer.iterations = 3
    assert not hasattr(optimizer, "learning_rate")
