"""What only large designs have: FIFOs with room for the bubbles of pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw.dataflow import connect, fifo_depths
from bnn2hw.errors import MissingToolError
from bnn2hw.estimate import cycles, stepper
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ir.machine import run
from bnn2hw.ops import Fifo, SlidingWindow, Source, Threshold, Xnor


def convolution() -> Graph:
    """A unit without a cycle to spare behind a window, whose pipeline may stand still."""
    rng = np.random.default_rng(1)
    x = Tensor((6, 6, 4), BIPOLAR)
    unit = Xnor(rng.choice(np.array([-1, 1], np.int8), (36, 8)), pe=1, simd=2)
    dot = unit.infer(Tensor((4, 4, 36), BIPOLAR)).ints
    nodes = (
        Node("x", Source(x, 2)),
        Node("w", SlidingWindow((3, 3), lanes=2), ("x",)),
        Node("u", unit, ("w",)),
        Node("t", Threshold(rng.choice(dot.values(), (8, 1))), ("u",)),
    )
    return Graph(nodes, ("t",))


def test_fifos_before_tight_ops_have_room_for_bubbles(monkeypatch: pytest.MonkeyPatch) -> None:
    small = connect.connect(convolution())
    monkeypatch.setattr(fifo_depths, "LARGE", 0)

    large = connect.connect(convolution())

    depths = [{n.name: n.op.depth for n in g if isinstance(n.op, Fifo)} for g in (small, large)]
    window = large["w"].op
    assert isinstance(window, SlidingWindow)
    length = window.timing(*large.inputs_of(large["w"])).latency
    more = {name: depths[1][name] - depth for name, depth in depths[0].items()}
    assert {n: m for n, m in more.items() if m} == {"w.fifo": length}
    made, inputs = cycles.machines(large)
    last, ends = list(made.values())[-1], []
    beats = large.types["t"].size
    for cycle, moves in enumerate(run(list(made.values()), inputs)):
        if moves[-1] and last.valid:
            ends.append(cycle)
        if len(ends) == 4 * beats:
            break
    assert np.diff(ends[beats - 1 :: beats]).tolist() == [cycles.interval(large)] * 3


def test_without_a_compiler_small_designs_are_stepped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = connect.connect(convolution())
    exact = cycles.latency(graph)
    monkeypatch.setattr(stepper, "first_output", missing)

    assert cycles.latency(graph, cycles.Effort(quick=0)) == exact
    assert cycles.latency(graph, cycles.Effort(quick=0, uncompiled=0)) <= exact


def test_a_cache_that_cannot_be_written_keeps_nobody_from_an_estimate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = connect.connect(convolution())
    exact = cycles.latency(graph)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(cycles, "first_output", missing)  # the machines of Python
    stepper.library.cache_clear()

    assert cycles.latency(graph, cycles.Effort(quick=0)) == exact
    stepper.library.cache_clear()


def missing(*_: object) -> int:
    raise MissingToolError("no C++ compiler")
