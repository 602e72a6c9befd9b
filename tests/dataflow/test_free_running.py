"""Chains of ops that run free: a gate in front, a FIFO behind, and no handshake between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bnn2hw import backends
from bnn2hw.dataflow import connect, fifo_depths, free_running
from bnn2hw.errors import MissingToolError, ToolError
from bnn2hw.estimate import cycles, gates, stepper
from bnn2hw.ir import BIPOLAR, Array, Gated, Graph, Ints, Node, Op, Tensor
from bnn2hw.ops import Add, Affine, Argmax, Concat, Fifo, Lut, Mac, Source, Threshold, Unrolled, Xnor
from bnn2hw.simulation import simulate, wiring
from bnn2hw.targets import families
from tests.support import mlp, random_frames

FRAMES = 60
XILINX = families.family("xilinx")


class Net:
    """A folded graph that grows by one op at a time."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph((), ())

    def add(self, name: str, op: Op, *edges: str) -> str:
        self.graph = Graph((*self.graph.nodes, Node(name, op, edges)), (name,))
        return name

    def tables(self, name: str, edge: str, outputs: int) -> str:
        inputs = self.graph.types[edge].size
        wires = np.stack([self.rng.choice(inputs, 3, replace=False) for _ in range(outputs)])
        values = self.rng.choice([-1, 1], (outputs, 8))
        return self.add(name, Lut(wires, values, BIPOLAR, BIPOLAR), edge)

    def signs(self, *shape: int) -> Array:
        return self.rng.choice(np.array([-1, 1], np.int8), shape)

    def groups(self, name: str, edge: str, groups: int) -> str:
        each = self.graph.types[edge].size // groups
        weights = np.repeat(np.eye(groups, dtype=np.int64), each, axis=0)
        return self.add(name, Unrolled.of(Mac(weights)), edge)


def classifier() -> Graph:
    """Tables, group sums, scores and the best class, from one beat to one beat."""
    net = Net()
    x = net.add("x", Source(Tensor((20,), BIPOLAR), 20))
    sums = net.groups("sums", net.tables("two", net.tables("one", x, 16), 12), 3)
    scores = Affine(np.array([[3]]), np.array([[-1]]), np.zeros((1, 0), np.int64), 1, Ints(-2, 9), pe=3)
    net.add("class", Argmax(lanes=3), net.add("scores", scores, sums))
    return net.graph


def slow_reader() -> Graph:
    """A folded layer reads what the chain makes, so the chain fills up with several frames."""
    net = Net(1)
    x = net.add("x", Source(Tensor((12,), BIPOLAR), 12))
    two = net.tables("two", net.tables("one", x, 8), 6)
    net.add("dense", Xnor(net.signs(6, 4), pe=1, simd=2), two)
    return net.graph


def slow_writer() -> Graph:
    """A folded layer makes a beat every few cycles for a chain that ends at an output."""
    net = Net(2)
    x = net.add("x", Source(Tensor((12,), BIPOLAR), 3))
    dense = net.add("dense", Xnor(net.signs(12, 8), pe=8, simd=3), x)
    joined = net.add("sign", Threshold(net.rng.integers(-2, 3, (8, 1)) * 2, pe=8), dense)
    wide = net.add("joined", Concat(lanes=8), joined, joined)
    net.tables("two", net.tables("one", wide, 6), 4)
    return net.graph


def meeting() -> Graph:
    """A chain and a folded layer make the inputs of a sum, so beats wait behind the chain."""
    net = Net(3)
    x = net.add("x", Source(Tensor((12,), BIPOLAR), 12))
    short = net.tables("two", net.tables("one", x, 8), 4)
    far = net.add("dense", Xnor(net.signs(12, 4), pe=1, simd=3), x)
    net.add("sum", Add(lanes=1), short, far)
    return net.graph


def copies() -> Graph:
    """Each op of the chain has a copy for each pixel of a beat."""
    net = Net(4)
    x = net.add("x", Source(Tensor((3, 5), BIPOLAR), 15))
    for name, outputs in (("one", 6), ("two", 4)):
        size = net.graph.types[x].shape[-1]
        wires = np.stack([net.rng.choice(size, 3, replace=False) for _ in range(outputs)])
        table = Lut(wires, net.rng.choice([-1, 1], (outputs, 8)), BIPOLAR, BIPOLAR, pixels=3)
        x = net.add(name, table, x)
    return net.graph


NETWORKS: dict[str, Callable[[], Graph]] = {
    f.__name__: f for f in (classifier, slow_reader, slow_writer, meeting, copies)
}


def large(outputs: int) -> Graph:
    """Two layers of tables, of which the second has few or many outputs."""
    net = Net(5)
    x = net.add("x", Source(Tensor((40,), BIPOLAR), 40))
    net.tables("two", net.tables("one", x, 1000), outputs)
    return connect.connect(net.graph)


def forked() -> Graph:
    """Two ops read what two layers of tables make."""
    net = Net(6)
    x = net.add("x", Source(Tensor((12,), BIPOLAR), 12))
    two = net.tables("two", net.tables("one", net.tables("zero", x, 8), 8), 4)
    net.add("joined", Concat(lanes=4), net.tables("more", two, 4), two)
    return net.graph


