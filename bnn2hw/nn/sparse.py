# mypy: allow-subclassing-any, allow-untyped-decorators
"""Layers whose neurons read few inputs, and sums of groups of neurons."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnn2hw.nn import context, utils
from bnn2hw.nn.dense import QuantDense

MOST_SIGNS = 10
"""Inputs of a neuron up to which a table of all their combinations is trained."""


@utils.register_keras_custom_object
class MaskedDense(QuantDense):
    """A dense layer whose neurons read only the inputs that a mask leaves to them.

    The forward pass multiplies the quantized kernel with the mask. The gradient ignores the mask, so
    masked weights keep learning and can return (as in Bengio et al., 2013, straight through).
    `bnn2hw.nn.callbacks.FanInSchedule` thins the mask while the layer trains. The mask is a weight
    that does not train: files contain it.

    Args:
        units: Number of neurons.
        fan_in: Largest number of inputs of a neuron when training ends.
        **kwargs: Arguments of `QuantDense`.

    Shapes:
        ``(batch, ..., inputs)`` to ``(batch, ..., units)``.

    Raises:
        ValueError: ``fan_in`` is less than 1, or more than there are inputs.
    """

    def __init__(self, units: int, fan_in: int = 6, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not isinstance(fan_in, int) or isinstance(fan_in, bool) or fan_in < 1:
            raise ValueError(
                f"layer '{self.name}': fan_in must be a whole number of at least 1, not {fan_in!r}"
            )
        self.fan_in = fan_in

    def build(self, input_shape: Any) -> None:
        """Create the kernel, the bias and a mask of ones."""
        if input_shape[-1] is not None and self.fan_in > input_shape[-1]:
            raise ValueError(
                f"layer '{self.name}': fan_in={self.fan_in} exceeds its {input_shape[-1]} inputs"
            )
        super().build(input_shape)
        shape = (input_shape[-1], self.units)
        self.mask = self.add_weight(name="mask", shape=shape, initializer="ones", trainable=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Multiply the quantized inputs with the quantized kernel where the mask is 1."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs)
        with context.quantized_scope(True):
            kernel = self.kernel.value  # read here: elsewhere it is the latent one
        kernel = kernel + ops.stop_gradient(kernel * self.mask - kernel)
        y = ops.matmul(inputs, kernel)
        if self.bias is not None:
            y = ops.add(y, self.bias)
        return y if self.activation is None else self.activation(y)

    def thin(self, fan_in: int) -> None:
        """Leave each neuron the inputs with the largest latent weights.

        Args:
            fan_in: Inputs per neuron. Of equal weights, the first ones stay.
        """
        weights = np.ascontiguousarray(np.abs(_latent(self)).T)
        if fan_in >= weights.shape[1]:
            self.mask.assign(np.ones_like(weights.T))
            return
        least = np.partition(weights, -fan_in, axis=1)[:, -fan_in, None]
        heavier, equal = weights > least, weights == least
        room = fan_in - heavier.sum(1, keepdims=True)
        kept = heavier | (equal & (np.cumsum(equal, axis=1) <= room))
        self.mask.assign(kept.T.astype(weights.dtype))

    def apply_mask(self) -> None:
        """Set the latent weights that the mask hides to 0, as a finished layer has them."""
        self.kernel.assign(_latent(self) * ops.convert_to_numpy(self.mask))

    def save_own_variables(self, store: Any) -> None:
        """Store the weights and the mask."""
        super().save_own_variables(store)
        if self.built:
            store["mask"] = ops.convert_to_numpy(self.mask)

    def load_own_variables(self, store: Any) -> None:
        """Load the weights and the mask."""
        names = [name for name in store.keys() if name != "mask"]  # noqa: SIM118  (a store is no mapping)
        super().load_own_variables({name: store[name] for name in names})
        self.mask.assign(store["mask"])

    def _check_load_own_variables(self, store: Any) -> None:
        """Accept any store with the kernel; Keras counts the mask among the weights it expects."""
        if len(store) != len(self._trainable_variables):
            raise ValueError(
                f"layer '{self.name}' has {len(self._trainable_variables)} trained weights, "
                f"but the file has {len(store)}"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        return {**super().get_config(), "fan_in": self.fan_in}


def _latent(layer: MaskedDense) -> Any:
    """Return the kernel as the optimizer sees it."""
    with context.quantized_scope(False):
        return ops.convert_to_numpy(layer.kernel)


@utils.register_keras_custom_object
class GatheredDense(keras.layers.Layer):
    """A layer whose neurons read fixed inputs each, optionally with a small function of their own.

    A neuron computes ``sum(w * x) + sum(o * tanh(A x + a))`` over its inputs x. Without hidden units the
    second sum is absent. It trains faster than a `MaskedDense` of the same wiring, since it does not
    multiply with zeros. Each neuron of at most six inputs of ±1 becomes one truth table, whatever its
    function, as in NeuraLUT (Andronic and Constantinides, 2024).

    Args:
        units: Number of neurons.
        fan_in: Inputs per neuron.
        hidden: Hidden units of each neuron; 0 for a weighted sum.
        signs: The inputs are ±1, of which only the sign counts. A step then computes each neuron for the
            ``2 ** fan_in`` combinations and looks up what the batch needs, with the same gradients. It takes
            about two thirds of the time at six inputs and batches of 200.
        kernel_initializer: Initializer of the weights w.
        seed: Seed of the random wiring that a new layer has.

    Shapes:
        ``(batch, inputs)`` to ``(batch, units)``.

    Raises:
        ValueError: ``fan_in`` is less than 1 or exceeds the inputs, ``hidden`` is negative, or ``signs`` meets
            more than 10 inputs.
    """

    def __init__(
        self,
        units: int,
        fan_in: int = 6,
        hidden: int = 0,
        kernel_initializer: Any = "random_normal",
        seed: int = 0,
        signs: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if fan_in < 1 or hidden < 0 or units < 1:
            raise ValueError(
                f"layer '{self.name}' needs units and fan_in of at least 1 and hidden of at least 0, "
                f"not {units}, {fan_in} and {hidden}"
            )
        if signs and fan_in > MOST_SIGNS:
            raise ValueError(
                f"layer '{self.name}': signs=True takes a fan_in of at most {MOST_SIGNS}, not {fan_in}"
            )
        self.units, self.fan_in, self.hidden, self.seed, self.signs = units, fan_in, hidden, seed, signs
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Create the wiring and the weights."""
        inputs = input_shape[-1]
        if self.fan_in > inputs:
            raise ValueError(f"layer '{self.name}': fan_in={self.fan_in} exceeds its {inputs} inputs")
        rng, shape = np.random.default_rng(self.seed), (self.units, self.fan_in)
        wires = np.stack([np.sort(rng.choice(inputs, self.fan_in, replace=False)) for _ in range(self.units)])
        self.wires = self.add_weight(
            name="wires", shape=shape, dtype="int32", initializer="zeros", trainable=False
        )
        self.wires.assign(wires)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        if self.hidden:
            inner = (self.units, self.hidden)
            normal = keras.initializers.RandomNormal(stddev=0.6, seed=self.seed)
            self.inner = self.add_weight(name="inner", shape=(*inner, self.fan_in), initializer=normal)
            self.inner_bias = self.add_weight(name="inner_bias", shape=inner, initializer=normal)
            self.outer = self.add_weight(name="outer", shape=inner, initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Gather the inputs of each neuron and apply its function."""
        # Values lie first and samples last, so that a gather copies whole rows.
        rows = ops.take(ops.transpose(inputs), ops.reshape(self.wires, (-1,)), axis=0)
        rows = ops.reshape(rows, (self.units, self.fan_in, -1))
        return ops.transpose(self._looked_up(rows) if self.signs else self._computed(rows)[0])

    def _computed(self, rows: Any) -> tuple[Any, Any]:
        """Return the values (units, n) of inputs ([units,] fan_in, n), and the slopes along the inputs."""
        kernel = self.kernel[:, :, None]
        y = ops.sum(rows * kernel, axis=1)
        if not self.hidden:
            return y, kernel + ops.zeros_like(rows)
        inner = ops.tanh(ops.matmul(self.inner, rows) + self.inner_bias[:, :, None])
        outer = self.outer[:, :, None]
        slopes = kernel + ops.matmul(ops.transpose(self.inner, (0, 2, 1)), (1 - inner * inner) * outer)
        return y + ops.sum(inner * outer, axis=1), slopes

    def _looked_up(self, rows: Any) -> Any:
        """Return the same values of signs, from each neuron's table."""
        powers = 2 ** np.arange(self.fan_in)
        combinations = np.where(np.arange(2**self.fan_in) & powers[:, None], 1, -1).astype(self.compute_dtype)
        table, slopes = self._computed(combinations)
        address = ops.sum(ops.cast(rows > 0, "int32") * powers[:, None].astype("int32"), axis=1)
        address = address + np.arange(self.units, dtype="int32")[:, None] * 2**self.fan_in
        y = ops.take(ops.reshape(table, (-1,)), address)
        slopes = ops.reshape(ops.transpose(ops.stop_gradient(slopes), (0, 2, 1)), (-1, self.fan_in))
        slopes = ops.transpose(ops.take(slopes, address, axis=0), (0, 2, 1))
        return y + ops.sum(slopes * (rows - ops.stop_gradient(rows)), axis=1)

    def take_over(self, layer: MaskedDense) -> None:
        """Take the wiring and the weights of a masked layer that has been thinned to ``fan_in``.

        Args:
            layer: The layer, built, with at most ``fan_in`` inputs per neuron.

        Raises:
            ValueError: A neuron of the layer has more inputs.
        """
        mask = ops.convert_to_numpy(layer.mask)
        most = int(mask.sum(0).max())
        if most > self.fan_in:
            raise ValueError(
                f"layer '{layer.name}' has a neuron of {most} inputs, more than the {self.fan_in} of '{self.name}'"
            )
        wires = np.sort(np.argsort(-mask, axis=0, kind="stable")[: self.fan_in].T, axis=1)
        with context.quantized_scope(True):
            kernel = ops.convert_to_numpy(layer.kernel) * mask
        weights = np.take_along_axis(kernel.T, wires, axis=1)
        self.wires.assign(wires)
        self.kernel.assign(weights)
        if self.hidden:
            normal = np.random.default_rng(self.seed).normal(0, 0.15, tuple(self.outer.shape))
            self.outer.assign(normal * np.sqrt((weights**2).sum(1, keepdims=True)))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        own = {"units": self.units, "fan_in": self.fan_in, "hidden": self.hidden, "seed": self.seed}
        own["signs"] = self.signs
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **own, "kernel_initializer": initializer}


