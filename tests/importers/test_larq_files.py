"""Model files that Larq wrote compile, and their classes equal those of Larq."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from tests.support import shared

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)


@pytest.mark.parametrize("kind", ["latent.h5", "latent.keras", "quantized.h5"])
def test_a_file_of_larq_compiles(kind: str) -> None:
    data = np.load(shared("larq/mnist_tutorial_e12.io.npz"))
    accelerator = bnn2hw.compile(shared(f"larq/mnist_tutorial_e12.{kind}"), input=PIXELS)
    x = data["x_u8"].reshape(-1, 28, 28, 1)

    assert np.array_equal(accelerator.golden(x), data["y"].argmax(1))
    assert all(f.kind == "exact" for f in accelerator.fidelity.values())
    accelerator.simulate(x[:3]).check()
