"""Turn a folded graph into a streamed graph: insert width converters and FIFOs, then size the FIFOs."""

from __future__ import annotations

from bnn2hw.dataflow import fifo_depths, insert
from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir import Graph, View


def connect(graph: Graph) -> Graph:
    """Insert width converters and FIFOs, each FIFO as deep as the interval of the network needs.

    Args:
        graph: The graph in folded form.

    Raises:
        Bnn2hwError: No node reads one of the streams.
    """
    outputs = {graph.wire(name) for name in graph.outputs}
    for name, readers in graph.readers.items():
        if not readers and name not in outputs and not isinstance(graph[name].op, View):
            raise Bnn2hwError(f"no node reads the stream '{name}', and it is not an output")
    return fifo_depths.deepen(insert.insert_fifos(graph))
