"""Lower dense layers and convolutions to matrix-vector units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Node, Tensor, View
from bnn2hw.lower import kernels
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.fixed_point import Requirement
from bnn2hw.lower.hardware.few_inputs import sparse
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import Unfit
from bnn2hw.ops.base.channels import uniform
from bnn2hw.ops.real import Convolution, Dense, Reshape
from bnn2hw.ops.sliding_window import SlidingWindow


@lowers(Dense, Convolution)
def matvec(lowering: Lowering, node: Node, op: Dense | Convolution, before: list[Pending]) -> Pending:
    """Lower a product with a kernel.

    A kernel of many values is rounded, with a scale for each neuron. A kernel of few values needs
    one scale for all channels of the input. Other kernels include the channels' scales.
    """
    b, flat = lowering.b, op.kernel.reshape(-1, op.kernel.shape[-1])
    tables = sparse(lowering, node, flat, before[0]) if isinstance(op, Dense) else None
    if tables is not None:
        return tables
    exact = kernels.stated(op.levels) or kernels.integer_kernel(flat)
    if exact is None:
        edge = _balanced(lowering, node, flat, before[0])
    else:
        edge = lowering.integers(node, before[0], Requirement(single=True, bits=lowering.input_bits(node)))
    if isinstance(op, Dense) and op.rounds_input:
        _refuse_magnitudes(b, node, edge)
    bits = 0
    if exact is None:
        x = b.types[edge]
        bits = lowering.kernel_bits(node, edge, len(flat))
        off = _rounding(b, flat, edge, bits)
        integers, scale = kernels.rounded_kernel(flat, x, bits)
        edge = _with_meaning(b, edge, replace(x, scale=1.0, offset=kernels.offset_in_steps(x)))
    else:
        integers, scale = exact
        off = kernels.misfit(flat, integers, scale, b.largest(edge))
    b.rounds(node.name, off)
    if isinstance(op, Convolution):
        integers, edge = _windows(b, node, op, integers, edge)
    unit = kernels.unit(b.types[edge], integers, scale)
    made = b.add(node.name, unit, edge)
    b.errors[made] = kernels.rounding(unit, b.types[edge]) if exact is not None else 0.0
    if exact is None:
        b.mark(node.layer, rounded_kernel(bits, float(off.max())))
    b.match(made, node.name)
    return Pending(b.view(made, op.shape), node.name)


def _refuse_magnitudes(b: Builder, node: Node, edge: str) -> None:
    """Note a problem if the input of a layer that rounds it has values of several magnitudes."""
    x = b.types[edge]
    if x.ints.count > 3 or len(set(np.abs(x.real(x.ints.values()[:, None])).ravel()) - {0.0}) > 1:
        b.problem(
            node.layer,
            "it rounds its input to few bits, in steps that depend on the largest value of each vector, "
            "since quantize() has changed how it computes",
            "inputs of ±1 behind quantize(), or steps that calibration data fix, in designs that are not loadable",
            "give calibration data (calibration=, --calibration), quantize only the weights with "
            "Int8QuantizationConfig(activation_quantizer=None), or compile the model before it is quantized",
        )


def _balanced(lowering: Lowering, node: Node, flat: Array, before: Pending) -> str:
    """The integers that a rounded kernel reads, in steps that leave each weight its bits."""
    b, requirement = lowering.b, Requirement(bits=lowering.input_bits(node))
    state = b.state()
    edge = lowering.integers(node, before, requirement)
    x = b.types[edge]
    scale = np.abs(np.broadcast_to(np.asarray(x.scale, np.float64), (x.channels,)))
    bits = lowering.kernel_bits(node, edge, len(flat)), b.precision.of_stream(node.layer)
    other = kernels.balanced_scale(flat, b.largest(edge), scale, bits)
    if other is None:
        return edge
    first = b.state()
    if any(isinstance(op, Reshape) for op in before.ops):
        before = Pending(edge, before.end)  # the layers know other channels
    else:
        b.back_to(state)
    try:
        return lowering.integers(node, before, replace(requirement, scale=uniform(other)))
    except Unfit:
        b.back_to(first)
        return edge


def _rounding(b: Builder, flat: Array, edge: str, bits: int) -> Array:
    """Bound of the error that the rounding of a kernel makes in the results, by neuron."""
    x = b.types[edge]
    scale = np.abs(np.broadcast_to(np.asarray(x.scale, np.float64), (x.channels,)))
    return kernels.kernel_rounding(flat, b.largest(edge), scale, bits).error


def rounded_kernel(bits: int, off: float) -> Fidelity:
    """Return the fidelity of a layer whose kernel is rounded.

    Args:
        bits: Bits of the kernel.
        off: Bound of the error that this makes in a result.
    """
    return Fidelity("rounded", f"a kernel of {bits} bits, off by at most {off:.2g}")


def _with_meaning(b: Builder, edge: str, tensor: Tensor) -> str:
    """An edge whose integers have another scale and offset."""
    if (b.types[edge].scale, b.types[edge].offset) == (tensor.scale, tensor.offset):
        return edge
    return b.add(edge, View(tensor.shape, tensor.scale, tensor.offset), edge, part="plain")


def _windows(b: Builder, node: Node, op: Convolution, integers: Array, edge: str) -> tuple[Array, str]:
    """The windows of a convolution, and the kernel in the order of their values."""
    if len(op.stride) == 3:
        integers, edge = _planes(b, node, op, integers, edge)
    height, width = op.kernel.shape[-4:-2]
    stride, dilation = (tuple(v[-2:]) for v in (op.stride, op.dilation))
    if (height, width) == (1, 1) and stride == (1, 1):
        return integers, edge
    window = SlidingWindow((height, width), (stride[0], stride[1]), dilation=(dilation[0], dilation[1]))
    return integers, b.add(node.name, window, edge, part="window")


def _planes(b: Builder, node: Node, op: Convolution, integers: Array, edge: str) -> tuple[Array, str]:
    """The planes of each window of a convolution over three axes, as channels of an image."""
    depth, height, width, channels = b.types[edge].shape
    planes = op.kernel.shape[0]
    rows = b.view(edge, (depth, height * width, channels))
    window = SlidingWindow((planes, 1), (op.stride[0], 1), dilation=(op.dilation[0], 1))
    apart = b.add(node.name, window, rows, part="planes")
    edge = b.view(apart, (b.types[apart].shape[0], height, width, planes * channels))
    ordered = integers.reshape(op.kernel.shape).transpose(1, 2, 0, 3, 4)
    return ordered.reshape(-1, op.kernel.shape[-1]), edge
