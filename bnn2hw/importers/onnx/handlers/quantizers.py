"""Quantizers: those of QONNX, thresholds, and the pairs QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn2hw.importers.onnx import executor, floats, linear, quantizers
from bnn2hw.importers.onnx.calls import FIXED, Call, along, handles
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array

BY_SCALE = ("Quant", "IntQuant", "BipolarQuant", "BinaryQuant")
"""Quantizers whose values are integers times their first parameter."""


def _parameters(call: Call, *names: str) -> list[Array] | None:
    """The parameters of a quantizer, which follow its input; None with problems if one is no constant."""
    given = [call.constant(i + 1, name) for i, name in enumerate(names)]
    found = [np.asarray(g) for g in given if g is not None]
    return found if len(found) == len(names) else None


@handles("Quant", "IntQuant")
def quant(call: Call) -> Value:
    """Read a quantizer to evenly spaced levels."""
    return _quantizer(call, executor.quant, "a scale", "a zero point", "a bit width")


@handles("BipolarQuant", "BinaryQuant")
def bipolar_quant(call: Call) -> Value:
    """Read a quantizer to two levels."""
    return _quantizer(call, executor.bipolar, "a scale")


@handles("Trunc")
def trunc(call: Call) -> Value:
    """Read a quantizer that drops low bits."""
    names = ("a scale", "a zero point", "a bit width", "an output scale", "an output bit width")
    return _quantizer(call, executor.trunc, *(names if call.present(5) else names[:4]))


def _quantizer(call: Call, fn: Callable[..., Array], *names: str) -> Value:
    params = _parameters(call, *names)
    if params is None:
        return call.value
    try:
        executor.options_of(call.op)
    except executor.Unknown as error:
        known = ", ".join(quantizers.ROUNDINGS)
        return call.problem(str(error), f"the rounding modes {known}", "export with one of them")
    if call.op.kind not in ("BipolarQuant", "BinaryQuant") and np.any(params[0] <= 0):
        return call.problem("a scale that is not positive", "positive scales", "train the model again")

    def apply(x: Array, *given: Array) -> Array:
        return fn(call.op, x, *given)

    step = _step(call.op.kind, params)
    whole = len(params) == 1 or np.all(params[1] == np.rint(params[1]))
    if step is not None or call.op.kind not in BY_SCALE or not whole:
        return call.pointwise(apply, call.value, params, step=step)
    # Channels have scales of their own, but integers of one step.
    integers = call.pointwise(
        lambda x, scale, *rest: np.rint(apply(x, scale, *rest) / scale),
        call.value,
        params,
        part="integers",
        step=1.0,
    )
    return call.pointwise(np.multiply, integers, params[:1])


def _step(kind: str, params: list[Array]) -> float | None:
    """The step of a quantizer's values; None if channels differ, or no value is 0."""
    if kind == "FloatQuant":
        scale, zero = params[0] * (floats.even_step(*params[1:]) or 1.0), np.zeros(())
    elif kind == "Trunc" and len(params) == 5:
        scale, zero = params[3], params[1] * params[0] / params[3]
    else:
        scale, zero = params[0], params[1] if len(params) > 1 else np.zeros(())
    return float(scale.flat[0]) if np.all(scale == scale.flat[0]) and np.all(zero == np.rint(zero)) else None


@handles("FloatQuant")
def float_quant(call: Call) -> Value:
    """Read a quantizer to floats whose levels are evenly spaced; others are refused."""
    names = ("a scale", "an exponent width", "a mantissa width", "an exponent bias", "a largest value")
    params = _parameters(call, *names)
    if params is None:
        return call.value
    if executor.even_step(call.op, *params[1:]) is None:
        return call.problem(
            executor.UNEVEN, "Quant, BipolarQuant, Trunc and MultiThreshold", "quantize to integers"
        )
    return _quantizer(call, executor.float_quant, *names)


@handles("MultiThreshold")
def multi_threshold(call: Call) -> Value:
    """Read a comparison with thresholds of each channel."""
    thresholds = call.constant(1, "thresholds")
    if thresholds is None:
        return call.value
    shape = call.value.shape
    layout = call.op.attributes.get("data_layout") or {3: "NWC"}.get(len(shape), "NC")
    axis = layout.index("C") if "C" in layout else 1
    scale = float(call.op.attributes.get("out_scale", 1.0))
    bias = float(call.op.attributes.get("out_bias", 0.0))
    rows = thresholds.shape[0]
    if rows not in (1, shape[axis]):
        return call.problem(
            f"thresholds for {rows} channels of {shape[axis]}",
            "one row of thresholds per channel",
            "add rows",
        )

    def apply(x: Array, channel: Array) -> Array:
        own = np.broadcast_to(channel, x.shape[-1:])
        return quantizers.thresholded(x, thresholds[own].T, scale, bias)

    step = scale if scale > 0 and bias / scale == round(bias / scale) else None
    return call.pointwise(apply, call.value, [along(axis, len(shape), np.arange(rows))], step=step)


@handles("QuantizeLinear")
def quantize_linear(call: Call) -> Value:
    """Read a quantizer to 8 bits whose output is the integers themselves."""
    found = _linear(call)
    if found is None:
        return call.value
    scale, zero, (low, high) = found

    def apply(x: Array, step: Array, origin: Array) -> Array:
        return np.clip(np.round(x / step) + origin, low, high)

    return call.pointwise(apply, call.value, [scale, zero], step=1.0)


@handles("DequantizeLinear")
def dequantize_linear(call: Call) -> Value:
    """Read the real values of integers."""
    found = _linear(call)
    if found is None:
        return call.value
    scale, zero, _ = found

    def apply(x: Array, step: Array, origin: Array) -> Array:
        return (x - origin) * step

    return call.pointwise(apply, call.value, [scale, zero], step=_step(call.op.kind, [scale]))


def _linear(call: Call) -> tuple[Array, Array, tuple[int, int]] | None:
    """Scale and zero point along their axis, and the limits of the integers; None with a problem if there are none."""
    scale = call.constant(1, "a scale")
    stated = call.constant(2, "a zero point") if call.present(2) else None
    if scale is None or (call.present(2) and stated is None):
        return None
    dtype = linear.type_of(stated, call.op.attributes)
    limits = linear.limits(dtype)
    if limits is None:
        call.problem(f"values of type {dtype}", "integers of 2, 4, 8 or 16 bits", "use uint8 or int8")
        return None
    if call.op.attributes.get("block_size"):
        call.problem(
            "scales by block of values at run time", "one scale, or one per channel", "leave blocks out"
        )
        return None
    zero = np.zeros((), np.float32) if stated is None else stated.astype(np.float32)
    shape = call.value.shape
    wide = [
        linear.along(a.reshape(()) if a.size == 1 else a, shape, call.op.attributes) for a in (scale, zero)
    ]
    return wide[0], wide[1], limits


@handles("DynamicQuantizeLinear")
def dynamic(call: Call) -> Value:
    """Refuse a quantizer whose scale depends on the values of the frame."""
    return call.problem(
        "a scale that is computed at run time",
        f"scales among the {FIXED}",
        "use QuantizeLinear with a fixed scale",
    )
