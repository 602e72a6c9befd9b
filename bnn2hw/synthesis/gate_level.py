"""Return a mapped netlist as a design, so that simulation checks what is programmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from bnn2hw.targets.families import Family

MODELS = "cells.sv"
"""File with Yosys' models of the cells."""


def of(design: Design, family: Family, folder: Path) -> Design:
    """Map a design to the cells of a family, and return the netlist with Yosys' models of them.

    Args:
        design: Sources from the Verilog backend.
        family: A family whose cells Yosys models completely (`Mapper.complete_models`).
        folder: Takes sources, netlist and log.

    Raises:
        InputError: Yosys does not model all cells of this family; block RAMs are often missing.
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    if not family.mapper or not family.mapper.complete_models:
        able = [f.name for f in families.known().values() if f.mapper and f.mapper.complete_models]
        raise InputError(
            f"Yosys has no models of all cells of the family '{family.name}'; "
            f"netlists can be simulated for {', '.join(able)}"
        )
    synthesize.area(design, family, folder, then=("write_verilog -noattr netlist.v",))
    models = (tools.yosys_share() / family.mapper.models).read_text()
    files = {"netlist.sv": (folder / "netlist.v").read_text(), MODELS: models}
    ends = (*design.inputs, *design.outputs)
    return replace(design, files=files, streams=ends, netlist=True, bench={}, fast={})
