"""The fast forms of `popcount` and `stagger` are proved to count the same lanes in the same cycles as the real ones.

The lanes of the two modules differ in between, so they are proved together: two staggers, and a
popcount of what they give. A form is right if each lane counts once, all lanes of a count are of the
same cycle, and the last lane arrives with the count (`tests.support.sums`). That holds for every
input, since all cells between are exact sums, which Yosys proves of the two that are no cells of
its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header, Printer
from bnn2hw.ops.base.popcount_trees import Chains
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from tests.support.sums import Count, Netlist, Place, WrongSumError

pytestmark = pytest.mark.usefixtures("yosys")

PAIR = """
module pair #(parameter int LANES = 1) (
    input clk, input enable, input [LANES:0] a, input [LANES:0] b,
    output [$clog2(LANES + 1)-1:0] count, output last_a, output last_b);
  wire [LANES:0] late_a, late_b;
  assign {last_a, last_b} = {late_a[LANES], late_b[LANES]};
  bnn2hw_stagger #(.LANES(LANES)) stagger_a (clk, enable, a, late_a);
  bnn2hw_stagger #(.LANES(LANES)) stagger_b (clk, enable, b, late_b);
  bnn2hw_popcount #(.LANES(LANES)) popcount (
      clk, enable, late_a[LANES-1:0], late_b[LANES-1:0], count);
endmodule
"""

SHORT = (*range(1, 18), 31, 32, 62, 63, 64, 127, 128)
WIDE = (*range(1, 257), *random.Random(0).sample(range(257, 4096), 20))

MODULES = ("popcount", "stagger", "popcount3", "adder_row")
REAL = {f"{name}.sv": verilog.module(name) for name in MODULES}
ECP5 = families.family("ecp5")
FAST = REAL | {
    f"{name}.sv": Printer("verilog").file(f"{name}.sv", f"simulation/{name}.sv.j2")
    for name in ("popcount", "stagger")
}


def drawn(widths: Iterable[int]) -> dict[str, str]:
    """Return the files with the popcount of ECP5, which is drawn for each number of lanes.

    Its chains are portable: what matters of them are their ports.
    """
    shapes = {"popcount": [Chains(width) for width in widths]}
    own = {
        "popcount.sv": verilog.module("popcount", Header(target=ECP5), shapes),
        "adder_chain.sv": verilog.module("adder_chain"),
    }
    return {"stagger.sv": REAL["stagger.sv"]} | own


def netlists(files: Mapping[str, str], widths: Iterable[int], folder: Path) -> dict[int, Any]:
    """Let Yosys elaborate `pair` for some numbers of lanes; `popcount3` and `adder_row` stay cells."""
    design = Design("pair", {"pair.sv": PAIR, **files}, (), (), ())
    passes = ["design -save read"]
    for width in widths:
        passes += [
            "design -load read",
            f"hierarchy -top pair -chparam LANES {width}",
            "setattr -mod -set keep_hierarchy 1 *popcount3* *adder_row* *adder_chain*",
            "proc; flatten; opt_expr; opt_dff; opt_clean",
            f"write_json {width}.json",
        ]
    synthesize.run_yosys(design, folder, [*passes, "tee -o made.txt log made"], "made.txt")
    found = {}
    for width in widths:
        modules = json.loads((folder / f"{width}.json").read_text())["modules"]
        found[width] = next(m for m in modules.values() if int(m["attributes"].get("top", "0"), 2))
        for cell in found[width]["cells"].values():
            if "adder_chain" in cell["type"]:
                cell["parameters"] = modules[cell["type"]]["parameter_default_values"]
    return found


def check(module: Mapping[str, Any], lanes: int) -> None:
    """Check that a netlist counts each lane once, and delays the last one until the count is there."""
    netlist, levels = Netlist(module), (lanes + 1 - 1).bit_length() - 1
    assert netlist.count(netlist.ports["count"]) == Count(frozenset(range(lanes)), levels)
    for side in "ab":
        assert list(netlist.delays(f"last_{side}")) == [Place(side, lanes, levels)]


def check_all(modules: Mapping[int, Any]) -> None:
    for lanes, module in modules.items():
        check(module, lanes)


@pytest.mark.parametrize("form", ["real", "fast", "ecp5"])
def test_each_lane_counts_once_and_in_time(form: str, tmp_path: Path) -> None:
    files = {"real": REAL, "fast": FAST, "ecp5": drawn(SHORT)}[form]

    check_all(netlists(files, SHORT, tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize("form", ["real", "fast", "ecp5"])
def test_each_lane_counts_once_and_in_time_for_all_widths(form: str, tmp_path: Path) -> None:
    files = {"real": REAL, "fast": FAST, "ecp5": drawn(WIDE)}[form]

    check_all(netlists(files, WIDE, tmp_path))


WRONG = {
    "a lane of another cycle": (
        "stagger.sv",
        "value <= delay[d-1].value[LANES:FIRST]",
        "value <= lanes[LANES:FIRST]",
    ),
    "a lane that counts twice": ("popcount.sv", ".a(a[CARRY+:SUMS])", ".a(a[0+:SUMS])"),
    "a count that is late": (
        "popcount.sv",
        "if (enable) value[SUMS*(l+1)+:l+1] <=",
        "if (enable & a[0]) value[SUMS*(l+1)+:l+1] <=",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_forms_are_found(fault: str, tmp_path: Path) -> None:
    file, old, new = WRONG[fault]
    assert old in REAL[file]
    files = REAL | {file: REAL[file].replace(old, new)}

    made = netlists(files, (9, 13, 20), tmp_path)

    with pytest.raises((WrongSumError, AssertionError)):
        check_all(made)


MEANING = {
    "popcount3": """
