"""Random QONNX graphs equal the executor of QONNX."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import bnn2hw
from bnn2hw.accelerator import Accelerator
from tests.support import long_runs
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

    assert accelerator.input_specs == wire
    assert np.array_equal(accelerator.integers(x), v)
    exact = all(f.kind == "exact" for f in accelerator.fidelity.values())
    off = (indices_differ if "int" in str(expected.dtype) or is_softmax(model) else values_differ)(
        accelerator, v, expected, 1e-5 if exact else 1e-3
    )
    # Where float32 can tip a decision of the executor, it may do so in a frame or two.
    assert not off.any() if exact else off.mean() <= 0.34, (off.mean(), accelerator.fidelity)


def values_differ(accelerator: Accelerator, v: np.ndarray, expected: np.ndarray, slack: float) -> np.ndarray:
    """For each frame, whether a value is off by more than half of a step and a part of the largest."""
    found = np.asarray(accelerator.dequantize(accelerator.golden(v))).reshape(expected.shape)
    step = 0.51 * float(np.max(np.abs(accelerator.output.scale)))
    off = np.abs(found - expected) > step + slack * float(np.abs(expected).max()) + 1e-6
    return off.reshape(len(v), -1).any(-1)


def indices_differ(accelerator: Accelerator, v: np.ndarray, expected: np.ndarray, _: float) -> np.ndarray:
    """For each frame, whether the best classes are others."""
    best = expected if "int" in str(expected.dtype) else expected.argmax(-1)
    found = np.asarray(accelerator.golden(v)).reshape(len(v), -1)
    return (found != best.reshape(len(v), -1)).any(-1)


def is_softmax(model: onnx.ModelProto) -> bool:
    return model.graph.node[-1].op_type == "Softmax"


def wire_shape(model: onnx.ModelProto) -> list[int]:
    return [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]


@pytest.mark.parametrize("seed", long_runs.after(6, range(12)))
def test_a_dozen_graphs(seed: int) -> None:
    compare(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 312))
def test_hundreds_of_graphs(seed: int) -> None:
    compare(seed)
