"""Decide whether a synthesized design fits its device, and name the resources that run out."""

from __future__ import annotations

import re

from bnn2hw.errors import DoesNotFitError
from bnn2hw.synthesis.toolchains import mapper, total
from bnn2hw.synthesis.usage import Usage, packed
from bnn2hw.targets.devices import Device

IN_SLICES = "LUT in slices with a carry cell"
"""Name of the LUTs of all slices whose carry cell is used, whether their LUTs are or not."""
NO_PLACE = re.compile(r"ERROR: (Unable to (find legal placement|place cell)|Failed to expand)")
"""Messages of nextpnr that mean that the placer found no place for a cell."""


def check_mapped(used: Usage, device: Device) -> None:
    """Compare a mapped netlist with the device.

    Raises:
        DoesNotFitError: The netlist has more cells of a resource than the device, or its carry cells need more slices.
    """
    pairs = {n.upper(): (getattr(used, n), getattr(device, n)) for n in ("lut", "ff", "bram", "dsp")}
    carries = total(mapper(device.family).carry_luts, used.cells)
    pairs[IN_SLICES] = carries, device.lut
    over = {n: pair for n, pair in pairs.items() if pair[0] > pair[1]}
    if over:
        raise DoesNotFitError(device.name, over)


def check_placed(log: str, device: Device) -> None:
    """Look in the log of a failed nextpnr for a lack of space.

    Packing may take more cells than the netlist has LUTs, so a mapped netlist that fits may fail
    later.

    Args:
        log: Text that nextpnr printed.
        device: Device that it placed for.

    Raises:
        DoesNotFitError: nextpnr failed for lack of space. If it failed for another reason, nothing
            is raised.
    """
    cells = packed(log)
    over = {name: pair for name, pair in cells.items() if pair[0] > pair[1]}
    if over:
        raise DoesNotFitError(device.name, over)
    router = device.family.router
    if router and router.logic in cells and NO_PLACE.search(log):
        raise DoesNotFitError(
            device.name,
            {router.logic: cells[router.logic]},
            note=", and nextpnr found no place for all of them",
        )
