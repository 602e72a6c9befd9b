"""Max pooling on integers, in front of the functions that precede or follow it."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import Chain
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.real import MaxPool, Reshape
from bnn2hw.ops.sliding_window import SlidingWindow


def pool_before_single_positions(work: Strategies, task: Task) -> Pending | None:
    """Pool first if functions behind a Flatten differ by position, or if there are none."""
    pending = task.pending
    alone = pending.pools and not pending.maps
    if alone or (pending.pools and work.builder.chain(pending).by_position):
        return pool_all(work, pending)
    return None


def pool(work: Strategies, task: Task) -> Pending | None:
    """Do all poolings on integers, and leave the functions behind them."""
    return pool_all(work, task.pending) if task.pending.pools else None


def pool_all(work: Strategies, pending: Pending) -> Pending:
    """Return an edge whose poolings are done, with the functions of its chain behind them.

    A function that only rises or only falls may be applied behind a pooling: the maximum of a
    falling function is its value at the minimum. In front of any other function, integers are made
    first.

    Raises:
        FloatingPointError: A layer returns NaN.
        NotPointwise: A layer is not a function of single values.
    """
    b = work.builder
    while pending.pools:
        place, node, op = next(
            (i, n.name, n.op) for i, n in enumerate(pending.chain) if isinstance(n.op, MaxPool)
        )
        before, behind = pending.until(place), pending.chain[place + 1 :]
        direction = b.chain(before).direction()
        if np.any(direction == 0):
            edge = b.view(work.integers(Task(before)), b.real.types[before.end].shape)
            pending = Pending(edge, before.end, pending.chain[place:])
            continue
        edge = add_pool(b, node, op, direction == -1, pending.edge)
        b.errors[edge] = b.error(pending.edge)
        functions = [n for n in before.chain if not isinstance(n.op, Reshape)]
        if not functions:
            b.record_fidelity(Pending(pending.edge, pending.start, pending.chain[: place + 1]))
            pending = Pending(edge, node, behind)
            continue
        b.postponed.update(n.name for n in functions)
        pending = Pending(edge, node, (*functions, *behind), pending.target if behind else node)
    return pending


def directions(pending: Pending, chain: Chain) -> list[Array] | None:
    """Return if the functions in front of each pooling rise (+1) or fall (-1), by channel.

    Args:
        pending: The poolings and functions.
        chain: The same as a function of the integers.

    Returns:
        Arrays of shape (features,); None if the functions in front of a pooling do neither.
    """
    found = [chain.until(op).direction() for op in pending.ops if isinstance(op, MaxPool)]
    return None if any(np.any(direction == 0) for direction in found) else found


def add_pools(builder: Builder, pending: Pending, edge: str, minima: list[Array]) -> str:
    """Append all poolings of a chain behind an edge.

    Args:
        builder: The hardware form.
        pending: The chain.
        edge: Edge of the hardware form that the poolings read.
        minima: For each pooling, the channels whose minimum is taken: booleans of shape (channels,)
            or (1,).
    """
    pools = [(n.name, n.op) for n in pending.chain if isinstance(n.op, MaxPool)]
    for (node, op), minimum in zip(pools, minima, strict=True):
        edge = add_pool(builder, node, op, minimum, edge)
    return edge


def add_pool(builder: Builder, node: str, op: MaxPool, minimum: Array, edge: str) -> str:
    """Append a pooling.

    Args:
        builder: The hardware form.
        node: Node of the real form that is the pooling.
        op: Its op.
        minimum: Channels whose minimum is taken: booleans of shape (channels,) or (1,).
        edge: Edge of the hardware form that it reads.
    """
    edge = builder.view(edge, builder.real.types[builder.real[node].inputs[0]].shape)
    tensor = builder.types[edge]
    minimum = np.broadcast_to(minimum, (tensor.channels,)).copy()
    if any((*op.rows, *op.columns)):
        # Values around the image must never be the extreme.
        ends = tuple(int(v) for v in np.where(minimum, tensor.ints.hi, tensor.ints.lo))
        value = ends[0] if len(set(ends)) == 1 else ends
        edge = builder.add(node, Pad(op.rows, op.columns, value), edge, part="border")
    if op.stride == op.size and op.dilation == (1, 1):
        return builder.add(node, Pool(minimum, op.size), edge)
    edge = builder.add(node, SlidingWindow(op.size, op.stride, op.dilation), edge, part="window")
    return builder.add(node, Pool(minimum, op.size, windowed=True), edge)
