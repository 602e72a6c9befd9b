"""Changes of shape, transpositions, and nodes that do nothing in inference.

None of them needs hardware: they say where in the stream an element lies.
"""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.importers.onnx.calls import Call, handles
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import Array


@handles("Identity", "Dropout")
def nothing(call: Call) -> Value:
    """Read a node that returns its input."""
    training = call.known(2) if call.op.kind == "Dropout" else None
    if training is not None and training.values.any():
        return call.problem("training_mode=True", "inference", "export the model in inference mode")
    return call.value


def _moved(call: Call, order: Array) -> Value:
    """The input in another order or shape."""
    value = call.value
    if value.windows is not None:
        return call.problem("reads the windows of Im2Col", "MatMul behind Im2Col", "use Conv")
    return Value(value.edge, order)


@handles("Transpose")
def transpose(call: Call) -> Value:
    """Read another order of axes."""
    order = call.value.order
    axes = call.op.attributes.get("perm") or range(order.ndim)[::-1]
    return _moved(call, order.transpose(tuple(axes)))


@handles("Reshape")
def reshape(call: Call) -> Value:
    """Read another shape."""
    stated = call.setting("shape", 1)
    if stated is None:
        return call.problem("a shape that is computed at run time", "constant shapes", "export fixed shapes")
    order, target = call.value.order, [int(n) for n in np.ravel(stated)]  # type: ignore[call-overload]
    shape = _whole_shape(call, target)
    batch = call.draft.batch
    if not shape or shape[0] % batch:
        return call.problem(
            f"the shape {target} for {(order.shape[0] * batch, *order.shape[1:])}",
            "shapes with whole frames along the first axis",
            "export with a batch of 1",
        )
    return _moved(call, order.reshape(shape[0] // batch, *shape[1:]))


def _whole_shape(call: Call, target: list[int]) -> tuple[int, ...] | None:
    """The shape of a whole batch that a Reshape node states; None if the values do not fit."""
    order = call.value.order
    before = (order.shape[0] * call.draft.batch, *order.shape[1:])
    if not call.op.attributes.get("allowzero"):
        target = [before[i] if n == 0 else n for i, n in enumerate(target)]
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) > 1 or known <= 0 or math.prod(before) % known:
        return None
    shape = tuple(math.prod(before) // known if n == -1 else n for n in target)
    return shape if math.prod(shape) == math.prod(before) else None


@handles("Flatten")
def flatten(call: Call) -> Value:
    """Read the axes in front of one, and the others, as one axis each."""
    order = call.value.order
    axis = int(call.op.attributes.get("axis", 1))
    axis = axis + order.ndim if axis < 0 else axis
    return _moved(call, order.reshape(math.prod(order.shape[:axis]), -1))


@handles("Squeeze")
def squeeze(call: Call) -> Value:
    """Read a value without axes of length 1."""
    order, stated = call.value.order, call.setting("axes", 1)
    if stated is None:
        return _moved(call, order.squeeze())
    return _moved(call, order.squeeze(tuple(int(a) for a in np.ravel(stated))))  # type: ignore[call-overload]


@handles("Unsqueeze")
def unsqueeze(call: Call) -> Value:
    """Read a value with more axes of length 1."""
    order, stated = call.value.order, call.setting("axes", 1)
    axes = tuple(int(a) for a in np.ravel(stated))  # type: ignore[call-overload]
    return _moved(call, np.expand_dims(order, axes))
