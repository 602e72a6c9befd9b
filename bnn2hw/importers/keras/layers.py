"""What each Keras layer becomes in real form, but for convolutions and poolings."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras import convolutions, pooling
from bnn2hw.importers.keras.convolutions import CHANNELS_LAST
from bnn2hw.importers.keras.reader import Call, Handler, array, function
from bnn2hw.importers.keras.weights import after, kernel, quantized
from bnn2hw.ir import Array
from bnn2hw.ops import real
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.source import Input


def _dense(call: Call) -> str:
    edge = quantized(call, "input_quantizer", call.edge)
    weights = kernel(call.layer)
    tensor = keras.ops.convert_to_tensor(weights)

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(keras.ops.convert_to_tensor(x.astype(np.float32)), tensor))

    edge = call.add(call.name, real.Dense(apply, call.shape, weights), edge)
    return after(call, edge)


def _batch_normalization(call: Call) -> str:
    axis = call.layer.axis if isinstance(call.layer.axis, int) else call.layer.axis[0]
    if axis not in (-1, len(call.shape)):
        call.problem(f"axis={axis}", "the last axis", "use axis=-1")
        return call.edge
    return _per_channel(call)


def _normalization(call: Call) -> str:
    if call.layer._keep_axis not in ((len(call.shape),), ()):
        call.problem(f"axis={call.layer.axis}", "the last axis", "use axis=-1")
        return call.edge
    return _per_channel(call)


def _per_channel(call: Call) -> str:
    return call.pointwise(call.name, function(call.layer), call.edge, uniform=False)


def _uniform(call: Call) -> str:
    return call.pointwise(call.name, function(call.layer), call.edge, uniform=True)


def _prelu(call: Call) -> str:
    alpha = call.layer.alpha.shape
    if any(n != 1 for n in alpha[:-1]):
        call.problem(
            f"a slope for each of {'×'.join(map(str, alpha[:-1]))} positions",
            "slopes by channel",
            f"use shared_axes={list(range(1, len(alpha)))}",
        )
        return call.edge
    return _per_channel(call)


def _operation(call: Call) -> str:
    """An operation of keras.ops on one tensor, whose constants are numbers, or vectors along the last axis."""
    arguments, layer = call.node.arguments, call.layer
    values = {**dict(enumerate(arguments.args)), **arguments.kwargs}
    places = [k for k, v in values.items() if isinstance(v, keras.KerasTensor)]
    constants = [
        np.asarray(v)
        for k, v in values.items()
        if k not in places and not isinstance(v, str | bool) and v is not None
    ]
    differ = any(c.ndim and (c.size not in (1, call.shape[-1]) or c.shape[-1] != c.size) for c in constants)
    if len(places) != 1 or differ or call.shape != call.before:
        call.problem(
            f"{type(layer).__name__} with a constant that differs between positions",
            "constants by channel",
            "use numbers or vectors of the length of the last axis",
        )
        return call.edge

    def apply(x: Array) -> Array:
        given = {**values, places[0]: keras.ops.convert_to_tensor(x.astype(np.float32))}
        args = [given[i] for i in range(len(arguments.args))]
        return array(layer.call(*args, **{k: v for k, v in given.items() if isinstance(k, str)}))

    return call.pointwise(call.name, apply, call.edge, uniform=all(c.size == 1 for c in constants))


def _reshape(call: Call) -> str:
    return call.reshape(call.name, call.shape, call.edge)


def _flatten(call: Call) -> str:
    if len(call.before) > 1 and not call.options({"data_format": (call.layer.data_format, *CHANNELS_LAST)}):
        return call.edge
    return _reshape(call)


def _softmax(call: Call) -> str:
    if call.layer.axis not in (-1, len(call.shape)):
        call.problem(f"axis={call.layer.axis}", "the last axis", "use axis=-1")
        return call.edge
    return call.add(call.name, real.Softmax(function(call.layer), call.shape), call.edge)


def _activation(call: Call) -> str:
    return after(call, call.edge, name=call.name)


def _rescaling(call: Call) -> str:
    scale, offset = (np.asarray(v, np.float64) for v in (call.layer.scale, call.layer.offset))
    ends = tuple({v.shape for v in (scale, offset)} - {(), (1,), call.shape[-1:]})
    if ends:
        call.problem(
            f"a scale or an offset of shape {ends[0]}", "numbers, or one for each channel", "use such"
        )
        return call.edge
    same = scale.size == 1 and offset.size == 1
    edge = call.pointwise(call.name, function(call.layer), call.edge, uniform=same)
    if np.all(scale > 0) and edge != call.edge:
        call.reader.scalings[edge] = Input("uint8", uniform(scale), uniform(offset))
    return edge


def _nothing(call: Call) -> str:
    return call.edge


def _sum(call: Call) -> str:
    return _chain(call, real.Sum, lambda a, b: a + b, call.edges)


def _subtract(call: Call) -> str:
    negative = call.pointwise(f"{call.name}.negative", np.negative, call.edges[1], uniform=True)
    return _chain(call, real.Sum, lambda a, b: a + b, (call.edges[0], negative))


def _average(call: Call) -> str:
    count = np.float32(len(call.edges))
    edge = _chain(call, real.Sum, lambda a, b: a + b, call.edges)
    return call.pointwise(f"{call.name}.mean", lambda x: x / count, edge, uniform=True)


def _product(call: Call) -> str:
    shapes = [call.reader.shapes[e] for e in call.edges]
    largest = max(shapes, key=math.prod)
    if any(s != largest and (s[-1] != largest[-1] or math.prod(s) != largest[-1]) for s in shapes):
        call.problem(
            f"a product of {shapes}", "factors of one shape, or one per channel", "reshape the factors"
        )
        return call.edge
    edges = sorted(call.edges, key=lambda e: -math.prod(call.reader.shapes[e]))
    return _chain(call, real.Product, lambda a, b: a * b, tuple(edges))


def _concatenation(call: Call) -> str:
    axis = getattr(call.layer, "axis", -1)
    if axis not in (-1, len(call.shape)):
        call.problem(f"axis={axis}", "the last axis", "use axis=-1")
        return call.edge
    return _chain(call, real.Concatenation, lambda a, b: np.concatenate([a, b], -1), call.edges)


def _chain(call: Call, kind: type[real.RealOp], fn: Any, edges: tuple[str, ...]) -> str:
    """Join inputs two at a time."""
    edge = edges[0]
    for i, other in enumerate(edges[1:]):
        a, b = call.reader.shapes[edge], call.reader.shapes[other]
        shape = (*a[:-1], a[-1] + b[-1]) if kind is real.Concatenation else a
        if kind is real.Sum and a != b:
            call.problem(f"a sum of {a} and {b}", "inputs of one shape", "reshape the inputs")
            return edge
        last = i == len(edges) - 2
        name = call.name if last else f"{call.name}.{i}"
        edge = call.add(name, kind(fn, shape), edge, other)
    return edge


def _add_to_last(call: Call) -> str:
    """`bnn2hw.nn.zoo`'s improvement block: the second input is added to the last channels of the first."""
    a, b = (call.reader.shapes[e][-1] for e in call.edges)

    def apply(x: Array, y: Array) -> Array:
        return np.concatenate([x[..., : a - b], x[..., a - b :] + y], -1)

    op = real.Sum(apply, call.shape, first=a - b)
    return call.add(call.name, op, *call.edges)


