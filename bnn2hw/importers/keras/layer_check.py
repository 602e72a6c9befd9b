"""Compare each layer as it was read with the layer itself, on random data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call
from bnn2hw.importers.keras.functions import ERRORS, LayerError, WeightsError, array, backend_errors, tensor
from bnn2hw.importers.keras.half_precision import half_layers, in_float32
from bnn2hw.importers.keras.walk import FAMILIES
from bnn2hw.ir import Array, Node
from bnn2hw.ops import real

LARGE = 2**16
"""Values of the largest input from which on one frame is tried, rather than two."""

TOLERANCE = 1e-4
"""Largest difference between two ways to compute a layer, as a share of its largest output."""

TIPPED = 1000
"""One of so many outputs may differ by more: float32 rounding tips a few decisions of a quantizer."""

REMEDY = "replace the layer with one that computes what its class in Keras computes"
NOT_QUANTIZED = "compile the model before it is quantized"

FRAMING = r"\x1b\[\d*m|\{\{.*?\}\}| \[Op:\w*\]"
"""Colors, the name of the node, and that of the op in an error of TensorFlow."""

OWN_PARTS = ("call", "convolution_op", "kernel", "quantized_call", "__call__")
"""Attributes whose owner says why a layer differs from its class in Keras."""


def check(call: Call, added: Sequence[Node], edge: str) -> None:
    """Note a problem unless what was read of a layer computes what the layer computes.

    Args:
        call: The call of the layer.
        added: The nodes that the handler added for it.
        edge: The edge of the output.
    """
    try:
        _check(call, added, edge)
    except backend_errors() as error:
        cannot_compute(call, error)


def cannot_compute(call: Call, error: Exception) -> None:
    """Note the problem of a layer for which the backend of Keras raised an error."""
    said = _reason(error)
    if isinstance(error, WeightsError):
        call.problem(said, "quantizers that return a finite value for each weight", "mend the quantizer")
        return
    if half_layers(call.layer):
        call.problem(
            f"a function that computes in half precision only: {said}",
            "layers that can compute in float32, since the compiler evaluates them so",
            "convert its constants to the type of its input (x.dtype), or build the model without a mixed policy",
        )
        return
    if isinstance(error, LayerError):
        call.problem(
            f"its code ends with {said}", "layers and functions that compute", "mend it: predict fails, too"
        )
        return
    call.problem(
        f"{keras.backend.backend()} cannot compute it: {said}",
        "layers that Keras can compute",
        "use other shapes, or another backend of Keras",
    )


def _reason(error: Exception) -> str:
    """Return the line of an error that says what is wrong: not where Keras was, and without codes of terminals."""
    lines = [re.sub(FRAMING, "", line).strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return said[0].rstrip(".") if said else type(error).__name__


def _check(call: Call, added: Sequence[Node], edge: str) -> None:
    """Do what `check` does, where the backend of Keras computes the layer."""
    if _foreign_softmax(call, added):
        return
    x = _frames(call, added)
    ours = _evaluated(added, x)[edge]
    theirs = _called(call, x)
    found = _difference(ours, theirs)
    if found and not _difference(ours, _alone(call, x)):
        call.problem(
            f"{keras.backend.backend()} computes other values for several frames at once than for each alone: {found}",
            "layers whose values do not depend on other frames",
            "use another backend of Keras, or other strides or sizes",
        )
    elif found:
        mode = _quantization(call.layer)
        call.problem(
            f"returns other values than its weights and options say{_cause(call.layer, mode)}: {found}",
            "layers that compute what their class in Keras computes",
            NOT_QUANTIZED if mode else REMEDY,
        )


def _frames(call: Call, added: Sequence[Node]) -> dict[str, Array]:
    """Return random frames for each edge that the layer reads; ±1 if the layer rounds its input."""
    rng = np.random.default_rng(0)
    signs = any(isinstance(n.op, real.Dense) and n.op.rounds_input for n in added)
    shapes = {edge: call.shape_of(edge) for edge in call.edges}
    count = 1 if any(math.prod(shape) > LARGE for shape in shapes.values()) else 2
    frames = {}
    for edge, shape in shapes.items():
        whole = (count, *shape)
        x = rng.choice([-1.0, 1.0], whole) if signs else rng.normal(0, 2, whole)
        frames[edge] = x.astype(np.float32)
    return frames


def _evaluated(added: Sequence[Node], x: Mapping[str, Array]) -> dict[str, Array]:
    """The values of all nodes by edge."""
    edges = dict(x)
    for node in added:
        edges[node.name] = node.op.golden(*(edges[i] for i in node.inputs))
    return edges


def _called(call: Call, x: Mapping[str, Array]) -> Array:
    """Call the layer as `predict` of its model calls it, without a change of its state."""
    tensors = {id(t): tensor(x[e]) for t, e in zip(call.node.input_tensors, call.edges, strict=True)}
    args, kwargs = call.node.arguments.fill_in(tensors)
    if getattr(call.layer, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}  # whatever was given when the model was built
    try:
        with keras.StatelessScope(), in_float32(half_layers(call.layer)):
            return array(call.layer(*args, **kwargs))
    except ERRORS as error:
        raise LayerError(f"{type(error).__name__}: {error}") from error


def _alone(call: Call, x: Mapping[str, Array]) -> Array:
    """Call the layer on each frame by itself: some convolutions of TensorFlow fail on several frames."""
    count = len(next(iter(x.values())))
    return np.concatenate([_called(call, {e: a[i : i + 1] for e, a in x.items()}) for i in range(count)])


def _difference(ours: Array, theirs: Array) -> str:
    """Describe the difference between two results; empty if there is none."""
    if ours.size != theirs.size:
        return f"{theirs.size} values where {ours.size} are expected"
    ours, theirs = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    finite = np.isfinite(theirs)
    largest = float(np.abs(theirs[finite]).max(initial=0.0))
    wrong = ~np.isclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
    if wrong.sum() <= wrong.size // TIPPED:
        return ""
    both = finite & np.isfinite(ours)
    worst = float(np.abs(ours - theirs)[both].max(initial=0.0))
    return f"{wrong.mean():.0%} of its outputs differ, by up to {worst:.2g} where they reach {largest:.2g}"


def _quantization(layer: Any) -> str | None:
    """The mode of `quantize` of a layer, or of a layer inside it; None if it has changed neither."""
    inside = layer._flatten_layers() if hasattr(layer, "_flatten_layers") else (layer,)
    return next((mode for each in inside if (mode := getattr(each, "quantization_mode", None))), None)


def _cause(layer: Any, mode: str | None) -> str:
    """Return the reason for a difference in words; empty if the layer does not show it."""
    if mode:
        return f", since quantize('{mode}') has changed how it computes"
    own = [part for part in OWN_PARTS if part in vars(layer)]
    if own:
        return f", since its {own[0]} was replaced"
    classes = [c for c in type(layer).__mro__ if c.__module__.split(".")[0] not in FAMILIES]
    parts = [(part, c.__name__) for c in classes for part in OWN_PARTS if part in vars(c)]
    return ", since class {1} overrides {0}".format(*parts[0]) if parts else ""


def _foreign_softmax(call: Call, added: Sequence[Node]) -> bool:
    """Note a problem if a softmax, which is dropped in front of a class, is another function."""
    x = np.random.default_rng(0).normal(0, 2, (4, call.shape[-1])).astype(np.float32)
    expected = array(keras.ops.softmax(tensor(x)))
    for node in added:
        if isinstance(node.op, real.Softmax):
            shape = (4, *(1,) * (len(node.op.shape) - 1), call.shape[-1])
            if not np.allclose(node.op.apply(x.reshape(shape)).reshape(x.shape), expected, 1e-4, 1e-6):
                call.problem(
                    "a function named softmax that computes something else",
                    "the softmax of Keras",
                    "use activation='softmax', or give the function another name",
                )
                return True
    return False
