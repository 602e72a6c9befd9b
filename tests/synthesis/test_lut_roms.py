"""Small ROMs as LUTs: the same words, in as few LUTs as columns of six inputs take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.estimate import cycles
from bnn2hw.ir import BIPOLAR, Array, Tensor
from bnn2hw.ops import Xnor
from bnn2hw.simulation import simulate
from bnn2hw.synthesis import gate_level, toolchains
from bnn2hw.synthesis.lut_roms import fill_luts
from bnn2hw.targets import families
from tests.support import ops, random_frames

WORDS = (3, 64)


def module(*ports: Array, unread: frozenset[int] = frozenset()) -> dict[str, Any]:
    """A ROM with a read port for each array of words and columns; -1 is a bit that is not known.

    The nets of the address of port p are 100 p to 100 p + 5, those of its columns come behind.
    """
    words, width = ports[0].shape
    bits = max((words - 1).bit_length(), 1)
    contents = "".join("x01"[bit + 1] for bit in ports[0].reshape(-1)[::-1])
    numbers = {
        "ABITS": bits,
        "WIDTH": width,
        "SIZE": words,
        "OFFSET": 0,
        "WR_PORTS": 0,
        "RD_PORTS": len(ports),
    }
    numbers |= {"RD_CLK_ENABLE": 0, "RD_WIDE_CONTINUATION": 0}
    address = [100 * (p + 1) + n for p in range(len(ports)) for n in range(bits)]
    data = [100 * (p + 1) + 10 + c for p in range(len(ports)) for c in range(width)]
    parameters = {name: f"{number:032b}" for name, number in numbers.items()} | {"INIT": contents}
    rom = {"type": "$mem_v2", "parameters": parameters, "connections": {"RD_ADDR": address, "RD_DATA": data}}
    read = [net for n, net in enumerate(data) if n not in unread]
    return {"cells": {"rom": rom}, "ports": {"q": {"bits": read}}, "netnames": {"word": {"bits": list(data)}}}


def value(cell: dict[str, Any], nets: dict[Any, int], output: str) -> int:
    """The output of a LUT by the maker's definition: the inputs are the number of an entry."""
    wires, table = cell["connections"], cell["parameters"]
    pins = wires["A"] if cell["type"] == "$lut" else [wires[f"I{n}"][0] for n in range(6)]
    entry = sum(nets[net] << n for n, net in enumerate(pins))
    entry &= 31 if output == "O5" else 63
    return int(table["LUT" if cell["type"] == "$lut" else "INIT"][-1 - entry])


def read(made: dict[str, Any], address: int, ports: int, bits: int) -> list[int]:
    """The bits that the outputs show."""
    nets: dict[Any, int] = {"0": 0, "1": 1}
    nets |= {100 * (p + 1) + n: address >> n & 1 for p in range(ports) for n in range(bits)}
    for cell in made["cells"].values():
        for output in ("Y", "O", "O5", "O6"):
            for net in cell["connections"].get(output, []):
                nets[net] = value(cell, nets, output)
    return [nets[net] for net in made["ports"]["q"]["bits"]]


def kinds(made: dict[str, Any]) -> list[str]:
    return sorted(cell["type"] for cell in made["cells"].values())


def contents(words: int, rng: np.random.Generator) -> Array:
    """Columns of all kinds: random, constant, a bit of the address, equal, inverse, and of few address bits."""
    rom = rng.integers(0, 2, (words, 14))
    rows = np.arange(words)
    rom[:, 1], rom[:, 2], rom[:, 3] = 0, 1, rows & 1
    rom[:, 4], rom[:, 5], rom[:, 6] = rom[:, 0], 1 - rom[:, 0], 1 - (rows >> 1 & 1)
    rom[:, 7], rom[:, 8] = (rows & 3) == 2, rng.integers(0, 2, 32)[rows % 32]
    rom[:, 9] = rng.integers(0, 2, 64)[rows & ~4]
    return rom


@pytest.mark.parametrize("words", [3, 4, 5, 8, 9, 16, 17, 24, 31, 32, 33, 36, 48, 64])
@pytest.mark.parametrize("ports", [1, 2])
def test_luts_answer_what_the_rom_does(words: int, ports: int) -> None:
    rom = contents(words, np.random.default_rng(words))
    made = module(*[rom] * ports)

    assert fill_luts(made, WORDS) == 1

    assert set(kinds(made)) <= {"LUT6", "LUT6_2", "$lut"}
    for address, row in enumerate(rom):
        assert read(made, address, ports, (words - 1).bit_length()) == [*row] * ports


