"""Native code equals golden: every op on its own examples in every instruction set, and whole networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, tools
from bnn2hw.dataflow.insert import remove_fifos
from bnn2hw.errors import InputError, ToolError
from bnn2hw.ir import Graph
from bnn2hw.native import library, sources
from bnn2hw.native.library import NativeNetwork
from bnn2hw.ops import HARDWARE_OPS
from tests.support import alone, long_runs, random_frames
from tests.support import networks as net
from tests.support.machine import tool_or_skip
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


@pytest.mark.parametrize("seed", long_runs.after(3, range(6)))
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


@pytest.mark.parametrize("version", long_runs.after(2, reversed(library.versions())))
def test_versions_share_no_functions(version: str, tmp_path: Path) -> None:
    """The linker keeps one of several weak functions: that of any instruction set, which not every processor has."""
    source = [
        str(sources.folder() / "kernels.cpp"),
        *sources.VERSIONS[version],
        f"-DBNN2HW_VERSION={version}",
    ]
    # Without optimization, no function disappears where it is called.
    tools.run(
        [tools.cxx().command, "-std=c++17", "-O0", "-c", *source, "-o", "made.o"], tmp_path, "the compiler"
    )

    symbols = [
        line.split() for line in tools.run([tool_or_skip("nm"), "made.o"], tmp_path, "nm").splitlines()
    ]

    shared = [name for *_, kind, name in symbols if kind in "WVuwv"]
    assert any(name.endswith(f"{len(version)}{version}E") for *_, name in symbols)
    assert not shared


def test_common_code_needs_no_instructions_of_a_version() -> None:
    graph, _ = bare(bnn2hw.compile(net.tutorial_like(), input=PIXELS).graph)
    made = library.network(graph, "small").library.of(library.versions()[len(library.versions()) > 1])
    text = tools.run([tool_or_skip("objdump"), "-d", "--no-show-raw-insn", str(made)], Path.cwd(), "objdump")
    functions = {part.split(">:")[0]: part for part in text.split("\n\n") if ">:" in part}

    common = {name: body for name, body in functions.items() if "network_" in name or "7kernelsEPKc" in name}
    assert len(common) >= 3
    assert not [name for name, body in common.items() if "%ymm" in body or "%zmm" in body]
    assert any("%zmm" in body or "%ymm" in body for body in functions.values()) == (
        len(sources.versions()) > 1
    )


def test_a_library_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "network.so").write_bytes(b"made elsewhere")
    monkeypatch.setattr(library, "build", lambda *_: tmp_path / "network.so")
    acc = bnn2hw.compile(net.tutorial_like(), input=PIXELS)
    x = random_frames(acc.graph, 3)

    with pytest.raises(ToolError, match="the compiled native code cannot be loaded: "):
        library.network(bare(acc.graph)[0], "small")
    with pytest.warns(UserWarning, match=r"native code cannot be compiled, NumPy is used instead: .*loaded"):
        found = acc.predict(x)
    assert np.array_equal(found, acc.golden(x))


def test_a_broken_compiler_falls_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'broken 9.9.9'; test \"$1\" = --version\n")
    compiler.chmod(0o755)
    broken = tools.Tool(str(compiler), (9, 9, 9))
    monkeypatch.setattr(tools, "cxx", lambda: broken)
    acc = bnn2hw.compile(net.tutorial_like(), input=PIXELS)
    x = random_frames(acc.graph, 3)

    with pytest.warns(
        UserWarning, match="native code cannot be compiled, NumPy is used instead: .*exit status 1"
    ):
        found = acc.predict(x)
    assert np.array_equal(found, acc.golden(x))
