"""What stands around a design on a device: a serial line on a board, or a scan chain for measurements."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from bnn2hw.backends.design import Design, Stream
from bnn2hw.backends.loading import HEAD
from bnn2hw.backends.text import Printer
from bnn2hw.deploy import pll
from bnn2hw.errors import InputError
from bnn2hw.synthesis import toolchains
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device

PROTOCOL = 1
"""Version of what travels on the serial line."""

LARGEST_BUFFER = 65536
"""Bytes of images that a shell may keep: an image is held back until its checksum has come."""

WINDOW = 4
"""Images that may be under way at once."""

PART_WORDS = 170
"""Words of the part of an image of the memories that travels in one frame; two parts fit into 1 KiB."""

MODULES = ("uart_rx", "uart_tx", "crc32", "requests", "packets", "replies")


@dataclass(frozen=True)
class Shell:
    """A design on a board.

    Attributes:
        design: sources whose top has the board's pins; its streams are those of the accelerator.
        constraints: the file of the design that says where the pins are.
        clock_mhz: what the accelerator runs at.
        link: what a host needs to know, as plain data.
    """

    design: Design
    constraints: str
    clock_mhz: float
    link: dict[str, Any]


def on_board(
    design: Design, board: Board, *, clock_mhz: float | None = None, baud: int | None = None
) -> Shell:
    """A design behind the serial line of a board.

    Args:
        design: what the Verilog backend rendered.
        board: where it is to run.
        clock_mhz: of the accelerator; the board's own choice where none is given.
        baud: bits per second on the line; likewise.

    Raises:
        InputError: no PLL setting makes the clock, the line is too fast for it, or an image is too large to be kept.
    """
    wiring, (router, _) = board.wiring, toolchains.router(board.device)
    setting = pll.solve(board.device, wiring.oscillator_mhz, clock_mhz or wiring.clock_mhz)
    actual = setting.mhz if setting else wiring.oscillator_mhz
    made = serial(design, actual, baud or wiring.baud)
    printer = Printer("boards", design.header)
    facts = {"board": board, "wiring": wiring, "pll": setting, "clock_mhz": actual}
    facts["settings"] = setting.settings if setting else {}
    suffix = router.constraints_suffix
    constraints = f"{board.name}{suffix}"
    files = {
        **made.design.files,
        "bnn2hw_board.sv": printer.file("board.sv", **facts),
        constraints: printer.file(constraints, f"board{suffix}.j2", **facts),
    }
    return Shell(
        replace(made.design, top="bnn2hw_board", files=files),
        constraints,
        actual,
        {**made.link, "board": board.name},
    )


def serial(design: Design, clock_mhz: float, baud: int, *, cycles: int = 8) -> Shell:
    """A design behind a serial line, with clock, reset and line as its ports; a bit has at least `cycles` cycles."""
    if len(design.inputs) != 1 or len(design.outputs) != 1:
        raise InputError(
            f"the shell carries one input and one output; this design has {len(design.inputs)} and "
            f"{len(design.outputs)}"
        )
    divisor = _divisor(clock_mhz, baud, cycles)
    image, result = (s.beats * s.bytes for s in (design.input, design.output))
    buffer = _buffer(image)
    link: dict[str, Any] = {
        "protocol": PROTOCOL,
        "id": _identity(design),
        "baud": baud,
        "clock_mhz": clock_mhz,
        "image_bytes": image,
        "result_bytes": result,
        "buffer": buffer,
        "window": WINDOW,
        "input": _stream(design.input),
        "output": _stream(design.output),
    }
    load = _load(design)
    if load:
        link["load"] = load
    printer = Printer("shell", design.header)
    text = printer.file(
        "shell.sv",
        design=design,
        divisor=divisor,
        in_bytes=design.input.bytes,
        out_bytes=design.output.bytes,
        id_literal=f"32'h{link['id']:08x}",
        **{"load": None, **link},
    )
    files = {**design.files, "bnn2hw_shell.sv": text}
    files |= {f"bnn2hw_{m}.sv": printer.file(f"{m}.sv", load=load) for m in MODULES}
    return Shell(replace(design, top="bnn2hw_shell", files=files), "", clock_mhz, link)


def scan(design: Design, device: Device) -> tuple[Design, str | None]:
    """A design whose wires two pins reach, and its constraints where the device's tool places no pin by itself."""
    if len(design.inputs) != 1 or len(design.outputs) != 1:
        raise InputError(
            "designs with several inputs or outputs cannot be placed yet; ask for a Xilinx target"
        )
    data, more = (8 * design.input.bytes, 8 * design.output.bytes), 34 if design.load else 0
    text = Printer("shell", design.header).file(
        "scan.sv",
        design=design,
        data_in=data[0],
        data_out=data[1],
        in_bits=data[0] + 4 + more,
        out_bits=data[1] + 4 + more,
    )
    files = {**design.files, "bnn2hw_scan.sv": text}
    router, part = toolchains.router(device)
    constraints = None
    if part.pins:
        pins = dict(zip(("clk", "scan_in", "scan_out"), part.pins, strict=True))
        constraints = f"scan{router.constraints_suffix}"
        files[constraints] = Printer("boards", design.header).file(constraints, pins=pins)
    return replace(design, top="bnn2hw_scan", files=files), constraints


def _divisor(clock_mhz: float, baud: int, least: int) -> int:
    """Cycles per bit.

    Raises:
        InputError: a bit would have too few of them, or be more than 2 % off.
    """
    exact = clock_mhz * 1e6 / baud
    if exact < least:
        raise InputError(
            f"{baud:,} bit/s are too fast for a clock of {clock_mhz:g} MHz, which has {exact:.1f} cycles per bit; "
            f"ask for at most {int(clock_mhz * 1e6 / least):,}"
        )
    if abs(round(exact) / exact - 1) > 0.02:
        raise InputError(
            f"{clock_mhz:g} MHz have no whole number of cycles for a bit of {baud:,} bit/s ({exact:.2f}); "
            f"ask for {round(clock_mhz * 1e6 / round(exact)):,}"
        )
    return round(exact)


def _buffer(image: int) -> int:
    """Room for two images, so that one can come in while another waits, or for one where two are too large.

    Raises:
        InputError: not even one can be kept.
    """
    if image > LARGEST_BUFFER:
        raise InputError(
            f"an image has {image:,} bytes; the serial shell keeps whole images and at most {LARGEST_BUFFER:,} bytes"
        )
    two = 1 << (2 * image - 1).bit_length()
    return max(two if two <= LARGEST_BUFFER else 1 << (image - 1).bit_length(), 16)


def _identity(design: Design) -> int:
    """A number that tells designs apart, so that a host notices a bitstream of another one."""
    text = json.dumps(sorted(design.files.items()))
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _load(design: Design) -> dict[str, int] | None:
    """How images of the memories travel: the number of the design, words of an image, and words of a part of it."""
    if design.load is None:
        return None
    words = design.load.slices + HEAD
    buffer = 1 << (2 * 3 * PART_WORDS - 1).bit_length()
    return {"design": design.load.design, "words": words, "part": PART_WORDS, "buffer": buffer}


def _stream(stream: Stream) -> dict[str, Any]:
    ints = stream.tensor.ints
    return {
        "shape": list(stream.tensor.shape),
        "ints": [ints.lo, ints.hi, ints.step],
        "lanes": stream.lanes,
    }
