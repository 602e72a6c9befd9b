"""Proofs that a family's form of a module computes what the portable form does, by Yosys and its models of the cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.ops.base.popcount_trees import CarryChain, Chains
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families


def drawn(chain: CarryChain) -> tuple[int, int, int]:
    """Return HALVES, FIRST and PAIRS of a chain."""
    first, pairs = (int(chain.mask(pairs=pairs).split("b")[1], 2) for pairs in (False, True))
    return chain.halves, first, pairs


PARAMETERS: dict[str, list[Mapping[str, int]]] = {
    "adder_chain": [
        {"HALVES": halves, "FIRST": first, "PAIRS": pairs}
        for halves, first, pairs in dict.fromkeys(
            [
                *((2, 0b1, 0b10), (3, 0b1, 0), (5, 0b101, 0b1010), (8, 0b00010001, 0b00100010)),
                *(drawn(chain) for lanes in (15, 63, 70) for chain in Chains(lanes).drawn),
            ]
        )
    ],
    "popcount3": [{"COUNT": n} for n in (1, 2, 8, 9, 19)],
    "adder_row": [
        {"COUNT": n, "BITS": b} for n, b in ((1, 1), (1, 2), (5, 2), (9, 3), (3, 7), (2, 11), (1, 17), (7, 4))
    ],
    "accumulator": [
        {"BITS": b, "START": s} for b, s in ((1, 0), (2, 1), (4, 0), (5, 9), (8, 200), (12, 1365), (17, 1))
    ],
    "pair_chain": [{"PAIRS": n} for n in (1, 2, 3, 4, 8)],
    "compressor": [
        {"ONES": ones, "TWOS": twos, "BITS": bits}
        for ones, twos, most in ((2, 0, 2), (3, 0, 2), (6, 0, 3), (7, 0, 3), (5, 1, 3), (3, 2, 3))
        for bits in range(1, most + 1)
    ],
    "bit_compressor": [
        {"ONES": ones, "INVERTED": inverted, "BITS": ones.bit_length()}
        for ones in (2, 3, 6, 7)
        for inverted in dict.fromkeys((0, 0b1, 0b10, 0b1010101 % 2**ones, 2**ones - 1))
    ],
    "row_accumulator": [
        {"BITS": b, "COLUMNS": c} for b, c in ((1, 1), (2, 2), (4, 3), (5, 5), (9, 2), (11, 7), (17, 17))
    ],
    "lut_product": [
        {"A_BITS": a, "B_BITS": b, "A_SIGNED": signs % 2, "B_SIGNED": signs // 2}
        for a, b in ((1, 1), (2, 2), (3, 1), (4, 2), (4, 4), (8, 3))
        for signs in range(4)
    ],
    "accumulator_bank": [
        {"NEURONS": n, "BITS": b, "COLUMNS": c, "EXTRA": e}
        for n, b, c, e in (
            (4, 12, 7, 0),
            (4, 11, 5, 1),
            (3, 4, 4, 1),
            (2, 12, 5, 1),
            (2, 24, 9, 0),
            (1, 1, 1, 0),
            (1, 23, 2, 1),
        )
    ],
    "signed_pair": [{"BITS": b} for b in (1, 2, 4, 9, 12, 17)],
    "sum": [
        {"LEFT": a, "RIGHT": b, "BITS": max(a, b) + grows, "MINUS": minus, "CARRIES": carries}
        for a, b, grows in ((1, 1, 1), (3, 2, 1), (2, 5, 1), (4, 4, 0), (8, 3, 1), (9, 9, 1))
        for minus in (0, 1)
        for carries in (0, 1)
    ],
}
"""Parameters of each module with forms of families."""


def text(module: str, family: families.Family | None = None) -> str:
    return verilog.module(module, Header(target=family))


def proof(parameters: Mapping[str, int]) -> list[str]:
    """Passes that fail unless the outputs are equal in all cycles, from equal registers on."""
    chosen = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    passes = []
    for side in ("portable", "own"):
        passes += [
            f"design -load read; hierarchy -check -top {side} {chosen}; proc; flatten; opt_clean",
            f"rename -top {side}; design -stash {side}",
        ]
    return [
        *passes,
        *(f"design -copy-from {side} -as {side} {side}" for side in ("portable", "own")),
        "miter -equiv -flatten -make_assert portable own miter; hierarchy -top miter; opt -full",
        "sat -verify -tempinduct -prove-asserts -set-init-zero -maxsteps 4 miter",
    ]


ATTRIBUTES = re.compile(r"\(\*(?!\)).*?\*\)", re.DOTALL)
MODULE = re.compile(r"^module\s+(\S+?)\b.*?^endmodule\b", re.MULTILINE | re.DOTALL)


def needed(cells: str, forms: str) -> str:
    """Return the models of the cells that forms contain, without attributes. Yosys copies all it has for each proof."""
    bare = ATTRIBUTES.sub("", cells)
    words = {found[1]: set(re.findall(r"\w+", found[0])) for found in MODULE.finditer(bare)}
    kept: set[str] = set()
    fresh = set(re.findall(r"\w+", forms)) & set(words)
    while fresh:
        kept |= fresh
        fresh = set().union(*(words[name] for name in fresh)) & set(words) - kept
    return MODULE.sub(lambda found: found[0] if found[1] in kept else "", bare)


def prove(module: str, family: families.Family, forms: Mapping[str, str], folder: Path) -> None:
    """Run the proofs for all parameters; `forms` are the texts of both.

    Raises:
        ToolError: a proof failed.
    """
    share = tools.yosys_share() / Path(family.mapper.models).parent
    folder.mkdir()
    for path in share.glob("*.vh"):
        (folder / path.name).write_text(path.read_text())
    whole = "".join(forms.values())
    cells = needed((share / "cells_sim.v").read_text(), whole)
    blocks = [cell for cell in family.mapper.blocks if f" {cell} " in whole]
    ours = verilog.block_models(blocks)
    (folder / "cells.v").write_text(re.sub(r'`include "[^"]*/', '`include "', cells))
    files = {f"{side}.sv": form.replace(f"bnn2hw_{module}", side) for side, form in forms.items()}
    files |= ours
    passes = [p for parameters in PARAMETERS[module] for p in proof(parameters)]
    passes = [
        "read_verilog -overwrite -I. cells.v",
        *(f"read_verilog -sv -overwrite {name}" for name in ours),
        "design -save read",
        *passes,
        "tee -o proved.txt log proved",
    ]
    synthesize.run_yosys(Design("", files, (), (), ()), folder, passes, "proved.txt")
