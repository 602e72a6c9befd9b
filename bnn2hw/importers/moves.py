"""Values of a sample in another order, as a product with a matrix, which all importers share."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.ops.real import Dense

MOVED = 4096
"""Values of a sample up to which another order of them is a product with a matrix."""


def selection(places: Array, size: int, before: tuple[int, ...] = ()) -> Dense:
    """Return the product with a matrix that has a single 1 for each output.

    Args:
        places: For each output, its place in the vector that is read.
        size: Values of that vector.
        before: Shape of the axes in front of the vector in a sample.
    """
    matrix = np.zeros((size, places.size), np.float32)
    matrix[places, np.arange(places.size)] = 1

    def apply(x: Array) -> Array:
        return x[..., places].astype(np.float32)

    return Dense(apply, (*before, places.size), matrix)
