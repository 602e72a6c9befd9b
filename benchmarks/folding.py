"""Seconds of the search for foldings, and its proofs.

    python benchmarks/folding.py

Networks are built in hardware form with random weights, so that neither Keras nor lowering is timed. Seconds are of
processor time, each from nothing; "rate" is the cheapest folding at ten times the interval of the fastest, "device" the
fastest that fits, "front" all points at least 10 % apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import records

from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.folding.space import FoldingSpace
from bnn2hw.ir import BIPOLAR, Array, Graph, Node, Op, Tensor
from bnn2hw.ops import Add, Concat, Pad, Pool, SlidingWindow, Source, Threshold, Xnor
from bnn2hw.targets import devices

RNG = np.random.default_rng(0)


class Grower:
    """A graph in hardware form that grows by layers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.graph = Graph((Node("x", Source(Tensor(shape, BIPOLAR))),), ())

    def add(self, op: Op, *inputs: str) -> str:
        """One more node; its name."""
        name = f"n{len(self.graph.nodes)}"
        self.graph = Graph((*self.graph.nodes, Node(name, op, inputs)), ())
        return name

    def conv(self, edge: str, filters: int, size: int = 3) -> str:
        """A convolution that keeps rows and columns, without its threshold."""
        if size > 1:
            edge = self.add(SlidingWindow((size, size)), self.add(Pad((1, 1), (1, 1), -1), edge))
        return self.add(Xnor(signs(self.graph.types[edge].channels, filters)), edge)

    def sign(self, edge: str) -> str:
        """Random thresholds."""
        x = self.graph.types[edge]
        return self.add(Threshold(RNG.choice(x.ints.values(), (x.channels, 1))), edge)

    def pool(self, edge: str) -> str:
        """The largest of each two by two."""
        return self.add(Pool(np.zeros(self.graph.types[edge].channels, bool)), edge)

    def scores(self, edge: str) -> Graph:
        """The graph with a dense layer at its end."""
        last = self.add(Xnor(signs(math.prod(self.graph.types[edge].shape), 10), axes=3), edge)
        return Graph(self.graph.nodes, (last,))


def signs(mw: int, mh: int) -> Array:
    return RNG.choice(np.array([-1, 1], np.int8), (mw, mh))


def dense(*widths: int) -> Graph:
    """Dense layers with a threshold after each but the last."""
    g, edge = Grower((widths[0],)), "x"
    for i, width in enumerate(widths[1:], 1):
        edge = g.add(Xnor(signs(widths[i - 1], width)), edge)
        edge = edge if i == len(widths) - 1 else g.sign(edge)
    return Graph(g.graph.nodes, (edge,))


def plain(layers: int) -> Graph:
    """Convolutions one after the other, with a pool after each quarter."""
    g, edge = Grower((32, 32, 16)), "x"
    for i in range(layers - 1):
        edge = g.sign(g.conv(edge, 64 * 2 ** (4 * i // layers)))
        edge = g.pool(edge) if 4 * (i + 1) // layers > 4 * i // layers and i < layers - 2 else edge
    return g.scores(edge)


def residual(layers: int) -> Graph:
    """Each convolution's sums are added to what came in, which goes on as integers."""
    g = Grower((16, 16, 64))
    edge = g.conv("x", 64)
    for _ in range(layers - 2):
        edge = g.add(Add(), g.conv(g.sign(edge), 64), edge)
    return g.scores(g.sign(edge))


def densely(layers: int) -> Graph:
    """Each convolution's output is joined to all that came before."""
    g, edge = Grower((16, 16, 64)), "x"
    for _ in range(layers - 1):
        edge = g.add(Concat(), edge, g.sign(g.conv(edge, 32)))
    return g.scores(edge)


Found = TypeVar("Found")

NETWORKS: dict[str, tuple[Callable[[], Graph], str]] = {
    "784-64-64-64-10": (lambda: dense(784, 64, 64, 64, 10), "xc7z020"),
    "784-1024-1024-1024-10": (lambda: dense(784, 1024, 1024, 1024, 10), "xc7z045"),
    "50 layers, plain": (lambda: plain(50), "xcu250"),
    "50 layers, residual": (lambda: residual(50), "xcu250"),
    "50 layers, dense blocks": (lambda: densely(50), "xcu250"),
}


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


RECORD = "folding"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources(
        "bnn2hw/folding", "bnn2hw/estimate", "bnn2hw/ops", "bnn2hw/targets", "benchmarks/folding.py"
    )
    return {"search": dict.fromkeys(NETWORKS, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Search three times; return the cells of a row and the versions of the tools."""
    make, target = NETWORKS[row]
    graph, device = make(), devices.device(target)
    places = FoldingSpace(graph, device).places
    period = 10 * search.fastest(graph)
    chosen, rate = timed(lambda: FoldingSpace(graph, device).least(period))
    folded, fit = timed(lambda: search.for_device(graph, device))
    front, whole = timed(lambda: search.pareto(graph, device, ratio=1.1))
    cells = {
        "network": row,
        "ops": f"{len(places)}",
        "foldings": f"10^{sum(math.log10(len(p.ops)) for p in places):.0f}",
        "rate, s": f"{rate:.1f}",
        "proved": "yes" if chosen and chosen.proved else "no",
        "device, s": f"{fit:.1f} ({cycles.interval(folded):,} cycles)",
        "front, s": f"{whole:.1f} ({len(front)} points)",
        "largest gap of the front": f"{max(0.0 if p.proved else 1 - max(p.bound, 0.0) / p.price for p in front):.2%}",
    }
    return cells, records.versions("numpy", "scipy")
