# mypy: allow-subclassing-any, allow-untyped-decorators
"""Locally connected layers: convolutions with a separate kernel at each output position.

Keras 3 does not have these layers. The arguments, shapes and files are those of Keras 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnn2hw.nn import activations, constraints, utils
from bnn2hw.nn.layers_base import QuantizedLayer, arguments


class LocallyConnected(keras.layers.Layer):
    """A convolution with a separate kernel at each output position.

    ``implementation`` selects the storage of the kernel. The results are equal up to rounding:

    - 1: an array of shape ``(positions, taps * channels, filters)``; "valid" padding only.
    - 2: one number for each pair of input and output, with a mask for unconnected pairs.
    - 3: a flat list of the connected pairs, sorted by output, then by input.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        strides: Step between windows.
        padding: ``"valid"``, or ``"same"`` with implementations 2 and 3.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        activation: Activation or quantizer, as an object or a name; None for none.
        use_bias: True to add a bias for each position and filter.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the outputs.
        kernel_constraint: Constraint of the kernel.
        bias_constraint: Constraint of the bias.
        implementation: 1, 2 or 3.
        **kwargs: Arguments of `keras.layers.Layer`.

    Attributes:
        rank: Number of axes along which the window moves.

    Raises:
        ValueError: The padding or the implementation is not listed here, or the size of the input
            is unknown.
    """

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        self.kernel_size = _each_axis(kernel_size, self.rank)
        self.strides = _each_axis(strides, self.rank)
        self.padding = padding.lower()
        self.data_format = data_format or keras.config.image_data_format()
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.implementation = implementation
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)
        self._check()

    def _check(self) -> None:
        """Raise ValueError for values and combinations that are not supported."""
        if self.implementation not in (1, 2, 3):
            raise ValueError(f"`implementation` must be 1, 2 or 3. Received: {self.implementation}")
        if self.padding not in ("valid", "same"):
            raise ValueError(f'`padding` must be "valid" or "same". Received: {self.padding!r}')
        if self.padding == "same" and self.implementation == 1:
            raise ValueError('`padding="same"` needs `implementation=2` or `implementation=3`.')

    def _split(self, shape: Sequence[int | None]) -> tuple[tuple[int | None, ...], int | None]:
        """Return the spatial axes and the channels of an input shape."""
        if self.data_format == "channels_first":
            return tuple(shape[2:]), shape[1]
        return tuple(shape[1:-1]), shape[-1]

    def _join(self, spatial: Sequence[Any], channels: Any) -> tuple[Any, ...]:
        """Return a shape without the batch axis, in the order of the data format."""
        if self.data_format == "channels_first":
            return (channels, *spatial)
        return (*spatial, channels)

    def _places(self, spatial: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the spatial axes of the output."""
        return tuple(
            None if n is None else (-(-n // s) if self.padding == "same" else (n - k) // s + 1)
            for n, k, s in zip(spatial, self.kernel_size, self.strides, strict=True)
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the kernel and the bias for inputs of this shape."""
        spatial, channels = self._split(input_shape)
        if None in (*spatial, channels):
            raise ValueError(
                f"The layer '{self.name}' has weights for each position, so all axes of its input but the "
                f"batch must be known. Received: input_shape={tuple(input_shape)}"
            )
        self._links = _links(
            spatial,
            self._places(spatial),
            self.kernel_size,
            self.strides,
            self.padding,
        )
        self._sizes: tuple[Any, ...] = (tuple(spatial), self._places(spatial), channels)
        self.kernel = self.add_weight(
            name="kernel",
            shape=self._kernel_shape(),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self._add_bias()
        self.built = True

    def _add_bias(self) -> Any:
        """Create the bias, one value for each position and filter, or return None if there is no bias."""
        if not self.use_bias:
            return None
        return self.add_weight(
            name="bias",
            shape=(*self._sizes[1], self.filters),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def _kernel_shape(self) -> tuple[int, ...]:
        """Return the shape of the kernel in the selected implementation."""
        spatial, places, channels = self._sizes
        if self.implementation == 1:
            return (prod(places), prod(self.kernel_size) * channels, self.filters)
        if self.implementation == 2:
            return (*self._join(spatial, channels), *self._join(places, self.filters))
        return (len(self._links) * channels * self.filters,)

    def call(self, inputs: Any) -> Any:
        """Multiply each window with its kernel, add the bias and apply the activation."""
        outputs = self._windows(inputs) if self.implementation == 1 else self._product(inputs)
        if self.bias is not None:
            bias = ops.convert_to_tensor(self.bias)
            if self.data_format == "channels_first":
                bias = ops.moveaxis(bias, -1, 0)
            outputs = outputs + bias
        return outputs if self.activation is None else self.activation(outputs)

    def _windows(self, inputs: Any) -> Any:
        """Gather the windows and multiply each one with its kernel."""
        spatial, places, channels = self._sizes
        if self.data_format == "channels_first":
            inputs = ops.moveaxis(inputs, 1, -1)
        flat = ops.reshape(inputs, (-1, prod(spatial), channels))
        taps = ops.take(flat, self._links[:, 1], axis=1)
        windows = ops.reshape(taps, (-1, prod(places), prod(self.kernel_size) * channels))
        outputs = ops.einsum("bpk,pkf->bpf", windows, self.kernel)
        outputs = ops.reshape(outputs, (-1, *places, self.filters))
        return ops.moveaxis(outputs, -1, 1) if self.data_format == "channels_first" else outputs

    def _product(self, inputs: Any) -> Any:
        """Multiply the flattened input with one large matrix."""
        spatial, places, channels = self._sizes
        rows, columns = prod(spatial) * channels, prod(places) * self.filters
        pairs = self.connections()
        if self.implementation == 2:
            mask = np.zeros((rows, columns), "float32")
            mask[pairs[:, 1], pairs[:, 0]] = 1
            matrix = ops.reshape(self.kernel, (rows, columns)) * ops.cast(mask, self.compute_dtype)
        else:
            matrix = ops.scatter(pairs[:, ::-1].copy(), ops.convert_to_tensor(self.kernel), (rows, columns))
        outputs = ops.matmul(ops.reshape(inputs, (-1, rows)), matrix)
        return ops.reshape(outputs, (-1, *self._join(places, self.filters)))

    def connections(self) -> NDArray[np.int32]:
        """Return the flat indices of output and input of each connection, sorted; shape (connections, 2).

        With implementation 3, the kernel holds its weights in this order.
        """
        spatial, places, channels = self._sizes
        place, source = self._links.T
        out, into = np.arange(self.filters), np.arange(channels)
        place, source, out, into = np.broadcast_arrays(
            place[:, None, None], source[:, None, None], out[None, :, None], into[None, None, :]
        )
        if self.data_format == "channels_first":
            pairs = np.stack([out * prod(places) + place, into * prod(spatial) + source], axis=-1)
        else:
            pairs = np.stack([place * self.filters + out, source * channels + into], axis=-1)
        flat = pairs.reshape(-1, 2)
        return flat[np.lexsort((flat[:, 1], flat[:, 0]))].astype("int32")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the output shape for an input of this shape."""
        spatial, _ = self._split(input_shape)
        return (input_shape[0], *self._join(self._places(spatial), self.filters))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        plain = ("filters", "kernel_size", "strides", "padding", "data_format", "use_bias", "implementation")
        own = {name: getattr(self, name) for name in plain}
        for weight in ("kernel", "bias"):
            for kind in ("initializer", "regularizer", "constraint"):
                module = getattr(keras, f"{kind}s")
                name = f"{weight}_{kind}"
                own[name] = module.serialize(getattr(self, name))
        own["activation"] = keras.activations.serialize(self.activation)
        own["activity_regularizer"] = keras.regularizers.serialize(self.activity_regularizer)
        return {**super().get_config(), **own}


def _each_axis(value: Any, rank: int) -> tuple[int, ...]:
    """Repeat a single number for each axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _links(
    spatial: Sequence[Any],
    places: Sequence[Any],
    kernel_size: Sequence[Any],
    strides: Sequence[Any],
    padding: str,
) -> NDArray[np.int32]:
    """Return the flat indices of the output and the input position of each tap; shape (taps, 2).

    The rows are in the order of output positions, then taps. With "same" padding, windows are
    centered at multiples of the stride, as in Keras 2. A convolution with "same" padding may shift
    them.
    """
    before = [k // 2 if padding == "same" else 0 for k in kernel_size]
    links = []
    for number, place in enumerate(product(*map(range, places))):
        for tap in product(*map(range, kernel_size)):
            source = [p * s - b + t for p, s, b, t in zip(place, strides, before, tap, strict=True)]
            if all(0 <= i < n for i, n in zip(source, spatial, strict=True)):
                links.append((number, int(np.ravel_multi_index(source, tuple(spatial)))))
    return np.asarray(links, "int32").reshape(-1, 2)


@utils.register_keras_custom_object
class LocallyConnected1D(LocallyConnected):
    """A locally connected layer along one axis; see `LocallyConnected`."""

    rank = 1


@utils.register_keras_custom_object
class LocallyConnected2D(LocallyConnected):
    """A locally connected layer along two axes; see `LocallyConnected`."""

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))


@utils.register_keras_custom_object
class QuantLocallyConnected1D(QuantizedLayer, LocallyConnected1D):
    """A locally connected layer along one axis with quantized input and kernel.

    All other arguments are those of `LocallyConnected`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.
        implementation: Storage of the kernel: 1, 2 or 3.

    Shapes:
        The same as for a convolution with this window, stride and padding.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))


@utils.register_keras_custom_object
class QuantLocallyConnected2D(QuantizedLayer, LocallyConnected2D):
    """A locally connected layer along two axes with quantized input and kernel.

    All other arguments are those of `LocallyConnected`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window: one number, or one per axis.
        input_quantizer: Quantizer of the inputs: None, a name, a quantizer object, or any callable.
        kernel_quantizer: Quantizer of the kernel, in the same forms.
        kernel_constraint: Constraint of the latent kernel; ``"weight_clip"`` for binary kernels.
        implementation: Storage of the kernel: 1, 2 or 3.

    Shapes:
        The same as for a convolution with this window, stride and padding.

    Raises:
        ValueError: An argument is out of range, or a name is unknown.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        input_quantizer: Any = None,
        kernel_quantizer: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()))
