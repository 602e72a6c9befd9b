"""The result of synthesis: cells by type and by layer, the clock, the bitstream."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from bnn2hw.errors import ToolError
from bnn2hw.synthesis.owners import owners
from bnn2hw.synthesis.toolchains import COUNTS, total
from bnn2hw.tables import Table
from bnn2hw.targets.families import Mapper

REST = "(ports and shell)"
"""Name under which the cells are counted that belong to no layer."""


@dataclass(frozen=True)
class Cells:
    """Resources that a set of cells takes.

    Attributes:
        lut: LUTs.
        ff: Flip-flops.
        carry: Carry cells.
        bram: Block RAMs.
        dsp: DSP blocks.
    """

    lut: int
    ff: int
    carry: int
    bram: int
    dsp: int


@dataclass(frozen=True)
class Usage:
    """The result of synthesis.

    Attributes:
        lut: LUTs of the family's size, including those in carry chains and distributed RAM.
        ff: Flip-flops.
        carry: Carry cells.
        bram: Block RAMs of the size that the family's `bram_shapes` describe.
        dsp: DSP blocks.
        cells: Netlist cells by type.
        layers: Resources by stream of the design, as far as the names of cells and nets tell it.
        placed: By the placer's names, cells that it used and cells that the device has; empty
            without placement.
        fmax_mhz: Clock that place and route reached; None without placement.
        clock_mhz: Clock that place and route worked towards; None without placement.
        seeds: Clock that each seed reached, in MHz.
        seconds: Duration of each step.
        bitstream: The bitstream; None without placement.
    """

    lut: int
    ff: int
    carry: int
    bram: int
    dsp: int
    cells: Mapping[str, int]
    layers: Mapping[str, Cells] = field(default_factory=dict)
    placed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    fmax_mhz: float | None = None
    clock_mhz: float | None = None
    seeds: Mapping[int, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bitstream: Path | None = None

    def __repr__(self) -> str:
        return f"<Usage: {self.lut:,} LUT, {self.ff:,} FF, {self.bram:,} BRAM, {self.dsp:,} DSP; {self._clock()}>"

    def _repr_html_(self) -> str:
        return f"{table(self)._repr_html_()}<p>{escape(self._clock())}</p>"

    def _clock(self) -> str:
        if self.fmax_mhz is None:
            return "area only, not placed"
        return f"{self.fmax_mhz:.1f} MHz reached" + (f" of {self.clock_mhz:g}" if self.clock_mhz else "")

    @property
    def facts(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return {
            **{name: getattr(self, name) for name in ("lut", "ff", "carry", "bram", "dsp")},
            "fmax_mhz": self.fmax_mhz,
            "clock_mhz": self.clock_mhz,
            "seeds": {str(seed): clock for seed, clock in self.seeds.items()},
            "placed": {name: list(pair) for name, pair in self.placed.items()},
            "cells": dict(self.cells),
            "layers": {name: vars(cells) for name, cells in self.layers.items()},
            "seconds": {step: round(seconds, 1) for step, seconds in self.seconds.items()},
            "bitstream": self.bitstream.name if self.bitstream else None,
        }


def of_netlist(netlist: Path, mapper: Mapper, ids: Mapping[str, str]) -> Usage:
    """Count the cells of a flat netlist.

    Args:
        netlist: JSON that Yosys wrote.
        mapper: Resources that each cell takes.
        ids: Names of the design's streams by their identifiers.

    Raises:
        ToolError: The netlist has no cells.
    """
    tops = [m for m in json.loads(netlist.read_text())["modules"].values() if _is_top(m)]
    types: dict[str, str] = {}
    owner: dict[str, str] = {}
    for top in tops:
        found = COUNTS[mapper.count](top)
        types |= found
        owner |= owners(top, found, ids)
    if not types:
        raise ToolError(
            f"Yosys ended without an error but its netlist is empty; its log is {netlist.parent / 'yosys.log'}"
        )
    by_layer: dict[str, Counter[str]] = {}
    for name, kind in types.items():
        by_layer.setdefault(owner.get(name, REST), Counter())[kind] += 1
    everything = Counter(types.values())
    whole = _resources(mapper, everything)
    order = [*(n for n in ids.values() if n in by_layer), *(n for n in by_layer if n not in ids.values())]
    layers = {name: _resources(mapper, by_layer[name]) for name in order}
    return Usage(**vars(whole), cells=dict(sorted(everything.items())), layers=layers)


def _is_top(module: Mapping[str, Any]) -> bool:
    return "top" in module.get("attributes", {})


def _resources(mapper: Mapper, cells: Mapping[str, int]) -> Cells:
    return Cells(
        lut=total(mapper.lut, cells),
        ff=total({mapper.ff: 1}, cells),
        carry=total({mapper.carry: 1}, cells),
        bram=total(mapper.bram, cells),
        dsp=total(mapper.dsp, cells),
    )


def utilization(report: Path) -> dict[str, tuple[int, int]]:
    """Read nextpnr's report: by cell, the number used and the number available."""
    said = json.loads(report.read_text()).get("utilization", {})
    return {name: (int(n["used"]), int(n["available"])) for name, n in sorted(said.items()) if n["used"]}


def packed(log: str) -> dict[str, tuple[int, int]]:
    """Read nextpnr's log after packing: by cell, the number needed and the number available."""
    found = re.findall(r"Info:\s+(\w+):\s+(\d+)\s*/\s*(\d+)\s+\d+%", log)
    return {name: (int(used), int(there)) for name, used, there in found}


def clock(report: Path) -> float:
    """Read the clock that the slowest path allows from nextpnr's report, in MHz.

    Raises:
        ToolError: The report has no clock.
    """
    clocks = json.loads(report.read_text())["fmax"] if report.is_file() else {}
    if not clocks:
        raise ToolError(f"nextpnr ended without an error but reported no clock in {report}")
    return min(float(c["achieved"]) for c in clocks.values())


def table(usage: Usage, names: Sequence[str] = ("lut", "ff", "carry", "bram", "dsp")) -> Table:
    """Return the resources of the layers, one row per layer.

    Args:
        usage: Result of synthesis.
        names: Resources to show.
    """
    made = Table("cells of the netlist", ("layer",), [n.upper() for n in names], drops=["CARRY"])
    for layer, cells in usage.layers.items():
        made.add(layer, *(f"{getattr(cells, n):,}" for n in names))
    made.add_section()
    made.add("total", *(f"{getattr(usage, n):,}" for n in names))
    return made