module meaning #(parameter int COUNT = 1) (
    input clk, input enable, input [3*COUNT-1:0] a, input [3*COUNT-1:0] b, output reg [2*COUNT-1:0] sums);
  always @(posedge clk) if (enable) for (int t = 0; t < COUNT; t++)
    sums[2*t+:2] <= 2'(a[3*t] ^ b[3*t]) + 2'(a[3*t+1] ^ b[3*t+1]) + 2'(a[3*t+2] ^ b[3*t+2]);
endmodule
""",
    "adder_chain": """
module meaning #(
    parameter int HALVES = 2, parameter logic [HALVES-1:0] FIRST = 1, parameter logic [HALVES-1:0] PAIRS = 0) (
    input clk, input enable, input [HALVES-1:0] a, b, c, d, output reg [HALVES-1:0] sums);
  reg [HALVES:0] value, term;
  integer base;
  always @(posedge clk) if (enable) for (int i = 0; i < HALVES; i++) begin
    base = 0;
    for (int j = 0; j <= i; j++) if (FIRST[j]) base = j;
    value = a[base] ^ b[base];
    for (int j = 0; j < HALVES; j++) begin
      term = PAIRS[j] ? (HALVES+1)'(a[j] ^ b[j]) + (HALVES+1)'(c[j] ^ d[j]) : (HALVES+1)'(a[j]) + (HALVES+1)'(b[j]);
      if (j > base && (j <= i || (j == i + 1 && !FIRST[j]))) value = value + (term << (j - base - 1));
    end
    sums[i] <= value[i-base];
  end
endmodule
""",
    "adder_row": """
module meaning #(parameter int COUNT = 1, parameter int BITS = 1) (
    input clk, input enable, input [2*COUNT*BITS-1:0] terms, input [COUNT-1:0] a, input [COUNT-1:0] b,
    output reg [COUNT*(BITS+1)-1:0] sums);
  always @(posedge clk) if (enable) for (int n = 0; n < COUNT; n++)
    sums[n*(BITS+1)+:BITS+1] <=
        (BITS+1)'(terms[2*n*BITS+:BITS]) + (BITS+1)'(terms[(2*n+1)*BITS+:BITS]) + (BITS+1)'(a[n] != b[n]);
endmodule
""",
}


@pytest.mark.parametrize("most", [14, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("module", MEANING)
def test_the_sums_are_what_they_are_called(module: str, most: int, tmp_path: Path) -> None:
    """By default for short chains."""
    from tests.support.forms import PARAMETERS, proof

    files = {
        "portable.sv": verilog.module(module).replace(f"bnn2hw_{module}", "portable"),
        "own.sv": MEANING[module].replace("meaning", "own"),
    }
    chosen = [p for p in PARAMETERS[module] if p.get("HALVES", 0) <= most]
    passes = [p for parameters in chosen for p in proof(parameters)]
    design = Design("", files, (), (), ())

    synthesize.run_yosys(
        design, tmp_path / "proof", ["design -save read", *passes, "tee -o made.txt log made"], "made.txt"
    )
