"""Helpers for tests of quantizers and layers, under the names that Larq gave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bnn2hw.nn.layers import QuantDense

_RNG = np.random.default_rng(1337)


def evaluate(tensors: Any) -> Any:
    """Return the values of tensors, variables and structures of them, eagerly or in a session.

    Args:
        tensors: What to evaluate; callables are called first.
    """
    import tensorflow as tf

    if not tf.executing_eagerly():
        return tf.compat.v1.get_default_session().run(tensors)
    return None if tensors is None else tf.nest.map_structure(_value, tensors)


def _value(tensor: Any) -> Any:
    """Return the value of one tensor."""
    if tensor is None:
        return None
    return evaluate(tensor()) if callable(tensor) else tensor.numpy()


def generate_real_values_with_zeros(
    low: float = -2, high: float = 2, shape: Sequence[int] = (4, 10)
) -> NDArray[np.float64]:
    """Return random numbers with a column of zeros.

    Args:
        low: Least number.
        high: Bound of the numbers.
        shape: Shape of the array before the column is inserted as the second one.
    """
    return np.insert(_RNG.uniform(low, high, tuple(shape)), 1, 0, axis=1)


def get_small_bnn_model(
    input_dim: int, num_hidden: int, output_dim: int, trainable_bn: bool = True
) -> keras.Sequential:
    """Return two quantized dense layers with a normalization between them.

    Args:
        input_dim: Number of inputs.
        num_hidden: Units of the first layer.
        output_dim: Units of the second layer.
        trainable_bn: Whether the normalization is trained.
    """
    kernel: dict[str, Any] = {
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    return keras.Sequential(
        [
            keras.Input((input_dim,)),
            QuantDense(num_hidden, activation="relu", **kernel),
            keras.layers.BatchNormalization(trainable=trainable_bn),
            QuantDense(output_dim, input_quantizer="ste_sign", activation="softmax", **kernel),
        ]
    )


def random_input(shape: Sequence[int | None]) -> NDArray[np.float32]:
    """Return random numbers between -0.5 and 9.5.

    Args:
        shape: Shape of the array; unknown axes get one to three entries.
    """
    known = [_RNG.integers(1, 4) if n is None else n for n in shape]
    return (10 * _RNG.random(known) - 0.5).astype("float32")


def layer_test(
    layer_cls: Callable[..., keras.layers.Layer],
    kwargs: dict[str, Any] | None = None,
    input_shape: Sequence[int | None] | None = None,
    input_dtype: str | None = None,
    input_data: NDArray[Any] | None = None,
    expected_output: Any = None,
    expected_output_dtype: str | None = None,
    should_run_eagerly: bool = False,
) -> NDArray[Any]:
    """Put a layer through what layers must withstand: models, configurations, training.

    Args:
        layer_cls: Makes the layer.
        kwargs: Its arguments.
        input_shape: Shape of random inputs, if none are given.
        input_dtype: Their dtype.
        input_data: The inputs.
        expected_output: What the layer is to return, if known.
        expected_output_dtype: The dtype of its output; that of the input if None.
        should_run_eagerly: Whether to train without compiling.

    Returns:
        The outputs of the layer in a sequential model.

    Raises:
        ValueError: There are neither inputs nor their shape.
        AssertionError: The layer does not withstand.
    """
    if input_data is None:
        if input_shape is None:
            raise ValueError("Give `input_data` or `input_shape`.")
        input_data = random_input(input_shape).astype(input_dtype or "float32")
    kwargs = kwargs or {}
    layer = layer_cls(**kwargs)
    inputs = keras.Input(input_data.shape[1:], dtype=input_data.dtype.name)
    model = keras.Model(inputs, layer(inputs))
    outputs = model.predict(input_data, verbose=0)
    _check_outputs(layer, input_data, outputs, expected_output, expected_output_dtype)
    _check_copy(model, input_data, outputs)
    trained = keras.Model(inputs, layer_cls(**kwargs)(inputs))
    trained.compile("rmsprop", "mse", run_eagerly=should_run_eagerly)
    trained.train_on_batch(input_data, outputs)
    sequential = keras.Sequential([keras.Input(input_data.shape[1:]), layer_cls(**layer.get_config())])
    sequential.set_weights(model.get_weights())
    _check_copy(sequential, input_data, outputs)
    return np.asarray(sequential.predict(input_data, verbose=0))


def _check_outputs(
    layer: keras.layers.Layer, inputs: NDArray[Any], outputs: NDArray[Any], expected: Any, dtype: str | None
) -> None:
    """Compare outputs with what the layer promises and the caller expects."""
    shape = tuple(layer.compute_output_shape(inputs.shape))
    if shape != outputs.shape:
        raise AssertionError(f"The layer '{layer.name}' promises {shape} and returns {outputs.shape}.")
    if outputs.dtype.name != (dtype or inputs.dtype.name):
        raise AssertionError(f"The layer '{layer.name}' returns {outputs.dtype.name}.")
    if expected is not None:
        np.testing.assert_allclose(outputs, expected, rtol=1e-3)


def _check_copy(model: keras.Model, inputs: NDArray[Any], outputs: NDArray[Any]) -> None:
    """Compare the outputs of a model that is made from the configuration of another one."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy.predict(inputs, verbose=0), outputs, rtol=2e-3)
