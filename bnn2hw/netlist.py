"""Netlists in Yosys' JSON, as far as they are changed before place and route."""

from __future__ import annotations

import json
from collections.abc import Callable
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
