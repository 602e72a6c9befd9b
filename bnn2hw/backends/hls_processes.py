"""The processes of an HLS design, the streams between them, and the files of their constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bnn2hw.backends.design import Stream, pack
from bnn2hw.backends.text import Printer
from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir import Graph, HardwareOp, Memory, Node, View
from bnn2hw.ops.base.costs import in_block_ram

CHUNK = 64
"""Bits of the longest integer literal in C++. Longer ROM words are cut into chunks of this size."""


@dataclass(frozen=True)
class Rom:
    """Constants of a process: `words` words of `bits` bits, each in chunks of at most 64 bits."""

    name: str
    file: str
    words: int
    bits: int

    @property
    def chunks(self) -> int:
        """Array elements per word."""
        return -(-self.bits // CHUNK)

    @property
    def chunk_bits(self) -> int:
        """Width of an array element."""
        return min(self.bits, CHUNK)

    @property
    def impl(self) -> str:
        """Kind of memory, by the same rule as in the cost model."""
        return "bram" if in_block_ram(self.words, self.bits) else "lutram"


@dataclass(frozen=True)
class CppStream:
    """A stream variable of the C++: an edge of the graph, and the queue behind it if there is one.

    Attributes:
        id: Identifier of the edge.
        type: Its type in C++.
        numbers: Numbers of the design's streams that it carries: the one that is written and, with
            a queue, the one that is read.
        names: Their names.
    """

    id: str
    type: str
    numbers: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Process:
    """An op with its constants.

    Attributes:
        module: Kind of the op, and the stream's identifier if its function is printed for this node
            alone.
        stream: Stream that the op writes.
        constants: Template parameters by name.
        roms: Arrays of constants.
        inputs: Streams that the op reads; none for a queue, which is no process of its own.
        sources: Their variables.
        output: The variable that the op writes; None for a queue.
        copies: Number of copies. Each is a process. One more process deals the parts of each beat
            to the copies, and another gathers their results.
    """

    module: str
    stream: Stream
    constants: Mapping[str, int | str]
    roms: tuple[Rom, ...] = ()
    inputs: tuple[Stream, ...] = ()
    sources: tuple[CppStream, ...] = ()
    output: CppStream | None = None
    copies: int = 1


@dataclass(frozen=True)
class Fork:
    """A process that copies each beat of a stream into the queues of several readers."""

    module: ClassVar[str] = "fork"

    source: CppStream
    stream: Stream
    outputs: tuple[CppStream, ...]

    @property
    def id(self) -> str:
        """Stem of the process's name."""
        return f"{self.source.id}_fork"


