"""Scopes that always close, flip ratios in the history, variables that read quantized."""

import itertools
import threading

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn.metrics import FlipRatio
from bnn2hw.nn.quantized_variable import QuantizedVariable


class BoomError(Exception):
    """Something goes wrong inside a scope."""


def fail():
    assert not nn.context.should_quantize()
    raise BoomError


def test_quantized_scopes_nest_and_close_after_errors():
    with nn.context.quantized_scope(True):
        with pytest.raises(BoomError), nn.context.quantized_scope(False):
            fail()
        assert nn.context.should_quantize()
    assert not nn.context.should_quantize()


def test_an_error_in_a_layer_leaves_no_scope_open():
    def broken(_):
        raise BoomError

    layer = nn.layers.QuantDense(3, kernel_quantizer=broken)
    layer.build((None, 2))
    with pytest.raises(BoomError):
        layer(np.ones((1, 2)))

    assert not nn.context.should_quantize()


def test_scopes_belong_to_their_thread():
    seen = []
    with nn.context.quantized_scope(True):
        thread = threading.Thread(target=lambda: seen.append(nn.context.should_quantize()))
        thread.start()
        thread.join()

    assert seen == [False]


def test_metrics_scope_reaches_kernel_quantizers_made_inside():
    live = nn.context.get_training_metrics()
    with nn.context.metrics_scope(["flip_ratio"]):
        assert live == {"flip_ratio"}
        inside = nn.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
        own = nn.layers.QuantDense(3, kernel_quantizer=nn.quantizers.DoReFa(metrics=[]))
    outside = nn.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    for layer in (inside, own, outside):
        layer.build((None, 2))

    assert live == set()
    assert [hasattr(layer.kernel_quantizer, "flip_ratio") for layer in (inside, own, outside)] == [1, 0, 0]


def test_unknown_metric():
    with (
        pytest.raises(
            ValueError, match=r"^Unknown training metric 'speed'\. Known training metrics: flip_ratio\.$"
        ),
        nn.context.metrics_scope(["speed"]),
    ):
        pass


def test_flip_ratio_counts_changes():
    metric = FlipRatio()
    results = []
    for values in ([1, 1], [2, 2], [1, 2]):
        metric.update_state(np.array(values))
        results.append(float(metric.result()))

    assert results == [0, 1, 0.75]


def test_flip_ratio_remembers_values_over_a_reset():
    metric = FlipRatio()
    metric.update_state(np.array([1, -1]))
    metric.reset_state()
    metric.update_state(np.array([1, 1]))

    np.testing.assert_array_equal(metric._previous_values.numpy(), [1, 1])
    assert float(metric.result()) == 0


def test_flip_ratio_needs_a_known_shape():
    with pytest.raises(
        ValueError,
        match=r"^The metric 'f' compares values entry by entry and needs a fully known shape, "
        r"not \(None, 3\)\. "
        r"Give the model's Input a batch_size\.$",
    ):
        FlipRatio(name="f").build((None, 3))


def test_flip_ratio_config():
    metric = FlipRatio(values_dtype="int16", name="hello")

    assert FlipRatio.from_config(metric.get_config()).get_config() == metric.get_config()


only_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other trainers give metrics of layers no state"
)


@only_tensorflow
def test_flip_ratio_is_in_the_history_and_right(rng):
    with nn.context.metrics_scope(["flip_ratio"]):
        layer = nn.layers.QuantDense(
            6, kernel_quantizer=nn.quantizers.SteSign(name="kernel_sign"), kernel_constraint="weight_clip"
        )
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x, y = rng.normal(size=(64, 5)), rng.normal(size=(64, 6))
    signs = [np.sign(layer.kernel.numpy())]
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: signs.append(np.sign(layer.kernel.numpy()))
    )

    history = model.fit(x, y, batch_size=8, epochs=2, callbacks=[keep], verbose=0).history

    flips = [np.mean(a != b) for a, b in itertools.pairwise(signs)]
    expected = [np.mean(flips[0:7]), np.mean(flips[8:15])]
    np.testing.assert_allclose(history["flip_ratio/kernel_sign"], expected, rtol=1e-5)
    assert max(expected) > 0


@only_tensorflow
def test_flip_ratio_of_activations(rng):
    quantizer = nn.quantizers.SteSign(metrics=["flip_ratio"], name="a")
    model = keras.Sequential(
        [keras.Input((5,), batch_size=8), nn.layers.QuantDense(2, input_quantizer=quantizer)]
    )
    model.compile("sgd", "mse")

    history = model.fit(rng.normal(size=(32, 5)), np.zeros((32, 2)), batch_size=8, verbose=0).history

    assert 0.3 < history["flip_ratio/a"][0] < 0.7


def test_metrics_are_no_weights():
    with nn.context.metrics_scope(["flip_ratio"]):
        layer = nn.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    layer.build((None, 2))

    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]


def test_model_saved_in_a_scope_holds_signs_and_computes_the_same(rng, tmp_path):
    layer = nn.layers.QuantDense(3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    model = keras.Sequential([keras.Input((4,)), layer])
    x = rng.normal(size=(5, 4)).astype("float32")

    with nn.context.quantized_scope(True):
        model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")

    assert set(np.unique(loaded.get_weights()[0])) == {-1, 1}
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def double(x):
    return 2 * x


@pytest.fixture(params=["keras", "tensorflow"])
def variable(request):
    if request.param == "keras":
        return QuantizedVariable.from_variable(keras.Variable([3.5, 4.0]), double, precision=1)
    tf = pytest.importorskip("tensorflow")
    return QuantizedVariable.from_variable(tf.Variable([3.5, 4.0]), double, precision=1)


def test_variable_reads_quantized_and_assigns_latent(variable):
    assert isinstance(variable, QuantizedVariable)
    np.testing.assert_array_equal(variable.numpy(), [3.5, 4])
    with nn.context.quantized_scope(True):
        np.testing.assert_array_equal(variable.numpy(), [7, 8])
        np.testing.assert_array_equal(variable + 1, [8, 9])
        variable.assign_add([1.0, 1.0])
        np.testing.assert_array_equal(variable.numpy(), [9, 10])
        variable.assign_sub([0.5, 0.5])
    np.testing.assert_array_equal(variable.numpy(), [4, 4.5])


def test_variable_says_what_it_is(variable):
    assert variable.precision == 1
    assert "quantizer=double, precision=1" in repr(variable)


def test_tensorflow_variable_restores_from_a_checkpoint(tmp_path):
    tf = pytest.importorskip("tensorflow")
    variable = QuantizedVariable.from_variable(tf.Variable(123.0), double)
    saved = tf.train.Checkpoint(x=variable).save(tmp_path / "c")
    variable.assign(1.0)

    tf.train.Checkpoint(x=variable).restore(saved).assert_consumed()

    assert variable.numpy() == 123


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variable": 3}, r"^`variable` must be of type `.*Variable`, not int\.$"),
        ({"quantizer": 1}, r"^`quantizer` must be `callable` or `None`\. Received: quantizer=1$"),
        ({"precision": 1.0}, r"^`precision` must be of type `int` or `None`\. Received: precision=1\.0$"),
    ],
)
def test_variable_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuantizedVariable.from_variable(**{"variable": keras.Variable(1.0), **arguments})
