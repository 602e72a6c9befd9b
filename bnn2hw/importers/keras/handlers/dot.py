"""Products of two inputs that are summed along an axis of each."""

from __future__ import annotations

import math

import numpy as np

from bnn2hw.importers.keras.calls import Call, joins
from bnn2hw.importers.keras.handlers.dense import of_weights
from bnn2hw.importers.keras.handlers.depthwise import repeat
from bnn2hw.importers.keras.handlers.joins import times
from bnn2hw.importers.keras.handlers.wiring import permuted
from bnn2hw.ops import real

LARGEST = 2**14
"""Largest number of products of two values in a frame."""


@joins("Dot")
def dot(call: Call) -> str:
    """Read products value by value, and their sums with weights of one.

    Each vector of the first input meets each vector of the second one.
    """
    shapes, axes = [call.shape_of(e) for e in call.edges], call.layer.axes
    own = [(axes, axes) if isinstance(axes, int) else tuple(axes)][0]
    at = [axis % (len(shape) + 1) - 1 for axis, shape in zip(own, shapes, strict=True)]
    others = [tuple(n for i, n in enumerate(s) if i != a) for s, a in zip(shapes, at, strict=True)]
    rows, columns = (math.prod(o) for o in others)
    size = shapes[0][at[0]] if min(at) >= 0 else 0
    most = max(map(len, shapes)) > 2 or rows * columns * size > LARGEST
    if call.layer.normalize or not size or most:
        given = " and ".join(map(str, shapes))
        call.problem(
            f"Dot of inputs of shapes {given}, axes={axes}{', normalized' if call.layer.normalize else ''}",
            f"products of vectors and matrices with up to {LARGEST:,} factors, without normalize",
            "replace the layer",
        )
        return call.edge
    edges = []
    for i, (edge, axis) in enumerate(zip(call.edges, at, strict=True)):
        name = f"{call.name}.input{i}"
        order = (1 - axis, axis) if len(shapes[i]) == 2 else (0,)
        lines = permuted(call, name, edge, order)
        image = (rows, 1, size) if i == 0 else (1, columns, size)
        edges.append(_repeated(call, name, call.reshape(f"{name}.image", image, lines), (rows, columns)))
    product = call.add(f"{call.name}.products", real.Product(times, (rows, columns, size)), *edges)
    sums = call.add(
        call.name, of_weights(np.ones((size, 1), np.float32), (rows, columns, 1), dyadic=True), product
    )
    return call.reshape(f"{call.name}.shape", call.shape, sums)


def _repeated(call: Call, name: str, edge: str, size: tuple[int, int]) -> str:
    """Repeat the rows or columns of an image up to a size."""
    before = call.shape_of(edge)
    if before[:2] == size:
        return edge
    return repeat(call, name, edge, size[0] // before[0], size[1] // before[1])
