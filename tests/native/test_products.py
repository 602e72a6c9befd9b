"""Units of integers times integers: each kernel that may compute them equals golden in every instruction set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.errors import InputError
from bnn2hw.ir import Graph, Ints, Node, Tensor
from bnn2hw.native import library, sources
from bnn2hw.native.sources import compile_graph
from bnn2hw.ops import Affine, Mac, SlidingWindow, Source, Table
from tests.support import random_frames


@dataclass(frozen=True)
class Unit:
    """A unit behind windows of an image.

    Attributes:
        kernel: The kernel that computes it.
        inputs: Smallest and largest input.
        weight: Largest weight.
        image: Rows, columns and channels.
        windows: Rows and columns of a window.
        neurons: Neurons of the unit.
        stride: Distance of windows.
    """

    kernel: str
    inputs: tuple[int, int]
    weight: int
    image: tuple[int, int, int] = (7, 21, 3)
    windows: tuple[int, int] = (3, 3)
    neurons: int = 20
    stride: tuple[int, int] = (1, 1)

    def graph(self) -> Graph:
        rng = np.random.default_rng(self.neurons)
        taps = self.windows[0] * self.windows[1] * self.image[2]
        weights = rng.integers(-self.weight, self.weight + 1, (taps, self.neurons))
        weights[:, 0], weights[:, -1] = self.weight, -self.weight
        nodes = (
            Node("x", Source(Tensor(self.image, Ints(*self.inputs)))),
            Node("windows", SlidingWindow(self.windows, self.stride), ("x",)),
            Node("unit", Mac(weights), ("windows",)),
        )
        return Graph(nodes, ("unit",))


UNITS = {
    "bytes": Unit("dot", (0, 255), 63),
    "bytes times wider weights": Unit("dot_words", (0, 255), 127),
    "words": Unit("dot_words", (-255, 255), 2**17 - 1),
    "words at their ends": Unit("dot_words", (-(2**15), 2**15 - 1), 2**9, neurons=70),
    "the widest weights of words": Unit("dot_words", (-3, 3), 2**25, (5, 9, 2), (2, 2), 33),
    "words with strides": Unit("dot_words", (-255, 255), 2**17 - 1, (9, 23, 3), (2, 3), 8, (2, 2)),
    "an odd number of words": Unit("dot_words", (-255, 255), 2**15, (6, 10, 1), (1, 3), 5),
    "words in floating point": Unit("mac", (-255, 255), 2**21, neurons=9),
    "sums of 53 bits": Unit("mac", (-(2**28), 2**28), 2**17, neurons=18),
    "sums of 64 bits": Unit("mac", (-(2**31), 2**31 - 1), 2**23, neurons=18),
    "sums of 64 bits of wide inputs": Unit("mac", (-(2**33), 2**33), 2**21, neurons=18),
}


@pytest.mark.parametrize("version", sources.versions())
def test_every_kernel(version: str) -> None:
    graphs = {f"n{i}": unit.graph() for i, unit in enumerate(UNITS.values())}
    made = library.networks(graphs, dict.fromkeys(graphs, frozenset[str]()))

    for (name, graph), (words, unit) in zip(graphs.items(), UNITS.items(), strict=True):
        assert any(s.kernel == unit.kernel for s in made[name].program.steps), words
        frames = np.random.default_rng(1).integers(*unit.inputs, (5, *unit.image), np.int64, endpoint=True)
        frames[0], frames[1] = unit.inputs
        try:
            [found] = made[name].run(frames, threads=1, version=version).values()
        except InputError as error:
            pytest.skip(str(error))
        assert np.array_equal(found, golden.run(graph, frames)["unit"]), words


@pytest.mark.parametrize("rows", [1, 4])
def test_what_follows_a_table_is_looked_up_too(rows: int) -> None:
    domain, output = Ints(-6, 6, 2), Ints(-(2**30), 2**30)
    rng = np.random.default_rng(rows)
    table = Table(rng.integers(0, 200, (rows, domain.count)), domain, Ints(0, 200))
    line = Affine(np.array([[2**23]]), np.array([[-7]]), np.zeros((1, 0), np.int64), 2, output)
    nodes = (
        Node("x", Source(Tensor((5, 4), domain))),
        Node("table", table, ("x",)),
        Node("line", line, ("table",)),
    )
    graph = Graph(nodes, ("line",))

    assert [s.kernel for s in compile_graph(graph).steps] == ["table", "convert"]
    frames = random_frames(graph, 9, 1)
    [found] = library.network(graph, "looked_up").run(frames).values()
    assert np.array_equal(found, golden.run(graph, frames)["line"])
    kept = library.network(graph, "kept", frozenset({"table"})).run(frames)
    assert np.array_equal(kept["table"], golden.run(graph, frames)["table"])