def freed(name: str) -> Graph:
    """A network with all chains free, whatever they cost."""
    graph = connect.connect(NETWORKS[name]())
    chains = list(free_running.chains(graph))
    assert chains
    for chain in chains:
        graph = free_running.freed(graph, chain, XILINX)
    assert len(gates.of(graph)) == len(chains)
    return fifo_depths.deepen(graph)


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize("name", NETWORKS)
def test_all_streams_and_cycles_are_exact(name: str, stalls: float) -> None:
    graph = freed(name)
    predicted = cycles.cycles(graph)

    design = backends.render("verilog", graph)
    run = simulate.simulate(design, graph, random_frames(graph, FRAMES), predicted, stalls=stalls)

    run.check()
    assert len(run.frame_ends) == FRAMES
    if not stalls:
        assert (run.intervals, run.latency) == (predicted.between(FRAMES), predicted.latency)
        assert predicted.interval == cycles.interval(connect.connect(NETWORKS[name]()))


def missing(*_: object) -> int:
    raise MissingToolError("no C++ compiler")


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_steps_are_those_of_the_machines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = freed(name)
    pace, latency = cycles.pace(graph, FRAMES), cycles.latency(graph, cycles.Effort(quick=0))
    monkeypatch.setattr(stepper, "frame_ends", missing)

    assert cycles.pace(graph, FRAMES) == pace
    assert cycles.latency(graph, cycles.Effort(quick=10**12)) == latency


def test_a_chain_in_front_of_a_slow_op_takes_as_many_beats_as_it_has_credits() -> None:
    """Credits are what lets the first frames in: with more of them, more frames enter at full rate."""
    graph = freed("slow_reader")
    [gate] = gates.of(graph)
    timing, more = cycles.timings_of(graph)[gate.entry], graph[gate.exit].op

    assert isinstance(timing, Gated)
    assert isinstance(more, Fifo)
    assert timing.credits == gate.credits == more.depth
    assert list(cycles.timings_of(graph))[timing.exit] == gate.exit


@pytest.mark.parametrize("name", NETWORKS)
def test_the_top_level_is_wired_as_the_graph_says(name: str) -> None:
    graph = freed(name)

    assert wiring.problems(backends.render("verilog", graph), graph) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".m_ready(1'b1)", ".m_ready(class_ready)"),
        (".returned(class_fifo_leaves)", ".returned(class_fifo_valid)"),
        (".s_valid(one_enters)", ".s_valid(x_valid)"),
        ("class_fifo_valid && class_fifo_ready", "class_fifo_ready"),
    ],
)
def test_a_wrong_gate_is_named(old: str, new: str) -> None:
    graph = freed("classifier")
    design = backends.render("verilog", graph)
    text = design.files["bnn2hw_top.sv"]
    assert text.count(old) == 1

    wrong = replace(design, files={**design.files, "bnn2hw_top.sv": text.replace(old, new)})

    assert any("class" in p or "one" in p for p in wiring.problems(wrong, graph))


def test_a_fifo_with_too_few_beats_loses_some() -> None:
    """The credits are what keeps every beat: with one more than the FIFO has room for, a stall shows."""
    graph = freed("classifier")
    design = backends.render("verilog", graph)
    [gate] = gates.of(graph)
    text = design.files["bnn2hw_top.sv"]
    old = f".CREDITS({gate.credits})"
    assert text.count(old) == 1

    wrong = replace(
        design, files={**design.files, "bnn2hw_top.sv": text.replace(old, f".CREDITS({gate.credits + 1})")}
    )
    with pytest.raises(ToolError, match="valid fell or data changed before ready on 'class'"):
        simulate.simulate(wrong, graph, random_frames(graph, 400), cycles.cycles(graph), stalls=0.7, seed=2)


def test_a_chain_runs_free_where_that_costs_little() -> None:
    """A FIFO for few outputs is small beside the tables, one for as many outputs as inputs is not."""
    few, many = large(4), large(500)

    assert [g.ops for g in gates.of(free_running.free(few, XILINX))] == [("one", "two")]
    assert free_running.free(many, XILINX) is many


def test_a_limit_of_the_latency_is_kept() -> None:
    """The new FIFO at the output delays the first beat by a cycle."""
    graph = large(4)

    assert cycles.latency(free_running.free(graph, XILINX)) == cycles.latency(graph) + 1
    assert free_running.free(graph, XILINX, later=False) is graph


def test_a_chain_ends_before_a_stream_with_several_readers() -> None:
    assert list(free_running.chains(connect.connect(forked()))) == [("zero", "one")]


def test_ops_that_take_several_beats_per_frame_keep_their_handshakes() -> None:
    graph = connect.connect(mlp(32, 16, 8, 4))

    assert not list(free_running.chains(graph))
    assert free_running.free(graph, XILINX) is graph


@pytest.mark.parametrize("name", NETWORKS)
def test_hls_reads_the_same_graph(name: str) -> None:
    graph = freed(name)
    x = random_frames(graph, 8)

    run = simulate.simulate(backends.render("hls", graph), graph, x, cycles.cycles(graph), stalls=0.3)

    run.check()
