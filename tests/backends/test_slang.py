"""All generated Verilog through slang: a front end that is strict about the standard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bnn2hw.backends import verilog, verilog_bench
from bnn2hw.estimate import cycles
from tests.backends import test_protocol
from tests.support import random_frames
from tests.support.machine import package_or_skip


# `make lint` does the same.
@pytest.mark.soak
def test_all_ops_and_forms(tmp_path: Path) -> None:
    package_or_skip("pyslang")
    from tests.backends import lint_verilog

    wrong = []
    for number, (name, design) in enumerate(lint_verilog.designs()):
        folder = tmp_path / str(number)
        folder.mkdir()
        if not lint_verilog.clean(design, folder):
            wrong.append(name)

    assert wrong == []


@pytest.mark.parametrize("name", test_protocol.NETWORKS)
def test_benches(name: str, tmp_path: Path) -> None:
    package_or_skip("pyslang")
    from tests.backends import lint_verilog

    graph = test_protocol.NETWORKS[name]()
    design = verilog.render(graph)
    bench = verilog_bench.bench(graph, random_frames(graph, 2), cycles.cycles(graph), design)
    whole = replace(design, top="testbench", files={**design.simulated(), **bench})

    assert lint_verilog.clean(whole, tmp_path)
