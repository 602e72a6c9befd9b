"""The netlist passes and cell counts that the records of families name, and the families with a tool flow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bnn2hw.errors import InputError
from bnn2hw.synthesis.ecp5_output_registers import absorb_output_registers
from bnn2hw.synthesis.ecp5_register_copies import copy_address_registers
from bnn2hw.synthesis.netlist import Pass, kinds, kinds_with_lone_carries
from bnn2hw.targets import families
from bnn2hw.targets.devices import Device, Part
from bnn2hw.targets.families import Family, Mapper, Router, Takes

PASSES: Mapping[str, Callable[[Family], Pass]] = {
    "absorb_output_registers": lambda family: absorb_output_registers,
    "copy_address_registers": lambda family: partial(
        copy_address_registers, share=family.brams_per_register or 1
    ),
}
"""Passes over a mapped netlist by name (`Mapper.passes`), each for a family."""

COUNTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    "cells": kinds,
    "lone carries apart": kinds_with_lone_carries,
}
"""Ways to name cells when they are counted (`Mapper.count`)."""


def mapper(family: Family) -> Mapper:
    """Return the options of Yosys for a family.

    Raises:
        InputError: No flow maps to this family, or its record names an unknown pass or count.
    """
    if family.mapper is None:
        there = ", ".join(f.name for f in families.known().values() if f.mapper)
        raise InputError(
            f"no synthesis for the family '{family.name}'; there is one for {there}; compile for one of their devices"
        )
    unknown = [name for name in family.mapper.passes if name not in PASSES]
    if unknown:
        raise InputError(
            f"family '{family.name}': unknown netlist pass '{unknown[0]}'; known passes: {', '.join(PASSES)}"
        )
    if family.mapper.count not in COUNTS:
        raise InputError(
            f"family '{family.name}': unknown cell count '{family.mapper.count}'; known: {', '.join(COUNTS)}"
        )
    return family.mapper


def scripts(mapper: Mapper, files: Mapping[str, str]) -> list[list[str]]:
    """Return the passes of Yosys for a design: all of them, or those before and behind the stop for small ROMs.

    Args:
        mapper: Options of the family.
        files: Text of each file of the design. The contents of memories have a line per word.
    """
    stop = mapper.lut_roms
    words = [len(text.split()) for name, text in files.items() if name.endswith(".hex")]
    if not stop or not any(stop.words[0] <= n <= stop.words[1] for n in words):
        return [mapper.command.split("; ")]
    least, most = stop.words
    return [re.split(r";\s+", half.format(least=least, most=most)) for half in (stop.first, stop.last)]


def router(device: Device) -> tuple[Router, Part]:
    """Return the options of nextpnr for a device's family, and the names of the device.

    Raises:
        InputError: No open tool places and routes for this device.
    """
    if device.family.router is None or device.part is None:
        raise InputError(f"no open tool places and routes for {device.name}")
    return device.family.router, device.part


def routable(device: Device) -> bool:
    """True if open tools place and route for a device."""
    return device.family.router is not None and device.part is not None


def total(takes: Takes, cells: Mapping[str, int]) -> int:
    """Count the units of a resource that some cells take.

    Args:
        takes: Units that a cell takes, by a pattern of cell names.
        cells: Number of cells by name.
    """
    return sum(
        each * count
        for cell, count in cells.items()
        for name, each in takes.items()
        if re.fullmatch(name, cell)
    )
