"""Golden against Keras, layer by layer, each on what golden itself gave to the layer."""

from __future__ import annotations

import keras
import numpy as np

from bnn2hw import golden
from bnn2hw.flow import Accelerator
from bnn2hw.golden import Batch

CLOSE = 1e-4


def check(model: keras.Model, accelerator: Accelerator, x: Batch) -> str:
    """Hold an accelerator against its model on some inputs, which are integers as on the wire.

    Returns:
        "exact" where all layers are, else "rounded".
    """
    real, lowered = accelerator.origin
    graph, types = lowered.graph, lowered.graph.types
    arrays = golden.check(graph, accelerator.integers(x))
    floats = {name: types[name].real(a).astype(np.float32) for name, a in arrays.items()}
    imported_equals_keras(model, accelerator, floats)
    ours = golden.run(graph, arrays)
    found = {}
    for edge, name in lowered.matches.items():
        if edge in types:
            found[name] = (types[edge], types[edge].real(ours[edge]).reshape(len(ours[edge]), -1))
    values: dict[str, np.ndarray] = dict(floats)
    for node in real:
        if node.name in values:
            continue
        theirs = node.op.golden(*(values[i] for i in node.inputs))
        if node.name not in found:
            values[node.name] = theirs
            continue
        tensor, near = found[node.name]
        layer = getattr(node.op, "layer", node.name)
        kind = [lowered.fidelity[n] for n in (node.name, layer) if n in lowered.fidelity]
        step = float(np.max(np.abs(np.asarray(tensor.scale))))
        flat = theirs.reshape(len(theirs), -1)
        wrong = ~np.isclose(near, flat, 1e-5, step / 2 + 2e-6 * float(np.abs(flat).max()))
        if kind and all(k.kind == "exact" for k in kind):
            assert not wrong.any(), f"{node.name}: {wrong.sum()} of {wrong.size} differ, {kind[0]}"
        else:
            largest = max(float(np.abs(flat).max()), float(np.abs(near).max()), 1e-6)
            off = np.abs(near - flat)
            assert (off > 3 * step + largest * 2**-7).mean() < 0.02, (
                f"{node.name}: off by {off.max():g} of {largest:g}, step {step:g}, {kind[:1]}"
            )
        values[node.name] = near.reshape(theirs.shape).astype(np.float32)
    outputs = golden.by_name(graph.outputs, golden.outputs(graph, arrays))
    exact = all(f.kind == "exact" for f in lowered.fidelity.values())
    if exact and len(outputs) == 1:
        (name,) = outputs
        ends = golden.run(real, floats)[real.outputs[0]]
        if types[name].shape[-1] == 1 and ends.shape[-1] != 1:
            ends = ends.argmax(-1)[..., None]
        got = types[name].real(outputs[name]).reshape(len(ends), -1)
        slack = 0.51 * float(np.max(np.abs(np.asarray(types[name].scale))))
        assert np.allclose(got, ends.reshape(len(ends), -1), 1e-5, slack), "the output differs"
    return "exact" if exact else "rounded"


def imported_equals_keras(model: keras.Model, accelerator: Accelerator, floats: Batch) -> None:
    """What was read computes what the model computes, but for decisions that float32 tips."""
    real, _ = accelerator.origin
    given = [floats[t._keras_history.operation.name] for t in model.inputs]
    expected = model(given if len(given) > 1 else given[0])
    expected = expected if isinstance(expected, list | tuple) else [expected]
    values = golden.run(real, floats)
    for tensor, name in zip(expected, real.outputs, strict=True):
        theirs = keras.ops.convert_to_numpy(tensor)
        found = values[name].reshape(theirs.shape)
        scale = max(float(np.abs(theirs).max()), 1e-3)
        same = np.isclose(found, theirs, 1e-3, scale * 1e-3).reshape(len(theirs), -1).all(1)
        assert same.mean() > 0.7, f"{name}: the real form differs from Keras in {1 - same.mean():.0%} of the images"
