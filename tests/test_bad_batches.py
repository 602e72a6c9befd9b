"""No batch leads to a raw exception: every public call refuses it, or takes it for what it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

import bnn2hw
from bnn2hw import Accelerator
from bnn2hw.errors import InputError, UnsupportedError
from tests.support import networks as net

CALLS: dict[str, Callable[[Accelerator, object], object]] = {
    "golden": lambda a, x: a.golden(x),
    "predict": lambda a, x: a.predict(x),
    "evaluate": lambda a, x: a.evaluate(x, np.zeros(2, int)),
    "emulate": lambda a, x: a.emulate(x),
    "simulate": lambda a, x: a.simulate(x),
    "values": lambda a, x: a.values(x),
    "deviation": lambda a, x: a.deviation(x),
    "integers": lambda a, x: a.integers(x),
    "calibration": lambda a, x: bnn2hw.compile(model(), input=bnn2hw.Input("int4"), calibration=x),
}

BAD: dict[str, object] = {
    "no frames": np.zeros((0, 6), int),
    "too few axes": np.zeros(6, int),
    "too many axes": np.zeros((2, 6, 1, 1), int),
    "another length": np.zeros((2, 5), int),
    "a number": np.array(3),
    "objects": np.array([[None] * 6] * 2, object),
    "words": np.array([["a"] * 6] * 2),
    "complex numbers": np.zeros((2, 6), complex),
    "NaN": np.full((2, 6), np.nan),
    "infinity": np.full((2, 6), np.inf),
    "fractions": np.full((2, 6), 0.5),
    "out of range": np.full((2, 6), 100),
    "64 bits": np.full((2, 6), 2**64 - 1, np.uint64),
    "a list": [[1, 2, 3]],
    "a ragged list": [[1, 2], [3]],
    "another name": {"other": np.zeros((2, 6), int)},
    "nothing": None,
}


def model():
    return net.chain((6,), net.dense(4, input_quantizer=None, name="first"), net.dense(3, name="last"))


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return bnn2hw.compile(model(), input=bnn2hw.Input("int4"))


@pytest.mark.parametrize(
    ("call", "bad"), [pair for pair in product(CALLS, BAD) if pair != ("calibration", "nothing")]
)
def test_a_bad_batch_is_refused(call: str, bad: str, accelerator: Accelerator) -> None:
    with pytest.raises(InputError):
        CALLS[call](accelerator, BAD[bad])


def test_lists_are_batches(accelerator: Accelerator) -> None:
    x = np.random.default_rng(0).integers(-8, 8, (2, 6))

    expected = accelerator.golden(x)

    assert np.array_equal(accelerator.golden(x.tolist()), expected)
    assert np.array_equal(accelerator.predict(x.tolist()), accelerator.dequantize(expected.tolist()))
    assert accelerator.values(x.tolist(), "last").keys() == accelerator.values(x, ["last"]).keys()


@pytest.mark.parametrize(
    "y",
    [np.array([None]), np.zeros((2, 4)), np.zeros(6), np.full((2, 3), np.nan), [[1], [2, 3]], 3, {"a": 1}],
)
def test_what_no_output_can_be(y: object, accelerator: Accelerator) -> None:
    with pytest.raises(InputError):
        accelerator.dequantize(y)


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.array(["a", "b"]), 3, [[1], [2, 3]], None])
def test_labels_that_do_not_fit(labels: object, accelerator: Accelerator) -> None:
    with pytest.raises(InputError):
        accelerator.evaluate(np.zeros((2, 6), int), labels)


@pytest.mark.parametrize("data", [iter([]), (), "images", [], {}])
def test_data_without_frames(data: object, accelerator: Accelerator) -> None:
    for call in (accelerator.predict, accelerator.values):
        with pytest.raises(InputError):
            call(data)


def test_calibration_data_in_the_models_unit() -> None:
    """Floats stand for integers, as they do everywhere else."""
    wire = bnn2hw.Input("uint8", scale=1 / 255)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6))
    network = net.chain((6,), net.dense(4, input_quantizer=None, kernel_quantizer=None), net.norm())

    first, second = (
        bnn2hw.compile(network, input=wire, calibration=x)
        for x in (pixels, (pixels / 255).astype(np.float32))
    )

    assert np.array_equal(first.golden(pixels), second.golden(pixels))


def test_calibration_data_without_an_input() -> None:
    with pytest.raises(UnsupportedError, match="integers that arrive at this input are not known"):
        bnn2hw.compile(model(), calibration=np.zeros((2, 6), int))
