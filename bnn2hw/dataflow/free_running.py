"""Let chains of ops run free where nothing inside of them can stall.

Each op of a chain reads a beat and writes one in every cycle: a frame is one beat. Only its reader can make the
chain stall. So its ops need no handshakes and no FIFOs between them: a gate lets a beat in if the FIFO behind the
chain will have room for it, and from there it moves on in every cycle. No register of the chain has an enable.

The FIFO holds as many beats as are between the gate and its output at full rate: the registers of the chain, one
cycle in the FIFO, and one until the gate can use the credit that a beat returns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from bnn2hw.dataflow import fifo_depths, insert
from bnn2hw.estimate import cycles, gates
from bnn2hw.ir import Cost, Graph, HardwareOp, Node, Steps, Tensor, hardware_nodes, stream_op
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.source import Source
from bnn2hw.targets.families import Family

SHARE = 0.05
"""Share of the LUTs of a chain that running free may cost: the longest path of most such designs is the enable of its
registers, which depends on all handshakes of the chain."""

FULL_RATE = 2
"""Beats that the FIFO holds beside those in registers of the chain: one in itself, one whose credit is on its way."""


def free(graph: Graph, family: Family, *, later: bool = True) -> Graph:
    """Let each chain of a streamed graph run free that takes hardly more LUTs then, or fewer.

    Args:
        graph: Graph in streamed form.
        family: Family whose cost models decide.
        later: Whether the first output may come later, as it can if a FIFO behind the chain is new.
    """
    made = graph
    for chain in list(chains(graph)):
        option = freed(made, chain, family)
        room = _between(made, family) + _cost(graph, chain, family) * SHARE
        if _between(option, family).lut <= room.lut:
            made = option
    if made is graph:
        return graph
    made = fifo_depths.deepen(made)
    return made if later or cycles.latency(made) <= cycles.latency(graph) else graph


def is_free(graph: Graph) -> bool:
    """True if any ops of a streamed graph run free."""
    return bool(gates.of(graph))


def chains(graph: Graph) -> Iterator[tuple[str, ...]]:
    """Yield the longest chains of ops that can run free, at least two ops each.

    Args:
        graph: Graph in streamed form.
    """
    done: set[str] = set()
    for node, op in hardware_nodes(graph):
        before = graph.wire(node.inputs[0])
        heads = isinstance(graph[before].op, Fifo | Source) and not insert.is_shared(graph, before)
        if node.name in done or not heads or not _steady(op, graph.inputs_of(node)):
            continue
        chain = [node.name]
        while (after := _next(graph, chain[-1])) is not None:
            chain.append(after)
        done |= {*chain}
        while chain and not _ends(graph, chain[-1]):
            chain.pop()
        if len(chain) > 1:
            yield tuple(chain)


def _steady(op: HardwareOp, x: tuple[Tensor, ...]) -> bool:
    """True if an op reads one beat per frame and writes one, a fixed number of cycles later."""
    if isinstance(op, Fifo) or len(x) > 1 or op.interval(*x) > 1:
        return False
    timing = op.timing(*x)
    return type(timing) is Steps and bool(timing.reads.all() and timing.writes.all())


def _reader(graph: Graph, stream: str) -> Node | None:
    """Return the only reader of a stream; None if there are others, or an output of the design reads it."""
    readers = graph.readers[stream]
    alone = len(readers) == 1 and not insert.output_indices(graph, stream)
    return readers[0][0] if alone else None


def _next(graph: Graph, stream: str) -> str | None:
    """Return the next op of a chain, which reads a stream alone, through a FIFO or directly; None if it ends here."""
    reader = _reader(graph, stream)
    if reader is not None and isinstance(reader.op, Fifo):
        reader = _reader(graph, reader.name)
    if reader is None or not isinstance(reader.op, HardwareOp):
        return None
    return reader.name if _steady(reader.op, graph.inputs_of(reader)) else None


def _ends(graph: Graph, stream: str) -> bool:
    """True if a chain can end here: one FIFO or one output of the design reads the stream, or one op."""
    return not insert.is_shared(graph, stream)


def freed(graph: Graph, chain: tuple[str, ...], family: Family) -> Graph:
    """Return the graph in which a chain runs free, before the FIFOs are sized anew.

    Args:
        graph: Graph in streamed form.
        chain: Nodes of the ops, as `chains` yields them.
        family: Family whose cost model chooses the depth of the FIFO behind the chain.
    """
    inside = {graph.wire(graph[name].inputs[0]) for name in chain[1:]}
    dropped = {name: graph[name].inputs[0] for name in inside if isinstance(graph[name].op, Fifo)}
    after = _reader(graph, chain[-1])
    there = after.name if after is not None and isinstance(after.op, Fifo) else ""
    exit_of = _exit(graph, chain, family)
    nodes: list[Node] = []
    moved = dict(dropped)
    for node in graph:
        if node.name in dropped:
            continue
        op = exit_of if node.name == there else node.op
        nodes.append(replace(node, op=op, inputs=tuple(moved.get(i, i) for i in node.inputs)))
        if node.name == chain[-1] and not there:
            moved[node.name] = f"{node.name}.fifo"
            nodes.append(Node(moved[node.name], exit_of, (node.name,), node.layer))
    return Graph(tuple(nodes), tuple(moved.get(o, o) for o in graph.outputs))


def _exit(graph: Graph, chain: tuple[str, ...], family: Family) -> Fifo:
    """Return the FIFO behind a chain, of the least depth or one of the next two if that takes fewer LUTs."""
    nodes = [graph[name] for name in chain]
    latency = sum(stream_op(n).timing(*graph.inputs_of(n)).latency for n in nodes)
    fifo, x = replace(Fifo.of(graph.beats(chain[-1])), gated=True), graph.types[chain[-1]]
    depths = range(latency + FULL_RATE, latency + FULL_RATE + 3)
    return min((replace(fifo, depth=depth) for depth in depths), key=lambda f: f.cost(family, x).lut)


def _cost(graph: Graph, names: Collection[str], family: Family) -> Cost:
    """Return the cost of some ops of a graph."""
    total = Cost()
    for node, op in hardware_nodes(graph):
        if node.name in names:
            total += op.cost(family, *graph.inputs_of(node))
    return total


def _between(graph: Graph, family: Family) -> Cost:
    """Return the cost of the FIFOs and gates of a graph."""
    return _cost(graph, {n.name for n, op in hardware_nodes(graph) if isinstance(op, Fifo)}, family)
