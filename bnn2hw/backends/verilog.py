"""Render a streamed graph as SystemVerilog.

Each kind of op has a module, and each node is an instance in the top level. A node whose constants
become logic has a module of its own. Other constants are in memory files.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from bnn2hw.backends import loading, verilog_parts
from bnn2hw.backends.design import Design, Stream, ends, hex_lines, pack, port_table, streams
from bnn2hw.backends.text import ANY_TARGET, Header, Printer, bare
from bnn2hw.backends.verilog_top import (
    LOADABLE,
    PATH,
    Instance,
    Top,
    VerilogPort,
    defaults,
    instance,
    literal,
    memory_file,
    with_gates,
)
from bnn2hw.estimate import cycles as estimating
from bnn2hw.estimate import gates
from bnn2hw.ir import Graph, HardwareOp, Memory, Tensor, hardware_nodes
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Attributes, Family

SHARED = ("last_beat", "resync_input", "resync_output")
"""Modules of every top level."""


def render(
    graph: Graph, name: str = "bnn2hw_top", *, header: Header = ANY_TARGET, family: Family | None = None
) -> Design:
    """Render a streamed graph.

    Args:
        graph: The graph, in streamed form.
        name: The top module.
        header: Provenance for the headers of the files. The modules have the forms of its target's
            family.
        family: A family as the target, in place of the header's.

    Returns:
        The sources.
    """
    header = replace(header, target=family) if family else header
    printer = Printer("verilog", header)
    all_streams = streams(graph)
    inputs, outputs = ends(graph, all_streams)
    parts = _parts(printer, graph, all_streams)
    load = loading.of(graph)
    free = gates.of(graph)
    shared = {*SHARED, *(("frame_counter", "load") if load else ()), *(("gate",) if free else ())}
    modules = _modules(printer, shared | {*(i.module for i in parts.instances)}, parts)
    instances = with_gates(parts.instances, free, {s.name: s.id for s in all_streams})
    top = replace(_top(graph, all_streams, instances, modules), name=name, load=load)
    if isinstance(header.target, Device):
        top = replace(top, clock_mhz=header.target.clock_mhz)
    text = printer.file(f"{name}.sv", "top.sv.j2", top=top)
    if load:
        load = replace(load, design=loading.number(bare(text), *map(bare, modules.values())))
        text = printer.file(f"{name}.sv", "top.sv.j2", top=replace(top, load=load))
    return Design(
        name,
        {**parts.memories, **modules, f"{name}.sv": text},
        all_streams,
        inputs,
        outputs,
        header=header,
        bench=_models(printer, modules),
        fast=_fast_forms(printer, modules),
        load=load,
    )


Shapes = Mapping[str, Sequence[object]]
"""Plans by the name of the module that is drawn by them."""


@dataclass(frozen=True)
class _Parts:
    """The parts of a design that follow from the nodes of its graph.

    Attributes:
        instances: An instance for each, in topological order.
        own: By name, the modules that are made for one node alone.
        memories: Memory files.
        shapes: By name, the plans by which modules are drawn.
    """

    instances: tuple[Instance, ...]
    own: Mapping[str, str]
    memories: Mapping[str, str]
    shapes: Shapes


def _parts(printer: Printer, graph: Graph, all_streams: Sequence[Stream]) -> _Parts:
    by_name = {s.name: s for s in all_streams}
    instances: list[Instance] = []
    own: dict[str, str] = {}
    memories: dict[str, str] = {}
    shapes: dict[str, set[Any]] = defaultdict(set)
    for node in graph:
        if not isinstance(node.op, HardwareOp):
            continue
        inputs, stream, module = graph.inputs_of(node), by_name[node.name], node.op.module
        body = node.op.body(*inputs)
        if body is not None:
            module = f"{node.op.kind}_{stream.id}"
            facts = {"module": module, "body": body, "attributes": attributes(printer.header)}
            own[module] = printer.file(f"{module}.sv", f"{node.op.kind}.sv.j2", **facts)
        extra = _form_params(printer, node.op, inputs)
        made, parts = instance(graph, node, node.op, module, by_name), node.op.printed_parts(*inputs)
        made = replace(made, params={**made.params, **extra})
        contents = {
            memory_file(stream, parameter): memory
            for parameter, memory in (node.op.loads(*inputs) or node.op.memories(*inputs)).items()
        }
        if node.op.writable:
            stage = sum(i.stage is not None for i in instances)
            made = replace(made, module=f"{LOADABLE}{module}", stage=stage)
        if parts:
            made = replace(made, module=f"{made.module}_{stream.id}", params={PATH: PATH})
            parts = tuple(replace(part, params={**part.params, **extra}) for part in parts)
            own[made.module] = verilog_parts.module(printer, made.module, node.op, inputs, stream, parts)
            contents = verilog_parts.memories(stream, parts)
        instances.append(made)
        memories.update({file: hex_words(memory) for file, memory in contents.items()})
        for drawn, plans in node.op.shapes(*inputs).items():
            shapes[drawn].update(plans)
    return _Parts(tuple(instances), own, memories, {drawn: sorted(plans) for drawn, plans in shapes.items()})


def _draws(printer: Printer, module: str) -> bool:
    """Return True if the family of the target has a form of a module that is drawn by plans."""
    family = printer.header.family
    return family is not None and family.draws(module) and printer.has(f"{family.templates}/{module}.sv.j2")


def _form_params(printer: Printer, op: HardwareOp, inputs: Sequence[Tensor]) -> dict[str, int | str]:
    """Return the parameters that an op's module has in the family of the target only."""
    forms = op.form_params(*inputs).items()
    drawn = [params for module, params in forms if _draws(printer, module)]
    return {name: literal(value) for params in drawn for name, value in params.items()}


