"""Helpers for tests of quantizers and layers. The names are Larq's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bnn2hw.nn.layers import QuantDense

_RNG = np.random.default_rng(1337)


def evaluate(tensors: Any) -> Any:
    """Return the values of tensors and variables, eagerly or in a session.

    Args:
        tensors: A tensor, a variable, a callable that returns one, or a nested structure of these.
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
        low: Lower bound of the numbers, inclusive.
        high: Upper bound of the numbers, exclusive.
        shape: Shape of the array before the column of zeros is inserted at index 1.
    """
    return np.insert(_RNG.uniform(low, high, tuple(shape)), 1, 0, axis=1)


def get_small_bnn_model(
    input_dim: int, num_hidden: int, output_dim: int, trainable_bn: bool = True
) -> keras.Sequential:
    """Return a model of two quantized dense layers with a batch normalization between them.

    Args:
        input_dim: Number of inputs.
        num_hidden: Units of the first layer.
        output_dim: Units of the second layer.
        trainable_bn: True to train the batch normalization.
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
        shape: Shape of the array. An unknown axis gets one to three entries.
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
    """Test a layer in a functional and a sequential model, through its configuration, and in training.

    Args:
        layer_cls: Class of the layer, or a function that returns one.
        kwargs: Constructor arguments.
        input_shape: Shape of random inputs; required if ``input_data`` is None.
        input_dtype: Dtype of the random inputs.
        input_data: The inputs; None for random ones.
        expected_output: Expected output; None to skip the comparison.
        expected_output_dtype: Expected dtype of the output; None for the dtype of the inputs.
        should_run_eagerly: True to train without compiling.

    Returns:
        The output of the layer in a sequential model.

    Raises:
        ValueError: ``input_data`` and ``input_shape`` are both None.
        AssertionError: An output has a wrong shape, dtype or value.
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
    """Compare outputs with the shape and dtype that the layer declares, and with the expected values."""
    shape = tuple(layer.compute_output_shape(inputs.shape))
    if shape != outputs.shape:
        raise AssertionError(f"The layer '{layer.name}' promises {shape} and returns {outputs.shape}.")
    if outputs.dtype.name != (dtype or inputs.dtype.name):
        raise AssertionError(f"The layer '{layer.name}' returns {outputs.dtype.name}.")
    if expected is not None:
        np.testing.assert_allclose(outputs, expected, rtol=1e-3)


def _check_copy(model: keras.Model, inputs: NDArray[Any], outputs: NDArray[Any]) -> None:
    """Compare the outputs of a model with those of a copy made from its configuration."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy.predict(inputs, verbose=0), outputs, rtol=2e-3)
