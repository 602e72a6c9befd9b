"""Compare golden with Keras layer by layer: each layer gets the values that golden gives it."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np

from bnn2hw import golden
from bnn2hw.accelerator import Accelerator
from bnn2hw.golden import Batch
from bnn2hw.ir import Tensor
from bnn2hw.lower.fidelity import Fidelity


def check(model: keras.Model, accelerator: Accelerator, x: Batch) -> str:
    """Compare an accelerator with its Keras model.

    Args:
        model: The model.
        accelerator: The accelerator that was compiled from it.
        x: Integers on the wire.

    Returns:
        "exact" if all layers are exact, else "rounded".
    """
    imported_equals_keras(model, accelerator, x)
    return check_layers(accelerator, x)


def real_inputs(accelerator: Accelerator, x: Batch) -> dict[str, np.ndarray]:
    """Return integers on the wire as the real numbers that the model gets, by input."""
    types = accelerator.origin.lowered.graph.types
    arrays = golden.check(accelerator.graph, accelerator.integers(x))
    return {name: types[name].real(a).astype(np.float32) for name, a in arrays.items()}


def check_layers(accelerator: Accelerator, x: Batch) -> str:
    """Compare each layer of an accelerator with the same layer of its real form.

    Args:
        accelerator: An accelerator that was just compiled.
        x: Integers on the wire.

    Returns:
        "exact" if all layers are exact, else "rounded".
    """
    real, lowered = accelerator.origin.real, accelerator.origin.lowered
    graph, types = lowered.graph, lowered.graph.types
    arrays = golden.check(graph, accelerator.integers(x))
    floats = real_inputs(accelerator, x)
    ours = golden.run(graph, arrays)
    found: dict[str, list[tuple[Tensor, np.ndarray]]] = {}
    for edge, name in lowered.matches.items():
        if edge in types:
            near = types[edge].real(ours[edge]).reshape(len(ours[edge]), -1)
            found.setdefault(name, []).append((types[edge], near))
    # Readers of a layer may get its values in streams of different steps, or computed from its
    # input. Try all of them.
    values: dict[str, list[np.ndarray]] = {name: [a] for name, a in floats.items()}
    moved: dict[str, Fidelity | None] = {}
    for node in real:
        if node.name in values:
            continue
        given = list(product(*(values[i] for i in node.inputs)))[:12]
        theirs = [node.op.golden(*v) for v in given]
        streams = found.get(node.name, ())
        # A layer that was moved behind this one is rounded in this one's stream.
        kinds = [
            lowered.fidelity.get(node.layer),
            *(moved.get(i) for i in node.inputs),
        ]
        kind = next((k for k in kinds if k and k.kind == "rounded"), kinds[0])
        if not streams:
            moved[node.name] = kind
        for tensor, near in streams:
            wrong = [difference(tensor, near, t.reshape(len(t), -1), kind) for t in theirs]
            assert not all(wrong), f"{node.name}: {wrong[0]}, {kind}"
        taken = [n.reshape(theirs[0].shape).astype(np.float32) for _, n in streams]
        values[node.name] = [*taken, *theirs] if len(real.readers[node.name]) > 1 else taken or theirs
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


def step_of(tensor: Tensor) -> float:
    return float(np.max(np.abs(np.asarray(tensor.scale))))


def difference(tensor: Tensor, near: np.ndarray, theirs: np.ndarray, kind: Fidelity | None) -> str:
    """Describe the difference, unless it is Keras's own rounding or that of a rounded layer."""
    step, largest = step_of(tensor), max(float(np.abs(theirs).max()), float(np.abs(near).max()), 1e-6)
    off = np.abs(near - theirs)
    if kind is None or kind.kind == "exact":
        wrong = off > step / 2 + 2e-6 * largest + 1e-5 * np.abs(theirs)
        return f"{wrong.sum()} of {wrong.size} differ by up to {off.max():g}" if wrong.any() else ""
    # The float32 rounding of a function is a share of the largest value that it could have.
    noise = 2.0**-19 * step * max(abs(tensor.ints.lo), abs(tensor.ints.hi))
    far = (off > 3 * step + largest * 2**-7 + noise).mean()
    return f"{far:.0%} off by up to {off.max():g} of {largest:g}, step {step:g}" if far > 0.02 else ""


def imported_equals_keras(model: keras.Model, accelerator: Accelerator, x: Batch) -> None:
    """Check that the real form equals the model, except for decisions that float32 tips."""
    real, floats = accelerator.origin.real, real_inputs(accelerator, x)
    given = [floats[t._keras_history.operation.name] for t in model.inputs]
    expected = model(given if len(given) > 1 else given[0])
    expected = expected if isinstance(expected, list | tuple) else [expected]
    values = golden.run(real, floats)
    for tensor, name in zip(expected, real.outputs, strict=True):
        theirs = keras.ops.convert_to_numpy(tensor)
        found = values[name].reshape(theirs.shape)
        scale = max(float(np.abs(theirs).max()), 1e-3)
        same = np.isclose(found, theirs, 1e-3, scale * 1e-3).reshape(len(theirs), -1).all(1)
        assert same.mean() > 0.7, (
            f"{name}: the real form differs from Keras in {1 - same.mean():.0%} of the images"
        )
