"""Keras layers, tensors and functions as functions of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.half_precision import half_layers, in_float32
from bnn2hw.ir import Array


def array(x: Any) -> Array:
    """Return a Keras tensor or variable as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(x))


def tensor(x: Array) -> Any:
    """Return an array as a float32 tensor of Keras."""
    return keras.ops.convert_to_tensor(x.astype(np.float32))


def backend_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors with which the backend of Keras says that it cannot compute something."""
    if keras.backend.backend() != "tensorflow":
        return (RuntimeError,)  # the classes of JAX and PyTorch derive from it
    import tensorflow

    return RuntimeError, tensorflow.errors.OpError


class LayerError(RuntimeError):
    """The code of a layer, or of a user's function in it, raised an error."""


class WeightsError(RuntimeError):
    """A quantizer of weights returns what cannot be weights."""


ERRORS = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, NotImplementedError)
"""Errors of Python with which the code of a layer ends that does not fit its input."""


def function(layer: Any) -> Callable[..., Array]:
    """Return a layer in float32 and inference mode as a function of NumPy arrays.

    It raises a `LayerError` if the layer raises an error of Python.
    """
    takes_training = getattr(layer, "_call_has_training_arg", False)
    halves = half_layers(layer)

    def apply(*x: Array) -> Array:
        tensors = [tensor(v) for v in x]
        argument = tensors if len(tensors) > 1 else tensors[0]
        try:
            with in_float32(halves):
                made = layer(argument, training=False) if takes_training else layer(argument)
                if made is None:
                    raise TypeError("it returns None, not a tensor")
                return array(made)
        except ERRORS as error:
            raise LayerError(f"{type(error).__name__}: {error}") from error

    return apply


def same_for_all_channels(fn: Callable[[Array], Array], shape: tuple[int, ...]) -> bool | None:
    """Try out if a function is the same for all channels.

    Half of some random values are exchanged: a function of single values returns the same for the
    others.

    Args:
        fn: A function from batches to batches of the same shape.
        shape: Shape of one sample.

    Returns:
        None if it is not a function of single values.
    """
    rng = np.random.default_rng(0)
    whole = (2, *(min(n, 3) for n in shape[:-1]), shape[-1])
    x, other = (rng.normal(0, 2, whole).astype(np.float32) for _ in range(2))
    kept = rng.random(whole) < 0.5
    first, second = fn(x), fn(np.where(kept, x, other))
    if first.shape != whole or not np.allclose(first[kept], second[kept], 1e-5, 1e-6, equal_nan=True):
        return None
    rolled = np.roll(fn(np.roll(x, 1, -1)), -1, -1)
    return bool(np.allclose(first, rolled, 1e-5, 1e-6, equal_nan=True))
