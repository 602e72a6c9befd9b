"""Boards and the ways to run a design on each, read from `data/boards/<name>.toml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bnn2hw.errors import InputError
from bnn2hw.targets import devices, records
from bnn2hw.targets.devices import Device
from bnn2hw.targets.records import is_path, read, read_all

PIN, PORT = r"[A-Za-z0-9]\w*", r"[A-Za-z]\w*"
"""Patterns of the names of pins and ports."""

PORTS = ("clk", "clk_in", "led", "led_on", "locked", "pll", "rx", "shell", "stable", "tx")
"""Names in the top level of a board, which its own ports cannot have."""


@dataclass(frozen=True)
class SerialWiring:
    """Pins and clocks of a board whose bitstream the open tools make, with a serial line to a host.

    Attributes:
        package: nextpnr's arguments for package and speed grade.
        oscillator_mhz: Frequency at the clock pin.
        clock_mhz: Clock of the accelerator unless a user asks for another one.
        baud: Bits per second on the serial line.
        clock: Pin of the oscillator.
        rx: Pin of the data from the host.
        tx: Pin of the data to the host.
        led: Pin of an LED.
        led_active_low: True if a 0 lights the LED.
        program: Command that loads a bitstream; the path of the bitstream follows.
        led_io: Electrical standard of the LED's pin; all other pins are LVCMOS33.
        clock_on_pll: On iCE40: true if the oscillator is connected to the pin of the PLL.
        held_high: Pins that the design must drive to 1, by the names of their ports.
    """

    package: tuple[str, ...]
    oscillator_mhz: float = field(metadata=devices.CLOCK)
    clock_mhz: float = field(metadata=devices.CLOCK)
    baud: int = field(metadata={"least": 300, "most": devices.MOST})
    clock: str
    rx: str
    tx: str
    led: str
    led_active_low: bool
    program: str
    led_io: str = "LVCMOS33"
    clock_on_pll: bool = True
    held_high: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VivadoProject:
    """Settings of a Vivado project on a board with processors.

    Attributes:
        part: Full part number.
        board_files: Pattern of the names of the board files, which Vivado may not have.
        processors: Kind of the processors.
    """

    part: str
    board_files: str
    processors: Literal["zynq7", "zynqmp"]


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: Name by which users ask for it.
        title: Name that its maker gives it.
        device: Part on the board.
        memory: Memory on the board, which the serial shell does not use.
        serial: Pins and clocks for a bitstream of the open tools; None if there is no such flow.
        vivado: Settings of a Vivado project with a PYNQ driver; None if there is no such flow.
    """

    name: str
    title: str = field(metadata={"shown": True})
    device: Device = field(metadata={"others": ("or the path of a device's .toml file",)})
    memory: str = field(default="", metadata={"shown": True})
    serial: SerialWiring | None = None
    vivado: VivadoProject | None = None

    @property
    def clock_mhz(self) -> float:
        """Clock of the accelerator unless a user asks for another one."""
        return self.serial.clock_mhz if self.serial else self.device.clock_mhz

    @property
    def uses(self) -> tuple[str, ...]:
        """Ways in which bnn2hw can use the board, in words."""
        ways = {"bitstream with a serial line": self.serial, "Vivado project, PYNQ driver": self.vivado}
        return tuple(way for way, there in ways.items() if there)

    @property
    def wiring(self) -> SerialWiring:
        """Pins and clocks for a bitstream of the open tools.

        Raises:
            InputError: No open tools make a bitstream for this board.
        """
        if self.serial is None:
            raise InputError(
                f"no open tools make a bitstream for board '{self.name}'; compile with "
                f"target='{self.device.name}', write the design, and run amd/project.tcl in Vivado"
            )
        return self.serial


def read_board(path: Path) -> Board:
    """Read a board from a file.

    Args:
        path: TOML file. Its `device` is the name of a device of the package, or the path of a
            device's file, relative to the folder of this one.

    Raises:
        InputError: The file is not a valid description of a board.
    """
    records.mixed_up(path, "family", "device", "target")
    own = {name: devices.read_device(path.parent / name) for name in _own_devices(path)}
    made = read(path, Board, {Device: {**devices.known(), **own}}, plain=True)
    if made.serial and (problems := list(_wiring_problems(made.serial))):
        raise InputError("\n  - ".join([f"'{path}' cannot be used:", *problems]))
    if not made.uses:
        raise InputError(f"'{path}' cannot be used: it needs a table [serial] or a table [vivado]")
    if made.serial and not (made.device.part and made.device.family.router):
        raise InputError(
            f"'{path}' cannot be used: it has a table [serial], but no open tools make a bitstream for "
            f"device '{made.device.name}'"
        )
    return made


def _own_devices(path: Path) -> list[str]:
    """Return the path of the device that a board's file names, if it does not name one of the package."""
    name = records.keys(path).get("device")
    return [name] if isinstance(name, str) and is_path(name) else []


def _wiring_problems(wiring: SerialWiring) -> Iterator[str]:
    """Look for pins that have no name, or that have two ports, and for ports that cannot be.

    Tools find them after minutes, or drive one pin from two sides.
    """
    pins = {"clock": wiring.clock, "rx": wiring.rx, "tx": wiring.tx, "led": wiring.led}
    pins |= {f"held_high.{port}": pin for port, pin in wiring.held_high.items()}
    for key, pin in pins.items():
        first = next(other for other, same in pins.items() if same.upper() == pin.upper())
        if not re.fullmatch(PIN, pin):
            yield f"serial.{key} = {pin!r}; allowed: the name of a pin, such as G2 or 35"
        elif key != first:
            yield f"serial.{key} = {pin!r}: serial.{first} has this pin; each pin is placed once"
    for port in wiring.held_high:
        if not re.fullmatch(PORT, port) or port in PORTS:
            yield (
                f"serial.held_high.{port}: allowed: a name for the port, of letters, digits and _, other than "
                f"{', '.join(PORTS)}"
            )


def facts(board: Board) -> dict[str, Any]:
    """Return a board as plain data that `from_facts` reads."""
    return {**records.facts(board), "device": devices.facts(board.device)}


def from_facts(plain: Mapping[str, Any]) -> Board:
    """Return the board that `facts` wrote.

    Raises:
        ValueError: The facts do not describe a board.
    """
    device = devices.from_facts(plain["device"])
    return records.from_facts({**plain, "device": device.name}, Board, {Device: {device.name: device}})


@cache
def known() -> dict[str, Board]:
    """Return the boards of the package by name."""
    return read_all("boards", read_board)


def board(name: str | Path) -> Board:
    """Return the board of that name, or the one that a TOML file describes.

    Args:
        name: Name of a board of the package, or the path of a file, which ends in .toml.

    Raises:
        InputError: There is no such board, or the file cannot be used.
    """
    return records.find(name, "board", "boards", read_board)


def named(board_name: str | Path | None, target: str | Path | None, default: Device) -> Board | Device:
    """Return the board or the device that a user named, or the default.

    Args:
        board_name: Name of a board, or path of its TOML file.
        target: Name of a device, or path of its TOML file.
        default: Device if neither is named.

    Raises:
        InputError: Both were named, or one is not known.
    """
    if board_name is not None and target is not None:
        raise InputError("name a board or a target, not both: a board has its device")
    if board_name is not None:
        return board(board_name)
    return default if target is None else devices.device(target)
