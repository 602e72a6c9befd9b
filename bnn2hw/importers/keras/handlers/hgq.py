"""Layers of HGQ2: they quantize their input and weights, and some their output, with bits by element."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from bnn2hw.importers.keras.calls import HANDLERS, JOINS, Call, handles, joins
from bnn2hw.importers.keras.functions import array, function
from bnn2hw.importers.keras.handlers.convolutions import convolved
from bnn2hw.importers.keras.handlers.dense import of_weights
from bnn2hw.importers.keras.handlers.wrapped import einsum
from bnn2hw.importers.keras.weights import activation
from bnn2hw.ir import Array
from bnn2hw.nn.hgq_quantizers import FixedPoint
from bnn2hw.ops import real

ROUNDINGS = {"TRN": "down", "RND": "up", "RND_CONV": "even"}
"""Roundings that hardware has for any width, by their names in HGQ2."""

POOLINGS = [
    f"{scope}{kind}Pooling{rank}D"
    for scope in ("", "Global")
    for kind in ("Average", "Max")
    for rank in (1, 2, 3)
]


def _quantized(call: Call, name: str, quantizer: Any, edge: str) -> str:
    """Append a quantizer, if there is one, and return its output edge."""
    fixed = None if quantizer is None else quantizer.fixed
    if fixed is None:
        return edge
    shape, fixed = call.shape_of(edge), fixed.arrays()
    varying = [axis - 1 for axis in fixed.varying()]  # of a sample
    if varying in ([], [len(shape) - 1]):
        fixed = fixed.single([a for a in range(len(shape) + 1) if a - 1 not in varying]).reshaped((-1,))
        return _pointwise(call, name, fixed, edge, uniform=not varying)
    whole = tuple(np.broadcast_to(bits, (1, *shape)).copy() for bits in (fixed.k, fixed.i, fixed.f))
    flat = replace(fixed, k=whole[0], i=whole[1], f=whole[2]).reshaped((-1,))
    edge = call.reshape(f"{name}.flat", (math.prod(shape),), edge)
    edge = _pointwise(call, name, flat, edge, uniform=False)
    return call.reshape(f"{name}.shaped", shape, edge)


def _pointwise(call: Call, name: str, fixed: FixedPoint, edge: str, *, uniform: bool) -> str:
    """Append a quantizer with bits of shape (channels,) or (1,)."""
    numbers = None
    if fixed.rounding in ROUNDINGS and fixed.step:
        k, i, f = (v.astype(np.int64) for v in (fixed.k, fixed.i, fixed.f))
        wraps, symmetric = fixed.overflow == "WRAP", fixed.overflow == "SAT_SYM"
        numbers = real.FixedPoint(k, i, f, ROUNDINGS[fixed.rounding], wraps, symmetric)
    return call.pointwise(name, function(fixed), edge, uniform=uniform, step=fixed.step, fixed=numbers)


def _input(call: Call, edge: str) -> str:
    return _quantized(call, f"{call.name}.input", call.layer.quantizer("iq"), edge)


def _output(call: Call, edge: str) -> str:
    return _quantized(call, f"{call.name}.output", call.layer.quantizer("oq"), edge)


def _weights(call: Call) -> tuple[Array, Array | None]:
    """The kernel and the bias as the layer uses them."""
    weights, bias = call.layer.weights_used()
    return array(weights), None if bias is None else array(bias)


def _finished(call: Call, edge: str, bias: Array | None) -> str:
    """Append the bias, the activation and the output's quantizer."""
    if bias is not None:
        edge = call.pointwise(f"{call.name}.bias", lambda x: x + bias, edge, uniform=False)
    return _output(call, activation(call, call.layer.activation, f"{call.name}.activation", edge))


@handles("hgq>Quantizer")
def quantizer(call: Call) -> str:
    """Read a quantizer that is a layer."""
    return _quantized(call, call.name, call.layer, call.edge)


