"""No signal or memory word inside of a design has more than 4,096 bits, whatever its foldings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.dataflow import connect
from bnn2hw.errors import FoldingError
from bnn2hw.folding import search
from bnn2hw.ir import BIPOLAR, Graph, HardwareOp, Ints, Node, Tensor, hardware_nodes
from bnn2hw.ops import HARDWARE_OPS, Affine, Mac, Source, Threshold, Xnor
from bnn2hw.ops.base import parts
from bnn2hw.simulation import simulate
from bnn2hw.targets import devices, families
from tests.support import alone, cycles_alone, mlp, random_frames
from tests.support.machine import package_or_skip

DEVICE = devices.device("xc7z045")
RNG = np.random.default_rng(0)
SIGNS = np.array([-1, 1], np.int8)
FAMILIES = [families.family(name) for name in ("ecp5", "xilinx")]


def widest(design: Design, folder: Path, under: str = "") -> int:
    """The bits of the widest signal or memory word of an elaborated design, or of some instances."""
    package_or_skip("pyslang")
    from pyslang import ast
    from pyslang.driver import Driver

    files = {**design.files, **design.bench}
    for name, text in files.items():
        (folder / name).write_text(text)
    driver = Driver()
    driver.addStandardArgs()
    sources = [str(folder / name) for name in files if name.endswith(".sv")]
    assert driver.parseCommandLine(" ".join(["slang", "--top", design.top, *sources]))
    assert driver.processOptions()
    assert driver.parseAllSources()
    widths = [0]

    def see(symbol: ast.Symbol) -> ast.VisitAction:
        if symbol.kind == ast.SymbolKind.GenerateBlock and symbol.isUninstantiated:
            return ast.VisitAction.Skip
        if symbol.kind in (ast.SymbolKind.Variable, ast.SymbolKind.Net) and under in symbol.hierarchicalPath:
            kind = symbol.type
            while kind.isUnpackedArray:
                kind = kind.elementType
            widths.append(kind.bitWidth)
        return ast.VisitAction.Advance

    driver.createCompilation().getRoot().visit(see)
    assert len(widths) > 1
    return max(widths)


WIDE: dict[str, tuple[HardwareOp, Tensor]] = {
    "xnor": (Xnor(RNG.choice(SIGNS, (256, 60)), pe=60, simd=128), Tensor((256,), BIPOLAR)),
    "xnor, masked": (Xnor(RNG.choice(SIGNS, (300, 32)), pe=16, simd=300), Tensor((300,), Ints(-1, 1))),
    "mac": (Mac(RNG.integers(-8, 8, (100, 40)), pe=40, simd=50), Tensor((100,), Ints(0, 255))),
    "mac, chained": (Mac(RNG.choice(SIGNS, (512, 40)), pe=20, simd=256), Tensor((512,), Ints(0, 7))),
    "threshold": (
        Threshold(np.sort(RNG.integers(-2000, 2000, (60, 15)), 1), Ints(0, 15), pe=30),
        Tensor((60,), Ints(-2000, 2000)),
    ),
    "threshold, of many levels": (
        Threshold(np.sort(RNG.integers(-(2**23), 2**23, (3, 255)), 1), Ints(0, 255), pe=3),
        Tensor((3,), Ints(-(2**23), 2**23)),
    ),
    "affine": (
        Affine(
            RNG.integers(-200, 200, (64, 6)),
            RNG.integers(-4000, 4000, (64, 6)),
            np.sort(RNG.integers(-40, 60, (64, 5)), 1),
            6,
            Ints(-128, 127),
            pe=64,
        ),
        Tensor((64,), Ints(-70, 50)),
    ),
}
"""Units that would have a word of more than 4,096 bits if they were printed as one."""


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_unit_has_no_wide_word(name: str, tmp_path: Path) -> None:
    op, x = WIDE[name]

    assert len(op.printed_parts(x)) > 1
    assert widest(verilog.render(alone(op, x)), tmp_path) <= parts.MOST_INSIDE


SMALL = 12
"""Bits of the widest word by which small examples become several parts."""

SPLIT = [
    pytest.param(op, x, id=f"{op.kind}-{number}")
    for kind in HARDWARE_OPS
    for number, (op, x) in enumerate(kind.examples())
    if getattr(op, "pe", 1) > 1 and hasattr(op, "lane_bits") and op.pe * op.lane_bits(*x) > SMALL
]


@pytest.mark.parametrize(("op", "x"), SPLIT[::4])
def test_parts_compute_the_same_in_the_same_cycles(
    op: HardwareOp, x: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_parts(op, x, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize(("op", "x"), SPLIT)
def test_parts_of_all_examples_compute_the_same(
    op: HardwareOp, x: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_parts(op, x, monkeypatch)


def check_parts(op: HardwareOp, x: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_INSIDE", SMALL)
    graph = alone(op, *x)

    design = verilog.render(graph)

    assert len(op.printed_parts(*x)) > 1
    simulate.simulate(design, graph, random_frames(graph, 4), cycles_alone(op, *x)).check()


def test_thresholds_of_one_lane_are_split_by_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a lane falls, and an output that begins below 0."""
    monkeypatch.setattr(parts, "MOST_INSIDE", SMALL)
    levels = np.sort(RNG.integers(-50, 52, (3, 7)), 1)
    op = Threshold(levels, Ints(-4, 3), pe=1, falls=np.array([True, False, True]))
    x = Tensor((2, 3), Ints(-50, 50))
    graph = alone(op, x)

    assert {part.writes for part in op.printed_parts(x)} == {(0, 1)}
    simulate.simulate(verilog.render(graph), graph, random_frames(graph, 9), cycles_alone(op, x)).check()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_fast_network_has_no_wide_signal(family: families.Family, tmp_path: Path) -> None:
    """784 inputs of 256 neurons in 32 cycles are 6,272 weights per cycle."""
    graph = connect.connect(search.for_rate(mlp(784, 256, 10), 32, DEVICE))

    assert any(op.printed_parts(*graph.inputs_of(node)) for node, op in hardware_nodes(graph))
    assert widest(verilog.render(graph, family=family), tmp_path) <= parts.MOST_INSIDE


