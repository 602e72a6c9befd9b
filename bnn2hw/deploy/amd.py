"""Write files for AMD's tools and boards: an IP, Vivado scripts, and a PYNQ driver."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw import golden
from bnn2hw.backends.design import Design, Port, identifiers
from bnn2hw.backends.loading import HEAD
from bnn2hw.backends.text import Printer
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.ops.source import InputSpecs, input_spec
from bnn2hw.targets import boards
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device

VENDOR, LIBRARY, VERSION = "bnn2hw", "accelerators", "1.0"
"""Identifier of the IP, besides its name."""

DMA_BYTES = (8, 4, 2, 1)
"""Widths of a DMA's streams in bytes; the memory ports of the processors have at least 8."""

CONVERTER_BYTES = 512
"""Largest width of AMD's width converter, also of the words inside it."""

CONTROL = tuple(
    (f"s_axi_{name.lower()}", way, bits, name)
    for name, way, bits in (
        ("AWADDR", "in", 12),
        ("AWPROT", "in", 3),
        ("AWVALID", "in", 0),
        ("AWREADY", "out", 0),
        ("WDATA", "in", 32),
        ("WSTRB", "in", 4),
        ("WVALID", "in", 0),
        ("WREADY", "out", 0),
        ("BRESP", "out", 2),
        ("BVALID", "out", 0),
        ("BREADY", "in", 0),
        ("ARADDR", "in", 12),
        ("ARPROT", "in", 3),
        ("ARVALID", "in", 0),
        ("ARREADY", "out", 0),
        ("RDATA", "out", 32),
        ("RRESP", "out", 2),
        ("RVALID", "out", 0),
        ("RREADY", "in", 0),
    )
)
"""AXI4-Lite port of a loadable accelerator: name, direction, width, name in the standard.

A width of 0 is a single wire.
"""

REGISTERS = (
    ("DESIGN", "0x00", "read-only"),
    ("STATUS", "0x04", "read-only"),
    ("FRAMES", "0x08", "read-only"),
    ("IMAGE", "0x0c", "read-only"),
    ("WORDS", "0x10", "read-only"),
    ("LOAD", "0x14", "write-only"),
    ("CONTROL", "0x18", "write-only"),
)
"""Registers of bnn2hw_control: name, offset, access. IMAGE holds the number of the weight image."""

CHECK_FRAMES = 4
"""Frames of `sample` by which the driver checks that this is the right accelerator."""


def vivado_boards(own: Board | None = None) -> tuple[Board, ...]:
    """Return the boards with a Vivado project, from the smallest device to the largest.

    Args:
        own: A board that comes in addition, or in place of one of the same name.
    """
    named = {**boards.known(), **({own.name: own} if own else {})}
    return tuple(sorted((b for b in named.values() if b.vivado), key=lambda board: board.device.lut))


@dataclass(frozen=True)
class Channel:
    """A port of the accelerator and its DMA channel.

    Attributes:
        port: Port that carries the beats.
        axis: Name of the port's bus interface.
        dma: Name of the cell with the DMA.
    """

    port: Port
    axis: str
    dma: str

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return self.port.stream.bytes

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame in memory."""
        return self.beat_bytes * self.port.beats

    @property
    def dma_bytes(self) -> int:
        """Width of the DMA's stream: the widest that leaves no word of the converter half full."""
        return next(w for w in DMA_BYTES if w == 1 or self._whole(math.lcm(w, self.beat_bytes)))

    def _whole(self, inside: int) -> bool:
        return inside <= CONVERTER_BYTES and self.frame_bytes % inside == 0

    @property
    def converted(self) -> bool:
        """True if there is a width converter between port and DMA."""
        return self.dma_bytes != self.beat_bytes


