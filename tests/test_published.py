"""Networks that nobody here trained reproduce the scores that were published with them."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from tests.support import published, shared


@pytest.mark.parametrize("name", ["lfc_w1a1_mnist", "tfc_1w1a_mnist"])
def test_golden_reproduces_all_scores(name: str) -> None:
    path = shared(f"{name}.npz")
    data = np.load(path)
    accelerator = bnn2hw.compile(published.model(path), input=bnn2hw.Input("bipolar"), target="xc7z045")

    x = data["oracle_input"] if "oracle_input" in data else data["oracle_input_q"]

    assert np.array_equal(accelerator.golden(x), data["oracle_scores"])
    assert all(f.kind == "exact" for f in accelerator.fidelity.values())


def test_tfc_in_hardware_at_a_million_frames_per_second() -> None:
    path = shared("tfc_1w1a_mnist.npz")
    data = np.load(path)
    accelerator = bnn2hw.compile(published.model(path), input=bnn2hw.Input("bipolar"), fps=1e6)

    run = accelerator.simulate(data["oracle_input_q"])

    run.check()
    assert np.array_equal(run.outputs, data["oracle_scores"])
    assert run.interval == run.predicted.interval
    assert run.interval <= 100


def test_lfc_in_hardware_at_128_cycles_per_frame() -> None:
    path = shared("lfc_w1a1_mnist.npz")
    data = np.load(path)
    model = published.model(path)
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), target="xc7z045", fps=200e6 / 128)

    run = accelerator.simulate(data["oracle_input"][:250])

    run.check()
    assert np.array_equal(run.outputs, data["oracle_scores"][:250])
    assert run.interval <= 128
    assert (run.interval, run.latency) == (run.predicted.interval, run.predicted.latency)


def test_lfc_from_pixels() -> None:
    """The published input rule, a bit that is set from 128 on, as the first layer's own quantizer."""
    path = shared("lfc_w1a1_mnist.npz")
    data = np.load(path)
    wire = bnn2hw.Input("uint8", scale=1.0, offset=-127.5)
    accelerator = bnn2hw.compile(published.model(path), input=wire, target="xc7z045")

    scores = accelerator.golden(data["oracle_images"].reshape(-1, 784))

    assert np.array_equal(scores, data["oracle_scores"])


# By default, the tutorial's network is emulated in tests/simulation/test_hls_network.py.
@pytest.mark.soak
def test_lfc_in_c_simulation_and_emulated() -> None:
    """Weights of almost three million bits, through the compiler as initialisers."""
    path = shared("lfc_w1a1_mnist.npz")
    data = np.load(path)
    accelerator = bnn2hw.compile(
        published.model(path),
        input=bnn2hw.Input("bipolar"),
        target="xc7z045",
        fps=200e6 / 128,
        backend="hls",
    )

    run = accelerator.simulate(data["oracle_input"][:40], stalls=0.2)

    run.check()
    assert np.array_equal(run.outputs, data["oracle_scores"][:40])
    assert np.array_equal(accelerator.emulate(data["oracle_input"]), data["oracle_scores"])
