"""Pass over a design before its logic is mapped: put each column of a small ROM into one LUT6, or two into a LUT6_2.

ABC builds a ROM as logic: it cuts columns of more than 32 words into several LUTs, and parts that many columns
share take LUTs of their own. A LUT of six inputs holds 64 words of a column, so nothing needs to be cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from bnn2hw.synthesis.netlist import Cell

INPUTS = 6
"""Inputs of a LUT."""

Truth = tuple[bool | None, ...]
"""Output for each value of the inputs, the first input in the lowest bit; None if the value never occurs."""

Bit = int | str
"""A net of a netlist in JSON, or a constant."""


@dataclass(frozen=True)
class Column:
    """A column of a ROM.

    Attributes:
        output: Net that the column drives.
        inputs: Bits of the address that it depends on, in rising order.
        truth: Its function of these bits.
    """

    output: Bit
    inputs: tuple[int, ...]
    truth: Truth


def fill_luts(module: dict[str, Any], words: tuple[int, int]) -> int:
    """Make LUTs of the ROMs that are read without a clock.

    Columns that are constant, a bit of the address or equal to another column become wires.

    Args:
        module: Module of a design in Yosys' JSON with `$mem_v2` cells, changed in place.
        words: Smallest and largest number of words of the ROMs to change.

    Returns:
        The number of ROMs that were changed.
    """
    cells: dict[str, Cell] = module["cells"]
    roms = {name: cell for name, cell in cells.items() if _fits(cell, words)}
    for name in roms:
        del cells[name]
    read = {bit for cell in cells.values() for bits in cell["connections"].values() for bit in bits}
    read |= {bit for port in module["ports"].values() for bit in port["bits"]}
    wires: dict[Bit, Bit] = {}
    for name, rom in roms.items():
        made: list[Cell] = []
        for address, columns in _ports(rom, read):
            made += _luts(address, _told_apart(address, columns, wires))
        cells.update({f"{name}_lut_{n}": cell for n, cell in zip(count(), made)})
    _rewire(module, wires)
    return len(roms)


def _fits(cell: Cell, words: tuple[int, int]) -> bool:
    """True for a ROM of so many words whose address has no more bits than a LUT has inputs, and no clock."""
    if cell["type"] != "$mem_v2":
        return False
    plain = ("WR_PORTS", "RD_CLK_ENABLE", "RD_WIDE_CONTINUATION", "OFFSET")
    if any(_number(cell, parameter) for parameter in plain) or _number(cell, "ABITS") > INPUTS:
        return False
    return words[0] <= _number(cell, "SIZE") <= words[1]


def _number(cell: Cell, parameter: str) -> int:
    return int(cell["parameters"][parameter], 2)


def _ports(rom: Cell, read: set[Bit]) -> Iterator[tuple[list[Bit], dict[Bit, Truth]]]:
    """Yield for each read port its address and its columns by the nets that they drive, as far as these are read."""
    bits, width = _number(rom, "ABITS"), _number(rom, "WIDTH")
    contents = [None if b == "x" else b == "1" for b in reversed(rom["parameters"]["INIT"])]
    contents += [None] * (width * 2**bits - len(contents))
    wires = rom["connections"]
    for port in range(_number(rom, "RD_PORTS")):
        outputs = wires["RD_DATA"][port * width : (port + 1) * width]
        found = {net: tuple(contents[c::width][: 2**bits]) for c, net in enumerate(outputs) if net in read}
        yield wires["RD_ADDR"][port * bits : (port + 1) * bits], found


def _told_apart(address: Sequence[Bit], columns: Mapping[Bit, Truth], wires: dict[Bit, Bit]) -> list[Column]:
    """Return the columns that need a LUT; the others are entered as wires, each with the net that replaces it."""
    seen: dict[Truth, Bit] = {}
    left = []
    for net, whole in columns.items():
        first = seen.setdefault(whole, net)
        inputs, truth = _reduced(whole)
        if first != net:
            wires[net] = first
        elif not inputs:
            wires[net] = "1" if truth[0] else "0"
        elif truth == (False, True):
            wires[net] = address[inputs[0]]
        else:
            left.append(Column(net, inputs, truth))
    return left


def _reduced(truth: Truth) -> tuple[tuple[int, ...], Truth]:
    """Return the inputs that a function depends on, and its function of these.

    Values that never occur are chosen so that inputs are left out, the highest first.
    """
    inputs = list(range(len(truth).bit_length() - 1))
    for place in reversed(range(len(inputs))):
        step = 1 << place
        pairs = [(truth[n], truth[n + step]) for n in range(len(truth)) if not n & step]
        if all(None in pair or pair[0] == pair[1] for pair in pairs):
            truth = tuple(b if a is None else a for a, b in pairs)
            del inputs[place]
    return tuple(inputs), truth


def _luts(address: Sequence[Bit], columns: Sequence[Column]) -> Iterator[Cell]:
    """Yield cells for the columns: two that have five inputs together share a LUT6_2."""
    left = {c.output: c for c in columns if len(c.inputs) < INPUTS}
    for spare in range(INPUTS):
        able = sorted((c for c in left.values() if spare not in c.inputs), key=lambda c: -len(c.inputs))
        used = [n for n in range(len(address)) if n != spare]
        for low, high in zip(able[::2], able[1::2], strict=False):
            yield _pair(address, used, low, high)
            del left[low.output], left[high.output]
    for column in left.values():
        nets = [address[n] for n in column.inputs]
        parameters = {"WIDTH": f"{len(nets):032b}", "LUT": _init(column, column.inputs)}
        yield _cell("$lut", parameters, {"A": nets}, {"Y": [column.output]})
    for column in columns:
        if len(column.inputs) == INPUTS:
            pins = {f"I{n}": [net] for n, net in enumerate(address)}
            yield _cell("LUT6", {"INIT": _init(column, column.inputs)}, pins, {"O": [column.output]})


def _pair(address: Sequence[Bit], used: Sequence[int], low: Column, high: Column) -> Cell:
    """Return a LUT6_2 whose lower half, of five inputs, is one column, and whose upper half is another."""
    # The last input chooses the half that O6 shows; the other inputs without an address may have any value.
    nets = [address[n] for n in used] + ["1"] * (INPUTS - len(used))
    halves = [_init(column, used) * (1 << INPUTS - 1 - len(used)) for column in (high, low)]
    pins = {f"I{n}": [net] for n, net in enumerate(nets)}
    return _cell("LUT6_2", {"INIT": "".join(halves)}, pins, {"O5": [low.output], "O6": [high.output]})


def _init(column: Column, inputs: Sequence[int]) -> str:
    """Return the contents of a LUT whose inputs are these bits of the address, the last entry first."""
    places = [inputs.index(n) for n in column.inputs]
    entries = [sum((n >> p & 1) << i for i, p in enumerate(places)) for n in range(1 << len(inputs))]
    return "".join("1" if column.truth[entry] else "0" for entry in reversed(entries))


def _cell(
    kind: str, parameters: Mapping[str, str], inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Cell:
    return {
        "hide_name": 0,
        "type": kind,
        "parameters": dict(parameters),
        "attributes": {},
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {**inputs, **outputs},
    }


def _rewire(module: dict[str, Any], wires: Mapping[Bit, Bit]) -> None:
    """Replace nets wherever they are read or named."""

    def last(bit: Bit) -> Bit:
        while bit in wires:
            bit = wires[bit]
        return bit

    for cell in module["cells"].values():
        cell["connections"] = {port: [last(b) for b in bits] for port, bits in cell["connections"].items()}
    for part in (*module["ports"].values(), *module["netnames"].values()):
        part["bits"] = [last(b) for b in part["bits"]]
