"""Keras 3 models, `bnn2hw.nn` and Larq's layers among them, to a graph in real form.

Layers are known by the names of their classes, so nothing of the training side is imported; what a layer computes is
asked of the layer itself, in float32 and inference mode, one layer at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from bnn2hw.errors import InputError, Problem, UnsupportedError
from bnn2hw.ir import Array, Graph, Node, Op, Tensor
from bnn2hw.ops import real
from bnn2hw.ops.source import Input, Source

Layer = Any  # a keras.layers.Layer: Keras carries no types


@dataclass(frozen=True)
class Imported:
    """A model as a graph of real ops.

    Attributes:
        graph: in real form; its source takes what the model takes (after a leading Rescaling, if there is one).
        input: what arrives on the wire, where the model itself says so with a leading Rescaling layer.
        name: of the model.
    """

    graph: Graph
    input: Input | None
    name: str


def read(model: Layer) -> Imported:
    """The graph of a built Sequential or functional model.

    Raises:
        InputError: not a Keras model, or one without weights and shapes yet.
        UnsupportedError: all layers and options that cannot be compiled, at once.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a Keras model or the path of one, not {type(model).__name__}")
    reader = _Reader()
    try:
        inputs, outputs = model.inputs, model.outputs
    except (AttributeError, ValueError):
        inputs = outputs = None
    if not model.built or not inputs or not outputs:
        raise InputError(
            f"model '{model.name}' has no shapes yet or is a subclass of keras.Model; call it once or give it an "
            "Input layer, and use a Sequential or functional model"
        )
    if len(inputs) != 1 or len(outputs) != 1:
        reader.problem(
            model,
            f"{len(inputs)} inputs and {len(outputs)} outputs",
            "one input, one output",
            "compile its parts",
        )
        raise UnsupportedError(reader.problems)
    for operation, result in _order(inputs[0], outputs[0]):
        reader.read(operation, result)
    if reader.problems:
        raise UnsupportedError(reader.problems)
    return Imported(Graph(tuple(reader.nodes), (reader.edges[id(outputs[0])],)), reader.input, model.name)


def _order(first: Layer, last: Layer) -> Iterator[tuple[Layer, Layer]]:
    """Operations and their result tensors from the input to the output, each after those that it reads."""
    done: set[int] = set()
    stack: list[tuple[Layer, bool]] = [(last, False)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        operation, index, _ = tensor._keras_history
        sources = operation._inbound_nodes[index].input_tensors
        if ready or not sources or tensor is first:
            done.add(id(tensor))
            yield operation, tensor
        else:
            stack.append((tensor, True))
            stack.extend((s, False) for s in reversed(sources))


@dataclass
class _Reader:
    """Collects nodes, and problems, so that all of them are told at once."""

    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    edges: dict[int, str] = field(default_factory=dict)  # by id of the Keras tensor
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    input: Input | None = None

    def problem(self, layer: Layer, found: str, supported: str, remedy: str) -> None:
        self.problems.append(Problem(layer.name, found, supported, remedy))

    def read(self, layer: Layer, result: Layer) -> None:
        node = layer._inbound_nodes[result._keras_history[1]]
        shape = tuple(result.shape[1:])
        if not node.input_tensors:
            self._source(layer, shape, result)
            return
        edge = self.edges[id(node.input_tensors[0])]
        if len(node.input_tensors) > 1:
            self.problem(
                layer,
                f"{type(layer).__name__} joins streams",
                "chains of layers",
                "use a model without branches",
            )
        elif self._finite(layer):
            handler = HANDLERS.get(_kind(layer))
            if handler:
                edge = handler(self, layer, edge, shape) or edge
            else:
                known = ", ".join(sorted(k for k in HANDLERS if not k.startswith("_")))
                self.problem(layer, f"a layer of type {type(layer).__name__}", known, "replace the layer")
        self.edges[id(result)] = edge
        self.shapes[edge] = shape

    def add(self, name: str, op: Op, edge: str) -> str:
        """Append a node, under a name of its own where a layer is used more than once."""
        taken = {n.name for n in self.nodes}
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name}#{count}"
        self.nodes.append(Node(unique, op, (edge,) if edge else ()))
        return unique

    def _source(self, layer: Layer, shape: tuple[int, ...], result: Layer) -> None:
        if None in shape:
            self.problem(
                layer, f"the open input shape {shape}", "fixed shapes", "build the model with all sizes given"
            )
            shape = tuple(1 if d is None else d for d in shape)
        self.edges[id(result)] = self.add(layer.name, Source(Tensor(shape)), "")
        self.shapes[self.edges[id(result)]] = shape

    def _finite(self, layer: Layer) -> bool:
        wrong = [w.name for w in getattr(layer, "weights", []) if not np.all(np.isfinite(_array(w)))]
        if wrong:
            self.problem(
                layer, f"NaN or infinite values in {', '.join(wrong)}", "finite weights", "train it again"
            )
        return not wrong


