"""Images of a design's loadable memories: what a port for them takes, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bnn2hw.backends.design import Load, pack
from bnn2hw.errors import InputError
from bnn2hw.estimate import cycles
from bnn2hw.ir import Graph, HardwareOp, Memory
from bnn2hw.ops.base.costs import SLICE, slices

HEAD = 4
"""Words before the slices: the numbers of the design and of the image, in two words each."""


def memories(graph: Graph) -> Iterator[tuple[str, str, Memory]]:
    """The loadable memories of a graph in the order of the chain: the node, the parameter, the contents."""
    for node in graph:
        if isinstance(node.op, HardwareOp):
            for name, memory in node.op.loads(*graph.inputs_of(node)).items():
                yield node.name, name, memory


def of(graph: Graph) -> Load | None:
    """What the images of a streamed graph are like, but for the design's number; None where nothing can be loaded."""
    shapes = [(*m.codes.shape, m.bits) for _, _, m in memories(graph)]
    if not shapes:
        return None
    total = sum(words * slices(lanes * bits) for words, lanes, bits in shapes)
    stages = sum(isinstance(n.op, HardwareOp) and n.op.writable for n in graph)
    alone = cycles.cycles(graph)
    # All inputs are there and no output waits, so what is left of a frame takes no longer than a frame.
    return Load(0, total, stages, len(shapes), 2 * alone.interval + alone.latency)


def number(*texts: str) -> int:
    """A number of 32 bits for some texts, neither 0 nor all ones."""
    digest = hashlib.sha256("\0".join(texts).encode()).digest()
    return int.from_bytes(digest[:4], "little") % (2**32 - 2) + 1


def image(graph: Graph, load: Load | None) -> NDArray[np.uint32]:
    """What is to be sent to a design so that its memories hold what those of a graph do, a word of the port each.

    Args:
        graph: streamed, whose design differs in the contents of its loadable memories at most.
        load: of the design.

    Raises:
        InputError: its memories cannot be written.
    """
    if load is None:
        raise InputError("the memories of this design cannot be written; compile it with loadable=True")
    parts = [_slices(memory) for _, _, memory in memories(graph)]
    contents = np.concatenate(parts)
    digest = hashlib.sha256(contents.astype("<u4").tobytes()).hexdigest()
    numbers = load.design, number(digest)
    head = [part for n in numbers for part in (n & (1 << SLICE) - 1, n >> SLICE)]
    return np.concatenate([np.array(head, np.uint32), contents])


def numbered(words: NDArray[np.uint32]) -> tuple[int, int]:
    """The numbers of the design and of the image that an image's head names."""
    head = [int(w) for w in words[:HEAD]]
    return head[0] | head[1] << SLICE, head[2] | head[3] << SLICE


def _slices(memory: Memory) -> NDArray[np.uint32]:
    """The words of a memory in slices, the lowest of each first."""
    words = pack(np.asarray(memory.codes, np.int64), memory.bits)
    bits = memory.codes.shape[1] * memory.bits
    planes = np.unpackbits(words, axis=1, bitorder="little", count=bits)
    padded = np.zeros((len(planes), slices(bits) * SLICE), np.uint32)
    padded[:, :bits] = planes
    whole: NDArray[np.uint32] = padded.reshape(-1, SLICE) @ (
        np.uint32(1) << np.arange(SLICE, dtype=np.uint32)
    )
    return whole
