"""Netlists in Yosys' JSON: how they are changed before place and route, and what their cells are counted as."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Pass = Callable[[dict[str, Any]], int]
"""Changes a module and says how many of its cells it changed."""


def rewrite(path: Path, change: Pass) -> int:
    """Change every module of a netlist.

    Args:
        path: of the netlist, which is written anew where anything has changed.
        change: what is done to a module.

    Returns:
        How many cells were changed.
    """
    netlist = json.loads(path.read_text())
    changed = sum(change(module) for module in netlist["modules"].values())
    if changed:
        path.write_text(json.dumps(netlist))
    return changed


def kinds(module: Mapping[str, Any]) -> dict[str, str]:
    """The types of a module's cells by name, without those that are no hardware."""
    return {n: c["type"] for n, c in module["cells"].items() if not c["type"].startswith("$")}


def kinds_with_lone_carries(module: Mapping[str, Any]) -> dict[str, str]:
    """The same for iCE40, where a carry whose operands no LUT of the chain takes too is "SB_CARRY alone".

    nextpnr gives it a logic cell of its own, whose LUT serves nothing else: the chain of a comparison, for example.
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