def files(
    design: Design,
    graph: Graph,
    device: Device,
    name: str,
    input_specs: InputSpecs,
    board: Board | None = None,
) -> dict[str, str]:
    """Return the files for AMD's tools.

    Args:
        design: Sources from the Verilog backend.
        graph: Graph of the design.
        device: Device that the design is planned for.
        name: Name of the model.
        input_specs: Integers on the input and the real values that they stand for; by name if inputs differ.
        board: Board that the design is planned for, if one was named.

    Returns:
        Texts by path in the build folder; empty if the device is not AMD's, or the backend is not
        Verilog.
    """
    if device.family.maker != "AMD" or design.backend != "verilog":
        return {}
    inputs = _channels(Port.of(design.inputs), "s_axis")
    outputs = _channels(Port.of(design.outputs), "m_axis")
    control = CONTROL if design.load else ()
    wrapper = _wrapper(design, inputs, outputs) if design.load else {}
    there = vivado_boards(board)
    facts = {
        "top": "bnn2hw_axi" if control else design.top,
        "control": control,
        "control_map": [(logical, name) for name, _, _, logical in control],
        "registers": REGISTERS,
        "buses": [c.axis for c in (*inputs, *outputs)] + ["s_axi"] * bool(control),
        "load": design.load,
        "words": design.load.slices + HEAD if design.load else 0,
        "title": " ".join(name.split()),
        "vlnv": (VENDOR, LIBRARY, identifiers([name])[name], VERSION),
        "sources": [f"rtl/{n}" for n in (*design.files, *wrapper) if n.endswith(".sv")],
        "memories": [f"rtl/{n}" for n in design.files if n.endswith(".hex")],
        "inputs": inputs,
        "outputs": outputs,
        "dmas": [f"dma_{i}" for i in range(max(len(inputs), len(outputs)))],
        "boards": there,
        "board": _default(there, device, board),
        "units": {c.port.stream.name: input_spec(input_specs, c.port.stream.name) for c in inputs},
        "check": (CHECK_FRAMES, checksum(graph, inputs)),
    }
    made = ["ip/component.xml", "ip/xgui.tcl", "package_ip.tcl"]
    if all(c.beat_bytes <= CONVERTER_BYTES for c in (*inputs, *outputs)):
        made += ["project.tcl", "driver.py"]
    printer = Printer("amd", design.header, blocks=True)
    texts = {f"amd/{n}": printer.file(n, **facts) for n in made}
    return texts | {f"amd/ip/rtl/{n}": text for n, text in {**design.files, **wrapper}.items()}


def _default(there: Sequence[Board], device: Device, board: Board | None) -> Board:
    """Return the board of a project without arguments: the named one, or the first with the device."""
    named = [b for b in there if board and b.name == board.name]
    return next((b for b in (*named, *there) if b in named or b.device.name == device.name), there[0])


def _wrapper(design: Design, inputs: Sequence[Channel], outputs: Sequence[Channel]) -> dict[str, str]:
    """Return the modules that give a loadable design its registers; empty for another design."""
    if design.load is None:
        return {}
    facts = {"design": design, "inputs": inputs, "outputs": outputs, "control": CONTROL}
    facts["words"] = design.load.slices + HEAD
    printer = Printer("amd", design.header, blocks=True)
    return {f"bnn2hw_{n}.sv": printer.file(f"{n}.sv", **facts) for n in ("axi", "control")}


def sample(tensor: Tensor, frames: int) -> Array:
    """Return pseudo-random frames, shape (frames, *shape); the driver computes the same ones."""
    codes = (np.arange(frames * tensor.size, dtype=np.int64) * 2654435761 >> 16) % tensor.ints.count
    return (tensor.ints.lo + tensor.ints.step * codes).reshape(frames, *tensor.shape)


def checksum(graph: Graph, inputs: Sequence[Channel]) -> int:
    """Return the CRC-32 of all outputs for the sample, with 8 bytes per value."""
    x = golden.batch({c.port.stream.name: sample(c.port.stream.tensor, CHECK_FRAMES) for c in inputs})
    results = golden.by_name(graph.outputs, golden.outputs(graph, x), "output")
    return zlib.crc32(b"".join(np.asarray(results[n]).astype("<i8").tobytes() for n in graph.outputs))


def _channels(ports: Sequence[Port], stem: str) -> tuple[Channel, ...]:
    return tuple(Channel(p, f"{stem}{p.suffix}", f"dma_{i}") for i, p in enumerate(ports))
