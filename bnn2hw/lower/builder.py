"""What lowering has made so far: nodes of the hardware form, their types, problems, and how faithful layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bnn2hw.errors import InputError, Problem
from bnn2hw.ir import Array, Graph, HardwareOp, Node, Op, Ranges, Tensor, View
from bnn2hw.lower.probe import Chain
from bnn2hw.ops.real import RealOp, Refold, Reshape


@dataclass(frozen=True)
class Fidelity:
    """How a layer of the hardware relates to the layer in Keras.

    `exact`: given the same inputs, it gives the same outputs, for all inputs. `rounded`: it computes in fixed point, or
    float32 rounding inside Keras can tip a decision; how much and how often is measured on data.
    """

    kind: Literal["exact", "rounded"]
    why: str


@dataclass(frozen=True)
class Precision:
    """Bits of what must be rounded.

    Attributes:
        weights: of kernels that are real numbers.
        streams: of activations that are real numbers.
        layers: by layer, bits of both.
    """

    weights: int = 18
    streams: int = 24
    layers: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(bits: int | Mapping[str, int] | None) -> Precision:
        """What a user asks for: one number for all, or one by layer.

        Raises:
            InputError: fewer than 2 bits or more than 24.
        """
        if bits is None:
            return Precision()
        chosen = Precision(bits, bits) if isinstance(bits, int) else Precision(layers=dict(bits))
        for count in (chosen.weights, chosen.streams, *chosen.layers.values()):
            if not 2 <= count <= 24:
                raise InputError(f"bits must be from 2 to 24, not {count}")
        return chosen

    def of_kernel(self, layer: str) -> int:
        """Bits of a layer's kernel."""
        return self.layers.get(layer, self.weights)

    def of_stream(self, layer: str) -> int:
        """Bits of a layer's output."""
        return self.layers.get(layer, self.streams)


