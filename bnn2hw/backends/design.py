"""A rendered design: its sources, and the streams that a simulation compares with golden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bnn2hw.backends.text import ANY_TARGET, CODE, Header, bare
from bnn2hw.exchange import LONGEST_NAME
from bnn2hw.ir import Array, Beats, Graph, StreamOp, Tensor, View


@dataclass(frozen=True)
class Stream:
    """A stream of the design.

    A beat carries `lanes` values in row-major order, the first in the least significant bits.

    Attributes:
        name: Name of the edge in the graph.
        id: Identifier in the sources.
        tensor: Type of a frame.
        lanes: Values per beat; 0 for an array in memory.
        vector: Values of a vector, as in `Beats`; 0 if no beat has padding.
        zeros: Whether padding lanes carry code 0, as in `Beats`.
        filled: Whether the sign of a beat's one value fills the bits up to whole bytes, as on a port.
    """

    name: str
    id: str
    tensor: Tensor
    lanes: int
    vector: int = 0
    zeros: bool = False
    filled: bool = False

    @property
    def bits(self) -> int:
        """Width of a beat."""
        return self.lanes * self.tensor.ints.bits

    @property
    def beats(self) -> int:
        """Beats per frame."""
        return Beats(self.lanes, self.vector).count(self.tensor.size)

    @property
    def bytes(self) -> int:
        """Bytes that hold a beat."""
        return (self.bits + 7) // 8

    @property
    def words(self) -> str:
        """The contents of the stream and its beats, in words."""
        if not self.lanes:
            return self.contents
        ragged = f"; each vector of {self.vector} begins with a new beat" if self.vector else ""
        bits = self.tensor.ints.bits
        return f"{self.contents} of {bits} bit{'s' if bits > 1 else ''}, {self.lanes} per beat{ragged}"

    @property
    def contents(self) -> str:
        """The values of a frame, in words."""
        return self.tensor.words

    @property
    def shape(self) -> str:
        """The shape of a frame, in words."""
        return "×".join(map(str, self.tensor.shape))

    def pack(self, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Pack whole frames into beats.

        Args:
            values: Integers of shape (frames, *shape).

        Returns:
            Beats of shape (frames * beats, bytes), little-endian, with 0 for padding.
        """
        bits = 8 * self.bytes if self.filled else self.tensor.ints.bits
        return pack(self._in_beats(self.tensor.ints.encode(values)), bits)

    def compared(self, beats: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return beats of whole frames with 0 for padding whose value is undefined."""
        if not self.vector or self.zeros:
            return beats
        there = self._in_beats(np.full((1, self.tensor.size), -1))
        mask = np.tile(pack(there, self.tensor.ints.bits), (len(beats) // self.beats, 1))
        return beats & mask

    def _in_beats(self, codes: Array) -> Array:
        """Return codes of whole frames in shape (beats, lanes), with 0 for padding."""
        if not self.vector:
            return codes.reshape(-1, self.lanes)
        padding = -self.vector % self.lanes
        return np.pad(codes.reshape(-1, self.vector), ((0, 0), (0, padding))).reshape(-1, self.lanes)

    def unpack(self, beats: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Unpack whole frames, undoing `pack`.

        Args:
            beats: Beats of shape (frames * beats, bytes), little-endian.

        Returns:
            Integers of shape (frames, *shape).
        """
        codes = unpack(beats, self.tensor.ints.bits, self.lanes)
        if self.vector:
            codes = codes.reshape(-1, self.vector + -self.vector % self.lanes)[:, : self.vector]
        return self.tensor.ints.decode(codes).reshape(-1, *self.tensor.shape)


@dataclass(frozen=True)
class Port:
    """The AXI4-Stream port of a stream. A beat is padded to whole bytes.

    Attributes:
        stream: Stream that the port carries.
        suffix: Suffix of the port's names if the design has several such ports; else "".
    """

    stream: Stream
    suffix: str = ""

    @classmethod
    def of(cls, streams: Sequence[Stream]) -> tuple[Self, ...]:
        """Return the ports of all inputs, or of all outputs. A single port has no suffix."""
        ids = identifiers(s.name for s in streams)
        return tuple(cls(s, f"_{ids[s.name]}" if len(streams) > 1 else "") for s in streams)

    @property
    def axis_bits(self) -> int:
        """Width of tdata."""
        return self.stream.bytes * 8

    @property
    def beats(self) -> int:
        """Beats per frame."""
        return self.stream.beats

    @property
    def extends(self) -> bool:
        """True if a beat is one signed value, whose sign fills the padding."""
        return self.stream.lanes == 1 and self.stream.tensor.ints.signed

    @property
    def words(self) -> str:
        """The contents of the port, in words."""
        return f"{self.stream.words}{self.padding}"

    @property
    def padding(self) -> str:
        """The filling of a beat up to whole bytes, in words; "" if there is none."""
        bits = self.axis_bits - self.stream.bits
        if bits and self.extends:
            return f", sign-extended to {self.axis_bits} bits"
        return f", padded with {bits} zero bit{'s' if bits > 1 else ''}" if bits else ""

    def hex_lines(self, values: NDArray[np.integer]) -> str:
        """Return whole frames as they appear on tdata, a beat per line in hexadecimal."""
        return hex_lines(replace(self.stream, filled=self.extends).pack(values), self.axis_bits)


TABLE = ("port", "beats per frame", "values per beat", "bits per value", "tdata bits", "one frame")


def port_table(inputs: Sequence[Port], outputs: Sequence[Port]) -> list[str]:
    """Return the beat layout of the ports: a table, and the rules below it, by lines.

    Args:
        inputs: Ports that take frames, as s_axis.
        outputs: Ports that deliver results, as m_axis.
    """
    rows: list[tuple[object, ...]] = [TABLE]
    for stem, ports in (("s_axis", inputs), ("m_axis", outputs)):
        for p in ports:
            ints = p.stream.tensor.ints
            frame = f"{p.stream.contents}{p.padding}"
            rows.append((f"{stem}{p.suffix}", p.beats, p.stream.lanes, ints.bits, p.axis_bits, frame))
    *widths, _ = (max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True))
    lines = []
    for row in rows:
        name, *numbers, frame = map(str, row)
        cells = [n.rjust(w) for n, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join((name.ljust(widths[0]), *cells, frame)))
    return [*lines, *LAYOUT]


