"""Models in memory against their own packages."""

from __future__ import annotations

from typing import Any

import numpy as np

import bnn2hw

STEP = 1 / 16


def agree(model: Any, *, exact: bool = True) -> None:
    """Compare an accelerator with its model on random frames."""
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("int8", scale=STEP))
    frames = np.random.default_rng(0).integers(-128, 128, (32, *model.input_shape[1:]))

    scores = accelerator.dequantize(accelerator.golden(frames))

    expected = model.predict(frames.astype(np.float32) * STEP, verbose=0)
    assert np.array_equal(scores, expected) if exact else np.allclose(scores, expected, 1e-5, 1e-5)


def shake(model: Any) -> Any:
    """Give the weights random values."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if any(part in weight.path for part in ("quantizer", "iteration", "ebops", "qnoise")):
            continue
        low = 0.5 if "variance" in weight.path else -1.0
        weight.assign(rng.uniform(low, 1.5, weight.shape))
    return model
