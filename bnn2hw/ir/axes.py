"""The order of the values of a model's arrays in a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2hw.ir.parts import Array


@dataclass(frozen=True)
class AxisOrder:
    """Arrays of a model whose axes are in another order than those of the stream.

    Attributes:
        shape: Shape of a sample in the model.
        stream: Shape of a sample in the stream, whose last axis are the channels.
        axes: For each axis of the model's array, the axis of the stream. Axes of the model may be
            joined or split, as long as the order of the values is the same.
    """

    shape: tuple[int, ...]
    stream: tuple[int, ...]
    axes: tuple[int, ...]

    def to_stream(self, x: Array) -> Array:
        """Return a batch of the model as the stream carries it.

        Args:
            x: Array of shape (frames, *shape).
        """
        parted = x.reshape(len(x), *(self.stream[a] for a in self.axes))
        return np.ascontiguousarray(parted.transpose(0, *(a + 1 for a in np.argsort(self.axes))))

    def from_stream(self, y: Array) -> Array:
        """Return values of a stream as the model has them.

        Args:
            y: Array of shape (frames, *stream).
        """
        return y.transpose(0, *(a + 1 for a in self.axes)).reshape(len(y), *self.shape)

    def __str__(self) -> str:
        model, stream = ("×".join(map(str, s)) for s in (self.shape, self.stream))
        return f"{model} in the model's arrays, {stream} in the stream, whose last axis changes fastest"

    def facts(self) -> list[list[int]]:
        """Return the layout as plain data."""
        return [list(self.shape), list(self.stream), list(self.axes)]

    @staticmethod
    def of(facts: list[list[int]]) -> AxisOrder:
        """Return the layout that `facts` describes."""
        shape, stream, axes = (tuple(each) for each in facts)
        return AxisOrder(shape, stream, axes)
