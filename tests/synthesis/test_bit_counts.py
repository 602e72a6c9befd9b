"""Counts of single bits are proved to count each lane once, in CYCLES cycles, whatever plan they are drawn by.

As in `test_rows`, the drawn form is read as a netlist of cells that keep sums. Yosys proves the portable form equal
to it for few lanes, some of them inverted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.ops.adder_graph.sums import LARGEST_TABLE
from bnn2hw.ops.base.compressor_plans import REACH, bit_levels, bit_luts, bit_plan
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from tests.support.rows import BitCount, elaborated
from tests.support.sums import WrongSumError

pytestmark = pytest.mark.usefixtures("yosys")

XILINX = families.family("xilinx")
SHORT = (*range(LARGEST_TABLE + 1, 25), 31, 32, 33, 55, 56, 100, 130)
WIDE = (*range(LARGEST_TABLE + 1, 257), *REACH[5:], *random.Random(0).sample(range(257, REACH[-1]), 8))
PART = 32
"""Widths in one run of Yosys, whose time grows faster than the file that it reads."""


def drawn(widths: Iterable[int]) -> dict[str, str]:
    shapes = {"bit_count": [bit_plan(width) for width in widths]}
    names = ("bit_compressor", "compressor", "sum", "delay")
    # The cells are portable: what matters of them are their ports.
    return {
        "bit_count.sv": verilog.module("bit_count", Header(target=XILINX), shapes),
        **{f"{n}.sv": verilog.module(n) for n in names},
    }


def check_all(files: Mapping[str, str], widths: Iterable[int], folder: Path) -> None:
    parameters = {width: {"LANES": width, "CYCLES": bit_levels(width) + 1} for width in widths}
    for width, module in elaborated("bit_count", files, parameters, folder).items():
        cycles = parameters[width]["CYCLES"]
        assert BitCount(module).lanes() == Counter({(lane, cycles): 1 for lane in range(width)})


def test_each_lane_counts_once_and_in_time(tmp_path: Path) -> None:
    check_all(drawn(SHORT), SHORT, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, len(WIDE), PART))
def test_each_lane_counts_once_and_in_time_for_all_widths(first: int, tmp_path: Path) -> None:
    part = WIDE[first : first + PART]
    check_all(drawn(part), part, tmp_path)


WRONG = {
    "a lane that counts twice": (
        ".bits({level0_column0[6:0]})",
        ".bits({level0_column0[7], level0_column0[5:0]})",
    ),
    "a bit of another column": (".left(row_a)", ".left(row_a << 1)"),
    "a bit of another cycle": (".word(total)", ".word(total | lanes)"),
    "another enable": (".enable(enable),\n        .left", ".enable(enable & lanes[0]),\n        .left"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_count_is_found(fault: str, tmp_path: Path) -> None:
    old, new = WRONG[fault]
    files = drawn([16])
    assert old in files["bit_count.sv"]
    files["bit_count.sv"] = files["bit_count.sv"].replace(old, new, 1)

    with pytest.raises((WrongSumError, AssertionError)):
        check_all(files, [16], tmp_path)


PAIR = """
module pair #(parameter int LANES = 9, parameter logic [LANES-1:0] INVERTED = 0, parameter int CYCLES = 2) (
    input clk, input [LANES-1:0] lanes, output equal);
  wire [$clog2(LANES+1)-1:0] one, other;
  bnn2hw_bit_count #(.LANES(LANES), .INVERTED(INVERTED), .CYCLES(CYCLES)) drawn (clk, 1'b1, lanes, one);
  fast #(.LANES(LANES), .INVERTED(INVERTED), .CYCLES(CYCLES)) fast (clk, 1'b1, lanes, other);
  assign equal = one == other;
endmodule
"""


def test_the_portable_form_is_the_drawn_one_with_inverted_lanes(tmp_path: Path) -> None:
    widths = (9, 10, 12, 13)
    fast = verilog.module("bit_count").replace("bnn2hw_bit_count", "fast")
    passes = ["design -save read"]
    for width in widths:
        cycles = bit_levels(width) + 1
        chosen = {"LANES": width, "INVERTED": 0b1001101001011 % 2**width, "CYCLES": cycles}
        # Registers that are all 0 count inverted lanes otherwise, until the first lanes have passed.
        passes += [
            "design -load read",
            f"hierarchy -top pair {' '.join(f'-chparam {name} {value}' for name, value in chosen.items())}",
            "proc; flatten; opt -full",
            f"sat -verify -seq {cycles + 1} -prove equal 1 -prove-skip {cycles} -set-init-zero pair",
        ]
    design = Design("pair", {"pair.sv": PAIR, "fast.sv": fast, **drawn(widths)}, (), (), ())

    synthesize.run_yosys(design, tmp_path, [*passes, "tee -o made.txt log made"], "made.txt")


@pytest.mark.parametrize("lanes", [*SHORT, 200, 500])
def test_plans_take_what_is_expected_and_every_lane(lanes: int) -> None:
    found = bit_plan(lanes)

    assert found.levels <= bit_levels(lanes)
    assert found.luts + found.adds == pytest.approx(bit_luts(lanes), abs=3, rel=0.02)
    assert len(found.inverts) == lanes
    assert found.heights[-1][0] <= 3
    assert max(found.heights[-1][1:]) <= 2
