"""Return a mapped netlist as a design, so that simulation checks what is programmed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnn2hw import tools
from bnn2hw.backends.design import Design, Port
from bnn2hw.backends.verilog import block_models
from bnn2hw.errors import InputError
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from bnn2hw.targets.families import Family, Mapper

MODELS = "cells.sv"
"""File with Yosys' models of the cells."""
VALUES = {"b": 2, "h": 16}
"""Number of values of a digit by its base."""


def of(design: Design, family: Family, folder: Path) -> Design:
    """Map a design to the cells of a family, and return the netlist with models of them.

    The netlist is the one that is placed, after the family's own passes. Small cells have Yosys' models; those of
    block RAMs and DSP blocks are ours and stop the simulation in a mode that they do not cover.

    Args:
        design: Sources from the Verilog backend.
        family: A family all of whose cells have models (`Mapper.complete_models`).
        folder: Takes sources, netlist and log.

    Raises:
        InputError: Some cells of this family have no model.
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    if not family.mapper or not family.mapper.complete_models:
        able = [f.name for f in families.known().values() if f.mapper and f.mapper.complete_models]
        raise InputError(
            f"there are no models of all cells of the family '{family.name}'; "
            f"netlists can be simulated for {', '.join(able)}"
        )
    synthesize.area(design, family, folder)
    netlist = _known(synthesize.as_verilog(folder / synthesize.NETLIST).read_text())
    used = [cell for cell in family.mapper.blocks if f" {cell} " in netlist]
    files = {"netlist.sv": netlist, MODELS: _small_cells(family.mapper), **block_models(used)}
    outputs = (replace(port.stream, filled=port.extends) for port in Port.of(design.outputs))
    return replace(design, files=files, streams=(*design.inputs, *outputs), netlist=True, bench={}, fast={})


def _known(netlist: str) -> str:
    """Return a netlist with values for the unknown bits of constants of which other bits are known.

    Verilator 5.048 sets a register that starts with such a constant to random bits before it masks the known ones,
    so a memory whose words are narrower than its cell starts with wrong contents.
    """
    draw = np.random.default_rng(0)

    def value(found: re.Match[str]) -> str:
        base, digits = found.groups()
        if set(digits) == {"x"}:
            return found[0]  # Verilator draws it anew for each seed
        return f"'{base}" + re.sub("x", lambda _: f"{draw.integers(VALUES[base]):x}", digits)

    return re.sub(r"'([hb])([0-9a-f]*x[0-9a-fx]*)", value, netlist)


def _small_cells(mapper: Mapper) -> str:
    """Return Yosys' models with the files that they include, without the cells that have a model of ours."""
    text = _included(tools.yosys_share() / mapper.models)
    for cell in mapper.blocks:
        text = re.sub(rf"^module {cell}\b.*?^endmodule", "", text, flags=re.MULTILINE | re.DOTALL)
    return text


def _included(path: Path) -> str:
    """Return a file of Yosys with the text of the files that it includes."""

    def text(found: re.Match[str]) -> str:
        return _included(path.parent / found[1])

    return re.sub(r'^\s*`include "([^"]+)"', text, path.read_text(), flags=re.MULTILINE)
