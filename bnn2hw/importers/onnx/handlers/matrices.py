"""Products with constant matrices."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.onnx import executor, kernels
from bnn2hw.importers.onnx.calls import FIXED, Call, handles
from bnn2hw.importers.onnx.constants import Constant
from bnn2hw.importers.onnx.handlers.convolutions import of_windows
from bnn2hw.importers.onnx.kernels import Kernel
from bnn2hw.importers.onnx.model import Op
from bnn2hw.importers.onnx.values import Grid, Value, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("MatMul")
def matmul(call: Call) -> Value:
    """Read a product with a constant: of the last axis with one on the right, else of the axis before it."""
    left = call.known(0)
    if left is not None and len(call.value.shape) > 2:
        matrix = _plain(call, left)
        kernel = None if matrix is None else kernels.of(matrix).map(np.transpose)
        return call.value if kernel is None else product(call, call.value, kernel, axis=-2)
    weights = call.known(1)
    if weights is not None and weights.values.ndim == 1:
        made = product(call, call.value, kernels.of(weights.map(lambda a: a[:, None])))
        return Value(made.edge, made.order.squeeze(-1))
    weights = _weights(call)
    return call.value if weights is None else product(call, call.value, kernels.of(weights))


def _weights(call: Call) -> Constant | None:
    """The constant matrix on the right; None with a problem if there is none."""
    weights = call.known(1)
    if weights is None:
        which = (
            "two values" if len(call.positions) == 2 else "a constant on the left and a value on the right"
        )
        call.problem(
            f"a product of {which}",
            f"one matrix among the {FIXED}, no product along the batch",
            "transpose the product",
        )
        return None
    return _plain(call, weights)


def _plain(call: Call, weights: Constant) -> Constant | None:
    """A matrix without leading axes of length 1; None with a problem if it has other axes."""
    if weights.values.ndim > 2 and set(weights.values.shape[:-2]) == {1}:
        weights = weights.map(lambda a: a.reshape(a.shape[-2:]))
    if weights.values.ndim != 2:
        call.problem(f"a matrix of shape {weights.values.shape}", "matrices of two axes", "use two axes")
        return None
    return weights


def product(call: Call, value: Value, kernel: Kernel, part: str = "", axis: int = -1) -> Value:
    """Append a product with a kernel and return its output.

    Args:
        call: The node.
        value: What it reads.
        kernel: Kernel of shape (in, out).
        part: Appended to the name.
        axis: The axis of the value that is multiplied.
    """
    if value.windows is not None:
        return of_windows(call, value, kernel)
    axis %= len(value.shape)
    found = call.on_grid(value, axis)
    if found is None:
        return value
    edge, grid = found
    if len(grid.channels) != len(kernel.values):
        return call.problem(
            f"a matrix of {len(kernel.values)} rows for {len(grid.channels)} values",
            "as many",
            "export the file again",
        )
    back = np.argsort(grid.channels)
    kernel = kernel.map(lambda a: a[back])
    op = Op("MatMul", "", 13, "", ("x", "w"), ("y",), {})
    fn = executor.function(op, {1: kernel.values})
    shape = (*grid.positions, kernel.values.shape[1])
    made = call.add(real.Dense(fn, shape, kernel.values, levels=kernel.levels), edge, part=part)
    return Value(made, ordered(Grid(grid.positions, np.arange(shape[-1])), axis))


@handles("Gemm")
def gemm(call: Call) -> Value:
    """Read a product with a constant matrix, plus a constant."""
    attributes = call.op.attributes
    alpha, beta = (float(attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    if alpha == 0 or attributes.get("transA"):
        found = f"alpha={alpha:g}, transA={attributes.get('transA', 0)}"
        return call.problem(found, "alpha other than 0, transA=0", "transpose in front of it")
    weights = _weights(call)
    if weights is None:
        return call.value
    kernel = kernels.of(weights).times(abs(alpha))
    kernel = kernel if alpha > 0 else kernel.negated()
    value = product(call, call.value, kernel.map(np.transpose) if attributes.get("transB") else kernel)
    if not call.present(2):
        return value
    bias = call.constant(2, "a bias")
    return value if bias is None else biased(call, value, bias * np.float32(beta))


def biased(call: Call, value: Value, bias: Array) -> Value:
    """Append the addition of a constant and return its output."""
    return call.pointwise(np.add, value, [bias.astype(np.float32)], part="bias")


@handles("XnorPopcountMatMul")
def xnor_popcount(call: Call) -> Value:
    """Read a count of equal bits. Bits are -1 and +1 to the matrix, and the sum becomes a count."""
    weights = _weights(call)
    if weights is None:
        return call.value
    count = np.float32(len(weights.values))
    signs = call.pointwise(lambda x: 2 * x - 1, call.value, part="signs")
    bits = weights.values.astype(np.float32)
    ones = np.ones_like(bits)
    value = product(call, signs, Kernel(2 * bits - 1, 2 * bits - 1, ones))
    return call.pointwise(lambda x: (x + count) * np.float32(0.5), value, part="count")
