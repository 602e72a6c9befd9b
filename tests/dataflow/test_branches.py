"""Networks whose streams fork and meet again, and designs with several inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw import backends, golden, tools
from bnn2hw.dataflow import connect
from bnn2hw.errors import InputError, MissingToolError
from bnn2hw.estimate import cycles, stepper
from bnn2hw.folding import search
from bnn2hw.ir import BIPOLAR, Graph, Ints, Node, Tensor
from bnn2hw.ir.machine import run
from bnn2hw.ops import Add, Concat, Fifo, Multiply, Source, Threshold
from bnn2hw.simulation import hls_csim, simulate
from bnn2hw.targets import devices
from tests.simulation.test_hls import compile_cpp
from tests.support import icarus, long_runs, random_frames
from tests.support.graphs import Builder, binary

FRAMES = 6

pytestmark = pytest.mark.usefixtures("quick_emulator")


# ---- networks whose streams fork and meet again


def residual(seed: int) -> Graph:
    """Two blocks: signs, convolution, and the block's own input added; the second one adds to some channels only."""
    b = Builder(seed)
    x = b.source("x", Tensor((6, 5, 4), Ints(-7, 8)))
    one = b.add("one", Add(), b.conv("conv1", b.threshold(x), 4), x)
    two = b.add("two", Add(first=2), one, b.conv("conv2", b.threshold(one), 2, 2))
    return b.streamed(two)


def dense_block(seed: int) -> Graph:
    """Each layer's output is joined to all that came before."""
    b = Builder(seed)
    x = b.source("x", Tensor((5, 6, 2), BIPOLAR))
    one = b.add("one", Concat(), x, b.threshold(b.conv("conv1", x, 4)))
    two = b.add("two", Concat(), one, b.threshold(b.conv("conv2", one, 2)))
    return b.streamed(b.dense("scores", two, 3, axes=3))


def gated(seed: int) -> Graph:
    """Channels weighted by a vector that depends on the whole frame, which must wait for it."""
    b = Builder(seed)
    x = b.source("x", Tensor((4, 4, 6), Ints(-3, 4)))
    vector = b.dense("squeeze", b.threshold(x), 6, axes=3)
    gate = b.add("gate", Threshold(np.sort(b.rng.integers(-24, 25, (6, 3)) * 4, 1), Ints(0, 3)), vector)
    weighted = b.add("weighted", Multiply(), x, gate)
    return b.streamed(b.add("sum", Add(), weighted, x))


def two_ends(seed: int) -> Graph:
    """Two inputs that meet, and two outputs of which one is read on the way to the other."""
    b = Builder(seed)
    a, c = b.source("a", Tensor((4, 6, 2), Ints(-2, 1))), b.source("c", Tensor((4, 6, 4), BIPOLAR))
    joined = b.add("joined", Concat(), b.threshold(a), c)
    image = b.threshold(b.conv("conv", joined, 3))
    product = b.add("product", Multiply(), image, b.conv("narrow", c, 3, 1))
    return b.streamed(image, product)


def joined_skip(seed: int) -> Graph:
    """A convolution is joined to its own input. No op but the windows has a cycle to spare."""
    b = Builder(seed)
    sums = b.conv("first", b.source("x", Tensor((12, 12, 4), BIPOLAR)), 8)
    second = b.threshold(b.conv("second", b.threshold(sums), 8))
    skip = b.add("skip", binary(b.rng, b.graph.types[sums]), sums)
    last = b.conv("last", b.add("joined", Concat(), second, skip), 8)
    return connect.connect(search.for_rate(Graph(b.graph.nodes, (last,)), 288, devices.device("ecp5-85k")))


def late_end(seed: int) -> Graph:
    """The first output leaves faster than the second, until what lies between them is full."""
    b = Builder(seed)
    first = b.threshold(b.source("x", Tensor((6, 6, 2), Ints(-2, 1))))
    return b.streamed(first, b.conv("second", first, 2, 2))


BRANCHED = {f.__name__: f for f in (residual, dense_block, gated, two_ends, joined_skip, late_end)}


@pytest.mark.parametrize("stalls", [0.0, 0.35])
@pytest.mark.parametrize("seed", long_runs.after(1, range(2)))
@pytest.mark.parametrize("name", BRANCHED)
def test_branches_meet_in_time(name: str, seed: int, stalls: float) -> None:
    """Every stream is exact in any folding, and nothing waits for longer than the slowest op makes it."""
    graph = BRANCHED[name](seed)
    predicted = cycles.cycles(graph)

    run = simulate.simulate(
        backends.render("verilog", graph),
        graph,
        random_frames(graph, FRAMES),
        predicted,
        stalls=stalls,
        seed=seed,
    )

    run.check()
    assert len(run.frame_ends) == FRAMES
    if not stalls:
        assert (run.intervals, run.latency) == (predicted.between(FRAMES), predicted.latency)


