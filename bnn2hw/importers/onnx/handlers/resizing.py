"""Borders by themselves, and upsampling."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.images import border, image, result
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("Pad")
def pad(call: Call) -> Value:
    """Read a border of one constant around an image."""
    mode = call.op.attributes.get("mode", "constant")
    stated = call.setting("pads", 1, call.op.attributes.get("paddings"))
    found = image(call)
    if stated is None or mode != "constant" or call.present(3):
        return call.problem(
            f"mode={mode!r}, or pads that are not constant",
            "constant pads and a constant border",
            "pad with a constant",
        )
    if found is None:
        return call.value
    rank = len(call.value.shape)
    pads = [int(n) for n in np.ravel(stated)]  # type: ignore[call-overload]
    sides = list(zip(pads[:rank], pads[rank:], strict=True))
    around = [s for i, s in enumerate(sides) if i not in (0, found.axis)]
    if any(map(any, (sides[0], sides[found.axis]))) or min(pads) < 0:
        return call.problem(
            f"pads={pads}",
            "pads around images that are not negative",
            "pad rows and columns only",
        )
    filled = call.setting("value", 2, 0.0)
    value = float(np.ravel(filled)[0])  # type: ignore[call-overload]
    wider = border(call, found, [(0, 0), *around] if found.row else around, value, part="")
    return result(call, wider, wider.edge)


@handles("Upsample", "Resize")
def upsampling(call: Call) -> Value:
    """Read nearest-neighbor upsampling by whole factors, as gaps between pixels and a kernel of ones."""
    found = image(call)
    if found is None:
        return call.value
    shape = call.value.shape
    rest = {i: c.values for i in range(1, len(call.op.inputs)) if (c := call.known(i)) is not None}
    rows, columns = _factors(call, shape, rest)
    if not rows or not columns or found.rank != 2:
        return call.problem(
            "sizes or a mode by which pixels are not just repeated",
            "mode='nearest' by whole factors",
            "resize in front of the model, or by whole factors with mode='nearest'",
        )
    sides = [(rows - 1, rows - 1), (columns - 1, columns - 1)]
    spread = border(call, found, sides, 0.0, (rows, columns), part="gaps")
    ones = np.ones((rows, columns, found.shape[-1]), np.float32)
    after = (found.shape[0] * rows, found.shape[1] * columns, found.shape[2])

    def apply(x: Array) -> Array:
        return x[:, rows - 1 :: rows, columns - 1 :: columns].repeat(rows, 1).repeat(columns, 2)

    op = real.DepthwiseConvolution(apply, after, ones, (1, 1), (1, 1))
    return result(call, spread, call.add(op, spread.edge))


def _factors(call: Call, shape: tuple[int, ...], rest: dict[int, Array]) -> tuple[int, int]:
    """The number of times that rows and columns are repeated; (0, 0) if the node does something else."""
    probe = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    try:
        made = executor.function(call.op, rest)(probe)
    except Exception:  # ONNX Runtime's own classes share no base
        return 0, 0
    if made.ndim != 4 or made.shape[:2] != shape[:2]:
        return 0, 0
    rows, columns = made.shape[2] // shape[2], made.shape[3] // shape[3]
    same = np.array_equal(made, probe.repeat(max(rows, 1), 2).repeat(max(columns, 1), 3))
    return (rows, columns) if same else (0, 0)
