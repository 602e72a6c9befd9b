"""The HLS backend beyond the conformance suite: its integers, its streams, and its test bench."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw import backends, golden, tools
from bnn2hw.backends.design import Design
from bnn2hw.backends.hls_processes import initializer
from bnn2hw.backends.text import Header
from bnn2hw.errors import ToolError
from bnn2hw.ir import BIPOLAR, Cycles, Graph, Ints, Memory, Node, Tensor
from bnn2hw.ops import HARDWARE_OPS, Fifo, Mac, MatVec, Source, Table, Threshold, Xnor
from bnn2hw.simulation import hls_csim, simulate
from bnn2hw.targets import devices
from tests.support import ROOT, alone, ops, random_frames, random_values
from tests.support.machine import tool_or_skip

pytestmark = pytest.mark.usefixtures("quick_emulator")

NO_CLOCK = Cycles(0, 0)
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)


def write(design: Design, folder: Path) -> Path:
    for name, text in design.files.items():
        (folder / name).write_text(text)
    return folder


def compile_cpp(sources: list[str], folder: Path, *flags: str) -> Path:
    command = [tools.cxx().command, *hls_csim.CXXFLAGS, *flags, "-I.", *hls_csim.include_flags(), *sources]
    tools.run([*command, "-o", "program"], folder, "compiling")
    return folder / "program"


# ---- integers


def signed(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if value >> (bits - 1) else value


def pattern(width: int) -> int:
    return sum(1 << i for i in range(width) if i % 3 == 0 or i % 7 == 2)


def cut(value: int, high: int, low: int) -> int:
    return value >> low & 2 ** (high - low + 1) - 1


def paste(value: int, high: int, low: int, part: int) -> int:
    mask = 2 ** (high - low + 1) - 1
    return value & ~(mask << low) | (part & mask) << low


def full(width: int) -> int:
    return 2**width - 1


INTEGERS = {
    "not": lambda w, a, b, c: full(w) - a,
    "signed": lambda w, a, b, c: signed(a, w),
    "wrap": lambda w, a, b, c: a % 2**w,
    "widen": lambda w, a, b, c: a,
    "extend": lambda w, a, b, c: signed(a, w),
    "unsigned_of_signed": lambda w, a, b, c: signed(a, w) % 2 ** (w + 3),
    "xor": lambda w, a, b, c: a ^ b,
    "and": lambda w, a, b, c: a & b,
    "equal": lambda w, a, b, c: int(a == b),
    "unequal": lambda w, a, b, c: int(a != b),
    "less": lambda w, a, b, c: int(signed(a, w) < signed(b, w)),
    "add": lambda w, a, b, c: signed(signed(a, w) + signed(b, w), w),
    "multiply": lambda w, a, b, c: signed(signed(a, w) * signed(b, w), 2 * w),
    "plus": lambda w, a, b, c: (a + b) % 2**w,
    "bit": lambda w, a, b, c: a >> b & 1,
    "clear": lambda w, a, b, c: a & ~(1 << b),
    "set": lambda w, a, b, c: a | 1 << b,
    "range": lambda w, a, b, c: cut(a, c, b),
    "copy": lambda w, a, b, c: paste(0, c, b, a),
    "fill": lambda w, a, b, c: paste(a, c, b, full(w)),
    "wide_range": lambda w, a, b, c: cut(pattern(w), b, a),
    "wide_not": lambda w, a, b, c: cut(full(w) - pattern(w), b, a),
    "wide_xor": lambda w, a, b, c: cut(full(w), b, a),
    "wide_and": lambda w, a, b, c: cut(pattern(w), b, a),
    "wide_equal": lambda w, a, b, c: int(paste(pattern(w), b, a, 0x5A5A5) == pattern(w)),
    "wide_written": lambda w, a, b, c: cut(paste(pattern(w), min(a + 19, w - 1), a, 0x5A5A5), c, b),
    "wide_moved": lambda w, a, b, c: cut(pattern(w) >> a, c, b),
}


def test_integers_are_those_of_python(tmp_path: Path) -> None:
    program = compile_cpp([str(ROOT / "tests" / "simulation" / "hls_types.cpp")], tmp_path)

    lines = [line.split() for line in tools.run([str(program)], tmp_path, "the types").splitlines()]

    assert {name for name, *_ in lines} == set(INTEGERS)
    for name, *numbers in lines:
        *operands, found = map(int, numbers)
        assert found == INTEGERS[name](*operands), (name, operands)
    counts = Counter((name, int(width)) for name, width, *_ in lines)
    assert counts["xor", 5] == 2**10, "all pairs"
    assert counts["range", 7] == 2**7 * 28, "all ranges of all values"


def test_an_installed_vendor_header_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "ap_int.h").write_text("#error the header of the installation was taken\n")
    (tmp_path / "try.cpp").write_text('#include "ap_int.h"\nint main() {}\n')
    monkeypatch.setenv("XILINX_HLS", str(tmp_path))

    with pytest.raises(ToolError, match="the header of the installation was taken"):
        compile_cpp(["try.cpp"], tmp_path)


def test_rom_words_are_cut_into_literals() -> None:
    codes = np.zeros((2, 70), np.int64)
    codes[0, [0, 3, 64]] = 1
    codes[1, 69] = 1

    assert initializer(Memory(codes, 1)) == "{0x9, 0x1},\n{0x0, 0x20},\n"
    assert initializer(Memory(np.array([[-1, 2], [1, -2]]), 3)) == "{0x17},\n{0x31},\n"


# ---- streams


def chain() -> Graph:
    """Thresholds, a queue, and the output."""
    op, (x,) = next(iter(Threshold.examples()))
    nodes = (
        Node("x", Source(x, op.pe)),
        Node("y", op, ("x",)),
        Node("y.fifo", Fifo(op.pe, 5), ("y",)),
    )
    return Graph(nodes, ("y.fifo",))


def edited(design: Design, old: str, new: str) -> Design:
    files = {name: text.replace(old, new) for name, text in design.files.items()}
    assert files != design.files
    return replace(design, files=files)


def test_a_queue_is_the_stream_itself_and_both_its_ends_are_compared() -> None:
    graph = chain()
    design = backends.render("hls", graph)
    frames = random_values(graph.types["x"], 4)

    run = simulate.simulate(design, graph, frames, NO_CLOCK, stalls=0.3)

    run.check()
    assert list(run.mismatches) == ["x", "y", "y.fifo"]
    assert (run.cycles, run.interval, run.latency) == (None, None, None)
    assert np.array_equal(run.outputs, golden.outputs(graph, frames))
    assert design.files["bnn2hw_top.cpp"].count("static bnn2hw::fifo<cfg_y_fifo> q_y(") == 1
    assert "run_y_fifo" not in "".join(design.files.values())


def test_any_name_makes_a_design() -> None:
    op, (x,) = next(iter(Threshold.examples()))
    names = ("axis", "int", "a\\", "b\nc", "m_axis", "Größe*/")
    again = Threshold(np.array([[-1], [1], [3], [1], [-1], [1]]), pe=op.pe)
    chain = (op, Fifo(op.pe), again, Fifo(op.pe), again)
    nodes = [Node(b, o, (a,)) for o, (a, b) in zip(chain, pairwise(names), strict=True)]
    graph = Graph((Node(names[0], Source(x, op.pe)), *nodes), names[-1:])
    frames = random_values(x, 2)

    design = backends.render("hls", graph, header=Header("one\ntwo\\"))

    simulate.simulate(design, graph, frames, NO_CLOCK).check()
    assert np.array_equal(hls_csim.emulate(design, frames), golden.outputs(graph, frames))
    assert all(text.isascii() for text in design.files.values())


@pytest.mark.parametrize(
    ("factor", "stall", "waits"),
    [
        (2, 0.0, "'y' waits to read from 'x'"),
        (2, 0.5, "'y' waits to read from 'x'"),
        (0.5, 0.0, "'s_axis' waits to write to 'x'"),
    ],
)
def test_a_deadlock_is_found_and_told(factor: float, stall: float, waits: str) -> None:
    """A process that wants more beats than a frame has, or leaves some, holds up the others."""
    graph = chain()
    design = backends.render("hls", graph)
    beats = design.streams[0].beats
    hungry = edited(design, f"int BEATS = {beats};", f"int BEATS = {int(beats * factor)};")

    with pytest.raises(ToolError, match=rf"deadlock:(.|\n)*{waits}"):
        simulate.simulate(hungry, graph, random_values(graph.types["x"], 4), NO_CLOCK, stalls=stall)


def test_an_emulator_that_runs_dry_says_so() -> None:
    graph = chain()
    design = backends.render("hls", graph)
    beats = design.streams[0].beats
    hungry = edited(design, f"int BEATS = {beats};", f"int BEATS = {2 * beats};")

    with pytest.raises(ToolError, match="the emulator stopped: read from the empty stream 'x'"):
        hls_csim.emulate(hungry, random_values(graph.types["x"], 1))


TOGETHER = 7
"""Ops in one emulator."""


@pytest.mark.parametrize("optimized", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize("first", range(0, len(HARDWARE_OPS), TOGETHER))
def test_the_emulator_equals_golden(first: int, optimized: bool) -> None:
    """It runs the top function itself, one process after the other, and counts bits by words."""
    assert ("-O3" in hls_csim.EMULATOR_FLAGS) == optimized
    graph = ops.side_by_side(
        [(kind.kind, *list(kind.examples())[-2]) for kind in HARDWARE_OPS[first : first + TOGETHER]]
    )
    frames = random_frames(graph, 5)

    found = hls_csim.emulate(backends.render("hls", graph), frames)

    expected = golden.outputs(graph, frames)
    assert list(found) == list(graph.outputs)
    for name, values in found.items():
        assert np.array_equal(values, expected[name]), name
        assert values.shape == (5, *graph.types[name].shape)


def test_long_words_in_the_emulator() -> None:
    """Popcounts over more than one word, and sums of several folds of them."""
    weights = np.random.default_rng(0).choice([-1, 1], (390, 3))
    graph = alone(Xnor(weights, pe=3, simd=130), Tensor((390,), BIPOLAR))
    frames = random_values(graph.types["x"], 20)

    assert np.array_equal(
        hls_csim.emulate(backends.render("hls", graph), frames), golden.outputs(graph, frames)
    )


# ---- the project


def test_the_test_bench_passes_and_can_fail(tmp_path: Path) -> None:
    """The C simulation that csim.tcl asks of the vendor's tool, with g++; a signed output fills its padding with the sign."""
    graph = alone(Table(np.array([[-3, 2, 1, 0]]), Ints(0, 3), Ints(-3, 2)), Tensor((2, 1), Ints(0, 3)))
    design = backends.render("hls", graph)
    program = compile_cpp(["bnn2hw_top.cpp", "testbench.cpp"], write(design, tmp_path), "-std=c++17")
    expected = tmp_path / "expected.hex"
    right = expected.read_text()

    def bench(text: str) -> tuple[int, str]:
        expected.write_text(text)
        done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    digits = {f"{v % 256:02x}" for v in (-3, 2, 1, 0)}
    assert set(right.split()) <= digits
    assert bench(right) == (0, "PASS: 4 frames, 0 of 8 output beats differ\n")
    wrong = ("02" if right[:2] != "02" else "01") + right[2:]
    assert bench(wrong) == (
        1,
        "first difference at output beat 0\nFAIL: 4 frames, 1 of 8 output beats differ\n",
    )
    assert bench(right[3:])[0] == 2


