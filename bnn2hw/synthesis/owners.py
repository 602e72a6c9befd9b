"""Find the layers that the cells of a flat netlist belong to."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

CONSTANTS = frozenset("01xz")
"""Names of bits that no cell drives."""

NONE = ""
"""Owner of nets that are named after something other than a stream."""


def owners(module: Mapping[str, Any], cells: Iterable[str], ids: Mapping[str, str]) -> dict[str, str]:
    """Return the stream that each cell of a flat module belongs to.

    Yosys names some cells after wires, with the path of instances. Other cells belong to the stream
    that their outputs are named after, and the logic in front of them belongs to the same stream. Cells
    whose outputs have a name of something else, such as the shell of a board, and the logic in front of
    them belong to no stream.

    Args:
        module: The module in Yosys' JSON.
        cells: Names of its cells that are hardware.
        ids: Names of the design's streams by their identifiers.

    Returns:
        Names of streams by cell; cells that belong to no stream are missing.
    """
    names = _Names(ids)
    drives, reads = {c: _bits(module["cells"][c], "output") for c in cells}, {}
    wires = _wires(module, names)
    found: dict[str, str] = {}
    for cell, outputs in drives.items():
        told = [*filter(None, [names.of(cell)]), *(wires[bit] for bit in outputs if bit in wires)]
        if told:
            found[cell] = next(filter(None, told), NONE)
        reads[cell] = _bits(module["cells"][cell], "input")
    driver = {bit: cell for cell, outputs in drives.items() for bit in outputs}
    waiting = deque(found)
    while waiting:
        reader = waiting.popleft()
        for bit in reads[reader]:
            source = driver.get(bit)
            if source is not None and source not in found:
                found[source] = found[reader]
                waiting.append(source)
    return {cell: stream for cell, stream in found.items() if stream != NONE}


def _bits(cell: Mapping[str, Any], direction: str) -> list[int]:
    """The nets at a cell's ports of a direction."""
    ports = cell.get("port_directions", {})
    return [
        bit
        for port, bits in cell["connections"].items()
        if ports.get(port) == direction
        for bit in bits
        if bit not in CONSTANTS
    ]


def _wires(module: Mapping[str, Any], names: _Names) -> dict[int, str]:
    """The streams that nets are named after, or `NONE`; a stream's own wires count more than ports of its reader."""
    found: dict[int, str] = {}
    named = [(names.of(name) or NONE, name, bits) for name, bits in _visible(module)]
    for owner, _, bits in sorted(named, key=lambda wire: (wire[0] == NONE, "." in wire[1])):
        for bit in bits:
            found.setdefault(bit, owner)
    return found


def _visible(module: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
    for name, wire in module.get("netnames", {}).items():
        if not wire.get("hide_name"):
            yield name, wire["bits"]


class _Names:
    """Finds the streams that names of cells and wires tell.

    Args:
        ids: Names of the design's streams by their identifiers.
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self.ids = ids
        names = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
        self.pattern = re.compile(
            rf"(?:^|\.)(?:(?:u|gate)_({names})(?=[.\[]|$)|({names})_(?:data|valid|ready))"
        )

    def of(self, name: str) -> str | None:
        """Return the name of the stream; None if the name tells none."""
        found = self.pattern.search(name)
        return self.ids[found[1] or found[2]] if found else None
