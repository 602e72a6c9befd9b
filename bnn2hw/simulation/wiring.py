"""Check the connections of a design's top level, in the elaborated netlist, against its graph."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import tools
from bnn2hw.backends.design import Design, Port
from bnn2hw.errors import ToolError, storing
from bnn2hw.estimate import gates
from bnn2hw.ir import Graph, HardwareOp, Node, Param, View

Tree = dict[str, Any]
"""A node of the tree that Verilator writes."""

SOURCES = (".sv", ".v", ".svh")

FLAGS = (
    "--json-only",
    "--json-only-output",
    "tree.json",
    "-Wno-fatal",
    "-Wno-lint",
    "--comp-limit-syms",
    "0",
)
"""Flags of Verilator. Without the last one it replaces the ends of long names by hashes."""


def problems(design: Design, graph: Graph) -> list[str]:
    """Return what is connected in another way than the graph says; nothing if all is right.

    Each instance must be of its op's module, with its op's parameters. It must read data and valid of the
    streams of its inputs, and write those of its own. A stream with several readers must move only if all of
    them take it.

    Args:
        design: Design that the Verilog backend rendered from `graph`.
        graph: Streamed graph.

    Raises:
        MissingToolError: There is no Verilator.
        StorageError: The folder for temporary files cannot be written.
    """
    try:
        found = _Netlist(design.top, _elaborated(design))
    except ToolError as error:
        return [f"the design cannot be elaborated: {error}"]
    return [
        *_instances(found, design, graph),
        *_gates(found, design, graph),
        *_forks(found, design, graph),
        *_ports(found, design),
    ]


def _elaborated(design: Design) -> Tree:
    """Return the design after elaboration."""
    texts = {name: text for name, text in design.simulated().items() if name.endswith(SOURCES)}
    with storing(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="bnn2hw-") as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text)
        tools.run(
            [tools.verilator().command, *FLAGS, "--top-module", design.top, *texts], folder, "Verilator"
        )
        tree: Tree = json.loads((folder / "tree.json").read_text())
    return tree


class _Netlist:
    """The instances and assignments of a top level.

    Attributes:
        cells: By name of an instance, its module without parameters, the parameters, and what is at each port.
        assigned: By signal, the expression that is assigned to it.
    """

    def __init__(self, top: str, tree: Tree) -> None:
        modules = {m["addr"]: m for m in tree["modulesp"]}
        body = next(m for m in modules.values() if m["name"] == top)
        parts = list(_parts(body))
        self.cells = {c["name"]: _cell(c, modules[c["modp"]]) for c in parts if c["type"] == "CELL"}
        self.assigned = {_text(a["lhsp"][0]): _text(a["rhsp"][0]) for a in parts if a["type"] == "ASSIGNW"}


def _parts(tree: Tree) -> Iterator[Tree]:
    """Yield the instances and the assignments below a node."""
    for part in (*tree.get("stmtsp", ()), *tree.get("itemsp", ())):
        yield part
        yield from _parts(part)


def _cell(cell: Tree, module: Tree) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    parameters = {
        v["name"]: _text(v["valuep"][0]) for v in module["stmtsp"] if v.get("isGParam") and v.get("valuep")
    }
    pins = {p["name"]: _text(p["exprp"][0]) for p in cell["pinsp"] if p.get("exprp")}
    return module["origName"], parameters, pins


def _text(expression: Tree) -> str:
    """Return an expression as text, with signals by their names."""
    kind = expression["type"]
    inside = [_text(e) for key in ("lhsp", "rhsp", "fromp", "lsbp", "bitp") for e in expression.get(key, ())]
    if kind in ("VARREF", "CONST"):
        return str(expression["name"])
    return f"{kind}({', '.join(sorted(inside) if kind in ('AND', 'OR') else inside)})"


def _differs(literal: str, value: int | str) -> bool:
    """True if a literal such as 32'hfffffffe has another value; False for texts, such as names of files."""
    size, _, digits = literal.partition("'")
    if not size.isdigit() or not isinstance(value, int):
        return False
    return bool((int(digits.lstrip("sh"), 16) - value) % (1 << int(size)))


def _instances(found: _Netlist, design: Design, graph: Graph) -> Iterator[str]:
    """Compare the instances with the ops of the graph."""
    ids = {s.name: s.id for s in design.streams}
    ops = {f"u_{ids[n.name]}": n for n in graph if n.inputs and not isinstance(n.op, View)}
    yield from (f"instance {name} is missing" for name in ops if name not in found.cells)
    for name, cell in found.cells.items():
        if name in ops:
            yield from _instance(name, cell, ops[name], graph, ids)
        elif name.startswith("u_"):
            yield f"instance {name} is of no op"