@pytest.mark.parametrize("flag", ["-UBNN2HW_EMULATOR", "-D__SYNTHESIS__", "-DBNN2HW_EMULATOR"])
@pytest.mark.parametrize("kind", [Xnor, Mac])
def test_what_is_synthesized_is_what_is_simulated(kind: type[MatVec], flag: str, tmp_path: Path) -> None:
    """The few lines that differ between simulation, tool and emulator mean the same."""
    op, x = list(kind.examples())[2]
    design = backends.render("hls", alone(op, *x))

    program = compile_cpp(["bnn2hw_top.cpp", "testbench.cpp"], write(design, tmp_path), flag)

    assert "PASS" in tools.run([str(program)], tmp_path, "the test bench")


STUBS = """
set calls {}
foreach name {open_project set_top add_files open_solution set_part create_clock csim_design csynth_design
              cosim_design export_design} {
  proc $name args "lappend ::calls \\[concat $name \\$args\\]"
}
proc exit args {}
"""
"""The commands of the vendor's tool, which only note that they were called."""


@pytest.mark.parametrize("step", ["csim", "csynth", "cosim", "export"])
def test_scripts_run_in_tcl(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool_or_skip("tclsh")
    monkeypatch.delenv("PART", raising=False)
    design = backends.render("hls", chain(), header=Header(target=devices.device("xczu5ev")))
    write(design, tmp_path)
    (tmp_path / "try.tcl").write_text(f"{STUBS}\nsource {step}.tcl\nputs [join $calls \\n]\n")

    calls = tools.run(["tclsh", "try.tcl"], tmp_path, "tclsh").splitlines()

    assert calls[0] == "open_project bnn2hw_top_hls"
    assert calls[1] == "set_top bnn2hw_top"
    assert calls[-3:-1] == ["set_part xczu5ev-sfvc784-1-e", "create_clock -period 5.000 -name default"]
    assert calls[-1].startswith(f"{step}_design")
    added = [re.sub(r"^add_files (-tb )?", "", c).split()[0] for c in calls if c.startswith("add_files")]
    assert added == ["bnn2hw_top.cpp", "testbench.cpp", "frames.hex", "expected.hex"]
    assert all((tmp_path / name).is_file() for name in added)
