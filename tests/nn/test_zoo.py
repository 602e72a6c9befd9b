"""The zoo: published sizes at full size, and small versions that run, train and survive a file."""

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn import zoo
from bnn2hw.nn.zoo.parts import AddToLastChannels, blurpool_initializer, xnor_weight_scale

# all weights, size, part of the operations that is binarized
PUBLISHED = {
    "BiRealNet": (11_699_112, "4.00 MiB", "0.9240"),
    "BinaryAlexNet": (61_859_192, "7.45 MiB", "0.9134"),
    "BinaryDenseNet28": (5_150_504, "4.04 MiB", "0.9466"),
    "BinaryDenseNet37": (8_734_120, "5.13 MiB", "0.9576"),
    "BinaryDenseNet37Dilated": (8_734_120, "5.13 MiB", "0.9450"),
    "BinaryDenseNet45": (13_939_240, "7.35 MiB", "0.9634"),
    "BinaryNet": (10_363_550, "1.26 MiB", "0.9939"),
    "BinaryResNetE18": (11_699_368, "4.00 MiB", "0.9240"),
    "DoReFaNet": (62_403_912, "22.80 MiB", "0.0000"),
    "MeliusNet22": (6_969_672, "3.88 MiB", "0.9714"),
    "QuickNet": (13_243_720, "4.17 MiB", "0.9842"),
    "QuickNetLarge": (23_359_304, "5.40 MiB", "0.9920"),
    "QuickNetSmall": (12_664_344, "4.00 MiB", "0.9864"),
    "RealToBinaryNet": (11_995_624, "5.13 MiB", "0.9239"),
    "XNORNet": (62_396_768, "22.77 MiB", "0.9005"),
}
ALIKE = {"BinaryDenseNet37", "BinaryDenseNet37Dilated", "BinaryDenseNet45"}
ALIKE |= {"BinaryResNetE18", "QuickNet", "QuickNetLarge"}  # made of the same layers as another one
FAMILIES = [pytest.param(n, marks=pytest.mark.soak) if n in ALIKE else n for n in PUBLISHED]
LOWEST = {"BinaryAlexNet": 64, "XNORNet": 64, "DoReFaNet": 64}


def small(name):
    size = LOWEST.get(name, 32)
    return getattr(zoo, name)(input_shape=(size, size, 3), num_classes=5, width=0.125)


def test_every_network_is_tested():
    assert sorted(PUBLISHED) == sorted(zoo.__all__)


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_is_the_published_one(name, monkeypatch):
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", _zeros)
    monkeypatch.setattr(keras.initializers.GlorotNormal, "__call__", _zeros)
    monkeypatch.setattr(keras.initializers.HeNormal, "__call__", _zeros)

    model = getattr(zoo, name)()

    profile = nn.models.profile(model)
    sizes = (
        model.count_params(),
        nn.utils.memory_as_readable_str(profile.memory),
        f"{profile.mac_ratio(1):.4f}",
    )
    assert sizes == PUBLISHED[name]


def _zeros(_, shape, dtype=None):
    """Weights whose values do not matter here, without the time that randomness takes."""
    return keras.ops.zeros(shape, dtype)


@pytest.mark.parametrize("name", FAMILIES)
def test_small_version_survives_a_file(rng, tmp_path, name):
    model = small(name)
    x = rng.normal(size=(2, *model.input_shape[1:])).astype("float32")
    y = np.asarray(model(x))

    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")

    np.testing.assert_allclose(y.sum(axis=-1), 1, atol=1e-5)
    assert y.shape == (2, 5)
    np.testing.assert_array_equal(loaded(x), y)


@pytest.mark.parametrize(
    ("name", "size", "epochs"),
    [("BinaryNet", 32, 10), pytest.param("QuickNetSmall", 16, 20, marks=pytest.mark.soak)],
)
def test_small_version_learns(rng, name, size, epochs):
    model = getattr(zoo, name)(input_shape=(size, size, 3), num_classes=5, width=0.125)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x = rng.normal(size=(16, size, size, 3)).astype("float32")
    y = np.arange(16) % 5

    losses = model.fit(x, y, epochs=epochs, batch_size=16, verbose=0).history["loss"]

    assert losses[-1] < 0.75 * losses[0]


def test_without_top_ends_in_feature_maps():
    model = zoo.BiRealNet(input_shape=(32, 32, 3), width=0.125, include_top=False)

    assert model.output_shape == (None, 4, 4, 64)


def test_input_shape_must_be_complete():
    with pytest.raises(
        ValueError,
        match=r"^`input_shape` must be \(height, width, channels\)\. Received: \(None, 32, 3\)$",
    ):
        zoo.QuickNet(input_shape=(None, 32, 3))


def test_scale_of_each_filter(rng):
    kernel = rng.normal(size=(3, 3, 4, 2)).astype("float32")

    scaled = np.asarray(xnor_weight_scale(kernel))

    alpha = np.abs(np.clip(kernel, -1, 1)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(scaled, np.where(kernel < 0, -alpha, alpha), rtol=1e-6)


def test_added_channels_are_the_last(rng):
    whole, part = rng.normal(size=(2, 3, 3, 5)), rng.normal(size=(2, 3, 3, 2))

    total = np.asarray(AddToLastChannels(dtype="float64")([whole, part]))

    np.testing.assert_array_equal(total[..., :3], whole[..., :3])
    np.testing.assert_allclose(total[..., 3:], whole[..., 3:] + part)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_blur_keeps_a_constant(size):
    kernel = np.asarray(blurpool_initializer((size, size, 4, 1), "float32"))

    np.testing.assert_allclose(kernel.sum(axis=(0, 1)), 1)
    assert np.all(kernel == kernel[::-1, ::-1])


def test_blur_of_another_size_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^The size of a blur kernel must be 2, 3 or 5\. Received: shape=\(4, 4, 1, 1\)$",
    ):
        blurpool_initializer((4, 4, 1, 1))
