"""The shipped checkpoint is what its README says: the tutorial's network, trained."""

from pathlib import Path

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn

EXAMPLES = Path(__file__).parents[2] / "examples"
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"


def pixels(images):
    return (images.reshape(-1, 28, 28, 1) / 127.5 - 1).astype("float32")


def test_checkpoint_knows_the_sample():
    model = keras.models.load_model(EXAMPLES / "mnist.keras")
    with np.load(EXAMPLES / "mnist_sample.npz") as sample:
        x, y = sample["x"], sample["y"]

    assert x.shape == (200, 28, 28, 1)
    assert x.dtype == np.uint8
    assert np.mean(model.predict(pixels(x), verbose=0).argmax(-1) == y) > 0.98
    assert not model.compiled


def test_checkpoint_has_the_accuracy_of_the_readme():
    if not MNIST.exists():
        pytest.skip(f"the full MNIST is not at {MNIST}")
    model = keras.models.load_model(EXAMPLES / "mnist.keras")
    with np.load(MNIST) as data:
        x, y = data["x_test"], data["y_test"]

    accuracy = np.mean(model.predict(pixels(x), batch_size=1000, verbose=0).argmax(-1) == y)

    assert f"{100 * accuracy:.2f} %" in (EXAMPLES / "README.md").read_text(encoding="utf8")


def test_checkpoint_is_the_network_of_the_tutorial():
    profile = nn.models.profile(keras.models.load_model(EXAMPLES / "mnist.keras"))

    assert (profile.weight_count(1), profile.weight_count(32)) == (93_088, 468)
    assert f"{profile.mac_ratio(1):.4f}" == "0.9303"
