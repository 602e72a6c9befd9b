"""One use of a Keras layer, and the registry of handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bnn2hw.errors import Problem
from bnn2hw.importers.imported import small_enough
from bnn2hw.importers.keras.functions import same_for_all_channels
from bnn2hw.ir import Array, Node, Op, Tensor
from bnn2hw.ops import real
from bnn2hw.ops.source import Input

Layer = Any
"""A Keras layer, operation or tensor. Keras carries no types for them."""


@dataclass
class Draft:
    """The graph that is being read, and the problems that were found.

    Attributes:
        names: Name of each layer in the whole model, by the id of the layer (see `walk.names`).
        nodes: Nodes of the real form so far.
        problems: Reasons why the model cannot be compiled. They are collected, so that the user
            sees all at once.
        shapes: Shape of one sample by edge.
        scalings: What arrives at an input according to a Rescaling layer, by the node of that layer;
            None if it inverts, so that it must be computed.
        made: Layers that stand for others, which must live as long as the names by their ids.
    """

    names: dict[int, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scalings: dict[str, Input | None] = field(default_factory=dict)
    made: list[Layer] = field(default_factory=list)

    @cached_property
    def _reserved(self) -> frozenset[str]:
        return frozenset(self.names.values())

    def name(self, layer: Layer) -> str:
        """Return the name of a layer in the whole model."""
        return self.names.get(id(layer), str(layer.name))

    def problem(self, layer: Layer, found: str, supported: str, remedy: str) -> None:
        """Note a reason why the model cannot be compiled."""
        self.problems.append(Problem(self.name(layer), found, supported, remedy))

    def add(self, layer: Layer, name: str, op: Op, *edges: str) -> str:
        """Append a node of a layer and return the name of its output edge.

        Args:
            layer: Layer that the node is made from.
            name: Name of the node. A number follows it if another node has that name, or if it is
                the name of another layer.
            op: Op of the node.
            edges: Edges that the op reads.
        """
        own = self.name(layer)
        unique, count = name, 1
        while unique in self.shapes or (unique != own and unique in self._reserved):
            count += 1
            unique = f"{name}#{count}"
        self.nodes.append(Node(unique, op, edges, own))
        self.shapes[unique] = op.infer(*(Tensor(self.shapes[e]) for e in edges)).shape
        small_enough(own, self.shapes[unique])
        return unique


@dataclass(frozen=True)
class Call:
    """One use of a layer.

    Attributes:
        draft: The graph that nodes and problems are added to.
        layer: The layer or operation.
        edges: Edges that it reads.
        shape: Shape of one sample of its output.
        node: Keras's own record of the call.
    """

    draft: Draft
    layer: Layer
    edges: tuple[str, ...]
    shape: tuple[int, ...]
    node: Any

    @property
    def name(self) -> str:
        """Name of the layer in the whole model: in options such as `bits`, and in reports."""
        return self.draft.name(self.layer)

    @property
    def edge(self) -> str:
        """The first edge that the layer reads."""
        return self.edges[0]

    @property
    def before(self) -> tuple[int, ...]:
        """Shape of the first edge that the layer reads."""
        return self.draft.shapes[self.edge]

    def shape_of(self, edge: str) -> tuple[int, ...]:
        """Return the shape of an edge."""
        return self.draft.shapes[edge]

    def problem(self, found: str, supported: str, remedy: str) -> None:
        """Note a reason why the layer cannot be compiled.

        Args:
            found: What the layer does or has.
            supported: What is supported instead.
            remedy: What the user can do.
        """
        self.draft.problem(self.layer, found, supported, remedy)

    def supports(self, options: Mapping[str, tuple[Any, Any, str]]) -> bool:
        """Return true if all options have their only supported value, and note problems otherwise.

        Args:
            options: By option, the value found, the value supported, and the remedy.
        """
        wrong = {name: o for name, o in options.items() if o[0] != o[1]}
        for name, (found, supported, remedy) in wrong.items():
            self.problem(f"{name}={found!r}", f"{name}={supported!r}", remedy)
        return not wrong

    def channels_last(self, found: str | None) -> bool:
        """Return true if a data format has its channels last, and note a problem otherwise.

        Args:
            found: The data format; None for the default.
        """
        last = "channels_last"
        return self.supports({"data_format": (found or last, last, f"use data_format='{last}'")})

    def add(self, name: str, op: Op, *edges: str) -> str:
        """Append a node of this layer and return the name of its output edge."""
        return self.draft.add(self.layer, name, op, *edges)

    def pointwise(
        self,
        name: str,
        fn: Callable[[Array], Array],
        edge: str,
        *,
        uniform: bool,
        step: float | None = None,
        fixed: real.FixedPoint | None = None,
    ) -> str:
        """Append a function of single values and return its output edge.

        A function that depends on other values of its input is noted as a problem.

        Args:
            name: Name of the node.
            fn: The function, from float32 batches to a float32 batch of the same shape.
            edge: Edge that it reads.
            uniform: False if the function may differ between channels.
            step: Number that divides all values of the function, if it is known.
            fixed: Its values as numbers in binary fixed point, if it is such a quantizer.
        """
        shape = self.shape_of(edge)
        same = same_for_all_channels(fn, shape)
        if same is None:
            self.problem(
                f"'{name}' returns values that depend on several values of its input, or on chance",
                "functions of single values",
                "use a function that maps each value by itself",
            )
            return edge

        def apply(x: Array) -> Array:
            """Evaluate the function on any shape that ends in the channels."""
            if x.ndim == len(shape) + 1:
                return fn(x)
            inner = (*(1,) * (len(shape) - 1), x.shape[-1])
            return fn(x.reshape(-1, *inner)).reshape(x.shape)

        return self.add(name, real.Pointwise(apply, shape, uniform and same, step, fixed), edge)

    def reshape(self, name: str, shape: tuple[int, ...], edge: str) -> str:
        """Append a change of shape, if the shape changes, and return the output edge."""
        before = self.shape_of(edge)
        if before == shape:
            return edge
        return self.add(name, real.reshaping(before, shape), edge)

    def image(self, edge: str) -> str:
        """Return a row as an image of one row: (length, channels) becomes (1, length, channels)."""
        shape = self.shape_of(edge)
        return self.reshape(f"{self.name}.image", (1, *shape), edge) if len(shape) == 2 else edge


Handler = Callable[[Call], str]
"""Add the nodes of a layer's call to the draft, and return its output edge."""

HANDLERS: dict[str, Handler] = {}
"""Handlers of layers and operations with one input, by class name."""

JOINS: dict[str, Handler] = {}
"""Handlers of layers and operations with several inputs, by class name."""


def handles(*classes: str) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of classes of layers with one input."""
    return _registering(HANDLERS, classes)


def joins(*classes: str) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of classes of layers with several inputs."""
    return _registering(JOINS, classes)


def _registering(registry: dict[str, Handler], classes: tuple[str, ...]) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        registry.update(dict.fromkeys(classes, handler))
        return handler

    return register
