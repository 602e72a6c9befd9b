"""Binary units over windows of images: every instruction set equals golden for any geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.errors import InputError
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.native import library, sources
from bnn2hw.ops import Pad, SlidingWindow, Source, Threshold, Xnor
from tests.support import random_frames


@dataclass(frozen=True)
class Unit:
    """A unit behind a border and windows.

    Attributes:
        image: Rows, columns and channels.
        kernel: Rows and columns of a window.
        neurons: Neurons of the unit.
        windows: Other attributes of the windows.
        border: Value of a border of one pixel, or None for no border.
        fires: True if only thresholds read the sums.
        frames: Images.
    """

    image: tuple[int, int, int]
    kernel: tuple[int, int]
    neurons: int
    windows: dict[str, tuple[int, int]]
    border: int | None = None
    fires: bool = True
    frames: int = 3

    def graph(self) -> Graph:
        rng = np.random.default_rng(self.neurons)
        taps = self.kernel[0] * self.kernel[1] * self.image[2]
        weights = rng.choice([-1, 1], (taps, self.neurons)).astype(np.int8)
        nodes = [Node("x", Source(Tensor(self.image, BIPOLAR)))]
        if self.border is not None:
            nodes.append(Node("border", Pad((1, 1), (1, 1), self.border), ("x",)))
        nodes.append(Node("windows", SlidingWindow(self.kernel, **self.windows), (nodes[-1].name,)))
        nodes.append(Node("unit", Xnor(weights), ("windows",)))
        sums = Graph(tuple(nodes), ("unit",)).types["unit"].ints.values()
        likely = sums[np.abs(sums) <= 2 * np.sqrt(taps) + 2]
        levels = rng.choice(likely, (self.neurons, 1))
        nodes.append(Node("fires", Threshold(levels, falls=rng.random(self.neurons) < 0.5), ("unit",)))
        return Graph(tuple(nodes), ("fires",))


UNITS = {
    "whole words": Unit((18, 18, 64), (3, 3), 64, {}),
    "two blocks of neurons": Unit((6, 29, 64), (3, 3), 128, {}),
    "channels that fill no word": Unit((12, 12, 40), (3, 3), 70, {}),
    "few channels and neurons": Unit((12, 12, 5), (2, 4), 3, {}, frames=9),
    "a border of signs": Unit((9, 9, 96), (3, 3), 33, {}, border=-1),
    "a border of zeros": Unit((9, 9, 64), (3, 3), 130, {}, border=0),
    "sums behind a border of zeros": Unit((8, 10, 36), (3, 3), 70, {}, border=0, fires=False),
    "sums": Unit((8, 10, 32), (1, 1), 40, {}, fires=False),
    "strides": Unit((15, 16, 64), (3, 3), 64, {"stride": (2, 2)}, frames=2),
    "strides beyond the window": Unit((15, 16, 32), (1, 2), 64, {"stride": (3, 3)}, frames=4),
    "dilation": Unit((14, 16, 64), (3, 3), 64, {"dilation": (2, 3)}),
    "dilation, strides and zeros": Unit((14, 16, 48), (3, 2), 50, {"dilation": (3, 2), "stride": (1, 2)}, 0),
    "many synapses": Unit((7, 8, 512), (3, 3), 64, {}, border=1, frames=2),
    "sums of more synapses than a byte counts": Unit((7, 8, 544), (3, 3), 32, {}, frames=2),
    "long lines": Unit((3, 40, 1024), (2, 2), 16, {}, frames=2),
    "one image": Unit((8, 12, 64), (3, 3), 64, {}, frames=1),
}


@pytest.mark.parametrize("version", sources.versions())
def test_every_geometry(version: str) -> None:
    graphs = {f"n{i}": unit.graph() for i, unit in enumerate(UNITS.values())}
    keep = {
        f"n{i}": frozenset[str]() if unit.fires else frozenset({"unit"})
        for i, unit in enumerate(UNITS.values())
    }
    made = library.networks(graphs, keep)

    for (name, graph), (words, unit) in zip(graphs.items(), UNITS.items(), strict=True):
        frames = random_frames(graph, unit.frames, 1)
        expected = golden.run(graph, frames)
        try:
            found = made[name].run(frames, threads=1, version=version)
        except InputError as error:
            pytest.skip(str(error))
        assert "unit" in found or unit.fires
        for edge, values in found.items():
            assert np.array_equal(values, expected[edge]), (words, edge)
