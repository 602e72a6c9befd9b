"""Graphs in hardware form that are built node by node, and random ones whose streams fork and meet again."""

from __future__ import annotations

import numpy as np

from bnn2hw.dataflow import connect
from bnn2hw.ir import BIPOLAR, Graph, HardwareOp, Ints, Node, Op, Tensor
from bnn2hw.ops import Add, Concat, Multiply, Pad, Pool, SlidingWindow, Source, Threshold, Xnor


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def binary(rng: np.random.Generator, tensor: Tensor) -> Threshold:
    """Random thresholds near the middle of a type."""
    ints = tensor.ints
    middle = ints.values()[ints.count // 4 : ints.count - ints.count // 4]
    return Threshold(rng.choice(middle, (tensor.channels, 1)))


class Builder:
    """A graph that grows node by node, each op in a random folding.

    Args:
        seed: Of weights and foldings.
        period: Cycles per frame that a folding may take, if one is that fast.
        tight: Share of the ops that are as slow as `period` allows.
    """

    def __init__(self, seed: int, period: int = 1500, tight: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.period, self.tight = period, tight
        self.graph = Graph((), ())

    def add(self, name: str, op: Op, *inputs: str) -> str:
        x = [self.graph.types[i] for i in inputs]
        if isinstance(op, HardwareOp):
            foldings = list(op.foldings(*x))
            quick = [o for o in foldings if o.interval(*x) <= self.period] or foldings[-1:]
            if self.tight and self.rng.random() < self.tight:
                slowest = max(o.interval(*x) for o in quick)
                quick = [o for o in quick if o.interval(*x) == slowest]
            op = quick[self.rng.integers(len(quick))]
        self.graph = Graph((*self.graph.nodes, Node(name, op, inputs)), ())
        return name

    def source(self, name: str, tensor: Tensor) -> str:
        lanes = [d for d in range(1, tensor.channels + 1) if tensor.channels % d == 0]
        return self.add(name, Source(tensor, int(self.rng.choice(lanes))))

    def sign(self, edge: str) -> str:
        """Thresholds behind an edge, or the edge itself if it carries signs already."""
        if self.graph.types[edge].ints == BIPOLAR:
            return edge
        name = f"{edge}.sign"
        return name if name in self.graph.types else self.threshold(edge)

    def threshold(self, edge: str) -> str:
        return self.add(f"{edge}.sign", binary(self.rng, self.graph.types[edge]), edge)

    def conv(self, name: str, edge: str, filters: int, size: int = 3) -> str:
        """A convolution that keeps rows and columns."""
        border = ((size - 1) // 2, size // 2)
        padded = self.add(f"{name}.pad", Pad(border, border, -1), edge) if size > 1 else edge
        window = self.add(f"{name}.window", SlidingWindow((size, size)), padded) if size > 1 else padded
        weights = signs(self.rng, self.graph.types[window].channels, filters)
        return self.add(name, Xnor(weights), window)

    def dense(self, name: str, edge: str, units: int, axes: int) -> str:
        size = int(np.prod(self.graph.types[edge].shape[-axes:]))
        return self.add(name, Xnor(signs(self.rng, size, units), axes=axes), edge)

    def gate(self, name: str, edge: str) -> str:
        """Signs weighted by a vector that depends on the whole frame."""
        channels = self.graph.types[edge].channels
        vector = self.dense(f"{name}.squeeze", edge, channels, axes=3)
        sums = self.graph.types[vector].ints.values()
        cuts = np.sort(self.rng.choice(sums[sums.size // 4 : -(sums.size // 4)], (channels, 3)), 1)
        gate = self.add(f"{name}.levels", Threshold(cuts, Ints(0, 3)), vector)
        return self.add(name, Multiply(), edge, gate)

    def halved(self, name: str, edge: str) -> str:
        """A convolution, and a pool where rows and columns are even."""
        channels = self.graph.types[edge].channels
        out = self.threshold(self.conv(name, edge, channels))
        even = all(size % 2 == 0 and size > 2 for size in self.graph.types[out].shape[:2])
        return self.add(f"{name}.pool", Pool(np.zeros(channels, bool)), out) if even else out

    def ending(self, *outputs: str) -> Graph:
        """The graph without the nodes that lead to no output."""
        graph = Graph(self.graph.nodes, outputs)
        while True:
            dead = {n.name for n in graph if not graph.readers[n.name] and n.name not in outputs}
            if not dead:
                return graph
            graph = Graph(tuple(n for n in graph if n.name not in dead), outputs)

    def streamed(self, *outputs: str) -> Graph:
        return connect.connect(Graph(self.graph.nodes, outputs))


def branching(seed: int) -> Graph:
    """A folded graph of a few random blocks: residual, dense, gated, or a convolution, most of them tight."""
    rng = np.random.default_rng(seed)
    period = int(rng.choice([64, 100, 144, 200, 256, 300, 512]))
    b = Builder(seed, period, tight=float(rng.uniform(0.2, 1.0)))
    height, width, channels = (int(n) for n in (*rng.integers(4, 10, 2), rng.choice([2, 4, 8])))
    edges = [b.source("x", Tensor((height, width, channels), BIPOLAR))]
    for number in range(int(rng.integers(2, 6))):
        name, old = f"block{number}", edges[-1 if rng.random() < 0.5 else int(rng.integers(len(edges)))]
        edge, channels = b.sign(old), b.graph.types[old].channels
        kind = rng.integers(6)
        if kind < 2:
            joined = b.add(name, Add(), b.conv(f"{name}.conv", edge, channels), old)
        elif kind == 2:
            joined = b.add(name, Concat(), b.threshold(b.conv(f"{name}.conv", edge, 4)), edge)
        elif kind == 3:
            first = b.conv(f"{name}.first", edge, channels)
            joined = b.add(name, Add(), b.conv(f"{name}.second", b.threshold(first), channels), first)
        elif kind == 4:
            joined = b.halved(name, edge)
            edges = []  # other sizes do not fit from here on
        else:
            joined = b.sign(b.gate(name, edge))
        edges.append(joined)
    return b.ending(b.dense("scores", b.sign(edges[-1]), 3, axes=3) if rng.random() < 0.5 else edges[-1])


def chain(seed: int) -> Graph:
    """A folded graph of a few random convolutions, most of them tight, and perhaps dense layers."""
    rng = np.random.default_rng(seed)
    b = Builder(seed, int(rng.choice([64, 100, 128, 200, 256])), tight=float(rng.uniform(0.2, 1.0)))
    height, width, channels = (int(n) for n in (*rng.integers(4, 10, 2), rng.choice([1, 2, 4, 6])))
    edge = b.source("x", Tensor((height, width, channels), BIPOLAR))
    for number in range(int(rng.integers(1, 6))):
        name = f"conv{number}"
        if rng.random() < 0.3:
            edge = b.halved(name, edge)
        else:
            edge = b.threshold(b.conv(name, edge, int(rng.choice([2, 4, 8])), int(rng.integers(1, 4))))
    return b.ending(b.dense("scores", edge, 5, axes=3) if rng.random() < 0.5 else edge)
