"""Random QONNX graphs equal the executor of QONNX."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import executed
from tests.support.random_onnx import drawn

package_or_skip("qonnx")

FRAMES = 6


def compare(seed: int) -> None:
    model, wire = drawn(seed)
    v = np.random.default_rng(seed).choice(wire.ints.values(), (FRAMES, *wire_shape(model)))
    x = (v * wire.scale + wire.offset).astype(np.float32)
    expected = executed(model, x)
    accelerator = bnn2hw.compile(model, target="xc7z045")

    found = np.asarray(accelerator.dequantize(accelerator.golden(v))).reshape(expected.shape)

    assert accelerator.input_specs == wire
    assert np.array_equal(accelerator.integers(x), v)
    exact = all(f.kind == "exact" for f in accelerator.fidelity.values())
    largest = float(np.abs(expected).max())
    slack = (
        0.51 * float(np.max(np.abs(accelerator.output.scale))) + (1e-5 if exact else 1e-3) * largest + 1e-6
    )
    off = np.abs(found - expected) > slack
    # Where float32 can tip a decision of the executor, it may do so in a frame or two.
    assert not off.any() if exact else off.any(-1).mean() <= 0.34, (off.mean(), accelerator.fidelity)


def wire_shape(model: object) -> list[int]:
    return [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]


@pytest.mark.parametrize("seed", range(12))
def test_a_dozen_graphs(seed: int) -> None:
    compare(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 312))
def test_hundreds_of_graphs(seed: int) -> None:
    compare(seed)
