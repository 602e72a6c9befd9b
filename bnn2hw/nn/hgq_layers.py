# mypy: allow-subclassing-any
"""Layers of HGQ2 with weights, as they compute at inference, and their reading from a file's description.

Names of attributes and the order of weights are HGQ2's, so that Keras finds the weights in its files.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bnn2hw.nn.hgq_quantizers import Description, Quantizer, described

_OF_TRAINING = ("_initializer", "_constraint", "_regularizer", "_ebops")
"""Ends of the names of arguments that have no meaning at inference."""

_GONE = (
    *("beta0", "ebops_factor", "parallelization_factor", "quantization_config", "synchronized", "lora_rank"),
    *("allow_heterogeneous_input", "allow_heterogeneous_table"),
)
"""More of them."""


class Quantized(keras.layers.Layer):
    """Mixin that gives a layer of Keras the quantizers of HGQ2.

    Attributes:
        handler: Name by which the importer knows the layer.
    """

    handler = ""
    # HGQ2 keeps all weights of a layer, where some layers of Keras keep their own only.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        confs = {name: kwargs.pop(f"{name}_conf", None) for name in ("oq", "iq", "kq", "bq")}
        used = {name: kwargs.pop(f"enable_{name}", False) for name in ("oq", "iq")}
        self._priced = bool(kwargs.pop("enable_ebops", False))
        self._confs = kwargs.pop("iq_confs", None)
        self._given: Description = {"enable_ebops": self._priced}
        super().__init__(*args, **kwargs)
        for name, conf in confs.items():
            if conf is not None and used.get(name, True):
                setattr(self, name, Quantizer(conf, name=f"{self.name}_{name}"))
                self._given |= {f"{name}_conf": conf, **({f"enable_{name}": True} if name in used else {})}

    @classmethod
    def from_config(cls, config: Description) -> Any:
        """Return the layer that a file describes.

        Raises:
            ValueError: It has a quantizer or an option that is not supported.
        """
        wanted = {
            n: described(v)
            for n, v in config.items()
            if n not in _GONE and (n == "enable_ebops" or not n.endswith(_OF_TRAINING))
        }
        if isinstance(wanted.get("dtype"), dict):
            wanted["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        if isinstance(wanted.get("activation"), dict):
            wanted["activation"] = keras.activations.deserialize(config["activation"])
        try:
            return cls(**wanted)
        except (ValueError, TypeError) as error:
            reason = str(error).rsplit("Exception encountered:", 1)[-1].strip()
            raise ValueError(f"layer '{config.get('name')}', a {cls.__name__} of HGQ2: {reason}") from error

    def get_config(self) -> Description:
        """Return the arguments of an equal layer."""
        return {**super().get_config(), **described(self._given)}

    def quantizer(self, name: str) -> Quantizer | None:
        """Return the quantizer of a name such as "iq"; None if the layer has none."""
        return getattr(self, name, None)

    def quantized(self, name: str, x: Any) -> Any:
        """Return values as a quantizer returns them."""
        quantizer = self.quantizer(name)
        return x if quantizer is None else quantizer(x)

    def build(self, input_shape: Any) -> None:
        """Make the weights, those of HGQ2's costs, and the quantizers of values."""
        super().build(input_shape)
        if self._priced:
            self.add_weight(name="cost_beta", shape=(), trainable=False)
            self.add_weight(name="ebops", shape=(), trainable=False, dtype="uint32", initializer="zeros")
        shapes = {"oq": self.compute_output_shape(input_shape), "iq": input_shape}
        for name, shape in shapes.items():
            quantizer = self.quantizer(name)
            if isinstance(quantizer, Quantizer) and not quantizer.built:
                quantizer.build(shape)

    def build_weights(self, **shapes: Any) -> None:
        """Make the quantizers of weights.

        Args:
            shapes: Shape of a weight by the name of its quantizer.
        """
        for name, shape in shapes.items():
            quantizer = self.quantizer(name)
            if quantizer is not None:
                quantizer.build(tuple(shape))


class _WithKernel(Quantized):
    """Mixin of layers with a kernel and a bias."""

    def build(self, input_shape: Any) -> None:
        """Make the weights and the quantizers."""
        super().build(input_shape)
        bias = {} if self.bias is None else {"bq": self.bias.shape}
        self.build_weights(kq=self.kernel.shape, **bias)

    def weights_used(self) -> tuple[Any, Any]:
        """Return the kernel and the bias as their quantizers return them; None for no bias."""
        bias = None if self.bias is None else self.quantized("bq", ops.convert_to_tensor(self.bias))
        return self.quantized("kq", ops.convert_to_tensor(self.kernel)), bias

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        kernel, bias = self.weights_used()
        y = self.product(self.quantized("iq", inputs), kernel)
        if bias is not None:
            first = getattr(self, "data_format", None) == "channels_first"
            y = y + (ops.reshape(bias, (-1, *(1,) * (len(y.shape) - 2))) if first else bias)
        return self.quantized("oq", y if self.activation is None else self.activation(y))

    def product(self, x: Any, kernel: Any) -> Any:
        """Return the product of the input and the kernel."""
        return ops.matmul(x, kernel)


class QDense(_WithKernel, keras.layers.Dense):
    """A dense layer."""

    handler = "hgq>Dense"


