"""The Verilog top level as its template prints it: ports, instances and connections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.backends.design import Load, Port, Stream
from bnn2hw.estimate.gates import Gate
from bnn2hw.ir import Graph, HardwareOp, Node, Param

LOADABLE = "loadable_"
"""Prefix of the names of modules whose memories can be written at run time."""

PATH = "MEMORY_PATH"
"""Parameter of the top level, and of modules with a memory, that names the folder of the memory files."""


@dataclass(frozen=True)
class Connection:
    """An input of an instance.

    Attributes:
        port: Prefix of the instance's port names: "s", or "s0" and "s1".
        id: Identifier of the stream.
        reader: Position among the readers of the stream, if it has several; else None.
        alone: Literal that has a one for this reader, if the stream has several.
    """

    port: str
    id: str
    reader: int | None = None
    alone: str = ""


@dataclass(frozen=True)
class Gated:
    """A gate in front of instances that run free.

    Attributes:
        exit: Identifier of the stream of the FIFO behind them.
        credits: Beats that this FIFO holds.
        ids: Identifiers of the streams that they write, the first one first.
    """

    exit: str
    credits: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Instance:
    """The instance of a node in the top level.

    Attributes:
        module: Module without the prefix bnn2hw_: the kind of the op, and the stream's identifier if
            the module's text is made for this node alone.
        sources: Streams that the instance reads.
        stream: Stream that it writes.
        params: Parameters of the module, as Verilog literals.
        stage: Position on the load chain; None if the instance is not on it.
        copies: Number of copies, each of which takes its part of every beat.
        gate: The gate in front of the instance; None if it has none.
        free: True if its output is always taken, since a gate keeps room for it.
    """

    module: str
    sources: tuple[Connection, ...]
    stream: Stream
    params: Mapping[str, int | str]
    stage: int | None = None
    copies: int = 1
    gate: Gated | None = None
    free: bool = False

    def without_defaults(self, defaults: Mapping[str, str]) -> Instance:
        """Return the instance without the parameters that equal the module's defaults.

        Args:
            defaults: Defaults of the module's parameters, as its text has them.
        """
        kept = {n: v for n, v in self.params.items() if n not in defaults or not _equal(v, defaults[n])}
        return replace(self, params=kept)


@dataclass(frozen=True)
class VerilogPort(Port):
    """A port with the expressions that connect it."""

    @property
    def axis(self) -> str:
        """The expression for tdata of an output."""
        data, padding = f"output_beat{self.suffix}", self.axis_bits - self.stream.bits
        if not padding:
            return data
        fill = f"{{{padding}{{{data}[{self.stream.bits - 1}]}}}}" if self.extends else f"{padding}'b0"
        return f"{{{fill}, {data}}}"


@dataclass(frozen=True)
class Top:
    """The top level.

    Attributes:
        inputs: Ports that take frames.
        outputs: Ports that deliver results.
        instances: One for each op, in topological order.
        readers: By identifier of a stream, the number of its readers.
        interval: Cycles per frame.
        table: The beat layout of the ports, a line each.
        in_flight: Frames that can be in the design at once, at full rate.
        name: The module.
        clock_mhz: Clock that the design is planned for; None if the target has none.
        load: The port for weight images; None if no memory can be written.
    """

    inputs: tuple[VerilogPort, ...]
    outputs: tuple[VerilogPort, ...]
    instances: tuple[Instance, ...]
    readers: Mapping[str, int]
    interval: int
    table: Sequence[str]
    in_flight: int = 2
    name: str = "bnn2hw_top"
    clock_mhz: float | None = None
    load: Load | None = None

    @property
    def gates(self) -> tuple[Gated, ...]:
        """The gates, in topological order."""
        return tuple(i.gate for i in self.instances if i.gate)

    @property
    def exits(self) -> frozenset[str]:
        """Identifiers of the streams whose beats return credits to a gate."""
        return frozenset(gate.exit for gate in self.gates)

    @property
    def forks(self) -> bool:
        """True if a stream has several readers."""
        return any(c.reader is not None for i in self.instances for c in i.sources)

    @property
    def memory_path(self) -> str:
        """Name of the parameter with the folder of the memory files; "" if there are none."""
        return PATH if any(PATH in i.params for i in self.instances) else ""


def instance(
    graph: Graph, node: Node, op: HardwareOp, module: str, by_name: Mapping[str, Stream]
) -> Instance:
    """Return the instance of a node.

    Args:
        graph: The streamed graph.
        node: The node.
        op: Its op.
        module: The module's name, without the prefix bnn2hw_.
        by_name: Streams by name.
    """
    inputs, stream = graph.inputs_of(node), by_name[node.name]
    params = {name: literal(value) for name, value in op.params(*inputs).items()}
    for parameter in op.loads(*inputs) or op.memories(*inputs):
        params[parameter] = f'"{memory_file(stream, parameter)}"'
        params[PATH] = PATH
    return Instance(module, _connections(graph, node, by_name), stream, params, copies=op.copies)


def with_gates(
    instances: Sequence[Instance], gates: Iterable[Gate], ids: Mapping[str, str]
) -> tuple[Instance, ...]:
    """Return the instances of a top level with the gates in front of those that run free.

    Args:
        instances: One for each op, in topological order.
        gates: The gates of the streamed graph.
        ids: Identifiers of its streams.
    """
    made = {g.entry: Gated(ids[g.exit], g.credits, tuple(ids[n] for n in g.ops)) for g in gates}
    last = {gate.ids[-1] for gate in made.values()}
    return tuple(replace(i, gate=made.get(i.stream.name), free=i.stream.id in last) for i in instances)


def memory_file(stream: Stream, parameter: str, part: int | None = None) -> str:
    """Return the file of a memory of the op that writes a stream, or of a part of that op."""
    return f"{stream.id}.{parameter.lower()}{'' if part is None else f'_{part}'}.hex"


def _connections(graph: Graph, node: Node, by_name: Mapping[str, Stream]) -> tuple[Connection, ...]:
    """Connect an instance to its streams.

    The readers of a stream take each beat in the same cycle, so the stream is valid for a reader
    when all others take the beat.
    """
    made = []
    for port, name in enumerate(node.inputs):
        wire = graph.wire(name)
        prefix = f"s{port}" if len(node.inputs) > 1 else "s"
        connection = Connection(prefix, by_name[wire].id)
        readers = [(n.name, p) for n, p in graph.readers[wire]]
        if len(readers) > 1:
            own = readers.index((node.name, port))
            alone = f"{len(readers)}'b{1 << own:0{len(readers)}b}"
            connection = replace(connection, reader=own, alone=alone)
        made.append(connection)
    return tuple(made)


def literal(value: Param) -> int | str:
    """Return a parameter as Verilog prints it."""
    if not isinstance(value, np.ndarray):
        return value
    bits = sum(1 << i for i, bit in enumerate(value) if bit)
    return f"{value.size}'h{bits:x}"


PARAMETER = re.compile(r"^    parameter [^=\n]*?(\w+) = ([^,\n]+?),?(?: *//.*)?$", re.MULTILINE)


def defaults(module: str) -> dict[str, str]:
    """Return the defaults of a module's parameters by name, as its text has them."""
    return dict(PARAMETER.findall(module))


def _equal(value: int | str, default: str) -> bool:
    """True if a literal equals a default; False if the default is an expression."""
    if isinstance(value, str) and value.startswith('"'):
        return value == default
    numbers = _number(str(int(value) if isinstance(value, bool) else value)), _number(default)
    return numbers[0] is not None and numbers[0] == numbers[1]


def _number(literal: str) -> int | None:
    """Return the number that a literal stands for; None for other expressions."""
    if literal == "'0":
        return 0
    found = re.fullmatch(r"(?:\d+'([bhd]))?(-?[0-9a-fA-F]+)", literal)
    base = {"b": 2, "h": 16, "d": 10, None: 10}
    try:
        return int(found[2], base[found[1]]) if found else None
    except ValueError:
        return None
