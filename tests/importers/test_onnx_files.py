"""Files that Brevitas, QONNX and FINN's tools wrote give the scores that their own executor computes."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from bnn2hw.accelerator import Accelerator
from tests.support import shared
from tests.support.machine import package_or_skip

package_or_skip("onnxruntime")

UNIT = bnn2hw.Input("uint8", scale=1 / 255)

FILES = {
    "mlp_w1a1": None,
    "mlp_w1a1_clean": None,
    "mlp_w1a1_mt": None,
    "cnn_w2a2": UNIT,
    "fix_w4a4": None,
    "cnv_mini_w1a1": UNIT,
    "res_mini_w4a4": None,
    "dw_mini_w4a4": None,
    "rgb_w4a4": None,
    "rgb_w4a4_chlast": None,
    "qk09_cnn_qonnx": bnn2hw.Input("uint8", scale=1 / 256),
}
"""Integers on the wire, by file; None where the file itself says so."""


def compiled(name: str) -> Accelerator:
    return bnn2hw.compile(shared(f"foreign/{name}.onnx"), input=FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_scores_of_files(name: str) -> None:
    data = np.load(shared(f"foreign/{name}.io.npz"))
    accelerator = compiled(name)

    scores = accelerator.dequantize(accelerator.golden(data["x"]))

    assert np.allclose(scores, data["y"], rtol=0, atol=1e-4 * np.abs(data["y"]).max())
    assert np.array_equal(accelerator.predict(data["x"]), scores)


@pytest.mark.parametrize("name", ["TFC_1W1A", "TFC_2W2A"])
def test_accuracy_of_the_published_networks(name: str) -> None:
    data = np.load(shared("mnist.npz"))
    accelerator = bnn2hw.compile(shared(f"qonnx/{name}.onnx"), input=UNIT)

    accuracy = accelerator.evaluate(data["x_test"][:, None], data["y_test"])

    assert accuracy == {"TFC_1W1A": 0.9296, "TFC_2W2A": 0.9660}[name]
    assert all(f.kind == "exact" for f in accelerator.fidelity.values())


def test_a_published_network_in_hardware() -> None:
    images = np.load(shared("mnist.npz"))["x_test"][:32, None]
    accelerator = bnn2hw.compile(shared("qonnx/TFC_1W1A.onnx"), input=UNIT, fps=1e6)

    run = accelerator.simulate(images, stalls=0.3)

    run.check()
    assert np.array_equal(run.outputs, accelerator.golden(images))


def test_images_with_their_channels_first_and_last_are_one_stream() -> None:
    first, last = (compiled(name) for name in ("rgb_w4a4", "rgb_w4a4_chlast"))
    data = np.load(shared("foreign/rgb_w4a4.io.npz"))
    pixels = data["x_u8"]

    assert first.input.shape == last.input.shape == (20, 24, 3)
    assert np.array_equal(first.integers(data["x"]), pixels)
    assert np.array_equal(first.golden(pixels), first.golden(data["x"]))
    assert np.array_equal(
        first.predict(pixels).argmax(-1), last.predict(pixels.transpose(0, 2, 3, 1)).argmax(-1)
    )
    words = "axes of 'x.183': 3x20x24 in the model's arrays, 20x24x3 in the stream"
    assert words in first.design.files[f"{first.design.top}.sv"]
    assert words.replace("x2", "×2").replace("4x3", "4×3") in str(first)
