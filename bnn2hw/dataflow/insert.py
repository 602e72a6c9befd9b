"""Insert width converters and FIFOs between the ops of a folded graph, and remove them again.

A stream with several readers is handed to the FIFOs of all its readers in the same cycle. The handshakes of FIFOs are
registered, so waiting for all readers closes no combinational loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bnn2hw.dataflow import converters
from bnn2hw.ir import Graph, HardwareOp, Node, StreamOp, View, stream_op
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter


def insert_fifos(graph: Graph) -> Graph:
    """Insert width converters, and FIFOs of depth 1 or 2.

    That suffices between ops that read and write at the same pace; `fifo_depths` finds the depths for all others.

    Args:
        graph: The graph in folded form.
    """
    return _Inserter(graph).run()


def remove_fifos(graph: Graph) -> Graph:
    """Remove all FIFOs and width converters: the folded graph from which a streamed graph was made."""
    replaced_by: dict[str, str] = {}
    nodes = []
    for node in graph:
        inputs = tuple(replaced_by.get(i, i) for i in node.inputs)
        if isinstance(node.op, Fifo | WidthConverter):
            replaced_by[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return Graph(tuple(nodes), tuple(replaced_by.get(o, o) for o in graph.outputs))


def output_indices(graph: Graph, stream: str) -> list[int]:
    """Return the indices of the graph's outputs that a stream feeds."""
    return [i for i, name in enumerate(graph.outputs) if graph.wire(name) == stream]


def is_shared(graph: Graph, stream: str) -> bool:
    """True if a stream has several readers, outputs of the graph included. Each reader then has its own FIFO."""
    return len(graph.readers[stream]) + len(output_indices(graph, stream)) > 1


def needs_fifo(graph: Graph, node: Node, port: int, *, same: bool) -> bool:
    """True if a node needs a FIFO at an input: unless it alone reads the stream, and the producer fuses with it.

    Args:
        graph: The graph in folded form.
        node: A node of the graph.
        port: Index of the input.
        same: Whether the stream arrives in the beats that the node reads, so that no converter is needed.
    """
    stream = graph.wire(node.inputs[port])
    if len(node.inputs) > 1 or is_shared(graph, stream):
        return True
    return not stream_op(graph[stream]).fuses(stream_op(node), same=same)


class _Inserter:
    """The nodes of the new graph, as far as they have been made."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []

    def run(self) -> Graph:
        for node in self.graph:
            if isinstance(node.op, StreamOp):
                inputs = tuple(self._input(node, port) for port in range(len(node.inputs)))
                self.nodes.append(replace(node, inputs=inputs))
        outputs = tuple(map(self._output, range(len(self.graph.outputs))))
        return Graph(tuple(self.nodes), outputs)

    def _input(self, node: Node, port: int) -> str:
        """Add what an input of a node needs, and return the edge that the node now reads."""
        stream = self.graph.wire(node.inputs[port])
        have, want = self.graph.beats(stream), stream_op(node).input_beats(port, *self.graph.inputs_of(node))
        stem = f"{stream}.{node.name}{port or ''}" if is_shared(self.graph, stream) else stream
        fifo = needs_fifo(self.graph, node, port, same=have.serves(want))
        end = self._chain(stem, converters.between(have, want, fifo=fifo), stream)
        return self._viewed(f"{stem}.view", node.inputs[port], stream, end)

    def _output(self, index: int) -> str:
        """Add what an output of the graph needs, and return the edge that leaves the graph."""
        stream = self.graph.wire(self.graph.outputs[index])
        copy = output_indices(self.graph, stream).index(index)
        stem = f"{stream}.output{copy or ''}"
        ops = converters.to_output(self.graph.beats(stream), fifo=is_shared(self.graph, stream))
        end, name = self._chain(stem, ops, stream), self.graph.outputs[index]
        if len(self.graph.outputs) > 1 and isinstance(self.graph[name].op, View):
            seen = self.graph.types[name]  # the model names its outputs
            return self._add(name, View(seen.shape, seen.scale, seen.offset), end, self.graph[name].layer)
        return self._viewed(f"{stem}.view", name, stream, end)

    def _chain(self, stem: str, ops: Sequence[Fifo | WidthConverter], edge: str) -> str:
        """Add ops one behind the other, and return the last edge."""
        name, layer = stem, self.graph[edge].layer
        for op in ops:
            beats = op.beats()[1]
            of = f"of{beats.vector}" if beats.vector else ""
            name = f"{name}.fifo" if isinstance(op, Fifo) else f"{stem}.to{beats.lanes}{of}"
            edge = self._add(name, op, edge, layer)
        return edge

    def _viewed(self, name: str, edge: str, stream: str, end: str) -> str:
        """Add a view if the reader sees the stream in another shape or meaning, and return the edge to read.

        Args:
            name: Name of the view.
            edge: The edge of the folded graph that the reader reads.
            stream: The stream which that edge is.
            end: The edge of the new graph that carries this stream to the reader.
        """
        seen = self.graph.types[edge]
        if seen == self.graph.types[stream]:
            return end
        return self._add(name, View(seen.shape, seen.scale, seen.offset), end, self.graph[stream].layer)

    def _add(self, name: str, op: HardwareOp | View, edge: str, layer: str) -> str:
        self.nodes.append(Node(name, op, (edge,), layer))
        return name