def _instance(
    name: str,
    cell: tuple[str, Mapping[str, str], Mapping[str, str]],
    node: Node,
    graph: Graph,
    ids: Mapping[str, str],
) -> Iterator[str]:
    """Compare an instance with its op."""
    module, parameters, pins = cell
    op = node.op
    if not isinstance(op, HardwareOp):
        return
    own = ids[node.name]
    plain = module.removeprefix("bnn2hw_").removeprefix("loadable_")
    if plain not in (op.module, f"{op.module}_{own}"):
        yield f"instance {name} is a {module}, but its op is {op.module}"
    for parameter, value in op.params(*graph.inputs_of(node)).items():
        there = parameters.get(parameter, "")
        if _differs(there, _value(value)):
            yield f"instance {name} has {parameter}={there}, but its op has {_value(value)}"
    for pin, wanted in (_wanted(node, op.copies, graph, ids) | _freed(node, op.copies, graph, ids)).items():
        if pins.get(pin) != wanted:
            yield f"instance {name} has {pins.get(pin)} at {pin}, expected {wanted}"


def _value(value: Param) -> int | str:
    """Return a parameter as the integer that an elaborated netlist has."""
    return sum(1 << i for i, bit in enumerate(value) if bit) if isinstance(value, np.ndarray) else value


def _wanted(node: Node, copies: int, graph: Graph, ids: Mapping[str, str]) -> dict[str, str]:
    """Return what must be at the ports of an instance."""
    own = ids[node.name]
    wanted = {"clk": "aclk", "rst": "rst", "m_data": f"{own}_data", "m_ready": f"{own}_ready"}
    wanted["m_valid"] = f"{own}_valids" if copies > 1 else f"{own}_valid"
    for port, name in enumerate(node.inputs):
        wire = graph.wire(name)
        stream, readers = ids[wire], [(n.name, p) for n, p in graph.readers[wire]]
        prefix = f"s{port}" if len(node.inputs) > 1 else "s"
        valid, ready = f"{stream}_valid", f"{stream}_ready"
        if len(readers) > 1:
            reader, count = readers.index((node.name, port)), len(readers)
            others = sorted((f"{count}'h{1 << reader:x}", f"{stream}_taking"))
            taken = f"REDAND(OR({', '.join(others)}))"
            valid = f"AND({', '.join(sorted((valid, taken)))})"
            ready = f"SEL({stream}_taking, {max(1, (count - 1).bit_length())}'h{reader:x})"
        wanted |= {f"{prefix}_data": f"{stream}_data", f"{prefix}_valid": valid}
        wanted[f"{prefix}_ready"] = f"{own}_{prefix}_readys" if copies > 1 else ready
    return wanted


def _freed(node: Node, copies: int, graph: Graph, ids: Mapping[str, str]) -> dict[str, str]:
    """Return what must be at the ports of an instance that runs free, where that differs."""
    wanted = {}
    for gate in gates.of(graph):
        if node.name == gate.entry:
            wanted["s_valid"] = f"{ids[node.name]}_enters"
            if copies == 1:
                wanted["s_ready"] = f"unused_ready_{ids[node.name]}"
        if node.name == gate.last:
            wanted["m_ready"] = "1'h1"
    return wanted


def _gates(found: _Netlist, design: Design, graph: Graph) -> Iterator[str]:
    """Check the gates in front of ops that run free."""
    ids = {s.name: s.id for s in design.streams}
    for gate in gates.of(graph):
        name, leaves = f"gate_{ids[gate.exit]}", f"{ids[gate.exit]}_leaves"
        module, parameters, pins = found.cells.get(name, ("", {}, {}))
        before = ids[graph.wire(graph[gate.entry].inputs[0])]
        wanted = {"clk": "aclk", "rst": "rst", "returned": leaves, "m_valid": f"{ids[gate.entry]}_enters"}
        wanted |= {"s_valid": f"{before}_valid", "s_ready": f"{before}_ready"}
        beat = f"AND({', '.join(sorted((f'{ids[gate.exit]}_ready', f'{ids[gate.exit]}_valid')))})"
        if module != "bnn2hw_gate" or _differs(parameters["CREDITS"], gate.credits):
            yield f"instance {name} is no gate of {gate.credits} credits"
        elif pins != wanted or found.assigned.get(leaves) != beat:
            yield f"instance {name} has {pins}, and {leaves} is {found.assigned.get(leaves)}"


def _forks(found: _Netlist, design: Design, graph: Graph) -> Iterator[str]:
    """Check that a stream with several readers moves only if all take it."""
    for stream in design.streams:
        wanted = f"REDAND({stream.id}_taking)"
        ready = found.assigned.get(f"{stream.id}_ready")
        if len(graph.readers[stream.name]) > 1 and ready != wanted:
            yield f"{stream.id}_ready is {ready}, expected {wanted}"


def _ports(found: _Netlist, design: Design) -> Iterator[str]:
    """Check that the ports of the design carry its input and output streams."""
    wanted = {}
    for port in Port.of(design.inputs):
        wanted[f"{port.stream.id}_valid"] = f"input_offered{port.suffix}"
        wanted[f"input_open{port.suffix}"] = f"{port.stream.id}_ready"
    for port in Port.of(design.outputs):
        wanted[f"output_beat{port.suffix}"] = f"{port.stream.id}_data"
        wanted[f"output_offered{port.suffix}"] = f"{port.stream.id}_valid"
    for signal, expression in wanted.items():
        if found.assigned.get(signal) != expression:
            yield f"{signal} is {found.assigned.get(signal)}, expected {expression}"
