"""Slices, splits and single indices: outputs that are some of the inputs."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.onnx.calls import FIXED, Call, handles
from bnn2hw.importers.onnx.selection import take
from bnn2hw.importers.onnx.values import Value


@handles("Slice")
def sliced(call: Call) -> Value:
    """Read the selection of ranges of axes."""
    stated = [call.setting(name, i) for i, name in ((1, "starts"), (2, "ends"))]
    if any(s is None for s in stated):
        return call.problem("bounds that are computed at run time", FIXED, "export fixed bounds")
    starts, ends = ([int(n) for n in np.ravel(s)] for s in stated)  # type: ignore[call-overload]
    rank = len(call.value.shape)
    axes = _whole(call.setting("axes", 3, range(len(starts))))
    steps = _whole(call.setting("steps", 4, [1] * len(starts)))
    value = call.value
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        kept = np.arange(value.shape[axis])[slice(start, _end(end, step), step)]
        value = take(call, value, axis % rank, kept)
    return value


def _end(end: int, step: int) -> int | None:
    """The end of a slice; None for one before the first element, which counts from the back in Python."""
    return None if step < 0 and end < -(2**31) + 2 else end


def _whole(numbers: object) -> list[int]:
    return [int(n) for n in np.ravel(numbers)]  # type: ignore[call-overload]


@handles("Split")
def split(call: Call) -> Value:
    """Read the parts of a value along an axis, each as an output."""
    value, count = call.value, len(call.op.outputs)
    axis = int(call.op.attributes.get("axis", 0)) % len(value.shape)
    length = value.shape[axis]
    stated = call.setting("split", 1)
    each = -(-length // count)
    sizes = _whole(stated) if stated is not None else [*[each] * (count - 1), length - each * (count - 1)]
    ends = np.cumsum(sizes)
    parts = [
        take(call, value, axis, np.arange(end - size, end), part=f"{i}")
        for i, (end, size) in enumerate(zip(ends, sizes, strict=True))
    ]
    call.draft.values.update((n, p) for n, p in zip(call.op.outputs, parts, strict=True) if n)
    return parts[0]


@handles("Gather")
def gather(call: Call) -> Value:
    """Read the selection of constant indices along an axis."""
    indices = call.constant(1, "indices")
    if indices is None or 0 not in call.positions:
        return call.problem("indices that depend on the input", FIXED, "use constant indices")
    value = call.value
    axis = int(call.op.attributes.get("axis", 0)) % len(value.shape)
    if indices.ndim > 1:
        return call.problem(f"indices of shape {indices.shape}", "one index or a list", "reshape afterwards")
    length = value.shape[axis]
    if np.any((indices < -length) | (indices >= length)):
        return call.problem(
            f"indices {indices.tolist()} of an axis of {length}", f"-{length} to {length - 1}", "use these"
        )
    made = take(call, value, axis, np.ravel(indices).astype(np.int64) % length)
    return made if indices.ndim else Value(made.edge, made.order.squeeze(axis))
