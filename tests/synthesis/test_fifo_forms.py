"""FIFOs that are read from LUT RAM behave as registered ones, and Yosys takes the RAM for them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.errors import ToolError
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import Fifo, Lut, Source
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from tests.support import ops

pytestmark = pytest.mark.usefixtures("yosys")

DIRECT = [f for f in ops.FAMILIES if f.lutram_fifos]

SIDE = """
module SIDE #(parameter int BITS = 1, parameter int DEPTH = 2) (
    input clk, input rst, input [BITS-1:0] s_data, input s_valid, output s_ready,
    output [BITS-1:0] m_data, output m_valid, input m_ready);
  wire [BITS-1:0] data;
  assign m_data = m_valid ? data : '0;
  SIDE_fifo #(.BITS(BITS), .DEPTH(DEPTH)) fifo (
      .clk(clk), .rst(rst), .s_data(s_data), .s_valid(s_valid), .s_ready(s_ready),
      .m_data(data), .m_valid(m_valid), .m_ready(m_ready));
endmodule
"""
"""A FIFO whose data count only while they are valid."""


def prove(portable: str, own: str, depth: int, cycles: int, folder: Path) -> None:
    """Prove that two forms agree in the cycles after a reset, for all inputs.

    Raises:
        ToolError: They do not.
    """
    files = {
        f"{side}.sv": text.replace("bnn2hw_fifo", f"{side}_fifo") + SIDE.replace("SIDE", side)
        for side, text in (("portable", portable), ("own", own))
    }
    passes = ["design -save read"]
    for side in ("portable", "own"):
        passes += [
            f"design -load read; hierarchy -check -top {side} -chparam DEPTH {depth}",
            f"proc; flatten; opt; memory; opt; rename -top {side}; design -stash {side}",
        ]
    passes += [f"design -copy-from {side} -as {side} {side}" for side in ("portable", "own")]
    passes += [
        "miter -equiv -flatten -make_assert portable own miter; hierarchy -top miter; opt -full",
        f"sat -verify -seq {cycles} -prove-skip 1 -set-at 1 in_rst 1 -prove-asserts miter",
        "tee -o proved.txt log proved",
    ]
    synthesize.run_yosys(Design("", files, (), (), ()), folder, passes, "proved.txt")


def text(family: families.Family | None = None) -> str:
    return verilog.module("fifo", Header(target=family))


@pytest.mark.parametrize("family", DIRECT, ids=lambda f: f.name)
@pytest.mark.parametrize("depth", [2, 3, 4])  # at 2, a register holds the first beat of a bit
def test_both_forms_do_the_same_in_each_cycle(depth: int, family: families.Family, tmp_path: Path) -> None:
    prove(text(), text(family), depth, 11, tmp_path)


def test_a_wrong_form_is_found(tmp_path: Path) -> None:
    xilinx = families.family("xilinx")
    wrong = text(xilinx).replace("pop && head[0]", "pop && !head[0]")
    assert wrong != text(xilinx)

    with pytest.raises(ToolError, match="proof did fail"):
        prove(text(), wrong, 3, 12, tmp_path)


@pytest.mark.parametrize("name", [pytest.param("xilinx", marks=pytest.mark.soak), "ecp5"])
def test_a_gate_costs_what_is_predicted(name: str, tmp_path: Path) -> None:
    family, x = families.family(name), Tensor((2,), BIPOLAR)
    table = Lut(np.array([[0, 1]]), np.array([[-1, 1, 1, -1]]), BIPOLAR, BIPOLAR)
    fifos = Fifo(1, 20), Fifo(1, 20, gated=True)
    used = []
    for fifo in fifos:
        nodes = Node("x", Source(x, 2)), Node("t", table, ("x",)), Node("y", fifo, ("t",))
        design = verilog.render(Graph(nodes, ("y",)), family=family)
        used.append(synthesize.area(design, family, tmp_path / str(fifo.gated)))

    plain, gated = (fifo.cost(family, Tensor((1,), BIPOLAR)) for fifo in fifos)
    assert used[1].ff - used[0].ff == gated.ff - plain.ff
    assert used[1].lut - used[0].lut == pytest.approx(gated.lut - plain.lut, abs=3)


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, id=f.name, marks=[pytest.mark.soak] if f.forms else []) for f in DIRECT],
)
def test_no_register_holds_a_beat(family: families.Family, tmp_path: Path) -> None:
    *_, (least, _, _) = family.lutram_fifos
    op, x = Fifo(32, least), Tensor((32,), BIPOLAR)

    used = synthesize.area(ops.render(op, (x,), family), family, tmp_path, only="bnn2hw_fifo")

    words, _, bits, _ = family.lutrams["simple_dual"].shapes[0]
    memories = sum(count for cell, count in used.cells.items() if "RAM" in cell or "DPR" in cell)
    assert memories == math.ceil(least / words) * math.ceil(32 / bits)
    assert used.ff < 32  # pointers, counts and handshakes