@utils.register_keras_custom_object
class GroupSum(keras.layers.Layer):
    """Sums of equal groups of values, times a scale that all groups share.

    The first group is the first ``inputs / groups`` values. A classifier takes one group per class, as in
    differentiable logic gate networks (Petersen et al., 2022). The scale sets the temperature of a
    softmax behind it; it trains, and it does not change which sum is the largest while it is positive.

    With a bias, an integer is added to each sum before the scale, by one adder per sum in hardware. The bias
    trains as a real number in units of the square root of a group's size. That is about the spread of a
    sum, so the bias learns as fast as the weights. :meth:`integers` returns the integers.

    Args:
        groups: Number of sums.
        scale: Initial scale; None for 4 / sqrt(values of a group).
        use_bias: Add an integer to each sum.

    Shapes:
        ``(batch, inputs)`` to ``(batch, groups)``.

    Raises:
        ValueError: ``groups`` does not divide the number of inputs.
    """

    def __init__(
        self, groups: int, scale: float | None = None, use_bias: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(groups, int) or groups < 1:
            raise ValueError(
                f"layer '{self.name}': groups must be a whole number of at least 1, not {groups!r}"
            )
        self.groups, self.initial_scale, self.use_bias = groups, scale, use_bias

    def build(self, input_shape: Any) -> None:
        """Create the scale."""
        inputs = input_shape[-1]
        if inputs % self.groups:
            raise ValueError(f"layer '{self.name}': {self.groups} groups do not divide its {inputs} inputs")
        start = 4 / (inputs / self.groups) ** 0.5 if self.initial_scale is None else self.initial_scale
        self.scale = self.add_weight(name="scale", shape=(), initializer=keras.initializers.Constant(start))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.groups,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Sum each group, add its integer, and scale the sums."""
        each = inputs.shape[-1] // self.groups
        sums = ops.sum(ops.reshape(inputs, (-1, self.groups, each)), axis=-1)
        if self.use_bias:
            bias = self.bias * each**0.5
            sums = sums + bias + ops.stop_gradient(ops.round(bias) - bias)
        return sums * self.scale

    def integers(self, inputs: int) -> NDArray[np.float32]:
        """Return the integers that are added to the sums, as whole numbers of shape ``(groups,)``.

        Args:
            inputs: Values that the layer reads.
        """
        bias = ops.convert_to_numpy(self.bias).astype(np.float32)
        rounded: NDArray[np.float32] = np.rint(bias * np.float32((inputs // self.groups) ** 0.5))
        return rounded

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return (*input_shape[:-1], self.groups)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal layer."""
        own = {"groups": self.groups, "scale": self.initial_scale, "use_bias": self.use_bias}
        return {**super().get_config(), **own}
