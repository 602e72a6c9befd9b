"""Rewrite a Keras model so that its images have their channels last.

Layers with `data_format="channels_first"` become the same layers with their channels last, and the
axes of normalizations and concatenations follow. Permute layers only change the order that is
known of a tensor's axes. Values are moved only where a layer needs the model's own order. The
weights stay those of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from bnn2hw.importers.keras.axes import Axes, Place, channels_first, moved, plain
from bnn2hw.importers.keras.calls import Layer
from bnn2hw.importers.keras.functions import array
from bnn2hw.importers.keras.walk import is_graph, names, order
from bnn2hw.importers.keras.weights import NOT_POINTWISE
from bnn2hw.ir import Array, AxisOrder

UNIFORM = (
    *("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Quantizer", "Activation", "QActivation", "Identity"),
    *("Dropout", "AlphaDropout", "GaussianNoise", "GaussianDropout", "ActivityRegularization"),
    *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Silu", "Sigmoid", "HardSigmoid", "HardTanh", "Tanh"),
    *("Sign", "Abs", "Absolute", "Negative", "Clip", "Round", "Floor", "Square"),
)
"""Layers and operations that treat all values alike."""

JOINS = ("Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum")
"""Layers and operations of several inputs with equal axes."""

ALONG_AXIS = ("BatchNormalization", "Softmax")
"""Layers with an axis of their own."""


@dataclass
class Rewritten:
    """A model that has its channels last.

    Attributes:
        model: The rewritten model.
        names: Name in the original model by the id of the layer.
        inputs: By position of the input, the order of its values; None for that of the model.
        outputs: The same for the outputs.
    """

    model: Any
    names: dict[int, str]
    inputs: list[AxisOrder | None]
    outputs: list[AxisOrder | None]


def rewritten(model: Layer) -> Rewritten | None:
    """Return a model with its channels last; None if it has them last already, or only permutes axes."""
    if not any(_moves(layer) for layer in _layers(model)):
        return None
    work = _Work(names(model), _readers(model))
    places: dict[int, Place] = {}
    work.walk(model.outputs, places)
    if not work.made:
        return None  # nothing but permutations
    given = [places.get(id(t)) or work.source(t) for t in model.inputs]
    ends = [places[id(t)] for t in model.outputs]
    ends = [moved(e, plain(len(e.axes)), f"output{i}") if e.flat else e for i, e in enumerate(ends)]
    made = keras.Model([p.tensor for p in given], [p.tensor for p in ends], name=model.name)
    return Rewritten(made, work.names, [p.layout() for p in given], [p.layout() for p in ends])


def _layers(model: Layer) -> Iterator[Layer]:
    for operation, _ in order(model.outputs, ()):
        if isinstance(operation, keras.Model) and is_graph(operation):
            yield from _layers(operation)
        yield operation


def _kinds(layer: Layer) -> set[str]:
    return {cls.__name__ for cls in type(layer).__mro__}


def _moves(layer: Layer) -> bool:
    first = getattr(layer, "data_format", None) == "channels_first"
    return first or "Permute" in _kinds(layer) or _softmax_axis(layer) not in (None, -1)


def _softmax_axis(layer: Layer) -> int | None:
    """The axis of a Softmax along one axis; None for other layers."""
    axis = getattr(layer, "axis", None) if "Softmax" in _kinds(layer) else None
    return axis if isinstance(axis, int) else None


Readers = dict[int, list[tuple[Layer, Any, int]]]
"""By the id of a tensor, the layers that read it, their calls, and the position of the tensor."""


def _readers(model: Layer, found: Readers | None = None) -> Readers:
    readers: Readers = {} if found is None else found
    for operation, result in order(model.outputs, ()):
        node = operation._inbound_nodes[result._keras_history[1]]
        for i, tensor in enumerate(node.input_tensors):
            readers.setdefault(id(tensor), []).append((operation, node, i))
        if isinstance(operation, keras.Model) and is_graph(operation):
            _readers(operation, readers)
    return readers


def _wanted(tensor: Any, view: Axes, readers: Readers) -> Axes | None:
    """The order of an input's axes that the first layers with an opinion need; None if none has one.

    Args:
        tensor: A tensor that only layers without an opinion lead to.
        view: For each axis of the tensor, the axis of the input.
        readers: The layers that read tensors.
    """
    for layer, node, position in readers.get(id(tensor), ()):
        kinds = _kinds(layer)
        result = node.output_tensors[0]
        if isinstance(layer, keras.Model) and is_graph(layer):
            found = _wanted(layer.inputs[position], view, readers)
        elif "Permute" in kinds:
            found = _wanted(result, tuple(view[d - 1] for d in layer.dims), readers)
        elif getattr(layer, "data_format", None) == "channels_first":
            found = tuple(view[a] for a in channels_first(len(view)))
        elif kinds & {*UNIFORM, *JOINS, *ALONG_AXIS, "Concatenate", "Rescaling", "Normalization"}:
            found = _wanted(result, view, readers)
        else:
            found = view
        if found is not None:
            return found
    return None


@dataclass
class _Work:
    """A model that is being rewritten.

    Attributes:
        own: Names of the model's layers by id.
        readers: The layers that read the tensors of the model.
        names: The same for the layers of the rewritten model.
        made: Layers of the rewritten model, by the id of the model's and what differs.
    """

    own: dict[int, str]
    readers: Readers
    names: dict[int, str] = field(default_factory=dict)
    made: dict[tuple[Any, ...], Layer] = field(default_factory=dict)

    def walk(self, outputs: Sequence[Any], places: dict[int, Place]) -> None:
        """Rewrite all calls that tensors depend on, and note where their results lie.

        Args:
            outputs: Tensors of the model.
            places: Tensors that are known, by id; the others are added.
        """
        for operation, result in order(outputs, set(places)):
            node = operation._inbound_nodes[result._keras_history[1]]
            if not node.input_tensors:
                places[id(result)] = self.source(result)
                continue
            given = [places[id(t)] for t in node.input_tensors]
            if isinstance(operation, keras.Model) and is_graph(operation):
                inner = {id(t): p for t, p in zip(operation.inputs, given, strict=True)}
                self.walk(operation.outputs, inner)
                found = [inner[id(t)] for t in operation.outputs]
            else:
                found = self._called(operation, node, given)
            places.update((id(t), p) for t, p in zip(node.output_tensors, found, strict=True))

    def source(self, tensor: Any) -> Place:
        """Return an input with its axes in the order that its readers need."""
        layer, shape = tensor._keras_history[0], tuple(tensor.shape[1:])
        axes = _wanted(tensor, plain(len(shape)), self.readers) or plain(len(shape))
        made = keras.Input([shape[a] for a in axes], name=layer.name, dtype=tensor.dtype)
        self.names[id(made._keras_history[0])] = self.name(layer)
        return Place(made, axes)

    def name(self, layer: Layer) -> str:
        """Return the name of a layer of the model."""
        return self.own.get(id(layer), str(layer.name))

    def plain(self, layer: Layer, given: Sequence[Place]) -> list[Place]:
        """Return the inputs of a layer in the model's own order."""
        return [moved(p, plain(len(p.axes)), self._free(layer)) for p in given]

    def _free(self, layer: Layer) -> str:
        """A name for layers that move what a layer reads."""
        name = f"{self.name(layer)}.order".replace("/", ".")
        count = self.made.setdefault((name,), [0])
        count[0] += 1
        return name if count[0] == 1 else f"{name}{count[0]}"

    def copy(self, layer: Layer, **changes: Any) -> Layer:
        """Return a layer with the same weights and other attributes, which has not been called yet."""
        key = (id(layer), *((k, str(v)) for k, v in sorted(changes.items())))
        if key not in self.made:
            made = self.made[key] = object.__new__(type(layer))
            made.__dict__.update(layer.__dict__)
            made.__dict__.update(_inbound_nodes=[], _outbound_nodes=[], **changes)
            self.names[id(made)] = self.name(layer)
        return self.made[key]

    def call(self, layer: Layer, node: Any, given: Sequence[Place], **changes: Any) -> list[Any]:
        """Call a copy of a layer as a node calls the layer, and return its results."""
        tensors = {id(t): p.tensor for t, p in zip(node.input_tensors, given, strict=True)}
        args, kwargs = node.arguments.fill_in(tensors)
        results: list[Any] = keras.tree.flatten(self.copy(layer, **changes)(*args, **kwargs))
        return results

    def _called(self, layer: Layer, node: Any, given: list[Place]) -> list[Place]:
        kinds = _kinds(layer)
        for rule in (_permuted, _formatted, _flattened, _alike, _along, _joined, _weighted):
            found = rule(self, layer, node, given, kinds)
            if found is not None:
                return [found]
        results = self.call(layer, node, self.plain(layer, given))
        return [Place(t, plain(len(t.shape) - 1)) for t in results]