def _kind(layer: Layer) -> str:
    """The name under which a layer is handled: its class's, or that of a class it derives from."""
    for cls in type(layer).__mro__:
        if cls.__name__ in HANDLERS:
            return str(cls.__name__)
    return type(layer).__name__


def _array(x: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(x))


def _call(layer: Layer) -> Callable[[Array], Array]:
    """A layer in float32 and inference mode, as a function of NumPy arrays."""
    takes_training = getattr(layer, "_call_has_training_arg", False)

    def apply(x: Array) -> Array:
        tensor = keras.ops.convert_to_tensor(x.astype(np.float32))
        return _array(layer(tensor, training=False) if takes_training else layer(tensor))

    return apply


def _pointwise(
    reader: _Reader, layer: Layer, name: str, fn: Callable[[Array], Array], edge: str, *, uniform: bool
) -> str:
    return reader.add(name, real.Pointwise(fn, reader.shapes[edge], layer.name, uniform), edge)


def _quantizer(reader: _Reader, layer: Layer, attribute: str, edge: str) -> str:
    """The input quantizer of a layer as a node of its own."""
    quantizer = getattr(layer, attribute, None)
    if quantizer is None:
        return edge
    name = _pointwise(reader, layer, f"{layer.name}.input", _call(quantizer), edge, uniform=True)
    reader.shapes[name] = reader.shapes[edge]
    return name


def _kernel(layer: Layer) -> Array:
    """The kernel as its quantizer gives it, float32."""
    quantizer = getattr(layer, "kernel_quantizer", None)
    kernel = _array(layer.kernel).astype(np.float32)
    return kernel if quantizer is None else _call(quantizer)(kernel)


def _after(reader: _Reader, layer: Layer, edge: str) -> str:
    """Bias and activation of a layer, as the layer itself adds them."""
    if layer.use_bias:
        bias = _array(layer.bias).astype(np.float32)
        edge = reader.add(
            f"{layer.name}.bias",
            real.Pointwise(lambda x: x + bias, reader.shapes[edge], layer.name, uniform=False),
            edge,
        )
        reader.shapes[edge] = tuple(reader.nodes[-1].op.infer().shape)
    activation = layer.activation
    if activation is None or getattr(activation, "__name__", "") == "linear":
        return edge
    return _activation(reader, layer, activation, f"{layer.name}.activation", edge)


def _activation(reader: _Reader, layer: Layer, fn: Any, name: str, edge: str) -> str:
    shape = reader.shapes[edge]
    if getattr(fn, "__name__", "") == "softmax":
        edge = reader.add(name, real.Softmax(_call(fn), shape, layer.name), edge)
    elif getattr(fn, "__name__", "") in ("log_softmax", "sparsemax", "glu"):
        reader.problem(
            layer, f"the activation {fn.__name__}", "activations of single values, softmax", "replace it"
        )
    else:
        edge = reader.add(name, real.Pointwise(_call(fn), shape, layer.name, uniform=True), edge)
    reader.shapes[edge] = shape
    return edge