class Processes:
    """The processes of a graph.

    Attributes:
        all: Processes in topological order.
        queues: Ops that are queues.
        files: Initializers of the constants by file name.
        own: By name, functions that are printed for one node alone.
    """

    def __init__(self, printer: Printer, graph: Graph, all_streams: Sequence[Stream]) -> None:
        """Convert the nodes of a streamed graph.

        Args:
            printer: Prints functions for single nodes.
            graph: The streamed graph.
            all_streams: Its streams.

        Raises:
            Bnn2hwError: a queue follows another.
        """
        self._printer = printer
        self._graph = graph
        self._streams = {s.name: s for s in all_streams}
        self._numbers = {s.name: i for i, s in enumerate(all_streams)}
        self._variables: dict[str, CppStream] = {}
        self.all: list[Process] = []
        self.queues: list[Process] = []
        self.files: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self._forked: dict[str, list[str]] = {}  # by stream with several readers, their queues
        for node in graph:
            if isinstance(node.op, HardwareOp):
                self._add(node, node.op)
            elif not isinstance(node.op, View):
                self._variables[node.name] = self._variable(node.name)

    @property
    def forks(self) -> list[Fork]:
        """A fork for each stream with several readers."""
        return [
            Fork(self._variables[name], self._streams[name], tuple(self._variables[q] for q in queues))
            for name, queues in self._forked.items()
        ]

    @property
    def streams(self) -> list[CppStream]:
        """All stream variables in topological order."""
        return list(dict.fromkeys(self._variables.values()))

    @property
    def modules(self) -> list[str]:
        """All functions and types that the processes use, in alphabetical order."""
        used = {p.module for p in (*self.all, *self.queues)} | {f.module for f in self.forks}
        return sorted(used | {"deal" for p in self.all if p.copies > 1})

    def variable(self, name: str) -> CppStream:
        """Return the variable that carries an edge."""
        return self._variables[name]

    def _variable(self, name: str) -> CppStream:
        stream = self._streams[name]
        kind = f"hls::stream<ap_uint<{stream.bits}>, 2>"
        return CppStream(stream.id, kind, (self._numbers[name],), (name,))

    def _is_queue(self, kind: str) -> bool:
        """True if a template prints a stream rather than a process. The template says so itself."""
        module = self._printer.environment.get_template(f"{kind}.hpp.j2").module
        return bool(getattr(module, "channel", False))

    def _add(self, node: Node, op: HardwareOp) -> None:
        stream = self._streams[node.name]
        constants, roms = self._constants(node, op, stream)
        module, body = op.kind, op.body(*self._graph.inputs_of(node))
        if body is not None:
            module = f"{op.kind}_{stream.id}"
            self.own[module] = self._printer.file(
                f"{module}.hpp", f"{op.kind}.hpp.j2", module=module, body=body
            )
        process = Process(module, stream, constants, roms, copies=op.copies)
        if body is None and self._is_queue(op.kind):
            self.queues.append(process)
            self._deepen(node, process)
            return
        self._variables[node.name] = self._variable(node.name)
        wires = [self._graph.wire(i) for i in node.inputs]
        self.all.append(
            replace(
                process,
                inputs=tuple(self._streams[w] for w in wires),
                sources=tuple(self._variables[w] for w in wires),
                output=self._variables[node.name],
            )
        )

    def _deepen(self, node: Node, queue: Process) -> None:
        """Give the stream before a queue the queue's depth.

        Behind a fork, the queue becomes a stream variable itself.
        """
        before = self._graph.wire(node.inputs[0])
        variable = self._variables[before]
        kind = f"bnn2hw::{queue.module}<cfg_{queue.stream.id}>"
        if len(self._graph.readers[before]) > 1:
            self._variables[node.name] = replace(self._variable(node.name), type=kind)
            self._forked.setdefault(before, []).append(node.name)
            return
        if len(variable.names) > 1:
            raise Bnn2hwError(
                f"the queue '{node.name}' follows the queue '{before}'; put one queue of both depths there"
            )
        merged = replace(
            variable,
            type=kind,
            numbers=(*variable.numbers, self._numbers[node.name]),
            names=(*variable.names, node.name),
        )
        self._variables[before] = self._variables[node.name] = merged
        self.all = [replace(p, output=merged) if p.output == variable else p for p in self.all]

    def _constants(
        self, node: Node, op: HardwareOp, stream: Stream
    ) -> tuple[dict[str, int | str], tuple[Rom, ...]]:
        """Return numbers for the process's struct, and arrays for its vectors and memories."""
        inputs = self._graph.inputs_of(node)
        constants: dict[str, int | str] = {"BEATS": op.beats(*inputs)[0].count(inputs[0].size)}
        memories: dict[str, Memory] = {}
        for name, value in op.params(*inputs).items():
            if isinstance(value, np.ndarray):
                memories[name] = Memory(value.reshape(1, -1).astype(np.int64), 1)
            else:
                constants[name] = value
        memories.update(op.memories(*inputs))
        roms = []
        for name, memory in memories.items():
            words, lanes = memory.codes.shape
            rom = Rom(name.lower(), f"{stream.id}.{name.lower()}.inc", words, lanes * memory.bits)
            self.files[rom.file] = initializer(memory)
            roms.append(rom)
        return constants, tuple(roms)


def initializer(memory: Memory) -> str:
    """Return a memory as an array's initializer: a line per word, its lowest chunk first."""
    words = pack(np.asarray(memory.codes, np.int64), memory.bits)
    padded = np.zeros((words.shape[0], -(-words.shape[1] * 8 // CHUNK) * CHUNK // 8), np.uint8)
    padded[:, : words.shape[1]] = words
    chunks = padded.view("<u8").tolist()
    return "".join("{" + ", ".join(f"{c:#x}" for c in word) + "},\n" for word in chunks)