@pytest.mark.parametrize("kind", HARDWARE_OPS, ids=lambda k: k.kind)
def test_the_stated_bound_holds_for_all_examples(kind: type[HardwareOp], tmp_path: Path) -> None:
    """Beats, the stated bits and the words of all lanes bound each signal; tables of a LUT have 128 bits."""
    for number, (op, x) in enumerate(kind.examples()):
        graph = alone(op, *x)
        beats = [op.input_beats(port, *x).lanes * t.ints.bits for port, t in enumerate(x)]
        beats.append(op.beats(*x)[1].lanes * graph.types["y"].ints.bits)
        lanes = op.pe * op.lane_bits(*x) if hasattr(op, "lane_bits") and hasattr(op, "pe") else 0
        converted = [of.inner_bits(*graph.inputs_of(n)) for n, of in hardware_nodes(graph) if n.name != "y"]
        folder = tmp_path / str(number)
        folder.mkdir()

        found = widest(verilog.render(graph), folder, under=".u_y")

        assert found <= max(*beats, *converted, op.inner_bits(*x), lanes, 128), (op.kind, number)


def test_a_single_lane_that_is_too_wide_is_refused_by_name() -> None:
    """Products of 400 inputs with weights of 16 bits: 9,600 bits of one neuron."""
    weights = RNG.integers(-(2**15), 2**15, (400, 2))
    graph = Graph(
        (Node("x", Source(Tensor((400,), Ints(0, 255)))), Node("fc", Mac(weights), ("x",))), ("fc",)
    )

    with pytest.raises(
        FoldingError, match=r"layer 'fc' has a signal inside of 9,600 bits, and at most 4,096"
    ):
        search.chosen(graph, DEVICE, by_hand={"fc": {"pe": 1, "simd": 400}})
    assert replace(Mac(weights), simd=400).inner_bits(Tensor((400,), Ints(0, 255))) == 9_600
