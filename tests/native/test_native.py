"""Native code equals golden: every op on its own examples in every instruction set, and whole networks."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden
from bnn2hw.dataflow.insert import remove_fifos
from bnn2hw.errors import InputError
from bnn2hw.ir import Graph
from bnn2hw.native import library
from bnn2hw.native.library import NativeNetwork
from bnn2hw.ops import HARDWARE_OPS
from tests.support import alone, random_frames
from tests.support import networks as net
from tests.support.random_networks import Random

FRAMES = 9
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)


def bare(graph: Graph) -> tuple[Graph, frozenset[str]]:
    """A graph without FIFOs and converters, and all of its edges."""
    graph = remove_fifos(graph)
    return graph, frozenset(node.name for node in graph)


@pytest.fixture(scope="module")
def examples() -> dict[str, tuple[Graph, NativeNetwork]]:
    """The examples of all ops, compiled into one library."""
    pairs = {
        f"{kind.kind}-{i}": bare(alone(op, *x))
        for kind in HARDWARE_OPS
        for i, (op, x) in enumerate(kind.examples())
    }
    made = library.networks({n: g for n, (g, _) in pairs.items()}, {n: k for n, (_, k) in pairs.items()})
    return {name: (graph, made[name]) for name, (graph, _) in pairs.items()}


def check(graph: Graph, network: NativeNetwork, version: str, seed: int) -> None:
    """Compare every edge for a few random frames."""
    frames = random_frames(graph, FRAMES, seed)
    expected = golden.run(graph, frames)
    try:
        found = network.run(frames, threads=1, version=version)
    except InputError as error:
        pytest.skip(str(error))
    assert set(found) == set(expected)
    for edge, values in found.items():
        assert np.array_equal(values, expected[edge]), edge


@pytest.mark.parametrize("kind", HARDWARE_OPS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("version", library.versions())
def test_ops(examples: dict[str, tuple[Graph, NativeNetwork]], kind: type, version: str) -> None:
    chosen = [name for name in examples if name.rpartition("-")[0] == kind.kind]
    assert chosen
    for i, name in enumerate(chosen):
        check(*examples[name], version, i)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int) -> None:
    model, wire = Random(seed).network()
    graph, edges = bare(bnn2hw.compile(model, input=wire, target="xc7z045").graph)
    network = library.network(graph, "random", edges)

    for version in ("plain", ""):
        check(graph, network, version, seed)


def test_threads_and_batches_change_nothing() -> None:
    graph, _ = bare(bnn2hw.compile(net.tutorial_like(), input=PIXELS).graph)
    network = library.network(graph, "small")
    frames = random_frames(graph, 70)

    [one] = network.run(frames, threads=1).values()
    [many] = network.run(frames, threads=3).values()

    assert np.array_equal(one, many)
    for i in (0, 33, 69):
        [single] = network.run(np.asarray(frames)[i : i + 1]).values()
        assert np.array_equal(single[0], one[i])


def test_an_unknown_instruction_set() -> None:
    graph, _ = bare(bnn2hw.compile(net.tutorial_like(), input=PIXELS).graph)

    with pytest.raises(InputError, match="this processor does not run 'mmx'; versions: plain"):
        library.network(graph, "small").run(random_frames(graph, 1), version="mmx")
