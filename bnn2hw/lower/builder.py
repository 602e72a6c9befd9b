"""The hardware form under construction: nodes, types, problems, and the fidelity of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bnn2hw.errors import Problem
from bnn2hw.ir import Array, Graph, HardwareOp, Node, Op, Ranges, Tensor, View
from bnn2hw.lower.fidelity import INTEGERS, SAFE, UNSAFE, Fidelity
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.precision import Precision
from bnn2hw.lower.probe import Chain, Unfit
from bnn2hw.ops.real import Refold, Reshape

BUILT = (
    "nodes",
    "problems",
    "fidelity",
    "matches",
    "types",
    "ranges",
    "errors",
    "postponed",
    "layers",
    "own",
)
"""Attributes of a builder that grow."""

UNBOUNDED = np.array(-np.inf), np.array(np.inf)


@dataclass
class Builder:
    """Collects the hardware form of a graph in real form.

    Attributes:
        real: The graph in real form.
        precision: Bits of what must be rounded.
        expected: Smallest and largest value that calibration data let expect, by node of the real
            form. Each is an array of shape (channels,).
        loadable: True if all memories can be written at run time, False if none can, or the layers
            whose memories can.
        nodes: Nodes of the hardware form so far.
        problems: Reasons why the model cannot be compiled.
        fidelity: Fidelity by layer.
        matches: Node of the real form by edge of the hardware form that carries its values.
        types: Type by edge of the hardware form.
        ranges: Integers that can occur, by edge of the hardware form.
        errors: Bound of the float32 rounding inside Keras that an edge's real value carries, by
            edge; 0 if missing.
        postponed: Nodes of the real form that are applied behind a pooling that follows them in the
            model. No edge carries their values.
        layers: Layer by node of either form.
        own: Bound of the error that the hardware makes at a node of the real form, in the model's unit, of
            shape () or (features,).
        signs: By node whose weights were negated for some neurons, the node of the real form that it
            computes, and ±1 for each neuron: the integers times the sign have the real meaning of its edge.
    """

    real: Graph
    precision: Precision
    expected: Mapping[str, tuple[Array, Array]]
    loadable: bool | frozenset[str] = False
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)
    types: dict[str, Tensor] = field(default_factory=dict)
    ranges: dict[str, Ranges] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    postponed: set[str] = field(default_factory=set)
    layers: dict[str, str] = field(default_factory=dict)
    signs: dict[str, tuple[str, Array | float]] = field(default_factory=dict)
    own: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layers.update((node.name, node.layer) for node in self.real)

    # ---- nodes

    def add(self, of: str, op: Op, *inputs: str, part: str = "") -> str:
        """Append a node and return its name.

        Args:
            of: A node of the real form that the new node computes, or a node of either form that it
                belongs to. The new node comes from the same layer.
            op: The op of the new node.
            inputs: Edges of the hardware form that it reads.
            part: Appended to the name of `of` with a dot, unless the new node computes `of` itself.
        """
        return self.append(f"{of}.{part}" if part else of, self.layers[of], op, *inputs, own=not part)

    def append(self, name: str, layer: str, op: Op, *inputs: str, own: bool = False) -> str:
        """Append a node under a name and return its name. A number follows the name if it is taken.

        Args:
            name: Name of the node. Names of nodes of the real form are reserved for the nodes that
                compute them.
            layer: Layer that the node comes from.
            op: Op of the node.
            inputs: Edges of the hardware form that it reads.
            own: True if the node computes the node of the real form that has this name.
        """
        unique, number = name, 1
        while unique in self.types or (unique in self.real.types and not (own and unique == name)):
            number += 1
            unique = f"{name}#{number}"
        if isinstance(op, HardwareOp) and self.loads(layer):
            op = op.loading(*(self.types[i] for i in inputs))
        self.nodes.append(Node(unique, op, inputs, layer))
        self.layers[unique] = layer
        self._infer(self.nodes[-1])
        return unique

    def _infer(self, node: Node) -> None:
        x, given = [self.types[i] for i in node.inputs], [self.ranges[i] for i in node.inputs]
        try:
            y = self.types[node.name] = node.op.infer(*x)
        except ValueError as error:
            raise Unfit(f"{type(node.op).__name__.lower()} {error}") from error
        self.ranges[node.name] = node.op.ranges(x, given, y)

    def view(self, edge: str, shape: tuple[int, ...]) -> str:
        """Return an edge under another shape; the error bound goes with it."""
        if self.types[edge].shape == shape:
            return edge
        viewed = self.add(edge, View(shape), edge, part="view")
        self.errors[viewed] = self.error(edge)
        return viewed

    def maker(self, edge: str) -> Node:
        """Return the node that makes an edge, seen through views."""
        node = next(n for n in self.nodes if n.name == edge)
        return self.maker(node.inputs[0]) if isinstance(node.op, View) else node

    def is_read(self, node: Node) -> bool:
        """True if a node other than a view reads an edge, directly or through views."""
        edges = {node.name}
        for each in self.nodes:
            if edges & set(each.inputs):
                if not isinstance(each.op, View):
                    return True
                edges.add(each.name)
        return False

    def replace(self, node: Node, op: Op) -> None:
        """Replace the op of a node that only views read, and infer all types behind it again."""
        self.nodes[self.nodes.index(node)] = replace(node, op=op)
        changed = {node.name}
        for each in self.nodes:
            if each.name in changed or changed & set(each.inputs):
                changed.add(each.name)
                self._infer(each)

    def graph(self, outputs: list[str]) -> Graph:
        """Return the hardware form without the nodes that no output depends on."""
        needed = set(outputs)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return Graph(tuple(n for n in self.nodes if n.name in needed), tuple(outputs))

    def state(self) -> dict[str, Any]:
        """Return what has been built so far, for `back_to`."""
        return {name: copy(getattr(self, name)) for name in BUILT}

    def back_to(self, state: Mapping[str, Any]) -> None:
        """Forget everything that was built after a state."""
        for name, value in state.items():
            setattr(self, name, value)

    # ---- facts about edges

    def largest(self, edge: str) -> Array:
        """Return the largest absolute real value of each channel that can occur on an edge."""
        found: Array = np.abs(self.types[edge].real(self.ranges[edge].ends)).max(0)
        return found

    def loads(self, layer: str) -> bool:
        """True if the memories of a layer can be written at run time."""
        return self.loadable if isinstance(self.loadable, bool) else layer in self.loadable

    def error(self, edge: str) -> float:
        """Return the bound of Keras's float32 rounding in the real value of an edge."""
        return self.errors.get(edge, 0.0)

    def expected_range(self, pending: Pending) -> tuple[Array, Array]:
        """Return the range that calibration data let expect at the end of a chain.

        Returns:
            Two arrays of shape (features,), one value for each function of the chain. Behind a Flatten
            that is the range over all positions of a channel. Unbounded, and of shape (), without data.
        """
        low, high = self.expected.get(pending.end, UNBOUNDED)
        features = self.chain(pending).features
        if low.ndim == 0 or low.size == features:
            return low, high
        if features % low.size == 0:
            return np.tile(low, features // low.size), np.tile(high, features // low.size)
        return low.reshape(-1, features).min(0), high.reshape(-1, features).max(0)

    def stream_bits(self, pending: Pending) -> int:
        """Return the bits that the user grants to a real-valued stream."""
        return self.precision.of_stream(pending.layers[-1] if pending.chain else self.layers[pending.end])

    def chain(self, pending: Pending) -> Chain:
        """Return the ops that follow an edge as a function of its integers."""
        shape = self.real.types[pending.start].shape
        low, high = self.ranges[pending.edge].ends.astype(np.int64)
        of, sign = self.signs.get(self.maker(pending.edge).name, ("", 1.0))
        if of != pending.start:  # the same integers stand for results behind the unit
            sign = 1.0
        return Chain(pending.ops, self.types[pending.edge], shape, low, high, sign)

    def unshared(self, pending: Pending) -> bool:
        """True if nothing else reads the edge or an edge on the way to the end of its chain."""
        names = (pending.start, *(n.name for n in pending.chain))
        return all(len(self.real.consumers[n]) + (n in self.real.outputs) <= 1 for n in names)

    # ---- what is said about the model

    def match(self, edge: str, node: str) -> None:
        """Note that an edge carries the values of a node of the real form.

        A change of shape leaves the values as they are, so the edge is matched to the node in front
        of it. A pass may move a change of shape, but it must not change what other nodes compute.
        """
        node = self._carrier(node)
        if node not in self.postponed:
            self.matches[edge] = node

    def _carrier(self, node: str) -> str:
        """The node in front of changes of shape."""
        while isinstance(self.real[node].op, Reshape | Refold):
            [node] = self.real[node].inputs
        return node

    def rounds(self, node: str, error: Array | float) -> None:
        """Note an error that the hardware makes in the values of a node of the real form.

        Args:
            node: The node.
            error: Bound in the model's unit, of shape () or (features,).
        """
        node = self._carrier(node)
        known, error = self.own.get(node, np.zeros(1)), np.atleast_1d(error)
        size = max(known.size, error.size)
        same = size % known.size == size % error.size == 0
        self.own[node] = (
            np.resize(known, size) + np.resize(error, size)
            if same
            else known.max() + error.max(keepdims=True)
        )

    def problem(self, layer: str, found: str, supported: str, remedy: str) -> None:
        """Note a reason why the model cannot be compiled."""
        self.problems.append(Problem(layer, found, supported, remedy))

    def refuse_softmax(self, pending: Pending) -> bool:
        """Note the problem of a softmax that other layers read, and return true if there is one."""
        softmax = pending.softmax
        if softmax:
            self.problem(
                softmax,
                "a softmax whose results other layers read",
                "a softmax at the end of the model",
                "remove it, or use an activation of single values, such as sigmoid",
            )
        return softmax is not None

    def record_fidelity(self, pending: Pending, *, rounded: str = "", unsafe: bool = False) -> None:
        """Note how faithful the layers are that make an edge and follow it.

        Args:
            pending: The edge and its layers.
            rounded: The reason, if the layers are rounded. The layer that makes the integers is
                then exact, unless no layer follows it.
            unsafe: True if Keras's float32 rounding can change a decision of the layers.
        """
        exact = SAFE if self.error(pending.edge) else INTEGERS
        fidelity = Fidelity("rounded", rounded) if rounded else UNSAFE if unsafe else exact
        self.mark(self.layers[pending.start], exact if rounded and pending.chain else fidelity)
        for layer in pending.layers:
            self.mark(layer, fidelity)

    def mark(self, layer: str, fidelity: Fidelity) -> None:
        """Note how faithful a layer is.

        "rounded" replaces "exact". Otherwise the first reason stays.
        """
        known = self.fidelity.get(layer)
        if known is None or (fidelity.kind, known.kind) == ("rounded", "exact"):
            self.fidelity[layer] = fidelity
