"""Netlist pass for ECP5: copy the address registers that many block RAMs read.

Block RAMs form a few rows across the whole device, so one register cannot be close to all block
RAMs of a large memory.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

from bnn2hw.synthesis.netlist import Cell

STEERING = re.compile(r"AD[AB]\d+|O?CE[AB]|WE[AB]")
"""Address and enable ports of a block RAM."""


def copy_address_registers(module: dict[str, Any], share: int) -> int:
    """Copy the registers of address and enable until each one drives few ECP5 block RAMs.

    Args:
        module: Module of a netlist in Yosys' JSON, changed in place.
        share: Maximum number of block RAMs per register.

    Returns:
        The number of flip-flops that were added.
    """
    cells: dict[str, Cell] = module["cells"]
    drivers = {c["connections"]["Q"][0]: name for name, c in cells.items() if c["type"] == "TRELLIS_FF"}
    memories: dict[frozenset[int], list[str]] = defaultdict(list)
    for name, cell in cells.items():
        if cell["type"] == "DP16KD":
            wires = {bits[0] for _, bits in _steering(cell)}
            memories[frozenset(wires & drivers.keys())].append(name)
    made = 0
    for registers, rams in memories.items():
        if len(rams) <= share:
            continue
        rams.sort(key=_natural)
        parts = math.ceil(len(rams) / share)
        for part in range(parts):
            names = rams[part * len(rams) // parts : (part + 1) * len(rams) // parts]
            made += _copy(module, [cells[n] for n in names], {bit: drivers[bit] for bit in registers})
    return made


def _copy(module: dict[str, Any], rams: list[Cell], registers: dict[int, str]) -> int:
    """Let some block RAMs read copies of registers.

    Args:
        module: Module of the netlist, changed in place.
        rams: The block RAMs.
        registers: Names of the registers by the bits that they drive.

    Returns:
        The number of copies.
    """
    cells: dict[str, Cell] = module["cells"]
    nets = module["netnames"]
    free = 1 + max(bit for net in nets.values() for bit in net["bits"] if isinstance(bit, int))
    copies = {bit: free + i for i, bit in enumerate(sorted(registers))}
    for bit, copy in copies.items():
        register = cells[registers[bit]]
        # The enable of the RAMs also enables their address registers.
        wires = {
            port: [copies.get(bits[0], bits[0])] if port == "CE" else bits
            for port, bits in register["connections"].items()
        }
        name = f"{registers[bit]}_copy_{copy}"
        cells[name] = {**register, "connections": {**wires, "Q": [copy]}}
        nets[f"{name}_Q"] = {"hide_name": 1, "bits": [copy], "attributes": {}}
    for ram in rams:
        for port, bits in _steering(ram):
            ram["connections"][port] = [copies.get(bits[0], bits[0])]
    return len(copies)


def _steering(ram: Cell) -> list[tuple[str, list[Any]]]:
    """Return the ports of addresses and enables, each with its bits."""
    return [(port, bits) for port, bits in ram["connections"].items() if STEERING.fullmatch(port)]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with the numbers in them by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
