"""Layers that are applied to each step of the first axis: the same layers over one more axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from bnn2hw.importers.keras.calls import HANDLERS, Call, Layer, handles
from bnn2hw.importers.keras.functions import array
from bnn2hw.importers.keras.handlers.shapes import REGULARIZERS
from bnn2hw.importers.keras.handlers.wiring import permuted
from bnn2hw.importers.keras.walk import class_name

ALONG_TIME = (
    *("Dense", "QuantDense", "Flatten", "Reshape", "Permute", "TimeDistributed", "Activation"),
    *("ReLU", "LeakyReLU", "ELU", "Softmax", "Rescaling", "Quantizer", *REGULARIZERS),
)
"""Layers that treat a further axis in front of their own as they treat any position, or are read as such."""

CHANNELS = ("BatchNormalization", "PReLU")
"""Layers with numbers by channel, which take only as many axes as they were built for."""

WINDOWS = {
    f"{kind}{rank}D{end}": f"{kind}{rank + 1}D{end}"
    for kind, end in (
        *((kind, "") for kind in ("Conv", "QuantConv", "MaxPooling", "AveragePooling")),
        *((kind, "") for kind in ("ZeroPadding", "Cropping", "UpSampling")),
        ("Conv", "Transpose"),
    )
    for rank in (1, 2)
} | {f"{kind}1D": f"{kind}2D" for kind in ("DepthwiseConv", "SeparableConv", "QuantSeparableConv")}
"""Layers that move windows, and the same over one more axis."""

GLOBAL = {
    f"Global{kind}Pooling{rank}D": f"{kind}Pooling{rank + 1}D"
    for kind in ("Max", "Average")
    for rank in (1, 2)
}
"""Poolings over all positions, and the pooling over one more axis."""

SIZES = ("kernel_size", "strides", "dilation_rate", "pool_size", "size")
"""Options with a number for each axis."""


@handles("TimeDistributed")
def time_distributed(call: Call) -> str:
    """Read a layer, or a sequence of layers, that is applied to each step of the first axis."""
    return _steps(call, call.layer.layer, call.name)


def _steps(call: Call, inner: Layer, name: str) -> str:
    """Read what is applied to each step, under a name."""
    if isinstance(inner, keras.Sequential):
        edge = call.edge
        for layer in inner.layers:
            shape = (call.before[0], *layer.output.shape[1:])
            edge = _steps(replace(call, edges=(edge,), shape=shape), layer, f"{name}/{layer.name}")
        return edge
    if class_name(inner, HANDLERS) == "TimeDistributed":
        return _steps_of_steps(call, inner.layer, name)
    return _step(call, inner, name)


def _steps_of_steps(call: Call, inner: Layer, name: str) -> str:
    """Read what is applied to each step of each step: the steps of both axes are one axis."""
    both = call.before[0] * call.before[1]
    edge = call.reshape(f"{name}.steps", (both, *call.before[2:]), call.edge)
    made = _steps(replace(call, edges=(edge,), shape=(both, *call.shape[2:])), inner, name)
    return call.reshape(f"{name}.shape", call.shape, made)


def _step(call: Call, inner: Layer, name: str) -> str:
    """Read one layer that is applied to each step, under a name."""
    kind = class_name(inner, HANDLERS)
    if kind in ("Flatten", "Reshape"):
        return call.reshape(name, call.shape, call.edge)
    if kind == "Permute":
        return permuted(call, name, call.edge, [0, *inner.dims])
    if kind in ALONG_TIME:
        layer = inner
    else:
        found = _over_one_more_axis(inner, kind, call.before)
        if found is None:
            return _refused(call, inner)
        kind, layer = found
    call.draft.names[id(layer)] = name
    call.draft.made.append(layer)
    whole = replace(call, layer=layer)
    if class_name(inner, HANDLERS) in GLOBAL:
        edge = HANDLERS[kind](
            replace(whole, shape=(call.before[0], *(1,) * (len(call.before) - 2), call.before[-1]))
        )
        return call.reshape(f"{name}.row", call.shape, edge)
    return HANDLERS[kind](whole)


def _refused(call: Call, inner: Layer) -> str:
    known = ", ".join((*ALONG_TIME, *CHANNELS, *WINDOWS, *GLOBAL))
    call.problem(
        f"a {type(inner).__name__} for each step",
        f"steps of {known}, channels last and not causal, and sequences of these",
        "use a layer over one more axis, such as Conv3D for steps of Conv2D",
    )
    return call.edge


def _over_one_more_axis(inner: Layer, kind: str | None, before: tuple[int, ...]) -> tuple[str, Layer] | None:
    """Return a layer that does for all steps what another one does for each, and the name of its class.

    Args:
        inner: The layer of each step.
        kind: Name of its class.
        before: Shape of a sample of all steps.

    Returns:
        None if there is no such layer.
    """
    options = dict(inner.get_config())
    if options.get("data_format", "channels_last") != "channels_last" or options.get("padding") == "causal":
        return None
    if kind in GLOBAL:
        return GLOBAL[kind], _class(inner, GLOBAL[kind])((1, *before[1:-1]))
    if options.pop("interpolation", "nearest") != "nearest" or kind not in (*WINDOWS, *CHANNELS):
        return None
    name = WINDOWS.get(kind, kind)
    made = _class(inner, name).from_config(_stretched(options))
    made.build((None, *before))
    for new, old in zip(made.weights, inner.weights, strict=True):
        values = array(old)
        new.assign(values[None] if len(new.shape) > values.ndim else values)
    return name, made


def _stretched(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a layer with a number for one more axis in front, along which nothing happens."""
    found = dict(options)
    for name in (s for s in SIZES if s in found):
        found[name] = (1, *_all(found[name]))
    if found.get("output_padding") is not None:
        found["output_padding"] = (0, *_all(found["output_padding"]))
    if "axis" in found and found["axis"] > 0:
        found["axis"] += 1
    if "shared_axes" in found:
        found["shared_axes"] = [1, *(axis + 1 for axis in found["shared_axes"] or ())]
    for name in ("padding", "cropping"):
        if name in found and not isinstance(found[name], str):
            sides = found[name]
            found[name] = ((0, 0), *([tuple(sides)] if isinstance(sides[0], int) else map(tuple, sides)))
    return found


def _all(size: Any) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _class(inner: Layer, name: str) -> Any:
    """Return the class of that name of the package whose class a layer has."""
    own = type(inner).__module__.split(".")[0]
    if own == "keras":
        return getattr(keras.layers, name)
    module = __import__(type(inner).__module__, fromlist=[name])
    return getattr(module, name, None) or getattr(keras.layers, name)
