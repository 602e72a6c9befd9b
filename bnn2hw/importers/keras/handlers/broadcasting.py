"""Repeat values where inputs of different shapes meet, as NumPy does."""

from __future__ import annotations

import keras
import numpy as np

from bnn2hw.importers.keras.calls import Call
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.handlers.depthwise import repeat
from bnn2hw.ir import Array
from bnn2hw.ops import real


def broadcast(call: Call, edges: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Return inputs of a layer in the shape of its output.

    Args:
        call: The call of the layer.
        edges: The inputs; all if None.

    Returns:
        The edges; none if a problem was noted.
    """
    given = call.edges if edges is None else edges
    whole = next((e for e in call.edges if call.shape_of(e) == call.shape), None)
    shapes = [call.shape_of(e) for e in given]
    if any(len(s) != len(call.shape) for s in shapes) and not isinstance(call.layer, keras.layers.Layer):
        call.problem(
            f"inputs of the shapes {shapes}, in which batches meet other axes",
            "inputs with the same number of axes",
            "reshape the inputs",
        )
        return ()
    made = tuple(_repeated(call, i, e, whole) for i, e in enumerate(given))
    if any(call.shape_of(e) != call.shape for e in made):
        call.problem(
            f"inputs of the shapes {shapes}",
            "inputs of one shape, or repeated along channels, rows and columns",
            "reshape or repeat the inputs",
        )
        return ()
    return made


def _repeated(call: Call, number: int, edge: str, whole: str | None) -> str:
    """Repeat an input along the axes in which its length is 1, as far as that is possible."""
    name, target = f"{call.name}.input{number}", call.shape
    shape = call.shape_of(edge)
    if shape == target:
        return edge
    edge = call.reshape(f"{name}.axes", (*(1,) * (len(target) - len(shape)), *shape), edge)
    if call.shape_of(edge)[-1] == 1 < target[-1]:
        edge = _over_channels(call, f"{name}.channels", edge, target[-1])
    shape = call.shape_of(edge)
    if shape == target:
        return edge
    if whole is not None and set(shape[:-1]) == {1}:
        return _over_positions(call, name, edge, whole)
    if len(target) not in (2, 3) or any(a not in (1, b) for a, b in zip(shape, target, strict=True)):
        return edge
    image = call.reshape(f"{name}.image", (1, *shape)[-3:], edge)
    times = tuple(b // a for a, b in zip(call.shape_of(image), (1, *target)[-3:], strict=True))
    return call.reshape(f"{name}.shape", target, repeat(call, name, image, times[0], times[1]))


def _over_channels(call: Call, name: str, edge: str, channels: int) -> str:
    """Repeat one channel: a dense layer with ones."""
    ones = np.ones((1, channels), np.float32)

    def apply(x: Array) -> Array:
        return array(keras.ops.matmul(tensor(x), ones))

    return call.add(name, real.Dense(apply, (*call.shape_of(edge)[:-1], channels), ones), edge)


def _over_positions(call: Call, name: str, edge: str, whole: str) -> str:
    """Repeat one vector at all positions: a product with ones in the shape of another input."""
    ones = call.pointwise(f"{name}.ones", np.ones_like, whole, uniform=True)

    def apply(a: Array, b: Array) -> Array:
        return np.asarray(a * b, np.float32)

    return call.add(name, real.Product(apply, call.shape), ones, edge)