@dataclass(frozen=True)
class Edge:
    """An edge of the real graph: integers in the new one, and the real ops that still follow them.

    Attributes:
        name: the edge of the hardware form; it has the shape of `real`.
        real: the node of the real form that it stands for.
        chain: what follows, up to the edge of the real graph that this is.
        end: that edge, where a pooling was done before layers that stand before it in the model.
    """

    name: str
    real: str
    chain: tuple[Node, ...] = ()
    end: str = ""

    def then(self, node: Node) -> Edge:
        """The edge with a further op behind it."""
        return Edge(self.name, self.real, (*self.chain, node))

    def until(self, place: int) -> Edge:
        """The edge with the first ops only."""
        return Edge(self.name, self.real, self.chain[:place])

    @property
    def ops(self) -> tuple[RealOp, ...]:
        """The ops of the chain."""
        return tuple(n.op for n in self.chain if isinstance(n.op, RealOp))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the ops of the chain were read from."""
        return tuple(n.layer for n in self.chain)

    @property
    def last(self) -> str:
        """The node of the real form whose output this is."""
        return self.end or (self.chain[-1].name if self.chain else self.real)


@dataclass
class Builder:
    """Collects the hardware form of a real graph.

    Attributes:
        real: the graph in real form.
        precision: bits of what must be rounded.
        ranges: by node of the real form, the smallest and largest value of each channel that is to be expected.
        loadable: whether memories can be written at run time: all, none, or those of some layers.
    """

    real: Graph
    precision: Precision
    ranges: Mapping[str, tuple[Array, Array]]
    loadable: bool | frozenset[str] = False
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)
    types: dict[str, Tensor] = field(default_factory=dict)
    bounds: dict[str, Ranges] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    """By edge: bound of Keras's rounding of its real value."""
    moved: set[str] = field(default_factory=set)
    """Nodes of the real form that were put behind a pooling that follows them, so that no edge is theirs."""
    layers: dict[str, str] = field(default_factory=dict)
    """By node of either form, the layer that it was made from."""

    def __post_init__(self) -> None:
        self.layers.update((node.name, node.layer) for node in self.real)

    def add(self, of: str, op: Op, *inputs: str, part: str = "") -> str:
        """Append a node and return its name.

        Args:
            of: A node of the real form that the new node computes, or a node of either form that it belongs to. The new
                node comes from the same layer.
            op: The op of the new node.
            inputs: The edges that it reads.
            part: Appended to the name of `of` with a dot, if the new node does not compute `of` itself.
        """
        return self.append(f"{of}.{part}" if part else of, self.layers[of], op, *inputs, own=not part)

    def append(self, name: str, layer: str, op: Op, *inputs: str, own: bool = False) -> str:
        """Append a node under a name and return its name, with a number behind it if the name is taken.

        Args:
            name: The name. Names of nodes of the real form are taken, but for the node that computes such a node.
            layer: The layer that the node comes from.
            op: The op of the node.
            inputs: The edges that it reads.
            own: Whether the node computes the node of the real form of that name.
        """
        unique, number = name, 1
        while unique in self.types or (unique in self.real.types and not (own and unique == name)):
            number += 1
            unique = f"{name}#{number}"
        if isinstance(op, HardwareOp) and self.loads(layer):
            op = op.loading(*(self.types[i] for i in inputs))
        self.nodes.append(Node(unique, op, inputs, layer))
        self.layers[unique] = layer
        self._type(self.nodes[-1])
        return unique

    def _type(self, node: Node) -> None:
        x, given = [self.types[i] for i in node.inputs], [self.bounds[i] for i in node.inputs]
        y = self.types[node.name] = node.op.infer(*x)
        self.bounds[node.name] = node.op.ranges(x, given, y)

    def loads(self, layer: str) -> bool:
        """True if the memories of a layer can be written at run time."""
        return self.loadable if isinstance(self.loadable, bool) else layer in self.loadable

    def match(self, edge: str, node: str) -> None:
        """Note that an edge carries the values of a node of the real form.

        A change of shape leaves the values as they are, so the edge is matched to the node in front of it. A pass may
        move a change of shape, but it must not change what other nodes compute.
        """
        while isinstance(self.real[node].op, Reshape | Refold):
            [node] = self.real[node].inputs
        if node not in self.moved:
            self.matches[edge] = node

    def view(self, edge: str, shape: tuple[int, ...]) -> str:
        """An edge under another shape; the error bound goes with it."""
        if self.types[edge].shape == shape:
            return edge
        seen = self.add(edge, View(shape), edge, part="view")
        self.errors[seen] = self.errors.get(edge, 0.0)
        return seen

    def wire(self, name: str) -> Node:
        """The node that makes an edge, seen through views."""
        node = next(n for n in self.nodes if n.name == name)
        return self.wire(node.inputs[0]) if isinstance(node.op, View) else node

    def replace(self, node: Node, op: Op) -> None:
        """Put another op in the place of one, whose readers see at most views of it."""
        self.nodes[self.nodes.index(node)] = replace(node, op=op)
        names = {node.name}
        for each in self.nodes:
            if each.name in names or names & set(each.inputs):
                names.add(each.name)
                self._type(each)

    def graph(self, outputs: list[str]) -> Graph:
        """What was made, without what nothing reads in the end."""
        wanted = set(outputs)
        for node in reversed(self.nodes):
            if node.name in wanted:
                wanted.update(node.inputs)
        return Graph(tuple(n for n in self.nodes if n.name in wanted), tuple(outputs))

    def problem(self, layer: str, found: str, supported: str, remedy: str) -> None:
        """Note what stands in the way."""
        self.problems.append(Problem(layer, found, supported, remedy))

    def chain(self, edge: Edge) -> Chain:
        """What follows an edge, as a function of its integers."""
        shape = self.real.types[edge.real].shape
        low, high = self.bounds[edge.name].ends.astype(np.int64)
        return Chain(edge.ops, self.types[edge.name], shape, low, high)

    def sole(self, edge: Edge) -> bool:
        """Whether nothing else reads the edge or what follows it."""
        names = (edge.real, *(n.name for n in edge.chain))
        return all(len(self.real.consumers[n]) + (n in self.real.outputs) <= 1 for n in names)

    def judge(self, edge: Edge, *, rounded: str = "", tips: bool = False) -> None:
        """Say how faithful the layers of an edge are; what is rounded for one reader stays so."""
        exact = (
            Fidelity("exact", "no float32 rounding of the real input reaches a threshold")
            if self.errors.get(edge.name, 0.0)
            else Fidelity("exact", "integers throughout")
        )
        fidelity = exact
        if rounded:
            fidelity = Fidelity("rounded", rounded)
        elif tips:
            fidelity = Fidelity("rounded", "Keras's float32 rounding can tip decisions at a threshold")
        if rounded and edge.layers:  # not what makes the integers, which are rounded behind it
            self.mark(self.layers[edge.real], exact)
        else:
            self.mark(self.layers[edge.real], fidelity)
        for layer in edge.layers:
            self.mark(layer, fidelity)

    def mark(self, layer: str, fidelity: Fidelity) -> None:
        """Note how faithful a layer is, unless something worse is known of it."""
        if layer not in self.fidelity or (fidelity.kind, self.fidelity[layer].kind) == ("rounded", "exact"):
            self.fidelity[layer] = fidelity

    def seen(self, name: str) -> tuple[Array, Array]:
        """The range of a real edge by channel that calibration data let expect; all numbers without them."""
        return self.ranges.get(name, (np.array(-np.inf), np.array(np.inf)))
