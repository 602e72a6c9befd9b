"""Weight images: the contents of loadable memories, in the order of the load port."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnn2hw.backends.design import Load, pack
from bnn2hw.errors import InputError
from bnn2hw.estimate import cycles
from bnn2hw.ir import Graph, HardwareOp, Memory
from bnn2hw.ops.base.costs import SLICE, slices

FIXED = "the memories of this design cannot be written; compile it with loadable=True"
"""Message for a design whose weights are fixed."""

HEAD = 4
"""Words before the slices: the number of the design and the number of the image, two words each."""


def memories(graph: Graph) -> Iterator[tuple[str, str, Memory]]:
    """Iterate over the loadable memories of a graph, in the order of the load chain.

    Yields:
        The node's name, the parameter's name, the contents.
    """
    for node in graph:
        if isinstance(node.op, HardwareOp):
            x = graph.inputs_of(node)
            parts = node.op.printed_parts(*x) if node.op.writable else ()
            for held in [part.memories for part in parts] or [node.op.loads(*x)]:
                for name, memory in held.items():
                    yield node.name, name, memory


def of(graph: Graph) -> Load | None:
    """Return the layout of a streamed graph's weight images, without the number of the design.

    Returns:
        The layout; None if no memory can be written.
    """
    shapes = [(*m.codes.shape, m.bits) for _, _, m in memories(graph)]
    if not shapes:
        return None
    total = sum(words * slices(lanes * bits) for words, lanes, bits in shapes)
    stages = sum(isinstance(n.op, HardwareOp) and n.op.writable for n in graph)
    rest = 2 * cycles.interval(graph) + cycles.latency(graph)
    # All inputs have come, and every output is taken. So the rest of a frame takes no longer than a
    # frame.
    return Load(0, total, stages, len(shapes), rest)


def number(*texts: str) -> int:
    """Return a number of 32 bits for some texts. It is neither 0 nor all ones."""
    digest = hashlib.sha256("\0".join(texts).encode()).digest()
    return int.from_bytes(digest[:4], "little") % (2**32 - 2) + 1


def image(graph: Graph, load: Load | None) -> NDArray[np.uint32]:
    """Return the weight image that gives the memories of a design the contents that a graph's have.

    Args:
        graph: A streamed graph. Its design may differ from the target's in the contents of loadable
            memories only.
        load: Layout of the target's images; None if its memories cannot be written.

    Returns:
        Words for the load port, of which the low 18 bits count.

    Raises:
        InputError: the memories cannot be written.
    """
    if load is None:
        raise InputError(FIXED)
    parts = [_slices(memory) for _, _, memory in memories(graph)]
    contents = np.concatenate(parts)
    digest = hashlib.sha256(contents.astype("<u4").tobytes()).hexdigest()
    numbers = load.design, number(digest)
    head = [part for n in numbers for part in (n & (1 << SLICE) - 1, n >> SLICE)]
    return np.concatenate([np.array(head, np.uint32), contents])


def numbered(words: NDArray[np.uint32]) -> tuple[int, int]:
    """Return the number of the design and the number of the image from the head of an image."""
    head = [int(w) for w in words[:HEAD]]
    return head[0] | head[1] << SLICE, head[2] | head[3] << SLICE


def is_image(path: Path) -> bool:
    """True if a file holds 32-bit words of which only the bits of a slice are used, or nothing."""
    words = path.read_bytes()
    return len(words) % 4 == 0 and not np.any(np.frombuffer(words, "<u4") >> SLICE)


def _slices(memory: Memory) -> NDArray[np.uint32]:
    """Cut the words of a memory into slices, the lowest slice of each word first."""
    words = pack(np.asarray(memory.codes, np.int64), memory.bits)
    bits = memory.codes.shape[1] * memory.bits
    planes = np.unpackbits(words, axis=1, bitorder="little", count=bits)
    padded = np.zeros((len(planes), slices(bits) * SLICE), np.uint32)
    padded[:, :bits] = planes
    whole: NDArray[np.uint32] = padded.reshape(-1, SLICE) @ (
        np.uint32(1) << np.arange(SLICE, dtype=np.uint32)
    )
    return whole
