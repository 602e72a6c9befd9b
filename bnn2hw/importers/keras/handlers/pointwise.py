"""Functions of single values: normalizations, activations, quantizers, operations of keras.ops."""

from __future__ import annotations

import math

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call, handles
from bnn2hw.importers.keras.functions import array, function, tensor
from bnn2hw.importers.keras.walk import FORMER
from bnn2hw.importers.keras.weights import activation as add_activation
from bnn2hw.importers.keras.weights import is_softmax
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.source import Input

SINGLE = (
    "the layers of Keras and bnn2hw.nn themselves, and functions that map each value by itself",
    "replace the layer",
)
ONE_AXIS = ("one axis of its input", "put a Reshape in front that joins these axes")


@handles("ReLU", "LeakyReLU", "ELU", "Quantizer", *FORMER)
def uniform_function(call: Call) -> str:
    """Read a function that is the same for all channels."""
    return call.pointwise(call.name, function(call.layer), call.edge, uniform=True)


def _per_channel(call: Call) -> str:
    return call.pointwise(call.name, function(call.layer), call.edge, uniform=False)


def _per_value(call: Call) -> str:
    """Append a function that differs by position: one of a flat input, of which each value has its own function."""
    fn, shape = function(call.layer), call.shape

    def apply(x: Array) -> Array:
        return fn(x.reshape(-1, *shape)).reshape(x.shape)

    flat = call.reshape(f"{call.name}.flat", (math.prod(shape),), call.edge)
    return call.reshape(f"{call.name}.shaped", shape, call.pointwise(call.name, apply, flat, uniform=False))


@handles("BatchNormalization", "QBatchNormalization")
def batch_normalization(call: Call) -> str:
    """Read a normalization with trained statistics."""
    axes = [call.layer.axis] if isinstance(call.layer.axis, int) else list(call.layer.axis)
    return _per_channel(call) if axes in ([-1], [len(call.shape)]) else _per_value(call)


@handles("Normalization")
def normalization(call: Call) -> str:
    """Read a normalization with statistics of the data."""
    return _per_channel(call) if call.layer._keep_axis in ((len(call.shape),), ()) else _per_value(call)


def own_function(call: Call) -> str | None:
    """Read a layer whose class says nothing, and that maps each value by itself or is the softmax.

    Returns:
        The output edge; None if the layer is another function of several values.
    """
    if call.shape != call.before:
        return None
    fn, shape = function(call.layer), call.shape
    if is_softmax(call.layer, shape):
        return call.add(call.name, real.Softmax(fn, shape), call.edge)
    x, other = np.random.default_rng(0).normal(0, 2, (2, 2, *shape)).astype(np.float32)
    kept = np.random.default_rng(1).random(x.shape) < 0.5
    first, second = fn(x), fn(np.where(kept, x, other))
    if first.shape != x.shape or not np.allclose(first[kept], second[kept], 1e-5, 1e-6, equal_nan=True):
        return None
    even = np.broadcast_to(x.reshape(2, -1, shape[-1])[:, :1], (2, math.prod(shape[:-1]), shape[-1]))
    found = fn(np.ascontiguousarray(even.reshape(x.shape))).reshape(even.shape)
    same = np.allclose(found, found[:, :1], 1e-5, 1e-6, equal_nan=True)
    return _per_channel(call) if same else _per_value(call)


@handles("Lambda")
def code(call: Call) -> str:
    """Read a function of single values."""
    edge = own_function(call)
    if edge is None:
        call.problem("a Lambda whose values depend on several values of its input", *SINGLE)
    return edge or call.edge


@handles("PReLU")
def prelu(call: Call) -> str:
    """Read a ReLU with trained slopes."""
    return _per_value(call) if any(n != 1 for n in call.layer.alpha.shape[:-1]) else _per_channel(call)


@handles("Softmax")
def softmax(call: Call) -> str:
    """Read a softmax along the channels."""
    if call.layer.axis not in (-1, len(call.shape)):
        call.problem(f"axis={call.layer.axis}", *ONE_AXIS)
        return call.edge
    return call.add(call.name, real.Softmax(function(call.layer), call.shape), call.edge)


@handles("Activation", "QActivation")
def activation(call: Call) -> str:
    """Read an activation layer."""
    return add_activation(call, call.layer.activation, call.name, call.edge)


@handles("Rescaling")
def rescaling(call: Call) -> str:
    """Read a scale and an offset. At an input they say what the integers on the wire mean."""
    scale, offset = (np.asarray(v, np.float64) for v in (call.layer.scale, call.layer.offset))
    wrong = tuple({v.shape for v in (scale, offset)} - {(), (1,), call.shape[-1:]})
    if wrong:
        call.problem(
            f"a scale or an offset of shape {wrong[0]}", "a number, or one per channel", "use one of these"
        )
        return call.edge
    same = scale.size == 1 and offset.size == 1
    edge = call.pointwise(call.name, function(call.layer), call.edge, uniform=same)
    if edge != call.edge:
        known = Input("uint8", uniform(scale), uniform(offset)) if np.all(scale > 0) else None
        call.draft.scalings[edge] = known
    return edge


@handles(
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Celu", "Selu", "Gelu", "Silu", "Softplus", "Softsign"),
    *("Sigmoid", "HardSigmoid", "HardSilu", "HardTanh", "Tanh", "SoftShrink", "HardShrink", "Threshold"),
    *("Sign", "Abs", "Absolute", "Negative", "Clip", "Round", "Floor", "Ceil", "Square", "Sqrt", "Exp"),
    *("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum", "Power"),
)
def operation(call: Call) -> str:
    """Read an operation of keras.ops on one tensor, as `x * 2` leaves one in a functional model.

    Its constants are numbers, or vectors along the channels.
    """
    arguments, layer = call.node.arguments, call.layer
    values = {**dict(enumerate(arguments.args)), **arguments.kwargs}
    tensors = [k for k, v in values.items() if isinstance(v, keras.KerasTensor)]
    constants = [
        np.asarray(v)
        for k, v in values.items()
        if k not in tensors and not isinstance(v, str | bool) and v is not None
    ]
    differ = any(c.ndim and (c.size not in (1, call.shape[-1]) or c.shape[-1] != c.size) for c in constants)
    if len(tensors) != 1 or differ or call.shape != call.before:
        call.problem(
            f"{type(layer).__name__} with a constant that differs between positions",
            "constants by channel",
            "use numbers or vectors of the length of the last axis",
        )
        return call.edge

    def apply(x: Array) -> Array:
        given = {**values, tensors[0]: tensor(x)}
        args = [given[i] for i in range(len(arguments.args))]
        return array(layer.call(*args, **{k: v for k, v in given.items() if isinstance(k, str)}))

    return call.pointwise(call.name, apply, call.edge, uniform=all(c.size == 1 for c in constants))
