"""Axes of a model's arrays, and the order of channels on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bnn2hw.ir import Array, AxisOrder

Axes = tuple[int, ...]
"""For each axis of a sample with its channels last, the axis of the model's sample."""


def plain(rank: int) -> Axes:
    """Return the axes of a tensor in the model's own order."""
    return tuple(range(rank))


def channels_first(rank: int) -> Axes:
    """Return the axes of a tensor that has its channels first in the model."""
    return (*range(1, rank), 0)


@dataclass(frozen=True)
class Place:
    """A tensor of the rewritten model, and the order of the model's axes in it.

    Attributes:
        tensor: The tensor.
        axes: Order of the axes; of the tensor that was flattened, if it was.
        flat: Shape that a sample of the flattened tensor has in the model; None if it is not flat,
            or in the model's own order.
    """

    tensor: Any
    axes: Axes
    flat: tuple[int, ...] | None = None

    @property
    def is_plain(self) -> bool:
        """True if the values are in the model's own order."""
        return self.flat is None and self.axes == plain(len(self.axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample in the model."""
        own = tuple(self.tensor.shape[1:])
        return tuple(own[self.axes.index(i)] for i in range(len(own)))

    def layout(self) -> AxisOrder | None:
        """Return the order of the values in the stream; None if it is the model's own."""
        if self.is_plain:
            return None
        order = tuple(self.axes.index(i) for i in range(len(self.axes)))
        return AxisOrder(self.shape, tuple(self.tensor.shape[1:]), order)

    def indices(self) -> Array:
        """Return the index in the model of each value of a flat tensor."""
        shape = self.flat or self.shape
        return np.arange(int(np.prod(shape))).reshape(shape).transpose(self.axes).reshape(-1)

    def axis(self, axis: int) -> int:
        """Return the axis of the tensor that is an axis of the model, both with the batch in front."""
        return 1 + self.axes.index(axis % (len(self.axes) + 1) - 1)


def moved(place: Place, axes: Axes, name: str) -> Place:
    """Return a tensor with its axes in another order.

    Args:
        place: The tensor.
        axes: The order; a flat tensor becomes plain, whatever it is.
        name: Name of the layer that moves the values, if one is needed.
    """
    if place.flat is not None:
        parts = keras.layers.Reshape([place.flat[a] for a in place.axes], name=f"{name}.image")(place.tensor)
        image = moved(Place(parts, place.axes), plain(len(place.axes)), name)
        return Place(keras.layers.Flatten(name=f"{name}.flat")(image.tensor), (0,))
    if place.axes == axes:
        return place
    dims = [1 + place.axes.index(a) for a in axes]
    return Place(keras.layers.Permute(dims, name=f"{name}.axes")(place.tensor), axes)
