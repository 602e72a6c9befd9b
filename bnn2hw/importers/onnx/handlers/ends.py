"""The ends of classifiers: softmax, and the index of the largest score."""

from __future__ import annotations

import numpy as np

from bnn2hw.importers.onnx import executor
from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.values import Value, ordered
from bnn2hw.ir import Array
from bnn2hw.ops import real


@handles("Softmax", "LogSoftmax")
def softmax(call: Call) -> Value:
    """Read a softmax along the channels, or its logarithm."""
    value = call.value
    rank = len(value.shape)
    axis = int(call.op.attributes.get("axis", -1 if call.op.version >= 13 else 1)) % rank
    if call.op.version < 13 and any(n != 1 for n in value.shape[axis + 1 :]):
        return call.problem(f"axis={axis} of {value.shape}", "the last axis", "use the last axis")
    found = call.on_grid(value, axis)
    if found is None:
        return value
    edge, grid = found
    fn = executor.function(call.op, {})

    def apply(x: Array) -> Array:
        flat = fn(x.reshape(-1, *(1,) * (axis - 1), x.shape[-1], *(1,) * (rank - axis - 1)))
        return flat.reshape(x.shape)

    return Value(call.add(real.Softmax(apply, grid.shape), edge), ordered(grid, axis))


@handles("ArgMax")
def argmax(call: Call) -> Value:
    """Read the index of the largest value at the end of a model."""
    if call.op.attributes.get("select_last_index"):
        return call.problem("select_last_index=1", "the first of equal values", "leave it out")
    return _best(call, int(call.op.attributes.get("axis", 0)), 1, call.op.outputs[0])


@handles("TopK")
def topk(call: Call) -> Value:
    """Read the indices of the largest values at the end of a model."""
    count = call.setting("k", 1)
    attributes = call.op.attributes
    if count is None or not attributes.get("largest", 1) or not attributes.get("sorted", 1):
        return call.problem(
            "a number that is not constant, the smallest values, or values that are not sorted",
            "the indices of the largest values, best first",
            "use largest=1 and sorted=1 with a constant number",
        )
    axis = int(attributes.get("axis", -1))
    return _best(call, axis, int(np.ravel(count)[0]), call.op.outputs[1])  # type: ignore[call-overload]


def _best(call: Call, axis: int, count: int, output: str) -> Value:
    """Note that an output of the model is the index of the largest values."""
    draft, value = call.draft, call.value
    used = {o for o in call.op.outputs if o in draft.model.outputs}
    readers = [op.name for op in draft.model.ops if set(op.inputs) & set(call.op.outputs)]
    if used != {output} or readers:
        return call.problem(
            "its result is not the output of the model, or not the only one",
            "indices of the largest values as the output",
            "end the model with the node",
        )
    found = call.on_grid(value, axis % len(value.shape))
    if found is None:
        return value
    edge, grid = found
    if not grid.plain or (grid.positions and max(grid.positions) > 1):
        return call.problem(
            "several positions, or classes in another order", "one vector of scores", "reshape"
        )
    draft.best[output] = count
    made = Value(draft.reshape(call.name, edge, (len(grid.channels),)), np.arange(len(grid.channels))[None])
    draft.values[output] = made
    return made