@handles("hgq>Dense")
def dense(call: Call) -> str:
    """Read a dense layer."""
    weights, bias = _weights(call)
    product = of_weights(weights, call.shape, dyadic=True)
    return _finished(call, call.add(call.name, product, _input(call, call.edge)), bias)


@handles("hgq>EinsumDense")
def einsum_dense(call: Call) -> str:
    """Read a product by an equation."""
    edge = einsum(call, _input(call, call.edge), *_weights(call), dyadic=True)
    return _output(call, call.reshape(f"{call.name}.shape", call.shape, edge))


@handles("hgq>Convolution")
def convolution(call: Call) -> str:
    """Read a convolution."""
    if not call.channels_last(call.layer.data_format):
        return call.edge
    weights, bias = _weights(call)
    return _finished(call, convolved(call, _input(call, call.edge), weights, dyadic=True), bias)


@handles("hgq>BatchNormalization")
def batch_normalization(call: Call) -> str:
    """Read a normalization along the last axis."""
    if call.layer.axis not in (-1, len(call.shape)):
        call.problem(f"axis={call.layer.axis}", "the last axis", "use axis=-1")
        return call.edge
    scale, summand = map(array, call.layer.factors())
    edge = call.pointwise(call.name, lambda x: x * scale + summand, _input(call, call.edge), uniform=False)
    return _output(call, edge)


@handles(*(f"hgq>{name}" for name in POOLINGS))
def pooling(call: Call) -> str:
    """Read a pooling."""
    handler = HANDLERS[call.layer.handler.removeprefix("hgq>")]
    return _output(call, handler(replace(call, edges=(_input(call, call.edge),))))


@handles("hgq>Sum")
def total(call: Call) -> str:
    """Read a sum over positions or over channels: a dense layer of ones."""
    shape, gone = call.before, sorted(axis % (len(call.before) + 1) - 1 for axis in call.layer.axes)
    kept = [n for axis, n in enumerate(shape) if axis not in gone]
    count = math.prod(shape[axis] for axis in gone)
    channels = shape[-1] if gone == list(range(len(shape) - 1)) else 1
    if channels == 1 and gone != list(range(len(kept), len(shape))):
        call.problem(
            f"a sum over the axes {call.layer.axes}",
            "sums over all positions or over the last axes",
            "use one",
        )
        return call.edge
    factor = call.layer.factor((None, *shape))
    weights = np.tile(np.eye(channels, dtype=np.float32), (count, 1)) * np.float32(factor)
    before = (*(() if channels > 1 else kept), count * channels)
    edge = call.reshape(f"{call.name}.flat", before, _input(call, call.edge))
    edge = call.add(call.name, of_weights(weights, (*before[:-1], channels), dyadic=True), edge)
    return _output(call, call.reshape(f"{call.name}.shape", call.shape, edge))


@handles("hgq>Function")
def lookup(call: Call) -> str:
    """Read a function of single values."""
    edge = activation(call, call.layer.function, f"{call.name}.function", _input(call, call.edge))
    return _output(call, edge)


@joins(*(f"hgq>{name}" for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")))
def join(call: Call) -> str:
    """Read a layer with several inputs."""
    handler = JOINS[call.layer.handler.removeprefix("hgq>")]
    return _output(call, handler(replace(call, edges=_inputs(call))))


@joins("hgq>AveragePow2")
def average(call: Call) -> str:
    """Read a sum times a power of two."""
    factor = np.float32(call.layer.factor)
    edge = JOINS["Add"](replace(call, edges=_inputs(call)))
    edge = call.pointwise(f"{call.name}.mean", lambda x: x * factor, edge, uniform=True)
    return _output(call, edge)


def _inputs(call: Call) -> tuple[str, ...]:
    """The quantized inputs of a layer."""
    own = call.layer.quantizer("iq")
    if own is None:
        return call.edges
    return tuple(
        _quantized(call, f"{call.name}.input{i}", quantizer, edge)
        for i, (quantizer, edge) in enumerate(zip(own.quantizers, call.edges, strict=True))
    )
