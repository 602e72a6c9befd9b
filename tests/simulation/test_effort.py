"""Simulators are compiled quickly for short runs and for speed for long ones, and compute the same."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bnn2hw import backends, tools
from bnn2hw.ir import Cycles
from bnn2hw.ops import Argmax, Xnor
from bnn2hw.simulation import effort, harness, hls_csim, simulate
from tests.support import alone, cycles_alone, ops, random_frames
from tests.support.machine import tool_or_skip


@pytest.fixture
def fresh() -> Iterator[None]:
    """Compilers are looked for before and after the test."""
    known = (tools.cxx, tools.is_clang, tools.clang, effort.medium)
    for each in known:
        each.cache_clear()
    yield
    for each in known:
        each.cache_clear()


def flags(cycles: int) -> list[str]:
    return [e.flags[0] for e in effort.for_run(cycles)]


def test_the_planned_cycles_decide() -> None:
    quick = [] if not effort.for_run(0)[0].clang else ["-O0"]

    assert flags(effort.MEDIUM_RUN - 1) == [*quick, "-O1", "-O3"]
    assert flags(effort.LONG_RUN - 1) == ["-O1", "-O3"]
    assert flags(effort.LONG_RUN) == ["-O3"]
    assert "-march=native" in effort.for_run(effort.LONG_RUN)[0].flags


def test_a_harness_plans_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    op, x = next(iter(Argmax.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    planned: list[int] = []
    build = harness.build
    monkeypatch.setattr(
        harness, "build", lambda *a, cycles, **o: planned.append(cycles) or build(*a, cycles=0, **o)
    )

    simulate.simulate(ops.render(op, x), graph, random_frames(graph, 9), predicted).check()

    assert planned == [predicted.latency + 9 * predicted.interval]


@pytest.mark.parametrize("cycles", [0, effort.MEDIUM_RUN, effort.LONG_RUN])
def test_every_effort_computes_the_same(cycles: int, monkeypatch: pytest.MonkeyPatch) -> None:
    op, x = list(Xnor.examples())[1]
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    chosen = effort.for_run(cycles)[:1]
    monkeypatch.setattr(effort, "for_run", lambda _: chosen)

    run = simulate.simulate(ops.render(op, x), graph, random_frames(graph, 3), predicted, stalls=0.3)

    run.check()
    assert run.cycles
    assert len(run.frame_ends) == 3


@pytest.mark.parametrize("cycles", [0, effort.MEDIUM_RUN])
def test_every_effort_of_a_c_simulation_computes_the_same(
    cycles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, x = list(Xnor.examples())[1]
    graph, chosen = alone(op, *x), hls_csim.chosen(cycles)
    monkeypatch.setattr(hls_csim, "chosen", lambda _: chosen)

    run = simulate.simulate(
        backends.render("hls", graph), graph, random_frames(graph, 3), Cycles(0, 0), stalls=0.3
    )

    run.check()
    assert set(run.mismatches) == {node.name for node in graph}


def test_a_long_c_simulation_is_optimized(monkeypatch: pytest.MonkeyPatch) -> None:
    op, x = next(iter(Argmax.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    planned: list[int] = []
    choose = hls_csim.chosen
    monkeypatch.setattr(hls_csim, "chosen", lambda cycles: planned.append(cycles) or choose(cycles))

    simulate.simulate(backends.render("hls", graph), graph, random_frames(graph, 9), predicted).check()

    assert planned == [predicted.latency + 9 * predicted.interval]
    assert hls_csim.chosen(effort.MEDIUM_RUN) == effort.plain()


@pytest.mark.usefixtures("fresh")
def test_a_vendor_header_is_not_compiled_with_another_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "ap_int.h").touch()
    monkeypatch.setenv("XILINX_HLS", str(tmp_path))

    assert hls_csim.chosen(0) == effort.plain()


def test_a_faster_simulator_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    op, x = next(iter(Argmax.examples()))
    design = ops.render(op, x)
    effort.runtime(), effort.library("harness.cpp")  # stay in the cache that all tests share
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path))

    fast = harness.build(design, cycles=effort.LONG_RUN)

    assert harness.build(design, cycles=0) == fast
    assert harness.build(design, cycles=effort.MEDIUM_RUN) == fast


@pytest.mark.usefixtures("fresh")
def test_a_compiler_that_was_named_compiles_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", tool_or_skip("g++"))

    assert {e.compiler.command for cycles in (0, effort.LONG_RUN) for e in effort.for_run(cycles)} == {
        tools.cxx().command
    }


@pytest.mark.usefixtures("fresh")
def test_a_clang_without_headers_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "clang++"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo clang version 99.0.1 || exit 1\n')
    broken.chmod(0o755)
    plain = effort.plain()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(tools, "clang", lambda: tools.Tool(str(broken), (99, 0, 1)))

    assert effort.for_run(0)[0] == replace(plain, flags=("-O1",))
    assert hls_csim.chosen(0) == plain


def test_the_linker_that_is_chosen_links(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("int main() { return 7; }\n")

    tools.run([tools.cxx().command, *tools.linker(), "a.cpp", "-o", "a"], tmp_path, "linking")

    assert subprocess.run([tmp_path / "a"], check=False).returncode == 7
