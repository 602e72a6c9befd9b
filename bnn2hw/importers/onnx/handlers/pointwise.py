"""Functions of single values that ONNX defines: activations, arithmetic with constants, normalizations."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers import variances
from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import Call, along, handles
from bnn2hw.importers.onnx.handlers.joins import in_turn, joined, pair
from bnn2hw.importers.onnx.model import Op
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array

WHOLE = ("Relu", "Abs", "Neg", "Identity")
"""Functions that keep whole multiples of a number what they are."""


@handles(
    *("Relu", "LeakyRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish"),
    *("Tanh", "Softplus", "Softsign", "Mish", "Gelu", "Erf", "Sign", "Abs", "Neg", "Floor", "Ceil", "Round"),
    *("Exp", "Log", "Sqrt", "Reciprocal"),
)
def activation(call: Call) -> Value:
    """Read a function without constants."""
    step = call.step_of(call.value.edge) if call.op.kind in WHOLE else None
    return call.pointwise(executor.function(call.op, {}), call.value, step=step)


@handles("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
def comparison(call: Call) -> Value:
    """Read a comparison, whose results are 0 and 1; that of two values compares their difference with 0."""
    if len(call.positions) < 2:
        return _with_constant(call, step=1.0)
    first, second = call.several
    difference = pair(call, "Sub", first, second, part="difference")
    fn = executor.function(call.op, {}, 2)
    return call.pointwise(lambda x: fn(x, np.zeros_like(x)), difference, step=1.0)


@handles("Not")
def negation(call: Call) -> Value:
    """Read 1 for 0, and 0 for anything else."""
    return call.pointwise(lambda x: np.equal(x, 0).astype(np.float32), call.value, step=1.0)


@handles("Clip")
def clip(call: Call) -> Value:
    """Read a clip between constants."""
    bounds = {i: call.constant(i, "a bound") for i in (1, 2) if call.present(i)}
    given = {i: b for i, b in bounds.items() if b is not None}
    if len(given) < len(bounds):
        return call.value
    return call.pointwise(executor.function(call.op, given), call.value)


@handles("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu")
def arithmetic(call: Call) -> Value:
    """Read arithmetic of a value and a constant, or of two values."""
    positions = call.positions
    if call.op.kind in ("Max", "Min") and len(call.op.inputs) != 2:
        return in_turn(call, call.op.kind, np.maximum if call.op.kind == "Max" else np.minimum)
    if len(positions) == 2:
        return joined(call)
    return _with_constant(call)


def _with_constant(call: Call, step: float | None = None) -> Value:
    """Append a function of a value and a constant, whose results are whole multiples of a step if it is given."""
    [place] = call.positions
    other = call.known(1 - place)
    if other is None:
        return call.problem("an input that is not known", "constants", "report this model")
    fn = executor.function(call.op, {}, 2)

    def apply(x: Array, constant: Array) -> Array:
        return fn(x, constant) if place == 0 else fn(constant, x)

    return call.pointwise(apply, call.value, [other.values.astype(np.float32)], step=step)


@handles("BatchNormalization")
def batch_normalization(call: Call) -> Value:
    """Read a normalization with trained statistics."""
    names = ("scale", "bias", "mean", "variance")
    given = [call.constant(i + 1, f"the {name}") for i, name in enumerate(names)]
    found = [g for g in given if g is not None]
    if len(found) < len(given):
        return call.value
    if call.op.attributes.get("training_mode"):
        return call.problem("training_mode=1", "inference", "export the model in inference mode")
    if not call.op.attributes.get("spatial", 1):
        return call.problem("spatial=0", "statistics by channel", "export opset 9 or newer")
    rank = len(call.value.shape)
    axis = rank - 1 if call.op.channels_last else 1
    options = {"epsilon": call.op.attributes.get("epsilon", 1e-5)}
    no_root = variances.wrong(found[3], float(options["epsilon"]))
    if no_root:
        return call.problem(*no_root)
    plain = Op(call.op.kind, "", max(call.op.version, 9), "", tuple("xsbmv"), ("y",), options)
    fn = executor.function(plain, {}, 5)

    def apply(x: Array, *params: Array) -> Array:
        channels = x.shape[-1]
        wide = [np.broadcast_to(p, (channels,)) for p in params]
        return fn(x.reshape(-1, channels), *wide).reshape(x.shape)

    return call.pointwise(apply, call.value, [along(axis, rank, g) for g in found])


@handles("Cast")
def cast(call: Call) -> Value:
    """Read a conversion to floats: to float32 and wider it changes no value, to float16 it rounds."""
    import onnx

    target = onnx.helper.tensor_dtype_to_np_dtype(call.op.attributes["to"])
    if target == np.float16:
        return call.pointwise(lambda x: x.astype(np.float16).astype(np.float32), call.value)
    if target == np.bool_:
        return call.pointwise(lambda x: np.not_equal(x, 0).astype(np.float32), call.value, step=1.0)
    if not np.issubdtype(target, np.floating):
        return call.problem(
            f"a conversion to {target}",
            "conversions to float16, float32 and float64",
            "leave it out, or use QuantizeLinear",
        )
    return call.value


@handles("CastLike")
def cast_like(call: Call) -> Value:
    """Read a conversion to the type of another value, all of which are float32 here."""
    return call.value
