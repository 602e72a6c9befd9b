"""The netlist that synthesis wrote, as a design: what is programmed can be simulated like what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError
from bnn2hw.synthesis import synthesize
from bnn2hw.synthesis.toolchains import MAPPERS
from bnn2hw.targets.boards import Family

MODELS = "cells.sv"
SIMULATED = ("ice40",)
"""Families all of whose cells Yosys has models for; of the others, block RAMs are black boxes."""


def of(design: Design, family: Family, folder: Path) -> Design:
    """Map a design to the cells of a family, and return the netlist with Yosys' own models of these cells.

    Args:
        design: what the Verilog backend rendered.
        family: one of `SIMULATED`.
        folder: takes sources, netlist and log.

    Raises:
        InputError: there are no models for this family.
        MissingToolError: no Yosys is installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    if family.name not in SIMULATED:
        raise InputError(
            f"Yosys has no models of all cells of the family '{family.name}'; "
            f"netlists can be simulated for {', '.join(SIMULATED)}"
        )
    synthesize.area(design, family, folder, then=("write_verilog -noattr netlist.v",))
    models = (tools.yosys_share() / MAPPERS[family.name].models).read_text()
    files = {"netlist.sv": (folder / "netlist.v").read_text(), MODELS: models}
    ends = (*design.inputs, *design.outputs)
    return replace(design, files=files, streams=ends, netlist=True, bench={}, portable={})
