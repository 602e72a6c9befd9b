"""Borders by themselves, and upsampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import FIXED, Call, handles
from bnn2hw.importers.onnx.images import border, image, image_of, result
from bnn2hw.importers.onnx.selection import repeated, take, with_zeros
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array
from bnn2hw.ops import real

BORDERS = (
    "pads of rows and columns, and of channels with zeros",
    "pad rows and columns only",
)
"""What is supported of pads, and what to do."""

UNEVEN = (
    "a mode by which pixels are not just repeated or left out",
    "mode='nearest'",
    "resize in front of the model, or with mode='nearest'",
)
"""What is found, supported and to be done where an image is resized in another way."""


@handles("Pad")
def pad(call: Call) -> Value:
    """Read a border around an image: one constant, or values of the image."""
    mode = call.op.attributes.get("mode", "constant")
    rank = len(call.value.shape)
    stated = call.setting("pads", 1, call.op.attributes.get("paddings"))
    axes = call.setting("axes", 3, range(rank))
    if stated is None or axes is None:
        return call.problem("pads that are computed at run time", FIXED, "export fixed pads")
    sides = [(0, 0)] * rank
    pads = np.ravel(stated).reshape(2, -1).T  # type: ignore[call-overload]
    for axis, (before, after) in zip(np.ravel(axes), pads, strict=True):  # type: ignore[call-overload]
        sides[int(axis) % rank] = (int(before), int(after))
    if any(sides[0]):
        return call.problem(f"pads={sides}", "pads of the axes of a frame", "leave the batch as it is")
    if mode != "constant":
        return _mirrored(call, sides, mode)
    filled = call.setting("value", 2, 0.0)
    value = float(np.ravel(filled)[0])  # type: ignore[call-overload]
    if any(n > 0 for n in sides[1]) and value:
        return call.problem(f"pads={sides}, a border of {value:g}", *BORDERS)
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


def _mirrored(call: Call, sides: Sequence[tuple[int, int]], mode: str) -> Value:
    """A border of values of the image, axis by axis."""
    value = call.value
    for axis, (before, after) in enumerate(sides):
        length = value.shape[axis]
        kept = np.arange(length)[max(-before, 0) : length - max(-after, 0)]
        kept = np.pad(kept, (max(before, 0), max(after, 0)), mode)  # type: ignore[call-overload]
        value = take(call, value, axis, kept, part=f"axis{axis}")
    return value


@handles("Tile")
def tile(call: Call) -> Value:
    """Read the repetition of a whole value along axes."""
    repeats = call.constant(1, "repeats")
    if repeats is None or repeats[0] != 1:
        return call.problem("repeats of the batch, or computed ones", FIXED, "repeat axes of a frame")
    value = call.value
    for axis, times in enumerate(repeats):
        kept = np.tile(np.arange(value.shape[axis]), int(times))
        value = take(call, value, axis, kept, part=f"axis{axis}")
    return value


@handles("Expand")
def expand(call: Call) -> Value:
    """Read the repetition of a value along axes of length 1."""
    value, shape = call.value, call.constant(1, "a shape")
    if shape is None or len(shape) > len(value.shape):
        return call.problem("a computed shape, or one with more axes", FIXED, "use Unsqueeze and a constant")
    wide = np.broadcast_shapes(value.shape, tuple(int(n) for n in shape))
    if wide[0] != 1:
        return call.problem(f"a batch of {wide[0]}", "the axes of a frame", "leave the batch as it is")
    return repeated(call, value, range(len(wide) - 1, 0, -1), wide)


@handles("Upsample", "Resize")
def resizing(call: Call) -> Value:
    """Read an image whose rows and columns are repeated or left out: upsampling if by whole factors."""
    shape = call.value.shape
    rest = {i: c.values for i in range(1, len(call.op.inputs)) if (c := call.known(i)) is not None}
    kept = _kept(call, shape, rest)
    if kept is None:
        return call.problem(*UNEVEN)
    factors = [len(k) // n for k, n in zip(kept, shape[2:], strict=True)]
    whole = [
        np.array_equal(k, np.arange(n).repeat(f)) for k, n, f in zip(kept, shape[2:], factors, strict=True)
    ]
    if len(kept) == 2 and all(whole) and call.with_last(call.value, 1) is call.value:
        return _upsampled(call, factors[0], factors[1])
    value = call.value
    for axis, indices in enumerate(kept, 2):
        value = take(call, value, axis, indices, part=f"axis{axis}")
    return value


def _upsampled(call: Call, rows: int, columns: int) -> Value:
    """Upsampling by whole factors, as gaps between pixels and a kernel of ones."""
    found = image(call)
    if found is None:
        return call.value
    sides = [(rows - 1, rows - 1), (columns - 1, columns - 1)]
    spread = border(call, found, sides, 0.0, (rows, columns), part="gaps")
    ones = np.ones((rows, columns, found.shape[-1]), np.float32)
    after = (found.shape[0] * rows, found.shape[1] * columns, found.shape[2])

    def apply(x: Array) -> Array:
        return x[:, rows - 1 :: rows, columns - 1 :: columns].repeat(rows, 1).repeat(columns, 2)

    op = real.DepthwiseConvolution(apply, after, ones, (1, 1), (1, 1))
    return result(call, spread, call.add(op, spread.edge))


def _kept(call: Call, shape: tuple[int, ...], rest: dict[int, Array]) -> list[Array] | None:
    """The indices that the result has along each axis of an image; None if it is none of its pixels."""
    probe = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    try:
        made = executor.function(call.op, rest)(probe)
    except Exception:  # ONNX Runtime's own classes share no base
        return None
    if made.ndim != len(shape) or made.shape[:2] != shape[:2] or np.any(made != np.rint(made)):
        return None
    places = np.unravel_index(made[0, 0].astype(np.int64), shape[2:])
    kept = [p[tuple(slice(None) if a == i else 0 for a in range(p.ndim))] for i, p in enumerate(places)]
    same = np.array_equal(made, probe[(slice(None), slice(None), *np.ix_(*kept))])
    return [np.asarray(k) for k in kept] if same else None
