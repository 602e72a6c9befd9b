"""The immutable graph that holds ops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir.op import HardwareOp, Op, StreamOp
from bnn2hw.ir.types import Beats, Tensor
from bnn2hw.ir.view import View


@dataclass(frozen=True)
class Node:
    """An op in a graph. Its name is also the name of its output edge.

    Attributes:
        name: Name of the node, unique in its graph.
        op: The op.
        inputs: Names of the edges that the op reads, in the order of its inputs.
        layer: Name of the model's layer that the node was made from. The importer sets it and every
            pass keeps it. It is empty in graphs that were not made from a model.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    layer: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order and the names of the edges that leave the graph.

    Raises:
        Bnn2hwError: A node is named twice, reads an edge that does not precede it, does not fit its
            inputs, or has no layer although other nodes have one.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, Tensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        types: dict[str, Tensor] = {}
        for node in self.nodes:
            missing = [i for i in node.inputs if i not in types]
            if missing or node.name in types:
                why = f"reads '{missing[0]}' before it is made" if missing else "is named twice"
                raise Bnn2hwError(f"node '{node.name}' {why}")
            try:
                types[node.name] = node.op.infer(*(types[i] for i in node.inputs))
            except (ValueError, TypeError) as error:
                raise Bnn2hwError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from error
        bare = [node.name for node in self.nodes if not node.layer]
        if bare and len(bare) < len(self.nodes):
            raise Bnn2hwError(
                f"node '{bare[0]}' does not say which layer it was made from, although others do"
            )
        for output in self.outputs:
            if output not in types:
                raise Bnn2hwError(f"the graph has no edge '{output}', which it names as an output")
        object.__setattr__(self, "types", types)

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {n.name: n for n in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @cached_property
    def sources(self) -> tuple[Node, ...]:
        """The nodes that read nothing: the inputs of the graph."""
        return tuple(n for n in self.nodes if not n.inputs)

    def inputs_of(self, node: Node) -> tuple[Tensor, ...]:
        """Types of the edges that a node reads."""
        return tuple(self.types[i] for i in node.inputs)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each edge."""
        found: dict[str, list[Node]] = {n.name: [] for n in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def wire(self, name: str) -> str:
        """The node that makes the stream which an edge is, seen through views."""
        while isinstance(self[name].op, View):
            [name] = self[name].inputs
        return name

    @cached_property
    def readers(self) -> Mapping[str, tuple[tuple[Node, int], ...]]:
        """By node that makes a stream: the nodes that read it, directly or through views, and at which input."""
        found: dict[str, list[tuple[Node, int]]] = {n.name: [] for n in self.nodes}
        for node in self.nodes:
            if not isinstance(node.op, View):
                for port, name in enumerate(node.inputs):
                    found[self.wire(name)].append((node, port))
        return {name: tuple(nodes) for name, nodes in found.items()}

    def beats(self, name: str) -> Beats:
        """Return the layout of the beats in the stream that an edge is.

        Raises:
            Bnn2hwError: The edge is no stream of the hardware.
        """
        node = self[self.wire(name)]
        return stream_op(node).beats(*self.inputs_of(node))[1]

    def map_ops(self, ops: Mapping[str, Op]) -> Graph:
        """The same graph with some nodes' ops replaced."""
        return Graph(tuple(replace(n, op=ops.get(n.name, n.op)) for n in self.nodes), self.outputs)


def hardware_nodes(graph: Graph) -> Iterator[tuple[Node, HardwareOp]]:
    """List the nodes that become hardware, each with its op."""
    return ((n, n.op) for n in graph if isinstance(n.op, HardwareOp))


def stream_op(node: Node) -> StreamOp:
    """Return the op of a node that makes a stream.

    Raises:
        Bnn2hwError: The op is of another kind.
    """
    if not isinstance(node.op, StreamOp):
        raise Bnn2hwError(f"node '{node.name}' ({type(node.op).__name__}) makes no stream of the hardware")
    return node.op
