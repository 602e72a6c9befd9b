"""Borders by themselves, and upsampling."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.handlers.slicing import take, with_zeros
from bnn2hw.importers.onnx.images import border, image, image_of, result
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array
from bnn2hw.ops import real

BORDERS = (
    "pads of rows and columns, and of channels with zeros",
    "pad rows and columns only",
)
"""What is supported of pads, and what to do."""

UNEVEN = (
    "sizes or a mode by which pixels are not just repeated, or left out at equal distances",
    "mode='nearest' by whole factors",
    "resize in front of the model, or by whole factors with mode='nearest'",
)
"""What is found, supported and to be done where an image is resized in another way."""


@handles("Pad")
def pad(call: Call) -> Value:
    """Read a border of one constant around an image."""
    mode = call.op.attributes.get("mode", "constant")
    stated = call.setting("pads", 1, call.op.attributes.get("paddings"))
    if stated is None or mode != "constant" or call.present(3):
        return call.problem(
            f"mode={mode!r}, or pads that are not constant",
            "constant pads and a constant border",
            "pad with a constant",
        )
    rank = len(call.value.shape)
    pads = [int(n) for n in np.ravel(stated)]  # type: ignore[call-overload]
    filled = call.setting("value", 2, 0.0)
    value = float(np.ravel(filled)[0])  # type: ignore[call-overload]
    sides = list(zip(pads[:rank], pads[rank:], strict=True))
    if any(sides[0]) or (any(n > 0 for n in sides[1]) and value):
        return call.problem(f"pads={pads}, a border of {value:g}", *BORDERS)
    within = call.value
    for axis, (before, after) in enumerate(sides):
        kept = np.arange(within.shape[axis])[max(-before, 0) : within.shape[axis] - max(-after, 0)]
        within = take(call, within, axis, kept, part=f"crop{axis}")
    wider = [(max(a, 0), max(b, 0)) for a, b in sides]
    within = with_zeros(call, within, 1, wider[1])
    if not any(map(any, wider[2:])):
        return within
    found = image_of(call, within)
    if found is None:
        return call.value
    around = [s for i, s in enumerate(wider) if i not in (0, found.axis)]
    larger = border(call, found, [(0, 0), *around] if found.row else around, value, part="")
    return result(call, larger, larger.edge)


@handles("Upsample", "Resize")
def upsampling(call: Call) -> Value:
    """Read nearest-neighbor upsampling by whole factors, as gaps between pixels and a kernel of ones."""
    found = image(call)
    if found is None:
        return call.value
    shape = call.value.shape
    rest = {i: c.values for i in range(1, len(call.op.inputs)) if (c := call.known(i)) is not None}
    probe = _probed(call, shape, rest)
    rows, columns = _factors(probe, shape)
    if probe is not None and (not rows or not columns) and found.rank == 2:
        return _chosen(call, probe, shape)
    if not rows or not columns or found.rank != 2:
        return call.problem(*UNEVEN)
    sides = [(rows - 1, rows - 1), (columns - 1, columns - 1)]
    spread = border(call, found, sides, 0.0, (rows, columns), part="gaps")
    ones = np.ones((rows, columns, found.shape[-1]), np.float32)
    after = (found.shape[0] * rows, found.shape[1] * columns, found.shape[2])

    def apply(x: Array) -> Array:
        return x[:, rows - 1 :: rows, columns - 1 :: columns].repeat(rows, 1).repeat(columns, 2)

    op = real.DepthwiseConvolution(apply, after, ones, (1, 1), (1, 1))
    return result(call, spread, call.add(op, spread.edge))


def _probed(call: Call, shape: tuple[int, ...], rest: dict[int, Array]) -> Array | None:
    """The place of each pixel of the result in the image; None if the node moves no pixels of images."""
    probe = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    try:
        made = executor.function(call.op, rest)(probe)
    except Exception:  # ONNX Runtime's own classes share no base
        return None
    return made if made.ndim == 4 and made.shape[:2] == shape[:2] and np.all(made == np.rint(made)) else None


def _factors(made: Array | None, shape: tuple[int, ...]) -> tuple[int, int]:
    """The number of times that rows and columns are repeated; (0, 0) if the node does something else."""
    if made is None:
        return 0, 0
    probe = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rows, columns = made.shape[2] // shape[2], made.shape[3] // shape[3]
    same = np.array_equal(made, probe.repeat(max(rows, 1), 2).repeat(max(columns, 1), 3))
    return (rows, columns) if same else (0, 0)


def _chosen(call: Call, made: Array, shape: tuple[int, ...]) -> Value:
    """Read a smaller image whose pixels are some of the image."""
    place = made[0, 0].astype(np.int64)
    rows, columns = place[:, 0] // shape[3], place[0] % shape[3]
    if not np.array_equal(place, rows[:, None] * shape[3] + columns):
        return call.problem(*UNEVEN)
    apart = [np.unique(np.diff(kept)) for kept in (rows, columns)]
    if any(len(steps) > 1 or steps.min(initial=1) < 1 for steps in apart):
        return call.problem(*UNEVEN)
    value = take(call, call.value, 2, rows, part="rows")
    return take(call, value, 3, columns, part="columns")
