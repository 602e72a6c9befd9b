"""Netlist pass for ECP5: use the output registers of block RAMs, which Yosys leaves unused."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bnn2hw.synthesis.netlist import Cell


def absorb_output_registers(module: dict[str, Any]) -> int:
    """Move the flip-flops at the outputs of each ECP5 block RAM into its output registers.

    The output registers are much faster. A port is changed only if each of its used outputs drives
    one flip-flop and nothing else, and all these flip-flops share clock and enable.

    Args:
        module: Module of a netlist in Yosys' JSON, changed in place.

    Returns:
        The number of flip-flops that were removed.
    """
    cells: dict[str, Cell] = module["cells"]
    readers = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    behind: dict[int, str] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            readers.update(bits)
            if cell["type"] == "TRELLIS_FF" and port == "DI":
                behind[bits[0]] = name
    moved = 0
    for ram in list(cells.values()):
        if ram["type"] != "DP16KD":
            continue
        for ports in (("A", "B"),) if ram["parameters"]["DATA_WIDTH_B"].endswith("100100") else ("A", "B"):
            moved += _absorb_port(cells, ram, ports, readers, behind)
    return moved


def _absorb_port(
    cells: dict[str, Cell],
    ram: Cell,
    ports: tuple[str, ...] | str,
    readers: Counter[Any],
    behind: dict[int, str],
) -> int:
    """Move the flip-flops at the outputs of one port.

    Args:
        cells: Cells of the module by name, changed in place.
        ram: The block RAM.
        ports: "A", "B", or both.
        readers: Number of cell ports and module ports on each bit.
        behind: Name of the flip-flop whose data input each bit drives.

    Returns:
        The number of flip-flops that were removed.
    """
    wires = ram["connections"]
    clock = wires[f"CLK{ports[-1]}"]
    # The count includes the output itself, since the JSON does not tell directions.
    used = [p for p in wires if p[:3] in {f"DO{port}" for port in ports} and readers[wires[p][0]] > 1]
    flops = [behind.get(wires[p][0], "") for p in used]
    if not used or not all(flops) or any(readers[wires[p][0]] > 2 for p in used):
        return 0
    enables = {_enable(cells[f], clock) for f in flops}
    if len(enables) > 1 or None in enables:
        return 0
    for output, flop in zip(used, flops, strict=True):
        wires[output] = cells.pop(flop)["connections"]["Q"]
    for port in ports:
        ram["parameters"][f"REGMODE_{port}"] = "OUTREG"
        wires[f"OCE{port}"] = [enables.copy().pop()]
    return len(flops)


def _enable(flop: Cell, clock: list[Any]) -> Any:
    """Return the bit that enables a plain flip-flop of that clock; None if it is not one."""
    parameters, wires = flop["parameters"], flop["connections"]
    plain = parameters["REGSET"] == "RESET" and parameters["CLKMUX"] == "CLK" and wires["CLK"] == clock
    if not plain or wires.get("LSR", ["0"]) != ["0"]:
        return None
    mux = parameters["CEMUX"].strip()
    return wires["CE"][0] if mux == "CE" else "1" if mux == "1" else None