LAYOUT = (
    "Values come in row-major order, channels last (channel-minor). The first value of a beat is in",
    "its least significant bits. A value v of `a..b by s` has the code (v - a) / s, so ±1 takes one",
    "bit. Any other value is its own code, in two's complement if a is negative.",
)
"""The rules of the layout of a beat."""


@dataclass(frozen=True)
class Load:
    """The layout of the loadable memories of a design.

    Attributes:
        design: Number of the design. Designs whose weight images differ in layout have different
            numbers.
        slices: Slices of a weight image, without its head.
        stages: Ops on the load chain.
        memories: Loadable memories in these ops.
        settle: Cycles without a frame after which nothing moves in the design.
    """

    design: int
    slices: int
    stages: int
    memories: int
    settle: int


@dataclass(frozen=True)
class Design:
    """The sources of an accelerator.

    Attributes:
        top: The top module or function.
        files: Texts by file name. Memory files end in ".hex".
        streams: All streams in topological order.
        inputs: Streams that enter the design.
        outputs: Streams that leave the design, with the names and shapes of the graph's outputs.
        backend: Backend that rendered the design. It decides how the design is simulated.
        header: Provenance that the headers of the files state.
        bench: Further sources that only our own simulation needs: for Verilog, models of the cells.
        fast: Forms of some modules among `files` that simulate faster: those made for simulation, and
            the portable forms of modules that name cells of a family.
        netlist: True if synthesis wrote the design. Then only the ports have known names, and
            `streams` are those of the ports.
        load: The layout of weight images; None if no memory can be written.
    """

    top: str
    files: Mapping[str, str]
    streams: tuple[Stream, ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    backend: str = "verilog"
    header: Header = ANY_TARGET
    bench: Mapping[str, str] = field(default_factory=dict)
    fast: Mapping[str, str] = field(default_factory=dict)
    netlist: bool = False
    load: Load | None = None

    @property
    def input(self) -> Stream:
        """The first stream that enters the design."""
        return self.inputs[0]

    @property
    def output(self) -> Stream:
        """The first stream that leaves the design."""
        return self.outputs[0]

    @property
    def code(self) -> dict[str, str]:
        """The files without comments. Designs with equal code are the same hardware."""
        return {n: bare(t) if n.endswith(CODE) else t for n, t in self.files.items()}

    def simulated(self, *, cells: bool = False) -> dict[str, str]:
        """Return the texts that a Verilog simulator compiles and reads.

        Args:
            cells: Whether to simulate the files as they are, with models of the cells that they name.
                By default the fast forms of some modules take their place. They have the same ports
                and cycles, which is proved (tests/synthesis/test_forms.py,
                tests/synthesis/test_fast_forms.py).
        """
        return {**self.files, **(self.bench if cells else self.fast)}


def pack(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Pack codes of shape (words, lanes) into words of shape (words, bytes), lane 0 lowest.

    Args:
        codes: Codes of `bits` bits each; higher bits are ignored.
        bits: Width of a code.
    """
    width = codes.shape[1] * bits
    if bits == 1:
        return np.packbits(codes.astype(np.uint8) & 1, axis=1, bitorder="little")
    size = next(n for n in (1, 2, 4, 8) if 8 * n >= bits)  # bytes that hold a code
    if width < 64 and bits < 8 * size:
        lanes = (codes & ((1 << bits) - 1)) << (np.arange(codes.shape[1]) * bits)
        words = np.bitwise_or.reduce(lanes, axis=1).astype("<i8")
        return np.ascontiguousarray(words.view(np.uint8).reshape(-1, 8)[:, : (width + 7) // 8])
    raw = np.ascontiguousarray(codes.astype(f"<u{size}")).view(np.uint8)
    if bits == 8 * size:
        return raw.reshape(len(codes), codes.shape[1] * size)
    planes = np.unpackbits(raw.reshape(*codes.shape, size), axis=2, count=bits, bitorder="little")
    return np.packbits(planes.reshape(len(codes), width), axis=1, bitorder="little")


def hex_lines(words: NDArray[np.uint8], bits: int) -> str:
    """Return words of shape (words, bytes), little-endian, as a line of hexadecimal digits each.

    Args:
        words: The words.
        bits: Width of a word.
    """
    digits = (bits + 3) // 4
    return "".join(w.tobytes().hex()[-digits:] + "\n" for w in np.ascontiguousarray(words[:, ::-1]))


def unpack(words: NDArray[np.uint8], bits: int, lanes: int) -> NDArray[np.int64]:
    """Undo `pack`: return unsigned codes of shape (words, lanes).

    Args:
        words: Words of shape (words, bytes).
        bits: Width of a code.
        lanes: Codes per word.
    """
    flat = np.unpackbits(words, axis=1, bitorder="little", count=bits * lanes)
    planes = flat.reshape(words.shape[0], lanes, bits).astype(np.int64)
    return planes @ (np.int64(1) << np.arange(bits))


def streams(graph: Graph) -> tuple[Stream, ...]:
    """Return the streams of a streamed graph, with identifiers that are valid in any language.

    Raises:
        TypeError: a node is no hardware op.
    """
    nodes = [n for n in graph if not isinstance(n.op, View)]
    ids = identifiers(n.name for n in nodes)
    made = []
    for node in nodes:
        if not isinstance(node.op, StreamOp):
            raise TypeError(f"node '{node.name}' ({type(node.op).__name__}) is not in hardware form")
        beats = node.op.beats(*graph.inputs_of(node))[1]
        made.append(Stream(node.name, ids[node.name], graph.types[node.name], *beats))
    return tuple(made)


def ends(graph: Graph, all_streams: Sequence[Stream]) -> tuple[tuple[Stream, ...], tuple[Stream, ...]]:
    """Return the streams that enter a design, and those that leave it.

    The latter have the names and shapes of the graph's outputs.
    """
    by_name = {s.name: s for s in all_streams}
    inputs = tuple(by_name[n.name] for n in graph.sources)
    outputs = tuple(
        replace(by_name[graph.wire(name)], name=name, tensor=graph.types[name]) for name in graph.outputs
    )
    return inputs, outputs


def named_words(several: Sequence[Stream]) -> list[str]:
    """Return the contents of the inputs or outputs of a design in words, by name if there are several."""
    return [f"{s.name}: {s.words}" if len(several) > 1 else s.words for s in several]


PREFIXES = (
    "u_",
    "unused_",
    *(f"g_{side}_{s}_" for side in ("input", "output") for s in ("resync", "count")),
    *(f"input_{s}_" for s in ("offered", "open", "wrong", "bad", "judged", "judge")),
    *(f"input_{s}_" for s in ("counter", "in_frame", "frames", "held", "lead")),
    *(f"output_{s}_" for s in ("beat", "offered", "done", "dropped", "judge")),
    *(f"output_{s}_" for s in ("counter", "in_frame", "frames")),
)
"""Prefixes that the sources put before an identifier."""

SUFFIXES = ("", "_data", "_valid", "_ready", "_taking", "_valids", "_s_readys", "_s0_readys", "_s1_readys")
"""Suffixes that the sources append to an identifier."""


def _derived(identifier: str) -> set[str]:
    """Return the names of signals and instances that an identifier leads to, in lower case."""
    return {*((p + identifier).lower() for p in PREFIXES), *((identifier + s).lower() for s in SUFFIXES)}


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each name, of letters, digits and single underscores.

    Identifiers are distinct even without regard to case, and with one of `PREFIXES` or `SUFFIXES`
    added. With a prefix or suffix an identifier is no keyword.
    """
    taken: set[str] = set()
    chosen = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9]+", "_", name)[:LONGEST_NAME].strip("_") or "layer"
        stem = stem if stem[0].isalpha() else f"n{stem}"
        number, candidate = 1, stem
        while not taken.isdisjoint(_derived(candidate)):
            number += 1
            candidate = f"{stem}_{number}"
        taken.update(_derived(candidate))
        chosen[name] = candidate
    return chosen
