"""Cycles of whole designs, with and without a C++ compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw.dataflow import connect
from bnn2hw.errors import MissingToolError
from bnn2hw.estimate import cycles, stepper
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import SlidingWindow, Source, Threshold, Xnor


def convolution() -> Graph:
    """A window, a unit that works in every cycle, and a threshold."""
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


def test_without_a_compiler_small_designs_are_stepped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = connect.connect(convolution())
    exact, pace = cycles.latency(graph), cycles.pace(graph, 5)
    monkeypatch.setattr(stepper, "first_output", missing)
    monkeypatch.setattr(stepper, "frame_ends", missing)

    assert cycles.pace(graph, 5) == pace
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
