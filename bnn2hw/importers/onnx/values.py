"""Values of an ONNX model as edges of the real form, and the order of their elements there.

Streams have their channels last, while ONNX has them wherever an axis is. A value knows for each of
its elements where it lies in the stream. Transpositions and changes of shape then need no hardware.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.importers.onnx.model import Op
from bnn2hw.ir import Array


@dataclass(frozen=True, eq=False)
class Value:
    """A value that depends on the inputs of the model.

    Attributes:
        edge: Edge of the real form that carries it.
        order: For each element, its place in a sample of the edge, of the shape that the value has in
            the model with a batch of one.
        windows: The node that only arranged the edge's image as windows (Im2Col); None for all others.
    """

    edge: str
    order: Array
    windows: Op | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in the model, with a batch of one."""
        return self.order.shape


@dataclass(frozen=True, eq=False)
class Grid:
    """A value with one axis as its channels.

    Attributes:
        positions: Lengths of the other axes, in the model's order, without the batch.
        channels: For each index along the channel axis, the channel of the stream.
    """

    positions: tuple[int, ...]
    channels: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the stream."""
        return (*self.positions, len(self.channels))

    @property
    def plain(self) -> bool:
        """True if the channels of the stream are in the model's order."""
        return bool(np.all(self.channels == np.arange(len(self.channels))))


def grid(value: Value, axis: int) -> Grid | None:
    """Return a value with one axis as channels.

    Args:
        value: The value.
        axis: The axis in the model.

    Returns:
        None if its stream has the values of a position apart, or the positions in another order.
    """
    order = np.moveaxis(value.order, axis, -1)
    flat = order.reshape(-1, order.shape[-1])
    count, channels = flat.shape
    if order.ndim > 1 and order.shape[0] != 1:
        return None
    if np.any(flat != np.arange(count)[:, None] * channels + flat[0]) or flat[0].max() >= channels:
        return None
    return Grid(order.shape[1:-1], flat[0])


def ordered(grid: Grid, axis: int) -> Array:
    """Return the order of a value that a grid is the stream of.

    Args:
        grid: The grid, with its axes in the model's order.
        axis: The axis of the channels in the model.
    """
    size = int(np.prod(grid.positions, dtype=np.int64))
    flat = np.arange(size)[:, None] * len(grid.channels) + grid.channels
    return np.moveaxis(flat.reshape(1, *grid.shape), -1, axis)


def on_stream(values: Array, order: Array) -> Array:
    """Return values that belong to the elements of a value in the order of the stream.

    Args:
        values: An array that can be broadcast to the shape of the value.
        order: The order of the value.
    """
    made = np.empty(order.size, values.dtype)
    made[order.ravel()] = np.broadcast_to(values, order.shape).ravel()
    return made
