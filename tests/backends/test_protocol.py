"""The top level's protocol: resets of any length, frames that are too short or too long, and resynchronization."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design, Port
from bnn2hw.dataflow import connect, free_running
from bnn2hw.ir import BIPOLAR, Array, Graph, Ints, Node, Tensor
from bnn2hw.ops import Add, Argmax, Pool, SlidingWindow, Source, Threshold, Xnor
from bnn2hw.simulation import harness, verilator
from bnn2hw.targets import families
from tests.support import ROOT, long_runs, mlp, random_frames

FRAMES = 12


def signs(rng: np.random.Generator, *shape: int) -> Array:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def classifier() -> Graph:
    """Two layers and the best class: one output beat per frame, after the last input beat."""
    graph = mlp(12, 8, 5)
    return connect.connect(Graph((*graph.nodes, Node("class", Argmax(), graph.outputs)), ("class",)))


def maps() -> Graph:
    """A convolution: most output beats come before the last input beat, whose rows it does not read."""
    rng = np.random.default_rng(1)
    x = Node("x", Source(Tensor((6, 5, 4), BIPOLAR), 4))
    window = Node("window", SlidingWindow((2, 2), lanes=4), ("x",))
    conv = Node("conv", Xnor(signs(rng, 16, 6), pe=6, simd=4), ("window",))
    sign = Node("sign", Threshold(rng.integers(-3, 4, (6, 1)) * 2, pe=6), ("conv",))
    return connect.connect(
        Graph((x, window, conv, sign, Node("pool", Pool(np.zeros(6, bool), (2, 2)), ("sign",))), ("pool",))
    )


def joined() -> Graph:
    """Two inputs with frames of different lengths, and two outputs."""
    rng = np.random.default_rng(2)
    nodes = [Node("x", Source(Tensor((12,), BIPOLAR), 3)), Node("z", Source(Tensor((4,), Ints(-3, 3)), 1))]
    nodes += [Node("dense", Xnor(signs(rng, 12, 4)), ("x",)), Node("sum", Add(), ("dense", "z"))]
    nodes += [Node("best", Argmax(), ("sum",))]
    return connect.connect(Graph(tuple(nodes), ("best", "sum")))


def wide() -> Graph:
    """A unit that stalls three cycles ahead, with registers for each group of neurons."""
    return connect.connect(mlp(64, 24, 10))


def cleared() -> Graph:
    """A unit that clears its accumulators when a result is complete."""
    rng = np.random.default_rng(4)
    x, dense = Node("x", Source(Tensor((64,), BIPOLAR), 8)), Xnor(signs(rng, 64, 24), pe=4, simd=8)
    return connect.connect(Graph((x, Node("dense", dense, ("x",))), ("dense",)))


def every_cycle() -> Graph:
    """A frame is one beat, and one enters and one leaves in each cycle."""
    rng = np.random.default_rng(5)
    nodes = [Node("x", Source(Tensor((12,), BIPOLAR), 12))]
    nodes += [Node("first", Xnor(signs(rng, 12, 8), pe=8, simd=12), ("x",))]
    nodes += [Node("sign", Threshold(rng.integers(-2, 3, (8, 1)) * 2, pe=8), ("first",))]
    nodes += [Node("last", Xnor(signs(rng, 8, 5), pe=5, simd=8), ("sign",))]
    return connect.connect(Graph(tuple(nodes), ("last",)))


def free() -> Graph:
    """The same ops without handshakes between them: a gate in front, and a FIFO behind."""
    graph = every_cycle()
    [chain] = free_running.chains(graph)
    return free_running.freed(graph, chain, families.family("xilinx"))


NETWORKS = {"classifier": classifier, "maps": maps, "joined": joined, "wide": wide, "cleared": cleared} | {
    "every cycle": every_cycle,
    "free": free,
}


@dataclass
class Phase:
    """Beats that the sources offer after a reset, by input, with their tlast.

    Attributes:
        cycles: Length; 0 until nothing moves.
        reset: Cycles of reset before it.
        beats: By input, beats of shape (beats, 1 + bytes), tlast first.
    """

    beats: list[Array]
    cycles: int = 0
    reset: int = 1
    out: list[Array] = field(default_factory=list)
    status: tuple[int, ...] = ()


def drive(design: Design, phases: Sequence[Phase], folder: Path, seed: int, resync: bool) -> list[Phase]:
    """Run phases, and fill in what left the design in each and its status at the end, before and after a clear."""
    harness.write_files(design, folder, only=".hex")
    texts = {n: t for n, t in sorted(design.simulated().items()) if n.endswith(".sv")}
    if resync:
        assert "parameter logic [0:0] RESYNC = 1'b0" in texts["bnn2hw_top.sv"]
        texts["bnn2hw_top.sv"] = texts["bnn2hw_top.sv"].replace("RESYNC = 1'b0", "RESYNC = 1'b1")
    main = str(ROOT / "tests" / "backends" / "protocol.cpp")
    binary = verilator.build(design.top, texts, main, header=header(design))
    for number, phase in enumerate(phases):
        for i, beats in enumerate(phase.beats):
            (folder / f"in{number}_{i}").write_bytes(beats.astype(np.uint8).tobytes())
    arguments = [str(n) for phase in phases for n in (phase.cycles, phase.reset)]
    done = subprocess.run(
        [binary, str(folder), str(seed), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = iter(done.stdout.split())
    for number, phase in enumerate(phases):
        phase.status = tuple(int(next(lines)) for _ in range(6))
        phase.out = [
            np.frombuffer((folder / f"out{number}_{i}").read_bytes(), np.uint8).reshape(-1, 1 + s.bytes)
            for i, s in enumerate(design.outputs)
        ]
    return list(phases)


def header(design: Design) -> str:
    """The function that tells the program the ports of a design."""
    lines = ["inline void ports(Vtop& top, std::vector<Axis>& sources, std::vector<Axis>& sinks) {"]
    for side, name, streams in (("s", "sources", design.inputs), ("m", "sinks", design.outputs)):
        for p in Port.of(streams):
            signals = ", ".join(
                f"&top.{side}_axis{p.suffix}_t{part}" for part in ("data", "valid", "ready", "last")
            )
            lines.append(f"  {name}.push_back({{{signals}, {p.stream.bytes}}});")
    return "\n".join([*lines, "}", ""])


def packets(design: Design, x: golden.Batch) -> list[list[Array]]:
    """By input, the packet of each frame: beats of shape (beats, 1 + bytes), tlast first."""
    found = []
    for stream in design.inputs:
        values = golden.by_name(tuple(s.name for s in design.inputs), x)[stream.name]
        beats = stream.pack(values).reshape(len(values), stream.beats, stream.bytes)
        last = np.zeros((len(values), stream.beats, 1), np.uint8)
        last[:, -1] = 1
        found.append(list(np.concatenate([last, beats], axis=2)))
    return found


def results(design: Design, graph: Graph, x: golden.Batch) -> list[list[Array]]:
    """By output, the packet that golden gives for each frame, as on the port."""
    expected = golden.by_name(graph.outputs, golden.outputs(graph, x), "output")
    found = []
    for port in Port.of(design.outputs):
        values = expected[port.stream.name]
        lines = port.hex_lines(values).split()
        beats = np.array([list(bytes.fromhex(line)[::-1]) for line in lines], np.uint8)
        beats = beats.reshape(len(values), port.beats, -1)
        last = np.zeros((len(values), port.beats, 1), np.uint8)
        last[:, -1] = 1
        found.append(list(np.concatenate([last, beats], axis=2)))
    return found


def kept(found: Sequence[Array], good: Sequence[int]) -> Array:
    return np.concatenate([found[i] for i in good] or [found[0][:0]])


# ---- resets


@pytest.mark.parametrize("resync", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_reset_of_any_length_at_any_time_leaves_nothing_behind(
    name: str, resync: bool, tmp_path: Path
) -> None:
    """Results wait, frames are half in; after one cycle of reset the next beat is the first of a frame."""
    graph = NETWORKS[name]()
    design = verilog.render(graph)
    rng = np.random.default_rng(3)
    phases, wanted = [], []
    for number in range(24):
        x = random_frames(graph, FRAMES, seed=number)
        whole = [np.concatenate(p) for p in packets(design, x)]
        cycles = 0 if number % 3 == 2 else int(rng.integers(1, 250))
        length = 10 if number == 0 else int(rng.choice([1, 1, 1, 2, 3, 7]))
        phases.append(Phase(whole, cycles, length))
        wanted.append([np.concatenate(r) for r in results(design, graph, x)])

    for phase, expected in zip(drive(design, phases, tmp_path, 1, resync), wanted, strict=True):
        for found, right in zip(phase.out, expected, strict=True):
            assert np.array_equal(found, right[: len(found)])
            assert phase.cycles or len(found) == len(right)
        assert phase.status[0] == 0


# ---- frames of a wrong length


def damaged(rng: np.random.Generator, frames: Sequence[Array]) -> Iterator[tuple[Array, tuple[int, ...]]]:
    """Drop or double a beat of every third frame or so, or lose its tlast; yield each packet with the frames it damages."""
    for number, packet in enumerate(frames):
        at = int(rng.integers(len(packet)))
        match rng.integers(9):
            case 0:
                yield np.delete(packet, at, axis=0), (number,)
            case 1:
                yield np.insert(packet, at, packet[at], axis=0), (number,)
            case 2:
                lost = packet.copy()
                lost[-1, 0] = 0
                yield lost, (number, number + 1)
            case _:
                yield packet, ()


def split(beats: Array) -> list[Array]:
    """The packets of a stream of beats, each up to its tlast; what follows the last tlast is left out."""
    return np.split(beats, np.flatnonzero(beats[:, 0]) + 1)[:-1]


@pytest.mark.parametrize("seed", long_runs.after(1, range(2)))
@pytest.mark.parametrize("name", NETWORKS)
def test_resynchronization_drops_only_what_is_damaged(name: str, seed: int, tmp_path: Path) -> None:
    graph = NETWORKS[name]()
    design = verilog.render(graph)
    rng = np.random.default_rng(seed)
    phases, wanted, counts = [], [], []
    for number in range(4):
        x = random_frames(graph, 60, seed=number)
        sent = packets(design, x)
        damage = [np.concatenate([p for p, _ in damaged(rng, frames)]) for frames in sent]
        offered = [split(beats) for beats in damage]
        # The n-th packets of all inputs are a frame. A packet that has the right length is a frame, and the
        # only one of the test's that it can be is the one whose tlast it ends with.
        pairs = list(zip(*offered, strict=False))
        whole = [n for n, pair in enumerate(pairs) if right_length(design, pair)]
        inputs = [np.stack([offered[i][n] for n in whole]) for i in range(len(offered))]
        values = {
            s.name: s.unpack(p[:, :, 1:].reshape(-1, s.bytes))
            for s, p in zip(design.inputs, inputs, strict=True)
        }
        wanted.append([np.concatenate(r) for r in results(design, graph, golden.batch(values))])
        counts.append((len(whole), len(pairs) - len(whole)))
        phases.append(Phase([np.concatenate(o[: len(pairs)]) for o in offered], reset=5))

    assert sum(good for good, _ in counts) > 40
    assert sum(bad for _, bad in counts) > 12
    for phase, expected, (good, bad) in zip(
        drive(design, phases, tmp_path, seed, True), wanted, counts, strict=True
    ):
        for found, right in zip(phase.out, expected, strict=True):
            assert np.array_equal(found, right)
        assert phase.status[:3] == (1, good, bad)
    assert [p.status[3:] == (0, 0, 0) for p in phases] == [False, True, False, True], (
        "cleared every second time"
    )


def right_length(design: Design, pair: Sequence[Array]) -> bool:
    return all(len(p) == s.beats for p, s in zip(pair, design.inputs, strict=True))


def test_without_resynchronization_a_lost_beat_is_reported_and_cleared(tmp_path: Path) -> None:
    graph = classifier()
    design = verilog.render(graph)
    x = random_frames(graph, FRAMES)
    whole = np.concatenate(packets(design, x)[0])
    lost = np.delete(whole, len(whole) // 2, axis=0)

    first, second = drive(design, [Phase([whole]), Phase([lost])], tmp_path, 1, False)

    assert first.status == (0, 0, 0) * 2
    assert second.status == (1, 0, 0, 0, 0, 0)
