"""Neurons with few inputs: masks, their schedule, gathered inputs, sums of groups, encoders."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn

L = nn.layers


def built(layer, inputs=12):
    layer.build((None, inputs))
    return layer


def test_a_mask_hides_inputs_and_lets_gradients_through(rng):
    layer = built(L.MaskedDense(3, 2, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"))
    x = rng.normal(size=(5, 12)).astype("float32")
    layer.thin(2)

    mask = np.array(layer.mask)
    expected = x @ (np.where(np.array(layer.kernel) < 0, -1, 1) * mask)

    assert mask.sum(0).tolist() == [2, 2, 2]
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_hidden_weights_learn(rng):
    layer = L.MaskedDense(1, 1, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.thin(1)
    before = np.array(layer.kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse")

    model.train_on_batch(np.ones((8, 4)), np.full((8, 1), 9.0))

    assert np.all(np.array(layer.kernel) > before)


def test_the_heaviest_weights_stay():
    layer = built(L.MaskedDense(1, 2, use_bias=False), 4)
    layer.kernel.assign([[0.1], [-3.0], [2.0], [-0.5]])

    layer.thin(2)
    layer.apply_mask()

    assert np.array(layer.kernel)[:, 0].tolist() == [0, -3, 2, 0]


def test_a_schedule_ends_at_the_fan_in(rng):
    layer, seen = L.MaskedDense(6, 3), []
    model = keras.Sequential([keras.Input((20,)), layer, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(int(np.array(layer.mask).sum(0).max()))
    )
    x = rng.normal(size=(64, 20))

    model.fit(
        x, x[:, :1], batch_size=8, epochs=2, verbose=0, callbacks=[nn.callbacks.FanInSchedule(0.5, 1), watch]
    )

    cubic = [round(3 + 17 * (1 - step / 8) ** 3) for step in range(9)]
    assert seen == cubic + [3] * 7
    # Weights go on learning behind a mask that is final, which they no longer change.
    assert not np.any(np.array(layer.kernel)[np.array(layer.mask) == 0])


def test_files_contain_masks_and_wiring(rng, tmp_path):
    masked, gathered = L.MaskedDense(9, 3), L.GatheredDense(4, 5, hidden=2, seed=3)
    model = keras.Sequential([keras.Input((20,)), masked, gathered, L.GroupSum(2)])
    masked.thin(3)
    x = rng.normal(size=(7, 20))

    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")

    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_array_equal(again.layers[0].mask, masked.mask)
    assert [layer.get_config()["name"] for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("hidden", [0, 3])
def test_a_gathered_layer_takes_over_a_masked_one(rng, hidden):
    masked, gathered = built(L.MaskedDense(5, 3, use_bias=False)), built(L.GatheredDense(5, 3, hidden))
    masked.thin(3)
    x = rng.normal(size=(6, 12)).astype("float32")

    gathered.take_over(masked)
    if hidden:
        gathered.outer.assign(np.zeros((5, hidden)))

    np.testing.assert_allclose(gathered(x), masked(x), atol=1e-5)


@pytest.mark.parametrize(("fan_in", "hidden"), [(1, 0), (4, 0), (3, 2), (6, 4)])
def test_tables_of_signs_train_as_functions_do(rng, fan_in, hidden):
    x, y = rng.normal(size=(9, 10)).astype("float32"), rng.normal(size=(9, 3)).astype("float32")
    dense = rng.normal(size=(10, 8)).astype("float32")
    after = []
    for signs in (False, True):
        layer = L.GatheredDense(3, fan_in, hidden, signs=signs)
        before = keras.layers.Dense(8, "ste_sign", use_bias=False)
        model = keras.Sequential([keras.Input((10,)), before, layer])
        before.set_weights([dense])
        for weight in (w for w in layer.trainable_weights if w.name in ("kernel", "outer")):
            weight.assign(np.random.default_rng(5).normal(size=weight.shape))
        scores = model.predict(x, verbose=0)
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.train_on_batch(x, y)
        after.append([scores, *model.get_weights()])

    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.any(np.abs(after[1][1] - dense) > 1e-3)


def test_sums_of_groups(rng):
    x = rng.normal(size=(3, 6)).astype("float32")

    y = L.GroupSum(2, scale=0.5)(x)

    np.testing.assert_allclose(y, x.reshape(3, 2, 3).sum(2) / 2, atol=1e-5)


def test_sums_take_whole_numbers_along_and_learn_them(rng):
    layer, x = L.GroupSum(2, scale=0.5, use_bias=True), rng.normal(size=(3, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.bias.assign([0.8, -1.5])  # in units of the square root of 3: 1.39 and -2.6

    np.testing.assert_array_equal(layer.integers(6), [1, -3])
    np.testing.assert_allclose(layer(x), (x.reshape(3, 2, 3).sum(2) + np.array([1, -3])) / 2, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x, np.full((3, 2), 9.0))

    assert np.all(np.array(layer.bias) > [0.8, -1.5])


def test_thermometers_compare_with_constant_and_with_distributive_thresholds(rng):
    x = rng.normal(size=(400, 3)).astype("float32")
    adapted = L.Thermometer(3)
    adapted.adapt(x)

    constant, bits = np.array(L.Thermometer([0.0, 1.0])(x)), np.array(adapted(x))

    np.testing.assert_array_equal(constant, np.where(np.hstack([x >= 0, x >= 1]), 1, -1))
    np.testing.assert_allclose((bits > 0).mean(0).reshape(3, 3)[:, 0], [0.75, 0.5, 0.25], atol=0.01)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: built(L.MaskedDense(2, 13, name="it")), "'it': fan_in=13 exceeds its 12 inputs"),
        (lambda: built(L.GatheredDense(2, 13, name="it")), "'it': fan_in=13 exceeds its 12 inputs"),
        (
            lambda: L.GatheredDense(2, 11, signs=True, name="it"),
            "'it': signs=True takes a fan_in of at most 10",
        ),
        (lambda: L.MaskedDense(2, 0, name="it"), "'it': fan_in must be a whole number of at least 1, not 0"),
        (lambda: built(L.GroupSum(5, name="it")), "'it': 5 groups do not divide its 12 inputs"),
        (lambda: L.Thermometer([2.0, 1.0], name="it"), "'it' needs ascending thresholds"),
        (lambda: nn.callbacks.FanInSchedule(1.5), "`share` must be above 0 and at most 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make, why):
    with pytest.raises(ValueError, match=why):
        make()
