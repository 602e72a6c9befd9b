"""The benches of all ops and of whole networks in Icarus Verilog: a second simulator, whose registers start unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnn2hw.backends import verilog
from bnn2hw.ir import Graph
from bnn2hw.targets.families import Family
from tests.backends import test_protocol
from tests.support import icarus, ops, random_frames

FRAMES = 3


def check(examples: tuple[ops.Example, ...], folder: Path, family: Family | None = None) -> None:
    graph = ops.side_by_side(examples)
    design = verilog.render(graph, family=family)

    told = icarus.run(design, graph, random_frames(graph, FRAMES), folder, cells=family is not None)

    assert "PASS" in told


@pytest.mark.parametrize("examples", ops.bundles())
def test_ops(examples: tuple[ops.Example, ...], tmp_path: Path) -> None:
    check(examples, tmp_path)


@pytest.mark.parametrize(("examples", "family"), ops.family_bundles(ops.SAME_FORMS))
def test_forms_with_cells(examples: tuple[ops.Example, ...], family: Family, tmp_path: Path) -> None:
    check(examples, tmp_path, family)


@pytest.mark.parametrize("made", test_protocol.NETWORKS.values(), ids=test_protocol.NETWORKS)
def test_networks(made: Callable[[], Graph], tmp_path: Path) -> None:
    graph = made()

    assert "PASS" in icarus.run(verilog.render(graph), graph, random_frames(graph, 6), tmp_path)


def test_the_files_of_a_bench_may_lie_elsewhere(tmp_path: Path) -> None:
    """Parameters say where memory files and frames are, so that a simulation may start in any folder."""
    graph = test_protocol.classifier()
    design = verilog.render(graph)
    icarus.run(design, graph, random_frames(graph, FRAMES), tmp_path)
    sources = [*(f"rtl/{n}" for n in design.simulated() if n.endswith(".sv")), "tb/testbench.sv"]
    paths = ['-Ptestbench.MEMORY_PATH="rtl/"', '-Ptestbench.BENCH_PATH="tb/"']

    assert "PASS" in icarus.simulate(tmp_path, [*paths, *sources])
    assert "FAIL" in icarus.simulate(tmp_path, sources)


def test_a_wrong_memory_is_found(tmp_path: Path) -> None:
    """The bench must be able to fail here, too."""
    graph = test_protocol.classifier()
    design = verilog.render(graph)
    icarus.run(design, graph, random_frames(graph, FRAMES), tmp_path)
    weights = next((tmp_path / "rtl").glob("*weights.hex"))
    weights.write_text(weights.read_text()[::-1].strip() + "\n")

    sources = [*(n for n in design.simulated() if n.endswith(".sv")), "../tb/testbench.sv"]
    assert "FAIL" in icarus.simulate(tmp_path / "rtl", sources)
