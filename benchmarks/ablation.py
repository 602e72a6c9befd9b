"""What each form of 7 series brings: LUTs of today's designs without it.

    python benchmarks/figures.py ablation       half an hour on two cores

A row takes one form away from a design and leaves all others: the module is the portable one then, plain SystemVerilog
that Yosys maps as it likes. The folding stays that of the design with all forms. `xnor` is the unit of
benchmarks/xnor.py at 32×64; `mac` is one of 8-bit inputs and ±1 weights, 13×14, as CNV's first; `tutorial` is that
network in 784 cycles.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import networks
import numpy as np
import records
import xnor

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.ir import Graph, Ints, Node, Tensor
from bnn2hw.ops import Mac, Source
from bnn2hw.synthesis import synthesize
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import families
from bnn2hw.targets.families import Family

RECORD = "ablation"
XILINX = families.family("xilinx")


@dataclass(frozen=True)
class Step:
    """A form that is taken away.

    Attributes:
        modules: The modules that are portable instead.
        roms: True if small ROMs are left to Yosys.
    """

    modules: tuple[str, ...] = ()
    roms: bool = False


STEPS = {
    "all forms": Step(),
    "without XNORs in the first adders (`pair_chain`, `popcount3`)": Step(("pair_chain", "popcount3")),
    "without compressors (`compressor`, `bit_compressor`)": Step(("compressor", "bit_compressor")),
    "without carry chains that begin in their own slice (`sum`, `adder_row`)": Step(("sum", "adder_row")),
    "without ternary accumulators (`row_accumulator`, `accumulator`)": Step(
        ("row_accumulator", "accumulator")
    ),
    "without shared sums and differences of the MAC's lane pairs (`signed_pair`)": Step(("signed_pair",)),
    "without small ROMs as LUT6s": Step(roms=True),
}


def xnor_unit() -> Design:
    """Return the XNOR unit."""
    return xnor.render(32, 64, XILINX)


def mac_unit() -> Design:
    """Return the MAC unit."""
    weights = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (28, 64))
    source, op = Source(Tensor((2, 28), Ints(0, 255)), 14), Mac(weights, pe=13, simd=14)
    graph = Graph((Node("x", source), Node("y", op, ("x",))), ("y",))
    return verilog.render(graph, family=XILINX)


@cache
def tutorial() -> Design:
    """Return the tutorial network, folded for 784 cycles per frame."""
    graph = networks.designed("tutorial", networks.model("tutorial")).graph
    return verilog.render(graph, family=XILINX)


DESIGNS: dict[str, tuple[Callable[[], Design], str | None]] = {
    "xnor": (xnor_unit, "bnn2hw_xnor"),
    "mac": (mac_unit, "bnn2hw_mac"),
    "tutorial": (tutorial, None),
}
"""By column, what renders a design, and the module that is mapped alone; None maps all."""


def without(step: Step, design: Design) -> Design:
    """Return a design without a form."""
    portable = {f"bnn2hw_{name}.sv": name for name in step.modules}
    texts = {file: verilog.module(name) for file, name in portable.items() if file in design.files}
    return replace(design, files={**design.files, **texts})


def mapper(step: Step) -> Family:
    """Return the family with the flow of a step."""
    if not step.roms or XILINX.mapper is None:
        return XILINX
    return replace(XILINX, mapper=replace(XILINX.mapper, lut_roms=None))


def area(step: Step, column: str) -> Usage:
    """Let Yosys map a design without a form."""
    made, module = DESIGNS[column]
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        return synthesize.area(without(step, made()), mapper(step), Path(folder), only=module)


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    designs = [made() for made, _ in DESIGNS.values()]
    rows = {
        row: records.hash_of(
            [records.hardware(without(step, d)) for d in designs], step.roms, records.yosys()
        )
        for row, step in STEPS.items()
    }
    return {"forms": rows}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    found = {column: area(STEPS[row], column) for column in DESIGNS}
    cells = {
        f"{column}, {kind}": f"{getattr(u, kind.lower()):,}"
        for column, u in found.items()
        for kind in ("LUT", "FF")
    }
    return {"7 series": row, **cells}, records.yosys()