Rule = Callable[[_Work, Layer, Any, list[Place], set[str]], Place | None]
"""Rewrite a call of some kinds of layers; None for all others."""


def _permuted(_work: _Work, layer: Layer, _node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A Permute layer: another order of the model's axes."""
    if "Permute" not in kinds or given[0].flat:
        return None
    dims = [d - 1 for d in layer.dims]
    return replace(given[0], axes=tuple(dims.index(a) for a in given[0].axes))


def _formatted(work: _Work, layer: Layer, node: Any, given: list[Place], _kinds: set[str]) -> Place | None:
    """A layer with a data format: a convolution, pooling, padding, or Flatten with its channels first."""
    kind, rank = getattr(layer, "data_format", None), len(given[0].axes)
    if kind != "channels_first" or given[0].flat or rank < 2:
        return None
    if getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", *NOT_POINTWISE):
        return None  # along the last axis of the model
    axes = channels_first(rank)
    place = moved(given[0], axes, work._free(layer)) if given[0].axes != axes else given[0]
    changes = {"data_format": "channels_last", "_channels_first": False, "_input_spec": None}
    [result] = work.call(layer, node, [place], **changes)
    same = len(result.shape) == rank + 1
    return Place(result, axes if same else plain(len(result.shape) - 1))


def _flattened(work: _Work, layer: Layer, node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A Flatten in the model's order, whose order is remembered."""
    flat = "Flatten" in kinds or ("Reshape" in kinds and len(node.output_tensors[0].shape) == 2)
    if not flat or given[0].is_plain or given[0].flat:
        return None
    [result] = work.call(layer, node, given)
    return Place(result, given[0].axes, given[0].shape)


def _alike(work: _Work, layer: Layer, node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A layer that treats all values alike, or a scale by channel."""
    if len(given) != 1 or given[0].is_plain:
        return None
    changes = {}
    if "Rescaling" in kinds and not given[0].flat:
        changes = {part: _ordered(getattr(layer, part), given[0].axes) for part in ("scale", "offset")}
        if any(np.ndim(v) > 1 for v in changes.values()) or _one_axis(layer, given[0]):
            return None
    elif "Normalization" in kinds and not given[0].flat and layer._keep_axis:
        turned = (0, *(1 + a for a in given[0].axes))
        changes = {part: array(getattr(layer, part)).transpose(turned) for part in ("mean", "variance")}
        changes["_keep_axis"] = tuple(given[0].axis(a) for a in layer._keep_axis)
    elif not kinds & set(UNIFORM):
        return None
    if getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", *NOT_POINTWISE):
        return None
    [result] = work.call(layer, node, given, **changes)
    return replace(given[0], tensor=result)


def _one_axis(layer: Layer, place: Place) -> bool:
    """True if a Rescaling has values along the model's last axis, and that axis is elsewhere."""
    sizes = {np.asarray(v).shape for v in (layer.scale, layer.offset)} - {(), (1,)}
    return any(len(s) == 1 for s in sizes) and place.axes[-1] != len(place.axes) - 1


def _ordered(value: Any, axes: Axes) -> Any:
    """A scale of the rank of a sample with its axes in another order; a vector if they are channels."""
    values = np.asarray(value)
    if values.ndim != len(axes):
        return value
    turned = values.transpose(axes)
    return turned.reshape(-1) if turned.size == turned.shape[-1] else turned


def _along(work: _Work, layer: Layer, node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A layer along an axis."""
    place = given[0]
    if place.flat or not kinds & set(ALONG_AXIS) or not isinstance(layer.axis, int):
        return None
    own = place.axis(layer.axis) - 1
    if "Softmax" in kinds and own < len(place.axes) - 1:
        last = (*place.axes[:own], *place.axes[own + 1 :], place.axes[own])
        place = moved(place, last, work._free(layer))
    elif place.is_plain:
        return None
    [result] = work.call(layer, node, [place], axis=place.axis(layer.axis), _input_spec=None)
    return replace(place, tensor=result)


def _joined(work: _Work, layer: Layer, node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A layer that joins inputs of equal axes."""
    if len(given) < 2 or all(p.is_plain for p in given) or any(p.flat for p in given):
        return None
    if len({len(p.axes) for p in given}) > 1 or not kinds & {*JOINS, "Concatenate"}:
        return None
    axes = next(p.axes for p in given if not p.is_plain)
    places = [p if p.axes == axes else moved(p, axes, work._free(layer)) for p in given]
    changes = {"axis": places[0].axis(layer.axis)} if "Concatenate" in kinds else {}
    [result] = work.call(layer, node, places, **changes)
    return Place(result, axes)


def _weighted(work: _Work, layer: Layer, node: Any, given: list[Place], kinds: set[str]) -> Place | None:
    """A dense layer behind a Flatten: the rows of its kernel in the order of its input."""
    if "Dense" not in kinds or given[0].flat is None or getattr(layer, "lora_enabled", False):
        return None
    if getattr(layer, "quantization_mode", None) not in (None, "int8", "int4") or "_kernel" not in vars(
        layer
    ):
        return None
    indices = given[0].indices()
    parts = {name: getattr(layer, name, None) for name in ("_kernel", "g_idx")}
    changes = {name: _rows(v, indices) for name, v in parts.items() if v is not None}
    [result] = work.call(layer, node, given[:1], **changes)
    return Place(result, (0,))


def _rows(variable: Any, indices: Array) -> Any:
    """A variable of the same class with its rows in another order."""
    made = object.__new__(type(variable))
    made.__dict__.update(variable.__dict__)
    made.__dict__["_value"] = keras.ops.convert_to_tensor(array(variable)[indices])
    return made