def _dense(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    edge = _quantizer(reader, layer, "input_quantizer", edge)
    kernel = _kernel(layer)
    weights = keras.ops.convert_to_tensor(kernel)

    def apply(x: Array) -> Array:
        return _array(keras.ops.matmul(keras.ops.convert_to_tensor(x.astype(np.float32)), weights))

    edge = reader.add(layer.name, real.Dense(apply, shape, layer.name, kernel), edge)
    reader.shapes[edge] = shape
    return _after(reader, layer, edge)


def _convolution(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    options = {
        "data_format": (layer.data_format, "channels_last", "use data_format='channels_last'"),
        "dilation_rate": (tuple(layer.dilation_rate), (1, 1), "use dilation_rate=1"),
        "groups": (layer.groups, 1, "use groups=1"),
    }
    if not _options(reader, layer, options):
        return edge
    edge = _quantizer(reader, layer, "input_quantizer", edge)
    kernel, stride = _kernel(layer), tuple(layer.strides)
    if layer.padding == "same":
        edge = _same(reader, layer, edge, kernel.shape[:2], stride)
    weights = keras.ops.convert_to_tensor(kernel)

    def apply(x: Array) -> Array:
        tensor = keras.ops.convert_to_tensor(x.astype(np.float32))
        return _array(
            keras.ops.conv(tensor, weights, strides=stride, padding="valid", data_format="channels_last")
        )

    edge = reader.add(layer.name, real.Convolution(apply, shape, layer.name, kernel, stride), edge)
    reader.shapes[edge] = shape
    return _after(reader, layer, edge)


def _same(reader: _Reader, layer: Layer, edge: str, kernel: tuple[int, ...], stride: tuple[int, ...]) -> str:
    """The border of padding "same", TensorFlow's way: where it is odd, the larger half comes after the image."""
    totals = [
        max((math.ceil(n / s) - 1) * s + k - n, 0)
        for n, k, s in zip(reader.shapes[edge][:2], kernel, stride, strict=True)
    ]
    sides = [(t // 2, t - t // 2) for t in totals]
    value = float(getattr(layer, "pad_values", 0.0))
    return _border(reader, layer, f"{layer.name}.pad", edge, sides[0], sides[1], value)


def _border(
    reader: _Reader,
    layer: Layer,
    name: str,
    edge: str,
    rows: tuple[int, int],
    columns: tuple[int, int],
    value: float,
) -> str:
    if not any((*rows, *columns)):
        return edge
    height, width, channels = reader.shapes[edge]
    shape = (height + sum(rows), width + sum(columns), channels)

    def apply(x: Array) -> Array:
        return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=np.float32(value))

    edge = reader.add(name, real.Border(apply, shape, layer.name, rows, columns, value), edge)
    reader.shapes[edge] = shape
    return edge


def _zero_padding(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    rows, columns = (tuple(side) for side in layer.padding)
    return _border(reader, layer, layer.name, edge, rows, columns, 0.0)


def _options(reader: _Reader, layer: Layer, options: dict[str, tuple[Any, Any, str]]) -> bool:
    """Whether options have their one supported value; each other one is a problem."""
    wrong = {name: o for name, o in options.items() if o[0] != o[1]}
    for name, (found, supported, remedy) in wrong.items():
        reader.problem(layer, f"{name}={found!r}", f"{name}={supported!r}", remedy)
    return not wrong


def _batch_normalization(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(shape)):
        reader.problem(layer, f"axis={axis}", "the last axis", "use axis=-1")
        return edge
    return _pointwise(reader, layer, layer.name, _call(layer), edge, uniform=False)


def _max_pooling(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    size, before = tuple(layer.pool_size), reader.shapes[edge]
    whole = all(n % k == 0 for n, k in zip(before[:2], size, strict=True))
    padding = "valid" if whole else layer.padding  # where windows fit, both mean the same
    options = {
        "strides": (tuple(layer.strides), size, "use strides equal to pool_size"),
        "padding": (padding, "valid", "use padding='valid'"),
        "data_format": (layer.data_format, "channels_last", "use data_format='channels_last'"),
    }
    if not _options(reader, layer, options):
        return edge
    return reader.add(layer.name, real.MaxPool(_call(layer), shape, layer.name, size), edge)


def _flatten(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    return reader.add(layer.name, real.Flatten(_call(layer), (math.prod(shape),), layer.name), edge)


def _softmax(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    return reader.add(layer.name, real.Softmax(_call(layer), shape, layer.name), edge)


def _activation_layer(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    return _activation(reader, layer, layer.activation, layer.name, edge)


def _uniform(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    return _pointwise(reader, layer, layer.name, _call(layer), edge, uniform=True)


def _rescaling(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if scale.size == 1 and offset.size == 1 and isinstance(reader.nodes[-1].op, Source) and scale > 0:
        reader.input = Input("uint8", float(scale), float(offset))
        return edge
    return _uniform(reader, layer, edge, shape)


def _nothing(reader: _Reader, layer: Layer, edge: str, shape: tuple[int, ...]) -> str:
    return edge


HANDLERS: dict[str, Callable[[_Reader, Layer, str, tuple[int, ...]], str]] = {
    "QuantDense": _dense,
    "Dense": _dense,
    "QuantConv2D": _convolution,
    "Conv2D": _convolution,
    "BatchNormalization": _batch_normalization,
    "MaxPooling2D": _max_pooling,
    "ZeroPadding2D": _zero_padding,
    "Flatten": _flatten,
    "Softmax": _softmax,
    "Activation": _activation_layer,
    "ReLU": _uniform,
    "LeakyReLU": _uniform,
    "ELU": _uniform,
    "Quantizer": _uniform,
    "Rescaling": _rescaling,
    "Dropout": _nothing,
    "SpatialDropout2D": _nothing,
    "GaussianNoise": _nothing,
    "GaussianDropout": _nothing,
    "ActivityRegularization": _nothing,
    "Identity": _nothing,
}
