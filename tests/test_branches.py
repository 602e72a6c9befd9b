"""Networks whose streams fork and meet again, and designs with several inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2hw import backends, csim, estimate, golden, simulate, streams, tools
from bnn2hw.backends import verilog
from bnn2hw.errors import InputError
from bnn2hw.ir import Graph, Ints, Node, Tensor
from bnn2hw.ops import Source, Threshold
from tests.support import random_frames
from tests.test_hls import compile_cpp
from tests.test_testbench import run as run_testbench

FRAMES = 6


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
    return streams.connect(Graph(nodes, ("low", "high")))


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_two_inputs_and_two_outputs(backend: str) -> None:
    graph = side_by_side()
    design, predicted = backends.render(backend, graph), estimate.cycles(graph)
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
        found = csim.emulate(design, frames)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_the_test_benches_of_several_inputs_and_outputs(tmp_path: Path) -> None:
    graph = side_by_side()
    frames = random_frames(graph, 3)
    rtl, hls = backends.render("verilog", graph), backends.render("hls", graph)
    texts = verilog.bench(graph, frames, golden.outputs(graph, frames), estimate.cycles(graph), rtl.top)
    for folder, files in (("rtl", rtl.files), ("tb", texts), ("hls", hls.files)):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    sources = " ".join(name for name in rtl.files if name.endswith(".sv"))
    (tmp_path / "rtl" / "files.f").write_text(sources)

    assert "PASS: 21 beats equal the golden model" in run_testbench(tmp_path)

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
