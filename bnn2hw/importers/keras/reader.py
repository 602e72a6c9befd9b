"""Walks a Keras model and collects nodes and problems; what a layer becomes is said by the handlers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from bnn2hw.errors import Problem
from bnn2hw.ir import Array, Node, Op, Tensor
from bnn2hw.ops import real
from bnn2hw.ops.source import Input, Source

Layer = Any  # a keras.layers.Layer or an operation: Keras carries no types


@dataclass(frozen=True)
class Call:
    """One use of a layer.

    Attributes:
        reader: where nodes and problems go.
        layer: the layer or operation.
        edges: what it reads.
        shape: of one sample of its output.
        node: Keras's own record of the call.
    """

    reader: Reader
    layer: Layer
    edges: tuple[str, ...]
    shape: tuple[int, ...]
    node: Any

    @property
    def name(self) -> str:
        """Name of the layer, by which its nodes, its fidelity and options such as `bits` know it."""
        return self.reader.name(self.layer)

    @property
    def edge(self) -> str:
        """The first edge that it reads."""
        return self.edges[0]

    @property
    def before(self) -> tuple[int, ...]:
        """Shape of what it reads."""
        return self.reader.shapes[self.edge]

    def problem(self, found: str, supported: str, remedy: str) -> None:
        """Note what stands in the way."""
        self.reader.problem(self.layer, found, supported, remedy)

    def options(self, options: Mapping[str, tuple[Any, Any, str]]) -> bool:
        """Whether options (found, supported, way out) have their one supported value; each other one is a problem."""
        wrong = {name: o for name, o in options.items() if o[0] != o[1]}
        for name, (found, supported, remedy) in wrong.items():
            self.problem(f"{name}={found!r}", f"{name}={supported!r}", remedy)
        return not wrong

    def add(self, name: str, op: Op, *edges: str) -> str:
        """Append a node of this layer and return the name of its output edge."""
        return self.reader.add(self.layer, name, op, *edges)

    def pointwise(self, name: str, fn: Callable[[Array], Array], edge: str, *, uniform: bool) -> str:
        """Append a function of single values, which then takes any number of axes."""
        shape = self.reader.shapes[edge]
        same = pointwise(fn, shape)
        if same is None:
            self.problem(
                f"'{name}' gives values that depend on other values of its input, or on chance",
                "functions of single values",
                "use one that looks at each value alone",
            )
            return edge

        def apply(x: Array) -> Array:
            if x.ndim == len(shape) + 1:
                return fn(x)
            inner = (*(1,) * (len(shape) - 1), x.shape[-1])
            return fn(x.reshape(-1, *inner)).reshape(x.shape)

        return self.add(name, real.Pointwise(apply, shape, uniform and same), edge)

    def reshape(self, name: str, shape: tuple[int, ...], edge: str) -> str:
        """Append a change of shape, where there is one."""
        before = self.reader.shapes[edge]
        if before == shape:
            return edge

        def apply(x: Array) -> Array:
            return x.reshape(len(x), *shape)

        kind: type[real.RealOp] = real.Refold
        if shape[-1] == before[-1]:
            kind = real.Reshape
        elif len(shape) == 1:
            kind = real.Flatten
        return self.add(name, kind(apply, shape), edge)


Handler = Callable[[Call], str]


@dataclass
class Reader:
    """Collects nodes, and problems, so that all of them are told at once."""

    handlers: Mapping[str, Handler]
    joins: Mapping[str, Handler]
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    edges: dict[int, str] = field(default_factory=dict)  # by id of the Keras tensor
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scalings: dict[str, Input] = field(default_factory=dict)  # what Rescaling layers say, by their nodes
    names: Mapping[int, str] = field(default_factory=dict)  # of layers, by their ids

    @cached_property
    def _claimed(self) -> frozenset[str]:
        return frozenset(self.names.values())

    def name(self, layer: Layer) -> str:
        """Name of a layer in the whole model: see `names`."""
        return self.names.get(id(layer), str(layer.name))

    def problem(self, layer: Layer, found: str, supported: str, remedy: str) -> None:
        """Note what stands in the way."""
        self.problems.append(Problem(self.name(layer), found, supported, remedy))

    def model(self, model: Layer) -> tuple[str, ...]:
        """Read all operations of a model whose inputs are known or become sources; returns its output edges."""
        for operation, result in order(model.outputs, self.edges):
            self._read(operation, result)
        return tuple(self.edges[id(t)] for t in model.outputs)

    def _read(self, layer: Layer, result: Layer) -> None:
        node = layer._inbound_nodes[result._keras_history[1]]
        shape = tuple(result.shape[1:])
        if not node.input_tensors:
            self._source(layer, shape, result)
            return
        edges = tuple(self.edges[id(t)] for t in node.input_tensors)
        if isinstance(layer, keras.Model):
            self._nested(layer, edges, node)
            return
        call = Call(self, layer, edges, shape, node)
        known = self.joins if len(edges) > 1 else self.handlers
        handler = known.get(kind(layer, known) or "")
        problems = len(self.problems)
        edge = edges[0]
        if handler is None:
            self._unknown(layer, several=len(edges) > 1)
        elif self._finite(layer):
            edge = handler(call)
        if len(self.problems) > problems:
            for tensor in node.output_tensors:
                own = tuple(tensor.shape[1:])
                self.edges[id(tensor)] = edge if self.shapes[edge] == own else self._stand_in(layer, own)
        else:
            self.edges[id(result)] = edge

    def _unknown(self, layer: Layer, *, several: bool) -> None:
        name = type(layer).__name__
        known = self.joins if several else self.handlers
        if any(cls.__name__ in known for cls in type(layer).__mro__):
            self.problem(
                layer,
                f"a class {name} of your own, whose computation is not known",
                "the layers of Keras and bnn2hw.nn themselves",
                "replace the layer; for a function of single values use Activation or a quantizer",
            )
            return
        joined = "several inputs of " if several else ""
        self.problem(
            layer, f"{joined}a layer of type {name}", "the layers in docs/coverage.md", "replace the layer"
        )

    def _stand_in(self, layer: Layer, shape: tuple[int, ...]) -> str:
        """A source in place of what cannot be read, so that later problems are found too."""
        return self.add(layer, f"{self.name(layer)}.missing", Source(Tensor(shape)))

    def _nested(self, model: Layer, edges: Sequence[str], node: Any) -> None:
        """A model within a model: its own layers, read where it is called."""
        if not functional(model):
            self.problem(
                model, "a subclass of keras.Model", "Sequential and functional models", "use one of those"
            )
            for tensor in node.output_tensors:
                self.edges[id(tensor)] = self._stand_in(model, tuple(tensor.shape[1:]))
            return
        inner: Mapping[int, str] = dict(zip((id(t) for t in model.inputs), edges, strict=True))
        kept, self.edges = self.edges, dict(inner)
        outputs = self.model(model)
        self.edges = kept
        for tensor, edge in zip(node.output_tensors, outputs, strict=True):
            self.edges[id(tensor)] = edge

    def add(self, layer: Layer, name: str, op: Op, *edges: str) -> str:
        """Append a node of a layer and return the name of its output edge.

        Args:
            layer: Layer that the node is made from.
            name: Name of the node. A number follows it if another node has that name, or another layer claims it.
            op: The op.
            edges: Names of the edges that the op reads.
        """
        own = self.name(layer)
        unique, count = name, 1
        while unique in self.shapes or (unique != own and unique in self._claimed):
            count += 1
            unique = f"{name}#{count}"
        self.nodes.append(Node(unique, op, edges, own))
        self.shapes[unique] = op.infer(*(Tensor(self.shapes[e]) for e in edges)).shape
        return unique

    def _source(self, layer: Layer, shape: tuple[int, ...], result: Layer) -> None:
        if None in shape:
            self.problem(
                layer, f"the open input shape {shape}", "fixed shapes", "build the model with all sizes given"
            )
            shape = tuple(1 if d is None else d for d in shape)
        self.edges[id(result)] = self.add(layer, self.name(layer), Source(Tensor(shape)))

    def _finite(self, layer: Layer) -> bool:
        wrong = [w.name for w in getattr(layer, "weights", []) if not np.all(np.isfinite(array(w)))]
        if wrong:
            self.problem(
                layer, f"NaN or infinite values in {', '.join(wrong)}", "finite weights", "train it again"
            )
        return not wrong


def order(outputs: Sequence[Layer], known: Mapping[int, str]) -> Iterator[tuple[Layer, Layer]]:
    """Operations and their result tensors from the inputs to the outputs, each after those that it reads.

    Args:
        outputs: the tensors that are wanted.
        known: ids of tensors that are there already.
    """
    done: set[int] = set(known)
    stack: list[tuple[Layer, bool]] = [(t, False) for t in reversed(outputs)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if ready or not node.input_tensors:
            done.update(id(t) for t in node.output_tensors)
            yield operation, tensor
        else:
            stack.append((tensor, True))
            stack.extend((s, False) for s in reversed(node.input_tensors))


def names(model: Layer) -> dict[int, str]:
    """Return a distinct name for each layer of a model and of the models within it, by the layer's id.

    A layer keeps its own name if no other layer has it. Otherwise the path of models leads to it, as in
    "block/dense"; a layer of the model itself has no path.
    """
    found = {id(layer): (layer.name, path) for layer, path in _layers(model, ())}
    count = Counter(name for name, _ in found.values())
    return {key: name if count[name] == 1 else "/".join((*path, name)) for key, (name, path) in found.items()}


def _layers(model: Layer, path: tuple[str, ...]) -> Iterator[tuple[Layer, tuple[str, ...]]]:
    """All layers of a model with the names of the models that they are nested in; the model's own come last."""
    known = {id(t): "" for t in model.inputs} if path else {}
    operations = [operation for operation, _ in order(model.outputs, known)]
    for operation in operations:
        if isinstance(operation, keras.Model) and functional(operation):
            yield from _layers(operation, (*path, operation.name))
    yield from ((operation, path) for operation in operations)


