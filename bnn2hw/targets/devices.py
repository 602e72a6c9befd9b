"""Devices: capacities and names in the tools, read from `data/devices/<name>.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bnn2hw.errors import InputError
from bnn2hw.targets import families, records
from bnn2hw.targets.families import Family
from bnn2hw.targets.records import read, read_all

DEFAULT = "ecp5-85k"
"""The device that designs are planned for if no other one is named."""

MOST = 1_000_000_000
"""More of a resource than any device has."""

CLOCK = {"least": 1, "most": 10_000}
"""Limits of a clock in MHz; a clock in Hz exceeds them."""

PINS = 3
"""Pins of the circuit in which a design is measured without a board."""


@dataclass(frozen=True)
class Part:
    """Names of a device in the open tools.

    Attributes:
        arguments: Arguments that name the device to nextpnr.
        package: Arguments that name package and speed grade, if no board gives its own.
        packed_as: Name of the device for the packer.
        pins: A clock pin and two further pins, if nextpnr places no pin by itself.
    """

    arguments: tuple[str, ...]
    package: tuple[str, ...]
    packed_as: str = ""
    pins: tuple[str, ...] = ()


@dataclass(frozen=True)
class DevicePll:
    """The PLL of a device.

    Attributes:
        primitive: Name of the primitive, one of `Family.plls`.
        parameters: Parameters of the primitive whose values depend on the device.
    """

    primitive: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Device:
    """A part.

    Attributes:
        name: Name by which users ask for it.
        family: Family of the part.
        lut: Number of LUTs.
        ff: Number of flip-flops.
        bram: Number of block RAMs of the size that `family.bram_shapes` describes.
        dsp: Number of DSP blocks.
        clock_mhz: Clock that designs are planned for.
        part: Names in the open tools; None if no open tool makes a bitstream for it.
        vitis_part: Full part number for Vitis HLS, if it knows the device.
        pll: The PLL; None if none is described, and then the clock is that of the oscillator.
    """

    name: str
    family: Family
    lut: int = field(metadata={"least": 1, "most": MOST})
    ff: int = field(metadata={"least": 1, "most": MOST})
    bram: int = field(metadata={"least": 0, "most": MOST})
    dsp: int = field(metadata={"least": 0, "most": MOST})
    clock_mhz: float = field(metadata=CLOCK)
    part: Part | None = None
    vitis_part: str = ""
    pll: DevicePll | None = None


def read_device(path: Path) -> Device:
    """Read a device from a file.

    Raises:
        InputError: The file is not a valid description of a device.
    """
    records.mixed_up(path, "device", "board", "board")
    made = read(path, Device, {Family: families.known()}, plain=True)
    if problems := [*_pll_problems(made), *_part_problems(made)]:
        raise InputError("\n  - ".join([f"'{path}' cannot be used:", *problems]))
    return made


def _part_problems(device: Device) -> Iterator[str]:
    """Look at what the tools need of a device's part."""
    part, router = device.part, device.family.router
    if part and part.pins and (len(part.pins) != PINS or len(set(part.pins)) != PINS):
        yield f"part.pins = {list(part.pins)}; allowed: {PINS} different pins, the first one for a clock"
    if part and not part.packed_as and router and "{part}" in router.pack:
        yield f"part.packed_as: missing; {router.packer} needs it"


def _pll_problems(device: Device) -> list[str]:
    """Compare the PLL that a device names with those of its family."""
    pll, plls = device.pll, device.family.plls
    if pll is None:
        return []
    if pll.primitive not in plls:
        allowed = ", ".join(f'"{p}"' for p in plls) or f"none, since family {device.family.name} has no PLL"
        return [f"pll.primitive = {pll.primitive!r}; allowed: {allowed}"]
    needed = plls[pll.primitive].device_parameters
    missing = [p for p in needed if p not in pll.parameters]
    unknown = [p for p in pll.parameters if p not in needed]
    return [f"pll.parameters.{p}: missing; the primitive {pll.primitive} needs it" for p in missing] + [
        f"pll.parameters.{p}: unknown key; allowed: {', '.join(needed) or 'none'}" for p in unknown
    ]


@cache
def known() -> dict[str, Device]:
    """Return the devices of the package by name."""
    return read_all("devices", read_device)


def device(name: str | Path) -> Device:
    """Return the device of that name, or the one that a TOML file describes.

    Args:
        name: Name of a device of the package, or the path of a file, which ends in .toml.

    Raises:
        InputError: There is no such device, or the file cannot be used.
    """
    return records.find(name, "target", "devices", read_device)


def facts(device: Device) -> dict[str, Any]:
    """Return a device as plain data that `from_facts` reads."""
    return records.facts(device)


def from_facts(plain: Mapping[str, Any]) -> Device:
    """Return the device that `facts` wrote.

    Raises:
        ValueError: The facts do not describe a device.
    """
    return records.from_facts(plain, Device, {Family: families.known()})
