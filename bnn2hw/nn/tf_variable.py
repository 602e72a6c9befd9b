# mypy: allow-subclassing-any
"""Native TensorFlow variables that return quantized values inside a scope.

The layers do not use this module, because their kernels are Keras variables. It serves code that
was written for Larq and uses TensorFlow variables, checkpoints or distribution strategies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bnn2hw.nn.quantized_variable import QuantizedVariable, Reader, register_wrapper

_PROPERTIES = (
    "_handle_name",
    "_in_graph_mode",
    "_save_slice_info",
    "_shared_name",
    "_unique_id",
    "aggregation",
    "constraint",
    "device",
    "dtype",
    "graph",
    "handle",
    "initializer",
    "name",
    "shape",
    "synchronization",
    "trainable",
)
"""Properties that the wrapper forwards to the latent variable."""

_METHODS = (
    "_copy_trackable_to_cpu",
    "_export_to_saved_model_graph",
    "_gather_saveables_for_checkpoint",
    "_map_resources",
    "_restore_from_tensors",
    "_serialize_to_tensors",
    "_write_object_proto",
    "count_up_to",
    "get_shape",
    "is_initialized",
    "load",
    "set_shape",
    "to_proto",
)
"""Methods that the wrapper forwards to the latent variable."""

_UPDATES = (
    "assign",
    "assign_add",
    "assign_sub",
    "batch_scatter_update",
    "scatter_add",
    "scatter_div",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_nd_add",
    "scatter_nd_sub",
    "scatter_nd_update",
    "scatter_sub",
    "scatter_update",
)
"""Methods that change the latent variable and return the wrapper."""


class TensorFlowQuantizedVariable(QuantizedVariable, tf.Variable, tf.__internal__.types.Tensor):
    """A TensorFlow variable that returns quantized values inside a scope; see `QuantizedVariable`.

    Args:
        variable: The latent variable.
        quantizer: Function from the latent tensor to the quantized one; None for no quantization.
        precision: Bits per value; None to take the precision of the quantizer.
        op: The operation that assigned the value, if an update returned this variable.
    """

    _should_act_as_resource_variable = True

    def __init__(
        self, variable: Any, quantizer: Reader | None, precision: int | None, op: Any = None
    ) -> None:
        self._set_quantizer(quantizer, precision)
        self.latent_variable = variable
        self._op = op

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the latent variable that the wrapper does not define."""
        if name == "latent_variable":
            raise AttributeError(name)
        return getattr(self.latent_variable, name)

    @property
    def op(self) -> Any:
        """The operation that assigned the value."""
        return self.latent_variable.op if self._op is None else self._op

    @property
    def initial_value(self) -> Any:
        """The initial value, quantized inside a scope."""
        return self._read(self.latent_variable.initial_value)

    def value(self) -> Any:
        """Return the value as a tensor."""
        return self._read(self.latent_variable.value())

    def read_value(self) -> Any:
        """Read the variable and return the value as a tensor."""
        return self._read(self.latent_variable.read_value())

    def sparse_read(self, indices: Any, name: str | None = None) -> Any:
        """Return the entries at indices of the first axis."""
        return self._read(self.latent_variable.sparse_read(indices, name=name))

    def gather_nd(self, indices: Any, name: str | None = None) -> Any:
        """Return the entries at indices of all axes."""
        return self._read(self.latent_variable.gather_nd(indices, name=name))

    def numpy(self) -> Any:
        """Return the value as an array."""
        return self.read_value().numpy()

    def eval(self, session: Any = None) -> Any:
        """Evaluate the variable in a session and return an array."""
        return self.value().eval(session=session)

    def _dense_var_to_tensor(self, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
        """Return the value as a tensor of a dtype."""
        return tf.convert_to_tensor(self.value(), dtype=dtype, name=name)

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Return the value as a tensor of a dtype."""
        return self._dense_var_to_tensor(dtype, name)

    def _as_graph_element(self) -> Any:
        """Return the graph element that a session fetches and that other operations depend on."""
        if self._op is not None:
            return self._op
        graph_element = self.latent_variable._as_graph_element()
        return None if graph_element is None else self._read(graph_element)

    def _updated(self, update: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Apply an update to the latent variable and return a new wrapper around it."""
        result = update(*args, **kwargs)
        if not kwargs.get("read_value", True):
            return result
        if tf.compat.v1.executing_eagerly_outside_functions():
            return type(self)(
                self.latent_variable, self.quantizer, self.precision, getattr(result, "op", None)
            )
        if isinstance(result, tf.Variable):
            return wrap(result, self.quantizer, self.precision)
        return self._read(result)

    def __repr__(self) -> str:
        """Name the variable, its quantizer and its precision."""
        value = f", numpy={self.latent_variable.numpy()!r}" if tf.executing_eagerly() else ""
        return (
            f"<QuantizedVariable {self.name!r} shape={self.shape}, dtype={self.dtype.name}, "
            f"{self._described()}{value}>"
        )


def _property(name: str) -> property:
    """Return a property that reads an attribute of the latent variable."""
    return property(lambda self: getattr(self.latent_variable, name))


def _method(name: str) -> Callable[..., Any]:
    """Return a method that calls the same method of the latent variable."""
    return lambda self, *args, **kwargs: getattr(self.latent_variable, name)(*args, **kwargs)


def _update(name: str) -> Callable[..., Any]:
    """Return a method that updates the latent variable."""
    return lambda self, *args, **kwargs: self._updated(getattr(self.latent_variable, name), *args, **kwargs)


def _operator(name: str) -> Callable[..., Any]:
    """Return an operator on the value. It replaces the operators of a strategy's variable."""
    return lambda self, *args: getattr(self.value(), name)(*args)


for _names, _make in (
    (tf.Tensor.OVERLOADABLE_OPERATORS, _operator),
    (_PROPERTIES, _property),
    (_METHODS, _method),
    (_UPDATES, _update),
):
    for _name in _names:
        setattr(TensorFlowQuantizedVariable, _name, _make(_name))

tf.register_tensor_conversion_function(
    TensorFlowQuantizedVariable,
    lambda variable, dtype=None, name=None, as_ref=False: variable._dense_var_to_tensor(dtype, name, as_ref),
)


def wrap(variable: Any, quantizer: Reader | None, precision: int | None) -> QuantizedVariable:
    """Wrap a TensorFlow variable, which becomes the latent variable.

    Args:
        variable: The variable. A variable of a distribution strategy gives a subclass of its own
            class.
        quantizer: Function from the latent tensor to the quantized one.
        precision: Bits per value; None to take the precision of the quantizer.

    Raises:
        ValueError: ``variable`` is not a TensorFlow variable, or another argument has a wrong type.
    """
    if not isinstance(variable, tf.Variable):
        message = f"`variable` must be of type `tf.Variable`, not {type(variable).__name__}."
        raise ValueError(message)  # noqa: TRY004 - the error that Larq raises
    if not hasattr(variable, "_distributed_container") and not hasattr(variable, "_values"):
        return TensorFlowQuantizedVariable(variable, quantizer, precision)

    class DistributedQuantizedVariable(TensorFlowQuantizedVariable, type(variable)):  # type: ignore[misc]
        """A quantized variable that a distribution strategy recognizes as its own."""

    return DistributedQuantizedVariable(variable, quantizer, precision)


register_wrapper(wrap)