def functional(model: Layer) -> bool:
    """True if a model is a graph of layers: a Sequential model, or one of Keras's own class for such graphs."""
    return isinstance(model, keras.Sequential) or (
        any(c.__name__ == "Functional" for c in type(model).__mro__)
        and type(model).__module__.split(".")[0] in FAMILIES
    )


FAMILIES = ("keras", "bnn2hw", "larq", "tf_keras")
"""Packages whose classes are known by their names."""

OPEN = ("Quantizer",)
"""Classes of which everything that derives is a function of single values, or else is told apart by trying."""


def kind(layer: Layer, known: Mapping[str, Handler]) -> str | None:
    """The name under which a layer is handled: its class's, or that of a class whose `call` it has.

    None where there is none: a class of the user's own that happens to have the name, or that computes something else
    than the class that it derives from.
    """
    for cls in type(layer).__mro__:
        if cls.__name__ in known and cls.__module__.split(".")[0] in FAMILIES:
            same = cls.__name__ in OPEN or getattr(type(layer), "call", None) is getattr(cls, "call", None)
            return str(cls.__name__) if same else None
    return None


def pointwise(fn: Callable[[Array], Array], shape: tuple[int, ...]) -> bool | None:
    """Whether a function of single values is the same for all channels; None where it is none.

    Half of some random values are exchanged: a function of single values gives the same for the others.
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


def array(x: Any) -> Array:
    """A tensor or variable as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(x))


def function(layer: Layer) -> Callable[..., Array]:
    """A layer in float32 and inference mode, as a function of NumPy arrays."""
    takes_training = getattr(layer, "_call_has_training_arg", False)

    def apply(*x: Array) -> Array:
        tensors = [keras.ops.convert_to_tensor(v.astype(np.float32)) for v in x]
        argument = tensors if len(tensors) > 1 else tensors[0]
        return array(layer(argument, training=False) if takes_training else layer(argument))

    return apply