class QBatchNormDense(QDense):
    """A dense layer whose kernel and bias contain a normalization of its input."""

    def __init__(self, *args: Any, scale: bool = True, epsilon: float = 1e-3, **kwargs: Any) -> None:
        kwargs.pop("momentum", None)
        super().__init__(*args, **kwargs)
        self.scale, self.epsilon = scale, epsilon
        self._given |= {"scale": scale, "epsilon": epsilon}

    def build(self, input_shape: Any) -> None:
        """Make the weights and the quantizers."""
        super().build(input_shape)
        shape = (input_shape[-1],)
        self.bn_gamma = self.add_weight(name="bn_gamma", shape=shape) if self.scale else 1.0
        self.moving_mean = self.add_weight(name="moving_mean", shape=shape, trainable=False)
        self.moving_variance = self.add_weight(name="moving_variance", shape=shape, trainable=False)

    def weights_used(self) -> tuple[Any, Any]:
        """Return the kernel and the bias with the normalization, quantized."""
        factors = self.bn_gamma / ops.sqrt(self.moving_variance + self.epsilon)
        kernel = ops.convert_to_tensor(self.kernel)
        offset = -ops.dot(ops.convert_to_tensor(self.moving_mean), kernel)
        return self.quantized("kq", factors[:, None] * kernel), self.quantized("bq", self.bias + offset)


class QEinsumDense(_WithKernel, keras.layers.EinsumDense):
    """A product by an equation."""

    handler = "hgq>EinsumDense"

    def product(self, x: Any, kernel: Any) -> Any:
        """Return the product of the input and the kernel."""
        return ops.einsum(self.equation, x, kernel)


class QEinsumDenseBatchnorm(QEinsumDense):
    """A product by an equation whose kernel and bias contain a normalization of its output."""

    def __init__(
        self,
        *args: Any,
        normalize_axes: str | None = None,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in ("momentum", "epsilon"):
            kwargs.pop(name, None)
        super().__init__(*args, **kwargs)
        self.normalize_axes = normalize_axes or self.bias_axes
        self.center, self.scale = center, scale
        self._given |= {"normalize_axes": normalize_axes, "center": center, "scale": scale}

    def build(self, input_shape: Any) -> None:
        """Make the weights and the quantizers."""
        super().build(input_shape)
        axes = self.equation.replace(" ", "").split("->")[0].split(",")[1]
        sizes = dict(zip(axes, self.kernel.shape, strict=True))
        own = [c for c in axes if c in self.normalize_axes]
        self._spread = f"{axes},{''.join(own)}->{axes}"
        shape = tuple(sizes[c] for c in own)
        self.bn_gamma = self.add_weight(name="gamma", shape=shape) if self.scale else ops.ones(shape)
        self.bias.trainable = self.center
        self.moving_mean = self.add_weight(name="moving_mean", shape=shape, trainable=False)
        self.moving_variance = self.add_weight(name="moving_variance", shape=shape, trainable=False)

    def weights_used(self) -> tuple[Any, Any]:
        """Return the kernel and the bias with the normalization, quantized."""
        factors = self.bn_gamma / ops.sqrt(self.moving_variance + keras.config.epsilon())
        kernel = ops.einsum(self._spread, ops.convert_to_tensor(self.kernel), factors)
        offset = ops.reshape(-self.moving_mean * factors, self.bias.shape)
        return self.quantized("kq", kernel), self.quantized("bq", self.bias + offset)


class _Convolution(_WithKernel):
    """Mixin of convolutions."""

    handler = "hgq>Convolution"

    def product(self, x: Any, kernel: Any) -> Any:
        """Return the product of the input and the kernel."""
        padding = self.padding
        if padding == "causal":
            x = ops.pad(x, self._compute_causal_padding())
            padding = "valid"
        return ops.conv(
            x,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


class QConv1D(_Convolution, keras.layers.Conv1D):
    """A convolution over one axis."""


class QConv2D(_Convolution, keras.layers.Conv2D):
    """A convolution over two axes."""


class QConv3D(_Convolution, keras.layers.Conv3D):
    """A convolution over three axes."""


class QBatchNormalization(Quantized, keras.layers.BatchNormalization):
    """A normalization with a quantized factor and summand for each channel."""

    handler = "hgq>BatchNormalization"

    def build(self, input_shape: Any) -> None:
        """Make the weights and the quantizers."""
        super().build(input_shape)
        self.build_weights(bq=self.moving_mean.shape, kq=self.moving_variance.shape)

    def factors(self) -> tuple[Any, Any]:
        """Return the quantized factor and summand of each channel."""
        scale = (self.gamma if self.scale else 1.0) / ops.sqrt(self.moving_variance + self.epsilon)
        # HGQ2 adds 1 where a normalization has no beta.
        summand = (self.beta if self.center else 1.0) - self.moving_mean * scale
        return self.quantized("kq", scale), self.quantized("bq", summand)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Compute the layer with the trained statistics."""
        shape = [1] * len(inputs.shape)
        shape[self.axis] = -1
        scale, summand = (ops.reshape(v, shape) for v in self.factors())
        return self.quantized("oq", self.quantized("iq", inputs) * scale + summand)
