"""Results on this machine: native code equals golden, in every form in which people have their data."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, tools
from bnn2hw.errors import InputError, MissingToolError
from bnn2hw.ir import Array
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS)


@pytest.fixture(scope="module")
def scores() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, output="scores")


@pytest.fixture(scope="module")
def images() -> Array:
    return np.random.default_rng(0).integers(0, 256, (50, 11, 11, 1), dtype=np.uint8)


def test_classes_and_scores(
    accelerator: bnn2hw.Accelerator, scores: bnn2hw.Accelerator, images: Array
) -> None:
    assert np.array_equal(accelerator.predict(images), accelerator.golden(images))
    assert np.array_equal(scores.predict(images), scores.dequantize(scores.golden(images)))
    assert np.array_equal(scores.predict(images).argmax(-1), accelerator.predict(images))


def test_every_layer(accelerator: bnn2hw.Accelerator, images: Array) -> None:
    expected = golden.run(accelerator.graph, images.astype(np.int64))

    found = accelerator.values(images)

    assert len(found) > 10
    for name, values in found.items():
        assert np.array_equal(values, expected[name]), name
    [layer] = {node.layer for node in accelerator.graph if node.name == next(iter(found))}
    assert set(accelerator.values(images, [layer])) == {
        n.name for n in accelerator.graph if n.layer == layer
    } & set(found)
    with pytest.raises(InputError, match="there is no layer 'nope'; layers: "):
        accelerator.values(images, ["nope"])


def test_all_forms_of_data(accelerator: bnn2hw.Accelerator, images: Array) -> None:
    import tensorflow as tf

    class Pairs(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, i: int) -> tuple[Array, Array]:
            return images[10 * i : 10 * i + 10], labels[10 * i : 10 * i + 10]

    def batches() -> Iterator[Array]:
        yield from np.split(images, 5)

    labels = accelerator.golden(images)
    labels[:5] = (labels[:5] + 1) % 5
    expected = accelerator.golden(images)
    pairs = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)

    assert np.array_equal(accelerator.predict(images[..., 0]), expected)
    assert np.array_equal(accelerator.predict(images / 127.5 - 1), expected)
    assert np.array_equal(accelerator.predict(batches()), expected)
    assert np.array_equal(accelerator.predict(Pairs()), expected)
    assert np.array_equal(accelerator.predict(pairs), expected)
    assert accelerator.evaluate(images, labels) == 0.9
    assert accelerator.evaluate(images, np.eye(5)[labels]) == 0.9
    assert accelerator.evaluate(Pairs()) == 0.9
    assert accelerator.evaluate(pairs) == 0.9


def test_without_a_compiler(
    accelerator: bnn2hw.Accelerator,
    images: Array,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def missing() -> tools.Tool:
        raise MissingToolError("no C++ compiler was found")

    monkeypatch.setattr(tools, "cxx", missing)
    fresh = bnn2hw.compile(net.tutorial_like(), input=PIXELS)

    with caplog.at_level(logging.INFO, logger="bnn2hw"):
        found = fresh.predict(images)

    assert np.array_equal(found, accelerator.golden(images))
    assert "results come from the integer model in NumPy: no C++ compiler was found" in caplog.text


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 5, 5, 1), np.uint8), "has shape"),
        (np.full((2, 11, 11, 1), 300), "holds values outside of"),
        (np.full((2, 11, 11, 1), 0.3), "holds floats that are not uint8 values"),
        (7, "expected an array, a data set or an iterator of batches, not int"),
    ],
)
def test_bad_input(accelerator: bnn2hw.Accelerator, x: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        accelerator.predict(x)  # type: ignore[arg-type]


def test_labels_that_do_not_fit(accelerator: bnn2hw.Accelerator, images: Array) -> None:
    with pytest.raises(InputError, match="49 labels are given for 50 frames"):
        accelerator.evaluate(images, np.zeros(49, int))
    with pytest.raises(InputError, match="there are no labels"):
        accelerator.evaluate(images)
    for label in (-1, 0.5):
        with pytest.raises(InputError, match=f"counted from 0, or one-hot rows; {label} is neither"):
            accelerator.evaluate(images, np.full(50, label))


def test_golden_computes_a_few_frames_at_a_time(
    scores: bnn2hw.Accelerator, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = golden.outputs(scores.graph, images)
    [edge] = scores.graph.outputs

    monkeypatch.setattr(golden, "AT_ONCE", 7 * max(t.size for t in scores.graph.types.values()))

    assert np.array_equal(golden.outputs(scores.graph, images), expected)
    assert np.array_equal(golden.run(scores.graph, images)[edge], expected)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == np.int64  # sums of scores do not overflow
