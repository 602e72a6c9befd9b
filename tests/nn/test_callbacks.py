"""HyperparameterScheduler on Keras's optimizers, on Bop, and within a CaseOptimizer."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn.callbacks import HyperparameterScheduler


def compiled(optimizer):
    model = keras.Sequential(
        [keras.Input((4,)), nn.layers.QuantDense(2, kernel_quantizer=nn.quantizers.NoOp(precision=1))]
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, scheduler, epochs=3):
    return model.fit(
        np.ones((32, 4)), np.ones((32, 2)), batch_size=16, epochs=epochs, callbacks=scheduler, verbose=0
    )


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_sets_the_learning_rate_of_each_epoch(name):
    model = compiled(keras.optimizers.Adam(0.01))

    history = fit(model, HyperparameterScheduler(lambda epoch: 1 / (1 + epoch), name))

    assert float(model.optimizer.learning_rate) == pytest.approx(1 / 3)
    assert history.history[name] == pytest.approx([1, 1 / 2, 1 / 3])


def test_counts_steps_over_epochs():
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.5**step

    model = compiled(keras.optimizers.SGD(0.01))
    fit(model, HyperparameterScheduler(schedule, "learning_rate", update_freq="step"))

    assert seen == [0, 1, 2, 3, 4, 5]
    assert float(model.optimizer.learning_rate) == 0.5**5


def test_schedule_may_take_the_current_value(capsys):
    model = compiled(keras.optimizers.SGD(1.0))

    fit(model, HyperparameterScheduler(lambda epoch, value: value / 2, "learning_rate", verbose=1))

    assert float(model.optimizer.learning_rate) == 1 / 8
    assert "Epoch 2: learning_rate is now 0.125." in capsys.readouterr().out


def test_reaches_the_optimizers_within():
    bop, adam = nn.optimizers.Bop(threshold=1e-6, gamma=1e-3), keras.optimizers.Adam(0.01)
    model = compiled(
        nn.optimizers.CaseOptimizer((nn.optimizers.Bop.is_binary_variable, bop), default_optimizer=adam)
    )
    names = [("gamma", bop), ("threshold", bop), ("learning_rate", adam)]

    fit(model, [HyperparameterScheduler(lambda epoch: 1 / (2 + epoch), name, o) for name, o in names])

    for name, optimizer in names:
        assert float(getattr(optimizer, name)) == pytest.approx(1 / 4)


def test_takes_effect_in_the_compiled_step():
    bop = nn.optimizers.Bop(threshold=1e6, gamma=1.0)
    model = compiled(
        nn.optimizers.CaseOptimizer(
            (nn.optimizers.Bop.is_binary_variable, bop), default_optimizer=keras.optimizers.SGD(0.0)
        )
    )
    x, y = np.ones((4, 4)), np.full((4, 2), -9.0)
    model.fit(x, y, verbose=0)
    before = model.layers[0].kernel.numpy()

    model.fit(x, y, verbose=0, callbacks=[HyperparameterScheduler(lambda epoch: 1e-6, "threshold", bop)])

    assert np.any(model.layers[0].kernel.numpy() != before)


def test_unknown_frequency():
    with pytest.raises(ValueError, match=r"^`update_freq` must be 'epoch' or 'step'\. Received: 'batch'$"):
        HyperparameterScheduler(lambda epoch: 1.0, "lr", update_freq="batch")


def test_unknown_hyperparameter():
    model = compiled(keras.optimizers.SGD(1.0))

    with pytest.raises(ValueError, match=r'^Optimizer must have a "warmth" attribute\.$'):
        fit(model, HyperparameterScheduler(lambda epoch: 1.0, "warmth"))
