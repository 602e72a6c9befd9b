"""Wrap a design in a serial line for a board, or in a scan chain to measure its clock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from bnn2hw.backends.design import Design
from bnn2hw.backends.loading import HEAD
from bnn2hw.backends.text import Printer
from bnn2hw.deploy import pll
from bnn2hw.deploy.link import PROTOCOL, Link, WeightLoading
from bnn2hw.errors import InputError
from bnn2hw.synthesis import toolchains
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device

LARGEST_BUFFER = 65536
"""Largest buffer of images in a shell, in bytes; an image waits there for its checksum."""

WINDOW = 4
"""Images that may be under way at once."""

PART_WORDS = 170
"""Words of a weight image that one frame carries; two such parts fit into 1 KiB."""

MODULES = ("uart_rx", "uart_tx", "crc32", "requests", "packets", "replies")
"""Modules of the shell, each with a template of the same name."""


@dataclass(frozen=True)
class Shell:
    """A design with a serial line.

    Attributes:
        design: Sources. The top has the board's pins; the streams are those of the accelerator.
        constraints: File of the design that gives the pins; empty if there is no board.
        clock_mhz: Clock of the accelerator.
        link: What the host must know.
    """

    design: Design
    constraints: str
    clock_mhz: float
    link: Link


def on_board(
    design: Design, board: Board, *, clock_mhz: float | None = None, baud: int | None = None
) -> Shell:
    """Wrap a design in the serial line, PLL and pins of a board.

    Args:
        design: Sources from the Verilog backend.
        board: Board to run on.
        clock_mhz: Clock of the accelerator; None for the board's own choice.
        baud: Bits per second on the line; None for the board's own choice.

    Raises:
        InputError: The board has no open tool flow, the device has no PLL data or no PLL setting
            for the clock, the line is too fast for the clock, or an image is too large to be kept.
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
        replace(made.link, board=board.name),
    )


def serial(design: Design, clock_mhz: float, baud: int, *, cycles: int = 8) -> Shell:
    """Wrap a design in a serial line whose ports are clock, reset, line and LED.

    Args:
        design: Sources from the Verilog backend, with one input and one output.
        clock_mhz: Clock of the accelerator.
        baud: Bits per second on the line.
        cycles: Smallest number of clock cycles per bit.

    Raises:
        InputError: The design has several inputs or outputs, the line is too fast for the clock, or
            an image is too large to be kept.
    """
    if len(design.inputs) != 1 or len(design.outputs) != 1:
        raise InputError(
            f"the shell carries one input and one output; this design has {len(design.inputs)} and "
            f"{len(design.outputs)}"
        )
    divisor = _divisor(clock_mhz, baud, cycles)
    image, result = (s.beats * s.bytes for s in (design.input, design.output))
    link = Link(
        id=_identity(design),
        baud=baud,
        clock_mhz=clock_mhz,
        image_bytes=image,
        result_bytes=result,
        buffer=buffer_bytes(image),
        window=WINDOW,
        input=design.input,
        output=design.output,
        load=_loading(design),
    )
    printer = Printer("shell", design.header)
    text = printer.file(
        "shell.sv",
        design=design,
        divisor=divisor,
        in_bytes=design.input.bytes,
        out_bytes=design.output.bytes,
        id_literal=f"32'h{link.id:08x}",
        protocol=PROTOCOL,
        **vars(link),
    )
    files = {**design.files, "bnn2hw_shell.sv": text}
    files |= {f"bnn2hw_{m}.sv": printer.file(f"{m}.sv", load=link.load) for m in MODULES}
    return Shell(replace(design, top="bnn2hw_shell", files=files), "", clock_mhz, link)


def scan(design: Design, device: Device) -> tuple[Design, str | None]:
    """Wrap a design in a shift register, so that two pins reach all its wires.

    Args:
        design: Sources from the Verilog backend, with one input and one output.
        device: Device to place on.

    Returns:
        The wrapped design, and its file of constraints if nextpnr places no pin by itself.

    Raises:
        InputError: The design has several inputs or outputs.
    """
    if len(design.inputs) != 1 or len(design.outputs) != 1:
        raise InputError(
            f"a design with {len(design.inputs)} inputs and {len(design.outputs)} outputs cannot be placed by the open "
            "tools; at most one of each is possible: compile for an AMD device and use Vivado"
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
    """Return the clock cycles per bit.

    Raises:
        InputError: A bit would have fewer than `least` cycles, or be more than 2 % too long or too
            short.
    """
    exact = clock_mhz * 1e6 / baud
    if exact < least:
        raise InputError(
            f"{baud:,} bit/s are too fast for a clock of {clock_mhz:g} MHz, which has {exact:.1f} cycles per bit; "
            f"ask for at most {int(clock_mhz * 1e6 / least):,}"
        )
    if abs(round(exact) / exact - 1) > 0.02:
        raise InputError(
            f"{clock_mhz:g} MHz do not give a whole number of cycles for a bit of {baud:,} bit/s ({exact:.2f}); "
            f"ask for {round(clock_mhz * 1e6 / round(exact)):,}"
        )
    return round(exact)


def buffer_bytes(image: int) -> int:
    """Return the bytes of a buffer for two images, or for one if two are too large.

    Args:
        image: Bytes of an image.

    Raises:
        InputError: One image is too large.
    """
    if image > LARGEST_BUFFER:
        raise InputError(
            f"an image has {image:,} bytes; the serial shell keeps whole images and at most {LARGEST_BUFFER:,} bytes"
        )
    two = 1 << (2 * image - 1).bit_length()
    return max(two if two <= LARGEST_BUFFER else 1 << (image - 1).bit_length(), 16)


def _identity(design: Design) -> int:
    """Return a number by which a host detects the bitstream of another design."""
    text = json.dumps(sorted(design.files.items()))
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _loading(design: Design) -> WeightLoading | None:
    """Describe how weight images travel to a design; None if its weights are fixed."""
    if design.load is None:
        return None
    buffer = 1 << (2 * 3 * PART_WORDS - 1).bit_length()
    return WeightLoading(design.load.design, design.load.slices + HEAD, PART_WORDS, buffer)
