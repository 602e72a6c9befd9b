"""Binary units whose sums nothing but a threshold reads count disagreements in bytes."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.errors import InputError
from bnn2hw.ir import BIPOLAR, Array, Graph, Node, Tensor
from bnn2hw.native import library
from bnn2hw.native.sources import compile_graph
from bnn2hw.ops import Source, Threshold, Xnor

NEURONS, FRAMES = 70, 131


def fired(synapses: int) -> tuple[Graph, Array]:
    """A unit whose neurons differ in sign and threshold, and frames whose sums go from one end to the other."""
    rng = np.random.default_rng(synapses)
    row = rng.choice([-1, 1], synapses)
    signs = rng.choice([-1, 1], NEURONS)
    steps = np.concatenate([[0, 1, synapses, synapses + 1], rng.integers(0, synapses + 2, NEURONS - 4)])
    thresholds = 2 * steps - synapses
    unit = Xnor(np.outer(row, signs).astype(np.int8))
    threshold = Threshold(thresholds[:, None], falls=rng.random(NEURONS) < 0.5)
    nodes = (
        Node("x", Source(Tensor((synapses,), BIPOLAR))),
        Node("unit", unit, ("x",)),
        Node("fires", threshold, ("unit",)),
    )
    flips = np.linspace(0, synapses, FRAMES).astype(int)
    frames = np.where(np.arange(synapses) < flips[:, None], -row, row)
    return Graph(nodes, ("fires",)), frames.astype(np.int8)


@pytest.mark.parametrize("version", library.versions())
def test_every_limit(version: str) -> None:
    cases = {f"n{n}": fired(n) for n in (1, 31, 300, 2039, 2041, 4078, 4079)}
    made = library.networks({n: g for n, (g, _) in cases.items()}, dict.fromkeys(cases, frozenset[str]()))

    for name, (graph, frames) in cases.items():
        try:
            [found] = made[name].run(frames, threads=1, version=version).values()
        except InputError as error:
            pytest.skip(str(error))
        assert np.array_equal(found, golden.run(graph, frames)["fires"]), name


@pytest.mark.parametrize(("synapses", "size"), [(300, 1), (4078, 1), (4079, 2)])
def test_the_bytes_of_a_count(synapses: int, size: int) -> None:
    [step] = [s for s in compile_graph(fired(synapses)[0]).steps if s.kernel == "xnor"]

    assert step.arguments[4] == str(size)