@pytest.mark.parametrize(
    ("words", "columns", "cells"),
    [
        (16, 6, ["LUT6_2"] * 3),
        (32, 7, ["$lut"] + ["LUT6_2"] * 3),
        (64, 3, ["LUT6"] * 3),
        (48, 4, ["LUT6"] * 4),
    ],
)
def test_a_column_takes_half_a_lut_or_one(words: int, columns: int, cells: list[str]) -> None:
    made = module(np.random.default_rng(1).integers(0, 2, (words, columns)))

    fill_luts(made, WORDS)

    assert kinds(made) == sorted(cells)


def test_columns_of_five_address_bits_share_a_lut_in_a_rom_of_64_words() -> None:
    table = np.random.default_rng(2).integers(0, 2, (64, 4))
    rows = np.arange(64)
    made = module(np.stack([table[rows & ~4, 0], table[rows & ~4, 1], table[rows & ~6, 2], table[:, 3]], 1))

    fill_luts(made, WORDS)

    assert kinds(made) == ["$lut", "LUT6", "LUT6_2"]


def test_columns_without_a_function_become_wires_and_unread_ones_vanish() -> None:
    rows = np.arange(32)
    rom = np.stack([rows >> 4, rows * 0, rows * 0 + 1, rows >> 4, (rows % 3) == 1], 1)
    made = module(rom, unread=frozenset({4}))

    fill_luts(made, WORDS)

    assert made["cells"] == {}
    assert made["ports"]["q"]["bits"] == [104, "0", "1", 104]


def test_unknown_bits_are_free() -> None:
    rows = np.arange(40)
    known = rows >> 5
    made = module(np.stack([np.where(rows % 4 == 3, -1, known), np.full(40, -1)], 1))

    fill_luts(made, WORDS)

    assert (made["cells"], made["ports"]["q"]["bits"]) == ({}, [105, "0"])


@pytest.mark.parametrize(
    "change", [{"WR_PORTS": 1}, {"RD_CLK_ENABLE": 1}, {"SIZE": 65}, {"SIZE": 2}, {"ABITS": 7}, {"OFFSET": 4}]
)
def test_other_memories_stay(change: dict[str, int]) -> None:
    made = module(np.random.default_rng(3).integers(0, 2, (20, 4)))
    made["cells"]["rom"]["parameters"] |= {name: f"{number:032b}" for name, number in change.items()}

    assert fill_luts(made, WORDS) == 0
    assert kinds(made) == ["$mem_v2"]


@pytest.mark.usefixtures("yosys")
def test_a_netlist_with_small_roms_is_exact(tmp_path: Path) -> None:
    """Weights of 24 and of 48 words, some of whose columns are constant, equal or inverse."""
    family, rng = families.family("xilinx"), np.random.default_rng(4)
    units = []
    for neurons in (24, 48):
        weights = rng.choice(np.array([-1, 1], np.int8), (12, neurons))
        weights[3], weights[4], weights[5] = 1, weights[0], -weights[1]
        units.append((f"xnor-{neurons}", Xnor(weights, simd=12), (Tensor((2, 12), BIPOLAR),)))
    graph = ops.side_by_side(units)
    design = verilog.render(graph, family=family)
    assert len(toolchains.scripts(family.mapper, design.files)) == 2

    netlist = gate_level.of(design, family, tmp_path)

    text = netlist.files["netlist.sv"]
    assert text.count(" LUT6_2 ") >= 4
    assert "rom_lut_" in text
    simulate.simulate(
        netlist, graph, random_frames(graph, 4), cycles.cycles(graph), stalls=0.2, seed=1
    ).check()


def test_a_design_without_small_roms_goes_through_in_one_run() -> None:
    mapper = families.family("xilinx").mapper
    words = "0\n" * 65

    assert toolchains.scripts(mapper, {"y.weights.hex": words}) == [mapper.command.split("; ")]
    assert toolchains.scripts(families.family("ecp5").mapper, {"y.weights.hex": "0\n" * 20})[1:] == []
