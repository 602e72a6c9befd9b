"""Rewrite netlists in Yosys' JSON before place and route, and name their cells for counting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
"""A cell in the JSON: its type, parameters and connections."""

Pass = Callable[[dict[str, Any]], int]
"""Function that changes a module in place and returns the number of cells that it changed."""


def rewrite(path: Path, change: Pass) -> int:
    """Change every module of a netlist.

    Args:
        path: The netlist. It is written again if anything changed.
        change: Pass over one module.

    Returns:
        The number of cells that were changed.
    """
    netlist = json.loads(path.read_text())
    changed = sum(change(module) for module in netlist["modules"].values())
    if changed:
        path.write_text(json.dumps(netlist))
    return changed


def kinds(module: Mapping[str, Any]) -> dict[str, str]:
    """Return the types of a module's cells by name, without those that are no hardware."""
    return {n: c["type"] for n, c in module["cells"].items() if not c["type"].startswith("$")}


def kinds_with_lone_carries(module: Mapping[str, Any]) -> dict[str, str]:
    """Return the types of an iCE40 module's cells by name, with "SB_CARRY alone" apart.

    Such a carry shares its operands with no LUT. nextpnr puts it into a separate logic cell,
    whose LUT stays unused. The chain of a comparison is an example.
    """
    found = kinds(module)
    wires = {name: module["cells"][name]["connections"] for name in found}

    def taken(name: str, *ports: str) -> tuple[Any, ...]:
        return tuple(wires[name].get(port, ["0"])[0] for port in ports)

    sums = {taken(n, "I1", "I2", "I3") for n, kind in found.items() if kind == "SB_LUT4"}
    for name, kind in found.items():
        if kind == "SB_CARRY" and taken(name, "I0", "I1", "CI") not in sums:
            found[name] = "SB_CARRY alone"
    return found