@pytest.mark.parametrize("name", BRANCHED)
def test_fifos_are_as_deep_as_they_fill(name: str) -> None:
    """When everything runs as soon as it can, most of what the FIFOs could hold is held at some time."""
    held = depths = 0
    for seed in range(8):
        graph = BRANCHED[name](seed)
        machines, inputs = cycles.machines(graph)
        fifos = {n.name: n.op.depth for n in graph if isinstance(n.op, Fifo) and n.op.depth > 4}
        most = dict.fromkeys(fifos, 0)
        period = cycles.interval(graph) + cycles.latency(graph)
        for _ in zip(range(3 * period), run(list(machines.values()), inputs), strict=False):
            most = {fifo: max(beats, machines[fifo].held) for fifo, beats in most.items()}
        held, depths = held + sum(most.values()), depths + sum(fifos.values())

    assert 0.75 * depths <= held <= depths


def missing(*_: object) -> int:
    raise MissingToolError("no C++ compiler")


@pytest.mark.parametrize("name", BRANCHED)
@pytest.mark.parametrize("seed", long_runs.after(1, range(3)))
def test_compiled_steps_are_those_of_the_machines(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = BRANCHED[name](seed)
    stepped = cycles.latency(graph, cycles.Effort(quick=10**12))
    with monkeypatch.context() as without:
        without.setattr(stepper, "frame_ends", missing)
        pace = cycles.pace(graph, 5)
    monkeypatch.setattr(cycles, "first_output", lambda *_: None)  # the machines of Python
    monkeypatch.setattr(cycles, "frame_ends", lambda *_: None)

    assert cycles.latency(graph, cycles.Effort(quick=0)) == stepped
    assert cycles.pace(graph, 5) == pace


# By default, `test_branches_meet_in_time` runs the others in Verilog, and test_conformance.py their ops in C++.
@pytest.mark.parametrize(
    "name", long_runs.after(3, ("gated", "two_ends", "joined_skip", "residual", "dense_block", "late_end"))
)
def test_branches_in_cpp(name: str) -> None:
    graph = BRANCHED[name](2)
    design, frames = backends.render("hls", graph), random_frames(graph, 4)

    for stalls in (0.0, 0.35):
        simulate.simulate(design, graph, frames, cycles.cycles(graph), stalls=stalls, seed=1).check()

    found, expected = hls_csim.emulate(design, frames), golden.outputs(graph, frames)
    assert all(
        np.array_equal(values, golden.by_name(graph.outputs, expected)[name])
        for name, values in golden.by_name(graph.outputs, found).items()
    )


# ---- several inputs and outputs


def side_by_side() -> Graph:
    """Two networks that have nothing to do with each other."""
    wide, narrow = Tensor((3, 4), Ints(-8, 7)), Tensor((5,), Ints(0, 15))
    low, high = Threshold(np.array([[-2], [0], [3], [8]]), pe=2), Threshold(np.full((5, 1), 7), pe=5)
    nodes = (
        Node("a", Source(wide, 2)),
        Node("b", Source(narrow, 1)),
        Node("low", low, ("a",)),
        Node("high", high, ("b",)),
    )
    return connect.connect(Graph(nodes, ("low", "high")))


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_two_inputs_and_two_outputs(backend: str) -> None:
    graph = side_by_side()
    design, predicted = backends.render(backend, graph), cycles.cycles(graph)
    frames = random_frames(graph, FRAMES)

    for stalls in (0.0, 0.4):
        run = simulate.simulate(design, graph, frames, predicted, stalls=stalls, seed=3)
        run.check()
        expected = golden.outputs(graph, frames)
        assert set(run.outputs) == set(expected) == set(graph.outputs)
        assert all(np.array_equal(run.outputs[name], expected[name]) for name in expected)
        if backend == "verilog" and not stalls:
            assert (run.interval, run.latency) == (predicted.interval, predicted.latency)
    if backend == "hls":
        found = hls_csim.emulate(design, frames)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_the_test_benches_of_several_inputs_and_outputs(tmp_path: Path) -> None:
    graph = side_by_side()
    frames = random_frames(graph, 3)
    rtl, hls = backends.render("verilog", graph), backends.render("hls", graph)
    (tmp_path / "hls").mkdir()
    for name, text in hls.files.items():
        (tmp_path / "hls" / name).write_text(text)

    # Icarus compiles a bench sooner than Verilator, which tests/backends/test_testbench.py asks.
    assert "PASS: 21 beats equal the golden model" in icarus.run(rtl, graph, frames, tmp_path)

    program = compile_cpp(["bnn2hw_top.cpp", "testbench.cpp"], tmp_path / "hls")
    told = tools.run([str(program)], tmp_path / "hls", "the test bench")
    assert told == "PASS: 4 frames, 0 of 28 output beats differ\n"


def test_inputs_are_told_apart() -> None:
    graph = side_by_side()
    a, b = random_frames(graph, 2).values()

    with pytest.raises(InputError, match="one array is given for 2 inputs; give a dict with 'a', 'b'"):
        golden.outputs(graph, a)
    with pytest.raises(InputError, match="arrays are given for 'a', 'c', expected the inputs 'a', 'b'"):
        golden.outputs(graph, {"a": a, "c": b})
    with pytest.raises(InputError, match=r"the input 'b' has shape \(2, 3, 4\), expected \(batch, 5\)"):
        golden.outputs(graph, {"a": a, "b": a})
    with pytest.raises(InputError, match="different numbers of frames: 2 of 'a', 1 of 'b'"):
        golden.outputs(graph, {"a": a, "b": b[:1]})
