"""The PYNQ driver that is written, on a stand-in for pynq whose DMAs run golden."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.backends import loading
from bnn2hw.backends.design import Design, Port
from bnn2hw.deploy import amd
from bnn2hw.golden import Batch
from bnn2hw.ir import Graph
from bnn2hw.ops import Threshold
from tests.support import random_frames
from tests.support.amd import GRAPHS, made, network, write


class Board:
    """A stand-in for the board that pynq sees: its DMAs run the golden of the graph."""

    def __init__(self, graph: Graph, design: Design) -> None:
        self.words = design.load.slices + loading.HEAD if design.load else 0
        self.graph, self.inputs, self.outputs = graph, Port.of(design.inputs), Port.of(design.outputs)
        self.arrived: dict[int, bytes] = {}
        self.waiting: dict[int, np.ndarray] = {}
        self.others: dict[int, Graph] = {}  # by number of an image, whose weights it holds
        self.image: list[int] = []
        self.number, self.stuck = 0, False
        self.frames, self.dead, self.error, self.short, self.wrong = 0, False, 0, 0, 0

    def overlay(self, bitfile: str) -> types.SimpleNamespace:
        assert bitfile == "some.bit"
        dmas = {f"dma_{i}": self.dma(i) for i in range(max(len(self.inputs), len(self.outputs)))}
        registers = types.SimpleNamespace(read=self.read, write=self.write)
        status = types.SimpleNamespace(read=lambda offset: self.error)
        return types.SimpleNamespace(status=status, accelerator=registers, **dmas)

    def read(self, offset: int) -> int:
        return {4: 4 * self.stuck + 8 * bool(self.image), 12: self.number}[offset]

    def write(self, offset: int, value: int) -> None:
        assert offset in (0x14, 0x18)
        if self.stuck:
            return
        self.image = [*self.image, value] if offset == 0x14 else []
        if offset == 0x18:
            self.number = 2**32 - 1
        if len(self.image) == self.words:
            self.number = loading.numbered(np.array(self.image))[1]
            self.graph, self.image = self.others[self.number], []

    def dma(self, number: int) -> types.SimpleNamespace:
        ends = types.SimpleNamespace()
        if number < len(self.inputs):
            ends.sendchannel = Channel(self, lambda buffer: self.send(number, buffer))
        if number < len(self.outputs):
            ends.recvchannel = Channel(self, lambda buffer: self.listen(number, buffer))
        return ends

    def listen(self, number: int, buffer: np.ndarray) -> None:
        assert number not in self.waiting
        self.waiting[number] = buffer

    def send(self, number: int, buffer: np.ndarray) -> None:
        assert len(self.waiting) == len(self.outputs), "sent before the receivers listened"
        self.arrived[number] = buffer.tobytes()
        if len(self.arrived) == len(self.inputs) and not self.dead:
            self.compute()

    def compute(self) -> None:
        x = {
            p.stream.name: p.stream.unpack(
                np.frombuffer(self.arrived[i], np.uint8).reshape(-1, p.stream.bytes)
            )
            for i, p in enumerate(self.inputs)
        }
        results = golden.by_name(self.graph.outputs, golden.outputs(self.graph, golden.batch(x)), "output")
        for i, port in enumerate(self.outputs):
            self.waiting[i][:] = (
                np.frombuffer(on_the_wire(port, results[port.stream.name]), np.uint8) ^ self.wrong
            )
        self.arrived, self.waiting, self.frames = {}, {}, self.frames + 1


class Channel:
    """One direction of a DMA."""

    def __init__(self, board: Board, transfer: Any) -> None:
        self.board, self.begin, self.nbytes = board, transfer, 0

    def transfer(self, buffer: np.ndarray) -> None:
        self.nbytes = buffer.nbytes
        self.begin(buffer)

    @property
    def idle(self) -> bool:
        return not self.board.dead

    @property
    def transferred(self) -> int:
        return self.nbytes - self.board.short

    def wait(self) -> None:
        assert self.idle


class Buffer(np.ndarray):
    """Memory that a DMA reaches."""

    def freebuffer(self) -> None:
        self.fill(0)


def on_the_wire(port: Port, values: np.ndarray) -> bytes:
    """Frames as they stand on tdata, the lowest byte first."""
    return b"".join(
        bytes.fromhex(line.zfill(2 * port.stream.bytes))[::-1] for line in port.hex_lines(values).split()
    )


def driver(
    files: dict[str, str], board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> types.ModuleType:
    """The driver that was written, on a board that is simulated."""
    pynq = types.ModuleType("pynq")
    pynq.Overlay = board.overlay  # type: ignore[attr-defined]
    pynq.allocate = lambda shape, dtype: np.zeros(shape, dtype).view(Buffer)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    spec = importlib.util.spec_from_file_location("driver", write(files, folder) / "driver.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "driver", module)
    spec.loader.exec_module(module)
    return module


def assert_same(got: Batch, expected: Batch) -> None:
    if isinstance(expected, dict):
        assert isinstance(got, dict)
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[n], expected[n]) for n in expected)
    else:
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_packs_as_the_ports_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made(name)
    module = driver(files, Board(graph, design), tmp_path, monkeypatch)
    x = random_frames(graph, 3, seed=5)
    sides = (
        (module.INPUTS, design.inputs, golden.by_name(tuple(s.name for s in design.inputs), x)),
        (module.OUTPUTS, design.outputs, golden.by_name(graph.outputs, golden.outputs(graph, x), "output")),
    )

    for mine, streams, values in sides:
        for ours, port in zip(mine, Port.of(streams), strict=True):
            frames = np.asarray(values[port.stream.name])
            packed = ours.pack(frames)
            assert packed.tobytes() == on_the_wire(port, frames)
            assert np.array_equal(
                ours.unpack(packed), port.stream.unpack(packed.reshape(-1, port.stream.bytes))
            )
            assert np.array_equal(ours.unpack(packed), frames)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_predicts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made(name)
    board = Board(graph, design)
    x = random_frames(graph, 5, seed=7)
    expected = golden.outputs(graph, x)

    with driver(files, board, tmp_path, monkeypatch).Device("some.bit") as device:
        got = device.predict(x)

    if not isinstance(expected, dict) and expected[0].size == 1:
        expected = expected.reshape(len(expected))
    assert_same(got, expected)
    assert board.frames == 5 + amd.CHECK_FRAMES


def test_driver_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acc = network()
    files = amd.files(acc.design, acc.graph, acc.device, acc.name, acc.input_specs)
    module = driver(files, Board(acc.graph, acc.design), tmp_path, monkeypatch)
    x = np.asarray(random_frames(acc.graph, 4))

    with module.Device("some.bit") as device:
        assert np.array_equal(device.predict(x), acc.golden(x))
        assert np.array_equal(device.predict(x / 127.5 - 1), acc.golden(x))
        assert device.predict(x[:0]).shape == (0,)
        for wrong, said in (
            (x[0], "the images have shape"),
            (x + 300, r"values that are not among 0\.\.\.255 by 1"),
            (x + 0.25, "floats that are not"),
            (x.astype(str), "expected integers or floats"),
            ({"other": x}, r"the batch has \['other'\]"),
        ):
            with pytest.raises(module.InputError, match=said):
                device.predict(wrong)
        assert np.array_equal(device.predict(x), acc.golden(x))
    with pytest.raises(module.LinkError, match="closed"):
        device.predict(x)


def test_driver_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made("loadable")
    op = graph["y"].op
    assert isinstance(op, Threshold)
    assert op.falls is not None
    other = graph.map_ops({"y": replace(op, falls=~op.falls)})
    image = loading.image(other, design.load)
    board = Board(graph, design)
    board.others[loading.numbered(image)[1]] = other
    module = driver(files, board, tmp_path, monkeypatch)
    x = np.asarray(random_frames(graph, 3))

    with module.Device("some.bit", timeout=0.05) as device:
        assert_same(device.predict(x), golden.outputs(graph, x))
        device.load(image)
        assert_same(device.predict(x), golden.outputs(other, x))
        for wrong in (image[:-1], np.concatenate([image[:1] ^ 1, image[1:]])):
            with pytest.raises(module.InputError, match="not for this design"):
                device.load(wrong)
        board.image = [1, 2, 3]  # a driver that came before left off here
        device.load(image)
        assert_same(device.predict(x), golden.outputs(other, x))
        board.stuck = True
        with pytest.raises(module.LinkError, match=r"did not take the image in 0\.05 s"):
            device.load(image)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"dead": True}, "did not finish in 0.05 s"),
        ({"error": 1}, "a frame of a wrong length"),
        ({"short": 1}, "bytes instead of"),
    ],
)
def test_driver_notices(
    fault: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, design, files = made("bytes")
    board = Board(graph, design)
    module = driver(files, board, tmp_path, monkeypatch)
    device = module.Device("some.bit", timeout=0.05)
    x = random_frames(graph, 2)
    device.predict(x)
    vars(board).update(fault)

    with pytest.raises(module.LinkError, match=said):
        device.predict(x)
    vars(board).update(dead=False, error=0, short=0)
    with pytest.raises(module.LinkError, match="out of step"):
        device.predict(x)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_refuses_another_accelerator(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, design, files = made(name)
    board = Board(graph, design)
    board.wrong = 1

    module = driver(files, board, tmp_path, monkeypatch)

    with pytest.raises(module.LinkError, match="does not compute the expected results"):
        module.Device("some.bit")
