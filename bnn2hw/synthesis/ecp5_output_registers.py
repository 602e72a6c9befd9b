"""What is done to a mapped netlist before place and route: Yosys leaves the output registers of block RAMs unused."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bnn2hw.synthesis.netlist import Cell


def absorb_output_registers(module: dict[str, Any]) -> int:
    """Move the flip-flops behind each ECP5 block RAM into its own output registers, which are much faster.

    Only where all outputs of a port that are used go to flip-flops, to nothing else, and these share clock and enable.

    Args:
        module: of a netlist in Yosys' JSON, which is changed.

    Returns:
        How many flip-flops are gone.
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
    """Move what stands behind the outputs `DOA…`, `DOB…`, or both where they are one port of 36 bits."""
    wires = ram["connections"]
    clock = wires[f"CLK{ports[-1]}"]
    # An output has itself as a reader in the count, since the count does not know directions.
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
    """The bit that enables a plain flip-flop of that clock; None where it is another kind."""
    parameters, wires = flop["parameters"], flop["connections"]
    plain = parameters["REGSET"] == "RESET" and parameters["CLKMUX"] == "CLK" and wires["CLK"] == clock
    if not plain or wires.get("LSR", ["0"]) != ["0"]:
        return None
    mux = parameters["CEMUX"].strip()
    return wires["CE"][0] if mux == "CE" else "1" if mux == "1" else None
