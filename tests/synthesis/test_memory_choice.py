"""Memories alone in Yosys: it takes the cells that the cost models say, over shapes around each change of its mind."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bnn2hw.backends.design import Design
from bnn2hw.ops.base.costs import block_rams, ram_cost
from bnn2hw.ops.base.memory_choice import lut_rams
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.targets import families
from bnn2hw.targets.families import Family

pytestmark = pytest.mark.usefixtures("yosys")

RAMS = [
    (2, 9),
    (17, 1),
    (30, 5),
    (99, 1),
    (120, 3),
    (200, 1),
    (240, 12),
    (256, 8),
    (512, 4),
    (960, 2),
    (1000, 3),
    (1280, 19),
]
ROMS = [(70, 40), (600, 20), (1280, 19)]
"""Words and bits."""

MEMORY = """
module {name} (input clk, we, input [{top}:0] wa, ra, input [{bits}-1:0] d, output reg [{bits}-1:0] q);
  {attribute} reg [{bits}-1:0] mem[0:{words}-1];
  {write}
  always @(posedge clk) q <= mem[ra];
endmodule
"""
WRITE = "always @(posedge clk) if (we) mem[wa] <= d;"
CONTENTS = (
    "integer i; initial for (i = 0; i < {words}; i = i + 1) mem[i] = {{8{{i[12:0] * 13'd2741 ^ 13'd97}}}};"
)
KINDS = {
    "rom": ('(* syn_romstyle = "ebr" *)', CONTENTS, "addr_b"),
    "ram": ("(* no_rw_check *)", WRITE, "addr_b"),
    "one_port": ("(* no_rw_check *)", WRITE, "addr_a"),
}


def sources(kinds: dict[str, list[tuple[int, int]]]) -> str:
    """A top with one memory for each kind and shape."""
    modules, instances, ports = (
        [],
        [],
        ["input clk", "input we", "input [15:0] addr_a", "input [15:0] addr_b", "input [71:0] d"],
    )
    for kind, shapes in kinds.items():
        attribute, write, address = KINDS[kind]
        for words, bits in shapes:
            name, top = f"{kind}_{words}_{bits}", (words - 1).bit_length() - 1
            modules.append(
                MEMORY.format(
                    name=f"m_{name}",
                    top=top,
                    bits=bits,
                    words=words,
                    attribute=attribute,
                    write=write.format(words=words),
                )
            )
            ports.append(f"output [{bits}-1:0] q_{name}")
            pins = f".clk(clk), .we(we), .wa(addr_a[{top}:0]), .ra({address}[{top}:0]), .d(d[{bits}-1:0]), .q(q_{name})"
            instances.append(f"  m_{name} {name} ({pins});")
    return "\n".join([*modules, f"module top ({', '.join(ports)});", *instances, "endmodule", ""])


def taken(family: Family, kinds: dict[str, list[tuple[int, int]]], folder: Path) -> dict[str, Counter[str]]:
    """The cells that Yosys makes of each memory, by its name."""
    *passes, last = family.mapper.command.replace(" -json netlist.json", "").split("; ")
    passes += [] if last.endswith("-run map_ffram:") else [f"{last} -run begin:map_ffram"]
    passes += ["delete =A:whitebox =A:blackbox", "write_json made.json"]
    design = Design("top", {"top.sv": sources(kinds), **toolchains.corrected(family.mapper)}, (), (), ())
    made = synthesize.run_yosys(design, folder, passes, "made.json")
    found: dict[str, Counter[str]] = {}
    for name, cell in json.loads(made.read_text())["modules"]["top"]["cells"].items():
        memory = re.match(r"(\w+?_\d+_\d+)\.", name)
        if memory and not cell["type"].startswith("$"):
            found.setdefault(memory[1], Counter())[cell["type"]] += 1
    return found


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("family", [f for f in families.known().values() if f.mapper], ids=lambda f: f.name)
def test_the_models_choose_as_yosys_does(family: Family, every: int, tmp_path: Path) -> None:
    rams = RAMS[::every]
    kinds = {
        "rom": ROMS[::every],
        "ram": rams,
        "one_port": [(words, bits) for words, bits in rams if words <= 512],
    }
    if not family.lutrams:
        del kinds["one_port"]

    cells = taken(family, kinds, tmp_path)

    wrong = []
    for kind, shapes in kinds.items():
        for words, bits in shapes:
            used = cells.get(f"{kind}_{words}_{bits}", Counter())
            bram = toolchains.total(family.mapper.bram, used)
            lut = toolchains.total(
                {k: v for k, v in family.mapper.lut.items() if "RAM" in k or "DPR" in k}, used
            )
            ports = 1 if kind == "one_port" else 2
            predicted = (
                block_rams(family, words, bits)
                if kind == "rom"
                else ram_cost(family, words, bits, ports).bram
            )
            small = lut_rams(family, words, bits, ports)
            luts = small.luts if small and not predicted else 0
            if (bram, lut) != (predicted, luts):
                wrong.append((kind, words, bits, dict(used), f"predicted {predicted} BRAM and {luts} LUT"))
    assert wrong == []
