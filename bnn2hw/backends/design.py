"""What a backend returns: files, and the streams by which a simulation can be compared with golden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bnn2hw.ir import Array, Beats, Graph, StreamOp, Tensor, View


@dataclass(frozen=True)
class Stream:
    """A stream of the design: the edge `name` of the graph under the identifier `id`.

    A beat carries `lanes` values, the first in the least significant bits, in row-major order; `vector` and `zeros` are
    as in `Beats`.
    """

    name: str
    id: str
    tensor: Tensor
    lanes: int
    vector: int = 0
    zeros: bool = False

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
        """What it carries, for a reader."""
        shape = "×".join(map(str, self.tensor.shape))
        ragged = f", the last ones of each {self.vector} in one of their own" if self.vector else ""
        return (
            f"{shape} values {self.tensor.ints} of {self.tensor.ints.bits} bit, {self.lanes} per beat{ragged}"
        )

    def pack(self, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Values of whole frames to beats, shape (beats, bytes), little-endian; padding is 0."""
        return pack(self._in_beats(self.tensor.ints.encode(values)), self.tensor.ints.bits)

    def compared(self, beats: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Beats of whole frames with 0 for padding that may be anything."""
        if not self.vector or self.zeros:
            return beats
        there = self._in_beats(np.full((1, self.tensor.size), -1))
        mask = np.tile(pack(there, self.tensor.ints.bits), (len(beats) // self.beats, 1))
        return beats & mask

    def _in_beats(self, codes: Array) -> Array:
        """Codes of whole frames, with 0 for padding, shape (beats, lanes)."""
        if not self.vector:
            return codes.reshape(-1, self.lanes)
        padding = -self.vector % self.lanes
        return np.pad(codes.reshape(-1, self.vector), ((0, 0), (0, padding))).reshape(-1, self.lanes)

    def unpack(self, beats: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Beats of whole frames, shape (beats, bytes), to values of shape (frames, *shape)."""
        codes = unpack(beats, self.tensor.ints.bits, self.lanes)
        if self.vector:
            codes = codes.reshape(-1, self.vector + -self.vector % self.lanes)[:, : self.vector]
        return self.tensor.ints.decode(codes).reshape(-1, *self.tensor.shape)


@dataclass(frozen=True)
class Port:
    """The AXI4-Stream port of a stream: a beat is padded to whole bytes.

    Attributes:
        stream: what it carries.
        suffix: what its names end in, where the design has several such ports.
    """

    stream: Stream
    suffix: str = ""

    @classmethod
    def of(cls, streams: Sequence[Stream]) -> tuple[Self, ...]:
        """The ports of all inputs, or of all outputs; one alone needs no name of its own."""
        return tuple(cls(s, f"_{s.id}" if len(streams) > 1 else "") for s in streams)

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
        """Whether a beat is one signed value, whose sign fills the padding."""
        return self.stream.lanes == 1 and self.stream.tensor.ints.signed

    @property
    def words(self) -> str:
        """What it carries, for a reader."""
        padding = self.axis_bits - self.stream.bits
        filled = f", sign-extended to {self.axis_bits} bit" if self.extends and padding else ""
        padded = f", padded with {padding} zero bits" if padding and not filled else ""
        return f"{self.stream.words}{filled}{padded}"

    def hex_lines(self, values: NDArray[np.integer]) -> str:
        """Values of whole frames as they stand on tdata, padding included, a beat per line."""
        if self.extends:
            codes = self.stream.tensor.ints.encode(values).reshape(-1, 1)
            return hex_lines(pack(codes, self.axis_bits), self.axis_bits)
        return hex_lines(self.stream.pack(values), self.axis_bits)


def frame_words(inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """How many beats make a frame, for a reader: of each port, in their order."""
    sides = (" + ".join(str(p.beats) for p in ports) for ports in (inputs, outputs))
    return "{} input beats and {} output beats".format(*sides)


@dataclass(frozen=True)
class Load:
    """What the loadable memories of a design are like, whatever lies in them.

    Attributes:
        design: a number that tells designs apart whose images have another layout.
        slices: of an image, without its head.
        stages: ops on the load chain.
        memories: the memories in them.
        settle: cycles without frames after which nothing moves any more.
    """

    design: int
    slices: int
    stages: int
    memories: int
    settle: int


@dataclass(frozen=True)
class Design:
    """Sources of an accelerator, by file name; memory files among them end in ".hex".

    Attributes:
        top: the top module or function.
        files: texts by file name.
        streams: all streams in topological order.
        inputs: those that enter the design.
        outputs: those that leave it, under the names and in the shapes of the graph's outputs.
        backend: who rendered it, which says how it is simulated.
        bench: further sources that only our own simulation needs: of Verilog, models of the cells that it names.
        portable: the modules among `files` that name cells of a family, in the form that names none.
        netlist: whether it is what synthesis wrote, where only the ports are known by name; `streams` are then these.
        load: what its port for images of memories takes, where it has one.
    """

    top: str
    files: Mapping[str, str]
    streams: tuple[Stream, ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    backend: str = "verilog"
    bench: Mapping[str, str] = field(default_factory=dict)
    portable: Mapping[str, str] = field(default_factory=dict)
    netlist: bool = False
    load: Load | None = None

    @property
    def input(self) -> Stream:
        """The stream that enters the design; of several, the first."""
        return self.inputs[0]

    @property
    def output(self) -> Stream:
        """The stream that leaves the design; of several, the first."""
        return self.outputs[0]

    def simulated(self, *, cells: bool = False) -> dict[str, str]:
        """The texts that a Verilog simulator compiles and reads.

        Args:
            cells: whether every cell that a family's modules name is simulated. By default these few adders stand there
                in their portable form, which compiles many times faster; that both are one function Yosys
                proves for a spread of parameters (tests/synthesis/test_forms.py).
        """
        return {**self.files, **(self.bench if cells else self.portable)}


def pack(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Codes of shape (words, lanes) to words of shape (words, bytes), lane 0 in the lowest bits."""
    width = codes.shape[1] * bits
    if width < 64:
        lanes = (codes & ((1 << bits) - 1)) << (np.arange(codes.shape[1]) * bits)
        words = np.bitwise_or.reduce(lanes, axis=1).astype("<i8")
        return np.ascontiguousarray(words.view(np.uint8).reshape(-1, 8)[:, : (width + 7) // 8])
    planes = (codes[:, :, None] >> np.arange(bits)) & 1
    flat = planes.astype(np.uint8).reshape(codes.shape[0], -1)
    return np.packbits(flat, axis=1, bitorder="little")


def hex_lines(words: NDArray[np.uint8], bits: int) -> str:
    """Words of shape (words, bytes), little-endian, as a line of hexadecimal digits each."""
    digits = (bits + 3) // 4
    return "".join(w.tobytes().hex()[-digits:] + "\n" for w in np.ascontiguousarray(words[:, ::-1]))


def ascii_only(text: str) -> str:
    """A source in letters that every tool reads."""
    plain = text.translate({ord("×"): "x", ord("…"): "..", ord("±"): "+-"})
    return "".join(c if c == "\n" or " " <= c <= "~" else "?" for c in plain)


def unpack(words: NDArray[np.uint8], bits: int, lanes: int) -> NDArray[np.int64]:
    """The inverse of `pack`; codes come back unsigned."""
    flat = np.unpackbits(words, axis=1, bitorder="little", count=bits * lanes)
    planes = flat.reshape(words.shape[0], lanes, bits).astype(np.int64)
    return planes @ (np.int64(1) << np.arange(bits))


def streams(graph: Graph) -> tuple[Stream, ...]:
    """The streams of a streamed graph, under identifiers fit for any language."""
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
    """The streams that enter a design and those that leave it, the latter as the graph's outputs see them."""
    by_name = {s.name: s for s in all_streams}
    inputs = tuple(by_name[n.name] for n in graph.sources)
    outputs = tuple(
        replace(by_name[graph.wire(name)], name=name, tensor=graph.types[name]) for name in graph.outputs
    )
    return inputs, outputs


PREFIXES = ("u_", "unused_", "input_last_", "input_frame_", "output_frame_")
SUFFIXES = ("", "_data", "_valid", "_ready", "_taking", "_valids", "_s_readys", "_s0_readys", "_s1_readys")


def _derived(identifier: str) -> set[str]:
    """All names that a design makes of an identifier: its signals and instances."""
    return {*((p + identifier).lower() for p in PREFIXES), *((identifier + s).lower() for s in SUFFIXES)}


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A distinct identifier for each name: letters, digits and single underscores, distinct in any case.

    Identifiers stay distinct when one of `SUFFIXES` is appended or one of `PREFIXES` put before them, and are no
    keyword once they carry a prefix.
    """
    taken: set[str] = set()
    chosen = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "layer"
        stem = stem if stem[0].isalpha() else f"n{stem}"
        number, candidate = 1, stem
        while not taken.isdisjoint(_derived(candidate)):
            number += 1
            candidate = f"{stem}_{number}"
        taken.update(_derived(candidate))
        chosen[name] = candidate
    return chosen
