"""Rows are proved to count each lane once, in LEVELS cycles, whatever plan they are drawn by.

The drawn form is a netlist of cells that keep sums, which `tests.synthesis.test_forms` proves of
each. `tests.support.rows` reads it. The fast form is proved equal to it by Yosys for few lanes; for
more it differs in numbers only.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header, Printer
from bnn2hw.ops.base import compressor_plans
from bnn2hw.ops.base.compressors import Plan
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from tests.support.rows import Rows, elaborated
from tests.support.sums import WrongSumError

pytestmark = pytest.mark.usefixtures("yosys")

XILINX = families.family("xilinx")
SHORT = (*range(3, 20), 31, 32, 33, 48, 63, 64, 65, 100, 128)
WIDE = (*range(3, 257), 1809, *random.Random(0).sample(range(257, 2048), 8))
PART = 32
"""Widths in one run of Yosys, whose time grows faster than the file that it reads."""


def plan(lanes: int) -> Plan:
    found = compressor_plans.plan(lanes)
    assert found
    return found


def drawn(widths: Iterable[int]) -> dict[str, str]:
    shapes = {"rows": [plan(width) for width in widths]}
    names = ("rows", "pair_chain", "compressor")
    # The cells are portable: what matters of them are their ports.
    texts = {"rows": verilog.module("rows", Header(target=XILINX), shapes)}
    return {f"{n}.sv": texts.get(n) or verilog.module(n) for n in names}


def netlists(files: Mapping[str, str], widths: Iterable[int], folder: Path) -> dict[int, Any]:
    """Let Yosys elaborate `bnn2hw_rows` for some numbers of lanes."""
    parameters = {width: {"LANES": width, "LEVELS": plan(width).levels} for width in widths}
    return elaborated("rows", files, parameters, folder)


def check_all(modules: Mapping[int, Any]) -> None:
    for width, module in modules.items():
        assert Rows(module).lanes() == Counter({(i, plan(width).levels): 1 for i in range(width)})


def test_each_lane_counts_once_and_in_time(tmp_path: Path) -> None:
    check_all(netlists(drawn(SHORT), SHORT, tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, len(WIDE), PART))
def test_each_lane_counts_once_and_in_time_for_all_widths(first: int, tmp_path: Path) -> None:
    part = WIDE[first : first + PART]
    check_all(netlists(drawn(part), part, tmp_path))


WRONG = {
    "a lane of another pair": (".a(a[7:0])", ".a({a[6], a[7], a[5:0]})"),
    "a bit that counts twice": (
        "level2_column0[1:0] <= level1_column0[1:0]",
        "level2_column0[1:0] <= {2{level1_column0[0]}}",
    ),
    "a bit of another column": (
        ".bits({level1_column1[6:0]})",
        ".bits({level1_column0[0], level1_column1[5:0]})",
    ),
    "a bit of another cycle": ("assign extra = 1'b0", "assign extra = level1_column0[0]"),
    "another enable": (
        "      if (enable) begin\n        level2_column0",
        "      if (enable & a[0]) begin\n        level2_column0",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_rows_are_found(fault: str, tmp_path: Path) -> None:
    old, new = WRONG[fault]
    files = drawn([16])
    assert old in files["rows.sv"]
    files["rows.sv"] = files["rows.sv"].replace(old, new, 1)

    made = netlists(files, [16], tmp_path)

    with pytest.raises((WrongSumError, AssertionError)):
        check_all(made)


PAIR = """
module pair #(parameter int LANES = 3, parameter int LEVELS = 1) (
    input clk, input [LANES-1:0] a, input [LANES-1:0] b, output equal);
  wire [$clog2(LANES+1)-1:0] a1, b1, a2, b2;
  wire c1, c2;
  bnn2hw_rows #(.LANES(LANES), .LEVELS(LEVELS)) drawn (clk, 1'b1, a, b, a1, b1, c1);
  fast #(.LANES(LANES), .LEVELS(LEVELS)) fast (clk, 1'b1, a, b, a2, b2, c2);
  assign equal = a1 + b1 + c1 == a2 + b2 + c2;
endmodule
"""


def test_the_fast_form_is_the_drawn_one(tmp_path: Path) -> None:
    widths = (3, 4, 6, 7, 9, 11)
    fast = Printer("verilog").file("rows.sv", "simulation/rows.sv.j2").replace("bnn2hw_rows", "fast")
    passes = ["design -save read"]
    for width in widths:
        levels = plan(width).levels
        passes += [
            "design -load read",
            f"hierarchy -top pair -chparam LANES {width} -chparam LEVELS {levels}",
            "proc; flatten; opt -full",
            f"sat -verify -tempinduct -prove equal 1 -set-init-zero -maxsteps {levels + 1} pair",
        ]
    design = Design("pair", {"pair.sv": PAIR, "fast.sv": fast, **drawn(widths)}, (), (), ())

    synthesize.run_yosys(design, tmp_path, [*passes, "tee -o made.txt log made"], "made.txt")
