"""Leave out neurons that nothing reads, and neurons whose output is a constant.

Weights that are 0 leave such neurons: a row of a kernel that is 0 reads nothing of its input, and a column that is
0 makes the same value for every frame. The layer in front is then made without these neurons, and the functions and
poolings between the two have fewer channels. All other values stay what they are, float for float: the layers
themselves still compute them, with zeros in the places that are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2hw.ir import Array, Graph, Node
from bnn2hw.ops.real import (
    Border,
    Convolution,
    Dense,
    FixedPoint,
    Flatten,
    Levels,
    Pointwise,
    Pool,
    RealOp,
    Reshape,
    reshaping,
)

DYADIC = 2.0**16
"""Constants that are whole multiples of its inverse are folded, since float32 adds them without rounding."""

MOST = 2.0**23
"""Largest sum of such constants, in these multiples."""


@dataclass(frozen=True)
class _Chain:
    """Two products of matrices, and the nodes between them that treat each channel by itself.

    Attributes:
        first: The product that makes the channels.
        between: Functions, poolings, borders, and at most one Flatten.
        last: The product that alone reads them.
    """

    first: Node
    between: tuple[Node, ...]
    last: Node

    @property
    def positions(self) -> int:
        """Values of each channel that the last product reads: those of all pixels behind a Flatten."""
        return int(_kernel(self.last).shape[-2]) // int(_kernel(self.first).shape[-1])

    def read(self) -> Array:
        """Return for each channel if a weight other than 0 reads it."""
        used = np.any(_kernel(self.last) != 0, axis=(*range(_kernel(self.last).ndim - 2), -1))
        found: Array = used.reshape(self.positions, -1).any(0)
        return found

    def fixed(self) -> Array:
        """Return for each channel if its weights are all 0, so that it is a constant."""
        kernel = _kernel(self.first)
        whole = all(isinstance(node.op, Pointwise | Reshape) for node in self.between)
        found: Array = np.all(kernel == 0, axis=tuple(range(kernel.ndim - 1)))
        return found & whole


def pruned(graph: Graph) -> Graph:
    """Return a graph in real form without neurons that are not read or constant.

    Args:
        graph: The model in real form.

    Returns:
        The graph, whose nodes have their names. The outputs are the same, float for float; constants are left in
        where float32 would round them otherwise.
    """
    chains = [node.name for node in graph if _chain_to(graph, node) is not None]
    changed = True
    while changed:
        changed = False
        for last in reversed(chains):
            chain = _chain_to(graph, graph[last])
            made = None if chain is None else _without(graph, chain)
            if made is not None:
                graph, changed = made, True
    return graph


def _chain_to(graph: Graph, last: Node) -> _Chain | None:
    """The chain that ends in a product; None if its inputs are made otherwise, or read elsewhere too."""
    if not _multiplies(last) or _rounds_input(last):
        return None
    between: list[Node] = []
    node = graph[last.inputs[0]]
    while len(graph.consumers[node.name]) == 1 and node.name not in graph.outputs:
        if _multiplies(node):
            return _Chain(node, tuple(reversed(between)), last)
        again = isinstance(node.op, Flatten) and any(isinstance(n.op, Flatten) for n in between)
        if again or not isinstance(node.op, Pointwise | Pool | Border | Reshape):
            return None
        between.append(node)
        node = graph[node.inputs[0]]
    return None


def _multiplies(node: Node) -> bool:
    return isinstance(node.op, Dense | Convolution) and len(node.inputs) == 1


def _rounds_input(node: Node) -> bool:
    """True if a product rounds its input in steps that depend on the largest value of a vector, so on all values."""
    return isinstance(node.op, Dense) and node.op.rounds_input > 0


def _kernel(node: Node) -> Array:
    op: Any = node.op
    kernel: Array = op.kernel
    return kernel


def _without(graph: Graph, chain: _Chain) -> Graph | None:
    """The graph without the channels of a chain that are not needed; None if all are."""
    read, fixed = chain.read(), chain.fixed()
    added = _constants(graph, chain, read & fixed)
    needed = read & ~fixed if added is not None else read
    if not needed.any():
        needed[0] = True
    if needed.all():
        return None
    keep = np.flatnonzero(needed)
    nodes = {chain.first.name: replace(chain.first, op=_fewer_outputs(chain.first.op, keep))}
    wide = keep
    for node in chain.between:
        nodes[node.name] = replace(
            node, op=_between(graph, node, wide := _behind(chain, node, keep, wide), keep)
        )
    wide = (np.arange(chain.positions)[:, None] * len(read) + keep).ravel()
    nodes[chain.last.name] = replace(chain.last, op=_fewer_inputs(chain.last.op, wide))
    made = Graph(tuple(nodes.get(n.name, n) for n in graph), graph.outputs)
    return made if added is None or not added.any() else _with_sum(made, chain.last, added)


def _behind(chain: _Chain, node: Node, keep: Array, wide: Array) -> Array:
    """The channels that remain behind a node of a chain.

    Args:
        chain: The chain.
        node: The node.
        keep: The channels that remain of the first product.
        wide: Those that remain in front of the node.
    """
    if not isinstance(node.op, Flatten):
        return wide
    found: Array = (np.arange(chain.positions)[:, None] * _kernel(chain.first).shape[-1] + keep).ravel()
    return found


def _between(graph: Graph, node: Node, wide: Array, keep: Array) -> RealOp:
    """A node of a chain with fewer channels."""
    if not isinstance(node.op, Reshape):
        return _narrow(node.op, wide)
    before, after = graph.types[node.inputs[0]].shape, graph.types[node.name].shape
    front = keep if isinstance(node.op, Flatten) else wide
    return reshaping((*before[:-1], len(front)), (*after[:-1], len(wide)))


def _constants(graph: Graph, chain: _Chain, which: Array) -> Array | None:
    """The sums that constant channels add to the outputs of the last product; None if float32 may round them."""
    kernel = _kernel(chain.last).astype(np.float64)
    none = np.zeros(kernel.shape[-1])
    if not which.any():
        return none
    if chain.last.name in graph.outputs:
        return None  # the output keeps its name
    x = np.zeros((1, *graph.types[chain.first.name].shape), np.float32)
    for node in chain.between:
        x = node.op.golden(x)  # the other channels are no constants, and are not used
    count = kernel.shape[-2]
    values = np.where(np.tile(which, chain.positions), x.reshape(-1, count)[0].astype(np.float64), 0.0)
    terms = np.einsum("...io,i->...io", kernel, values) * DYADIC
    whole = np.all(kernel * DYADIC == np.rint(kernel * DYADIC)) and np.all(terms == np.rint(terms))
    if not whole or np.abs(terms).sum() > MOST:
        return None
    total: Array = terms.sum(tuple(range(kernel.ndim - 1))) / DYADIC
    return total


def _with_sum(graph: Graph, last: Node, added: Array) -> Graph:
    """The graph with constants added behind a product, under a name that its readers know then."""
    name, shape = f"{last.name}.constants", graph.types[last.name].shape
    values = added.astype(np.float32)

    def apply(x: Array) -> Array:
        return x.astype(np.float32) + values

    node = Node(name, Pointwise(apply, shape, uniform=False), (last.name,), last.layer)
    nodes: list[Node] = []
    for each in graph:
        inputs = tuple(name if i == last.name else i for i in each.inputs)
        nodes += [each, node] if each.name == last.name else [replace(each, inputs=inputs)]
    return Graph(tuple(nodes), tuple(name if o == last.name else o for o in graph.outputs))


def _spread(x: Array, keep: Array, count: int) -> Array:
    """Channels at their places among others, which are 0."""
    whole = np.zeros((*x.shape[:-1], count), np.float32)
    whole[..., keep] = x
    return whole


def _fewer_outputs(op: Any, keep: Array) -> RealOp:
    """A product without some of its outputs."""

    def apply(x: Array) -> Array:
        found: Array = op.apply(x)[..., keep]
        return found

    levels = op.levels and Levels(op.levels.integers[..., keep], _of_channels(op.levels.scale, keep))
    made: RealOp = replace(
        op, apply=apply, shape=(*op.shape[:-1], len(keep)), kernel=op.kernel[..., keep], levels=levels
    )
    return made


def _of_channels(scale: Any, keep: Array) -> Any:
    """One number for all channels as it is, or those of some channels."""
    values = np.asarray(scale)
    return scale if values.ndim == 0 or values.size == 1 else values[..., keep]


def _fewer_inputs(op: Any, keep: Array) -> RealOp:
    """A product without some of its inputs, which it reads as 0."""
    count = op.kernel.shape[-2]

    def apply(x: Array) -> Array:
        found: Array = op.apply(_spread(x, keep, count))
        return found

    levels = op.levels and replace(op.levels, integers=op.levels.integers[..., keep, :])
    made: RealOp = replace(op, apply=apply, kernel=op.kernel[..., keep, :], levels=levels)
    return made


def _narrow(op: Any, keep: Array) -> RealOp:
    """A function, a pooling or a border of some channels only."""
    count = op.shape[-1]

    def apply(x: Array) -> Array:
        if x.shape[-1] != len(keep):  # a function that is the same for all channels is asked for one
            return op.apply(x)  # type: ignore[no-any-return]
        found: Array = op.apply(_spread(x, keep, count))[..., keep]
        return found

    narrow: dict[str, Any] = {"apply": apply, "shape": (*op.shape[:-1], len(keep))}
    if isinstance(op, Pointwise) and op.fixed is not None:
        narrow["fixed"] = _fixed(op.fixed, keep, count)
    made: RealOp = replace(op, **narrow)
    return made


def _fixed(fixed: FixedPoint, keep: Array, count: int) -> FixedPoint:
    """The numbers of some channels."""
    rows = (fixed.signs, fixed.integers, fixed.fractions)
    signs, integers, fractions = (a[keep] if len(a) == count else a for a in rows)
    return replace(fixed, signs=signs, integers=integers, fractions=fractions)