def _top(
    graph: Graph,
    all_streams: Sequence[Stream],
    instances: Sequence[Instance],
    modules: Mapping[str, str],
) -> Top:
    known = {i.module: defaults(modules[f"bnn2hw_{i.module}.sv"]) for i in instances}
    ids = {s.name: s.id for s in all_streams}
    inputs, outputs = map(VerilogPort.of, ends(graph, all_streams))
    return Top(
        inputs=inputs,
        outputs=outputs,
        instances=tuple(i.without_defaults(known[i.module]) for i in instances),
        readers={ids[n]: len(nodes) for n, nodes in graph.readers.items() if n in ids},
        interval=estimating.interval(graph),
        table=port_table(inputs, outputs),
        in_flight=_in_flight(graph),
    )


def _in_flight(graph: Graph) -> int:
    """Bound the frames that are in a streamed graph at once while it runs at its full rate.

    An op holds a part of a frame, and what its pipeline holds beyond it.
    """
    cycles = [op.cycles(*graph.inputs_of(node)) for node, op in hardware_nodes(graph)]
    return 2 + len(cycles) + sum(c.latency for c in cycles) // estimating.interval(graph)


def _modules(printer: Printer, names: set[str], parts: _Parts) -> dict[str, str]:
    """Return the files of some modules and of all that they instantiate, in alphabetical order.

    Args:
        printer: Prints them.
        names: The modules that the top level instantiates, without the prefix bnn2hw_.
        parts: The modules that are printed already, and the plans of others.
    """
    texts: dict[str, str] = {}
    missing = set(names)
    while missing:
        name = missing.pop()
        own = parts.own.get(name)
        texts[name] = module(name, printer.header, parts.shapes) if own is None else own
        missing |= set(re.findall(r"^ +bnn2hw_(\w+) #\(", texts[name], re.MULTILINE)) - set(texts)
    return {f"bnn2hw_{name}.sv": texts[name] for name in sorted(texts)}


def module(name: str, header: Header = ANY_TARGET, shapes: Shapes = MappingProxyType({})) -> str:
    """Return the source of a module.

    Args:
        name: The module, without the prefix bnn2hw_.
        header: Provenance for the header. The module has the form of the target's family, if that has
            one.
        shapes: Plans of the modules that families draw. A template gets those of its family.
    """
    stem, family = name.removeprefix(LOADABLE), header.family
    printer = Printer("verilog", header)
    forms = [f"{family.templates}/{stem}.sv.j2"] if family else []
    drawn = {other: plans for other, plans in shapes.items() if _draws(printer, other)}
    facts = {"loadable": name != stem, "attributes": attributes(header), "family": family}
    return printer.file(f"{name}.sv", *forms, f"{stem}.sv.j2", shapes=drawn, **facts)


def attributes(header: Header) -> Attributes | None:
    """Return the attributes that the synthesis of the target's maker reads; None for portable sources."""
    return header.family.attributes if header.family else None


def _users(cell: str, modules: Mapping[str, str]) -> list[str]:
    """Return the files that instantiate a cell."""
    return [file for file, text in modules.items() if f" {cell} " in text]


def _models(printer: Printer, modules: Mapping[str, str]) -> dict[str, str]:
    """Return models of the cells of the family that the modules instantiate."""
    family = printer.header.family
    used = [cell for cell in (family.cells if family else ()) if _users(cell, modules)]
    blocks = family.mapper.blocks if family and family.mapper else ()
    own = {f"{c}.sv": printer.file(f"{c}.sv", f"cells/{c}.sv.j2") for c in used if c not in blocks}
    return {**own, **block_models(c for c in used if c in blocks)}


def block_models(cells: Iterable[str]) -> dict[str, str]:
    """Return our models of block RAMs and DSP blocks by file name.

    Args:
        cells: Names of the cells, each with a template in templates/blocks.
    """
    printer = Printer("blocks", blocks=True)
    return {f"{cell}.sv": printer.file(f"{cell}.sv", f"{cell}.sv.j2") for cell in cells}


def _fast_forms(printer: Printer, modules: Mapping[str, str]) -> dict[str, str]:
    """Return forms of modules that simulate faster: those made for it, and portable ones instead of cells."""
    family = printer.header.family
    portable = {file for cell in (family.cells if family else ()) for file in _users(cell, modules)}
    forms = {file: module(_name_in(file), replace(printer.header, target=None)) for file in portable}
    for file in modules:
        template = f"simulation/{_name_in(file)}.sv.j2"
        if printer.has(template):
            forms[file] = printer.file(file, template)
    return dict(sorted(forms.items()))


def _name_in(file: str) -> str:
    """Return the name of the module in a file, without its prefix."""
    return file.removeprefix("bnn2hw_").removesuffix(".sv")


def hex_words(memory: Memory) -> str:
    """Return a memory as $readmemh reads it, a word per line."""
    words = pack(np.asarray(memory.codes, np.int64), memory.bits)
    return hex_lines(words, memory.codes.shape[1] * memory.bits)