HANDLERS: dict[str, Handler] = {
    **convolutions.HANDLERS,
    **pooling.HANDLERS,
    "QuantDense": _dense,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "Normalization": _normalization,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Activation": _activation,
    "ReLU": _uniform,
    "LeakyReLU": _uniform,
    "ELU": _uniform,
    "PReLU": _prelu,
    "Quantizer": _uniform,
    "Rescaling": _rescaling,
    "Dropout": _nothing,
    "AlphaDropout": _nothing,
    "SpatialDropout1D": _nothing,
    "SpatialDropout2D": _nothing,
    "SpatialDropout3D": _nothing,
    "GaussianNoise": _nothing,
    "GaussianDropout": _nothing,
    "ActivityRegularization": _nothing,
    "Identity": _nothing,
    # operations of keras.ops, as `x * 2` or keras.ops.relu(x) leave them in a functional model
    **dict.fromkeys(
        (
            *("Relu", "Relu6", "LeakyRelu", "Elu", "Celu", "Selu", "Gelu", "Silu", "Softplus", "Softsign"),
            *(
                "Sigmoid",
                "HardSigmoid",
                "HardSilu",
                "HardTanh",
                "Tanh",
                "SoftShrink",
                "HardShrink",
                "Threshold",
            ),
            *(
                "Sign",
                "Abs",
                "Absolute",
                "Negative",
                "Clip",
                "Round",
                "Floor",
                "Ceil",
                "Square",
                "Sqrt",
                "Exp",
            ),
            *("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum", "Power"),
        ),
        _operation,
    ),
}
"""By class name, what becomes of a layer with one input."""

JOINS: dict[str, Handler] = {
    "Add": _sum,
    "Subtract": _subtract,
    "Average": _average,
    "Multiply": _product,
    "Concatenate": _concatenation,
    "AddToLastChannels": _add_to_last,
}
"""By class name, what becomes of a layer or operation with several inputs."""
