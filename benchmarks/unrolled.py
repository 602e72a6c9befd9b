"""Constant matrices as logic, thresholds included: LUTs beside those of da4ml and alkaid, and clocks.

    python benchmarks/figures.py unrolled      some hours on two cores; needs da4ml and alkaid, which nothing installs

Matrices and thresholds are random and the same for all: of signs, of signs with zeros, and of 4 bits. da4ml (PyPI,
LGPL-3) is solved in both encodings of a sign, as a bit and as ±1; without registers, where it is smallest, and with one
behind each of its adders. alkaid, by the same author and with tables for small sums, is solved with bits and without
registers. All are mapped by the same commands of Yosys. For the clock nextpnr places each in a shell of registers, so
that pins do not matter.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import records

from bnn2hw import compile_cache, tools
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.ir import BIPOLAR, Array, Graph, Node, Tensor
from bnn2hw.ops import Mac, Source, Unrolled, Xnor
from bnn2hw.ops.adder_graph.plans import Cells
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.synthesis.usage import Usage, of_netlist
from bnn2hw.targets import families
from bnn2hw.targets.families import Family

OTHERS = ("64×64 half zeros", "64×64 nine tenths zeros", "64×64 of 4 bits")
"""Sizes with other weights than ±1."""
GRADES = {"6": 300, "8": 350}
"""Speed grades of ECP5, and the clocks in MHz that are asked for."""
DA4ML = "0.6.0"
"""The release of da4ml that is compared with."""
ALKAID = "0.8.2"
"""The release of alkaid that is compared with."""
PROGRAM = "program.npz"

SHELL = """module shell(input clk, input in, output out);
  reg [{inputs}+2:0] feed;
  wire [{outputs}-1:0] y;
  reg [{outputs}-1:0] seen;
  reg [{outputs}-1:0] folded;
  always @(posedge clk) begin
    feed <= {{feed[{inputs}+1:0], in}};
    seen <= y;
    folded <= {{folded[{outputs}-2:0], 1'b0}} ^ seen;
  end
  assign out = folded[{outputs}-1];
  {instance}
endmodule
"""


@dataclass(frozen=True)
class Sources:
    """Verilog of one form of a matrix.

    Attributes:
        name: of the form.
        files: texts by name.
        top: the module.
        instance: how it is used in the shell.
        registers: from the input to the output.
        seconds: of solving.
    """

    name: str
    files: dict[str, str]
    top: str
    instance: str
    registers: int
    seconds: float


def matrix(size: str) -> tuple[Array, Array]:
    """Random weights, and thresholds on the dot product with ±1 near its middle."""
    shape, _, kind = size.partition(" ")
    inputs, neurons = map(int, shape.split("×"))
    rng = np.random.default_rng(1)
    weights = rng.choice(np.array([-1, 1], np.int8), (inputs, neurons))
    near = np.round(rng.normal(0, math.sqrt(inputs) / 2, neurons) / 2).astype(np.int64)
    if not kind:
        return weights, 2 * near + inputs % 2
    if kind == "of 4 bits":
        weights = rng.integers(-8, 8, (inputs, neurons), np.int8)
    else:
        weights *= rng.random((inputs, neurons)) >= (0.5 if kind == "half zeros" else 0.9)
    return weights, 2 * near + weights.sum(0, dtype=np.int64) % 2


def of_bits(weights: Array, thresholds: Array) -> Array:
    """Thresholds on the sum of weights times bits that compare as thresholds on the dot product with ±1."""
    limits: Array = -((-thresholds - weights.sum(0, dtype=np.int64)) // 2)
    return limits


def unit(weights: Array, thresholds: Array) -> tuple[Xnor | Mac, Array]:
    """A folded unit of the weights, and thresholds on what it computes."""
    if np.all(np.abs(weights) == 1):
        return Xnor(weights), thresholds
    return Mac(weights, domain=BIPOLAR), of_bits(weights, thresholds)


def ours(weights: Array, thresholds: Array, family: Family) -> Sources:
    """The unrolled op, its handshake included."""
    began = time.perf_counter()
    op = Unrolled.of(*unit(weights, thresholds), cells=Cells.of(family))
    return rendered(op, family, time.perf_counter() - began)


def solved_before(weights: Array, thresholds: Array, family: Family) -> Sources:
    """The same, with a program that these sources of the solver made before; `Unrolled` checks what it computes."""

    def solve(folder: Path) -> None:
        op = Unrolled.of(*unit(weights, thresholds), cells=Cells.of(family))
        np.savez(folder / PROGRAM, nodes=op.nodes, outputs=op.outputs)

    solver = records.sources("bnn2hw/ops/adder_graph", "bnn2hw/ops/unrolled.py")
    given = [weights.tolist(), thresholds.tolist(), family.name, records.versions("numpy")]
    folder = compile_cache.entry("unrolled-programs", [solver, *given], [PROGRAM], solve)
    with np.load(folder / PROGRAM) as made:
        op = Unrolled(weights, made["nodes"], made["outputs"], unit(weights, thresholds)[1])
    return rendered(op, family, 0.0)


def rendered(op: Unrolled, family: Family, seconds: float) -> Sources:
    """The files of an unrolled op."""
    weights = op.weights
    x = Tensor(weights.shape[:1], BIPOLAR)
    graph = Graph((Node("x", Source(x, x.size)), Node("y", op, ("x",))), ("y",))
    files = dict(verilog.render(graph, family=family).files)
    files = {n: t for n, t in files.items() if n not in ("bnn2hw_top.sv", "bnn2hw_last_beat.sv")}
    instance = (
        f"bnn2hw_unrolled_y dut (.clk(clk), .rst(1'b0), .s_data(feed[{x.size}-1:0]), .s_valid(feed[{x.size}]), "
        f".s_ready(), .m_data(y), .m_valid(), .m_ready(feed[{x.size}+1]));"
    )
    return Sources("ours", files, "bnn2hw_unrolled_y", instance, op.stages, seconds)


def da4ml(weights: Array, thresholds: Array, *, bits: bool, registers: bool) -> Sources:
    """The logic that da4ml makes of it, checked on random vectors."""
    from da4ml.codegen import VerilogModel
    from da4ml.trace import FixedVariableArray, HWConfig, comb_trace

    inputs = len(weights)
    began = time.perf_counter()
    cutoff = 1 if registers else -1
    hardware = HWConfig(1 if registers else -1, -1, cutoff)
    low = np.full(inputs, 0.0 if bits else -1.0)
    x = FixedVariableArray.from_lhs(low, np.ones(inputs), np.ones(inputs), hwconf=hardware)
    limits = of_bits(weights, thresholds) if bits else thresholds
    logic = comb_trace(x, (x @ weights.astype(np.float32)) >= limits.astype(np.float64))
    seconds = time.perf_counter() - began
    signs = np.random.default_rng(2).choice([-1, 1], (20, inputs))
    for vector in signs:
        found = np.asarray(logic((vector + 1) // 2 if bits else vector), np.float64)
        if not np.array_equal(found, vector @ weights.astype(np.int64) >= thresholds):
            raise SystemExit("da4ml computes something else")
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        VerilogModel(logic, "da4ml_top", folder, latency_cutoff=cutoff).write()
        made = {p.name: p.read_text() for p in Path(folder).rglob("*.v")}
    files = {n: t for n, t in made.items() if "wrapper" not in n and n != "lookup_table.v"}
    depth = (
        max((int(d) for n in files for d in re.findall(r"stage(\d+)\.v", n)), default=-1) + 2
        if registers
        else 0
    )
    name = f"da4ml, {'bits' if bits else '±1'}{', pipelined' if registers else ''}"
    # −1 and +1 take two bits of two's complement, of which synthesis is to know that the lower one is always 1.
    lanes = "x" if bits else "{" + ", ".join(f"~x[{i}], 1'b1" for i in reversed(range(inputs))) + "}"
    ports = f"{'.clk(clk), ' if registers else ''}.model_inp({lanes}), .model_out(y)"
    return shelled(name, files, f"da4ml_top logic_of_it ({ports});", weights, depth, seconds)


def alkaid(weights: Array, thresholds: Array) -> Sources:
    """What alkaid makes of it with bits and without registers, checked on random vectors."""
    from alkaid.codegen import RTLModel
    from alkaid.trace import FVArray, HWConfig, trace

    inputs = len(weights)
    began = time.perf_counter()
    x = FVArray.from_lhs(np.zeros(inputs), np.ones(inputs), np.ones(inputs), hwconf=HWConfig(1, -1, -1))
    limits = of_bits(weights, thresholds)
    logic = trace(x, (x @ weights.astype(np.float32)) >= limits.astype(np.float64))
    seconds = time.perf_counter() - began
    for vector in np.random.default_rng(2).integers(0, 2, (20, inputs)):
        found = np.asarray(logic(vector), np.float64)
        if not np.array_equal(found, vector @ weights.astype(np.int64) >= limits):
            raise SystemExit("alkaid computes something else")
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        RTLModel(logic, folder, "alkaid_top", print_latency=False).write()
        files = {p.name: p.read_text() for p in Path(folder).rglob("*.v") if "wrapper" not in p.name}
    ports = ".model_inp(x), .model_out(y)"
    return shelled("alkaid, bits", files, f"alkaid_top logic_of_it ({ports});", weights, 0, seconds)


def shelled(
    name: str, files: dict[str, str], instance: str, weights: Array, depth: int, seconds: float
) -> Sources:
    """The logic of another tool in a module with the ports that the shell expects."""
    inputs, neurons = weights.shape
    files["signs.sv"] = f"""module signs(input clk, input [{inputs - 1}:0] x, output [{neurons - 1}:0] y);
  {instance}
endmodule
"""
    outside = f"signs dut (.clk(clk), .x(feed[{inputs}-1:0]), .y(y));"
    return Sources(name, files, "signs", outside, depth, seconds)


def design(sources: Sources, top: str, files: dict[str, str]) -> Design:
    """Sources in the form that synthesis takes; all of them are read as SystemVerilog."""
    return Design(top, {Path(n).stem + ".sv": t for n, t in {**sources.files, **files}.items()}, (), (), ())


def area(sources: Sources, folder: Path) -> tuple[Usage, int]:
    """Cells on 7 series, and Yosys' estimate of the physical LUTs into which two small ones go together."""
    mapper = toolchains.mapper(families.family("xilinx"))
    passes = [
        f"hierarchy -top {sources.top}",
        *mapper.command.split("; "),
        "tee -q -o packed.txt stat -tech xilinx",
    ]
    netlist = synthesize.run_yosys(design(sources, sources.top, {}), folder, passes, "netlist.json")
    estimate = re.findall(r"Estimated number of LCs: +(\d+)", (folder / "packed.txt").read_text())[-1]
    return of_netlist(netlist, mapper, {}), int(estimate)


def clocks(sources: Sources, inputs: int, neurons: int, folder: Path) -> Iterator[str]:
    """LUTs on ECP5, and what nextpnr reaches in each speed grade, in MHz."""
    shell = SHELL.format(inputs=inputs, outputs=neurons, instance=sources.instance)
    mapper = toolchains.mapper(families.family("ecp5"))
    passes = ["hierarchy -top shell", *mapper.command.split("; ")]
    netlist = synthesize.run_yosys(
        design(sources, "shell", {"shell.sv": shell}), folder, passes, "netlist.json"
    )
    yield f"{of_netlist(netlist, mapper, {}).lut:,}"
    for grade, goal in GRADES.items():
        report = f"timing{grade}.json"
        command = [*tools.nextpnr("ecp5").start, "--85k", "--package", "CABGA381", "--speed", grade]
        command += ["--json", "netlist.json", "--report", report, "--freq", str(goal), "--seed", "1"]
        tools.run([*command, "--timing-allow-fail", "--lpf-allow-unconstrained"], folder, "nextpnr")
        fmax = json.loads((folder / report).read_text())["fmax"].values()
        yield f"{min(float(c['achieved']) for c in fmax):.0f}"


FORMS = ("ours", "da4ml, bits", "da4ml, bits, pipelined", "da4ml, ±1", "da4ml, ±1, pipelined")
FEW_FORMS = ("ours", "da4ml, bits", "alkaid, bits")
"""Forms of weights other than ±1."""


def form(size: str, name: str, family: str) -> Sources:
    """One form of a matrix."""
    weights, thresholds = matrix(size)
    if name == "ours":
        return ours(weights, thresholds, families.family(family))
    if name.startswith("alkaid"):
        return alkaid(weights, thresholds)
    return da4ml(weights, thresholds, bits="bits" in name, registers="pipelined" in name)


RECORD = "unrolled"

ROWS: dict[str, tuple[str, ...]] = {
    "64×64": (*FORMS, "alkaid, bits"),
    "256×64": ("ours", "da4ml, bits", "da4ml, bits, pipelined", "alkaid, bits"),
    "256×256": ("ours",),
    **dict.fromkeys(OTHERS, FEW_FORMS),
}
"""Forms that are measured of each matrix; the others take hours, or more LUTs at 64×64."""

CLOCKS = {"64×64": ("ours", "da4ml, bits, pipelined")}
"""Forms whose clock is measured."""


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row; rows of other tools depend on their versions alone."""
    area = {f"{s} {f}": _depends(s, f, "xilinx") for s, forms in ROWS.items() for f in forms}
    clock = {f"{s} {f}": _depends(s, f, "ecp5") for s, forms in CLOCKS.items() for f in forms}
    compared = [s for s, forms in ROWS.items() if len(forms) > 1]
    return {"area": area, "clock": clock, "ratios": {s: records.hash_of(luts(s)) for s in compared}}


def _depends(size: str, name: str, family: str) -> str:
    made = {"alkaid": ALKAID} if name.startswith("alkaid") else {"da4ml": DA4ML}
    if name == "ours":
        made = solved_before(*matrix(size), families.family(family)).files
    texts = sorted((n, records.without_comments(t)) for n, t in made.items())
    return records.hash_of(texts, records.yosys())


def luts(size: str) -> dict[str, int]:
    """Return the LUT cells of a matrix that are recorded, by form."""
    rows = records.Record.read(RECORD).rows("area").values()
    found = {r["cells"]["form"]: r["cells"]["LUT cells"] for r in rows if r["cells"]["matrix"] == size}
    return {form: int(re.sub(r"\D", "", cell)) for form, cell in found.items()}


def ratio(size: str) -> dict[str, str]:
    """Return the cells of our LUTs beside the fewest of each other tool."""
    found = luts(size)
    cells = {"matrix": size}
    for tool in ("da4ml", "alkaid"):
        least = min((n for form, n in found.items() if form.startswith(tool)), default=0)
        cells[f"ours / {tool}"] = f"{found['ours'] / least:.2f}" if least else "–"
    return cells


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Solve and synthesize; return the cells of a row and the versions of the tools."""
    if table == "ratios":
        return ratio(row), records.versions()
    name = next(form for form in (*FORMS, "alkaid, bits") if row.endswith(f" {form}"))
    size = row.removesuffix(f" {name}")
    inputs, neurons = matrix(size)[0].shape
    cells = {"matrix": size, "form": name}
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        if table == "clock":
            made = form(size, name, "ecp5")
            lut4, *mhz = clocks(made, inputs, neurons, Path(folder))
            cells |= {"registers": str(made.registers), "LUT4 with shell": lut4}
            cells |= {f"grade {grade}": f for grade, f in zip(GRADES, mhz, strict=True)}
        else:
            made = form(size, name, "xilinx")
            used, packed = area(made, Path(folder))
            cells |= {"LUT cells": f"{used.lut:,}", "packed": f"{packed:,}", "CARRY4": f"{used.carry:,}"}
            cells |= {"FF": f"{used.ff:,}", "registers": str(made.registers)}
            cells |= {"seconds of solving": f"{made.seconds:.0f}"}
    return cells, {**records.yosys(), "da4ml": DA4ML, "alkaid": ALKAID}
