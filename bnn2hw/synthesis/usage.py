"""What synthesis made of a design: cells by type and by layer, the clock, the files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnn2hw.errors import ToolError
from bnn2hw.synthesis.toolchains import COUNTS, total
from bnn2hw.targets.families import Mapper

REST = "(ports and shell)"
"""Under this name stand the cells that belong to no layer."""


@dataclass(frozen=True)
class Cells:
    """Resources that some cells take."""

    lut: int
    ff: int
    carry: int
    bram: int
    dsp: int


@dataclass(frozen=True)
class Usage:
    """What synthesis made of a design.

    Attributes:
        lut: LUTs of the family's size, those in carry chains and distributed RAM included.
        ff: flip-flops.
        carry: cells of carry chains.
        bram: block RAMs of the size that the family's `bram_shapes` describe.
        dsp: DSP blocks.
        cells: netlist cells by type.
        layers: resources by stream of the design, as far as cells kept the names of their layers.
        placed: what the placer used and what the device has, by its own names; empty where only the area was asked for.
        fmax_mhz: clock that place and route reached; None where only the area was asked for.
        clock_mhz: clock that it was asked for.
        seeds: the clock reached by each seed that was tried.
        seconds: how long each step took.
        bitstream: the packed bitstream, where a packer was run.
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

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data for reports and machines."""
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
        mapper: what the cells take.
        ids: names of the design's streams by their identifiers.

    Raises:
        ToolError: it holds no cells.
    """
    tops = [m for m in json.loads(netlist.read_text())["modules"].values() if _is_top(m)]
    types = {name: kind for m in tops for name, kind in COUNTS[mapper.count](m).items()}
    if not types:
        raise ToolError(
            f"Yosys ended without an error but its netlist is empty; its log is {netlist.parent / 'yosys.log'}"
        )
    by_layer: dict[str, Counter[str]] = {}
    owner = _Owners(ids)
    for name, kind in types.items():
        by_layer.setdefault(owner.of(name), Counter())[kind] += 1
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


class _Owners:
    """Which layer a cell of a flat netlist belongs to: Yosys names cells after wires, with the path of instances."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self.ids = ids
        names = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
        self.pattern = re.compile(rf"(?:^|\.)(?:u_({names})(?=[.\[]|$)|({names})_(?:data|valid|ready))")

    def of(self, cell: str) -> str:
        found = self.pattern.search(cell)
        return self.ids[found[1] or found[2]] if found else REST


def utilization(report: Path) -> dict[str, tuple[int, int]]:
    """What nextpnr's report says it used, and what the device has."""
    said = json.loads(report.read_text()).get("utilization", {})
    return {name: (int(n["used"]), int(n["available"])) for name, n in sorted(said.items()) if n["used"]}


def packed(log: str) -> dict[str, tuple[int, int]]:
    """Cells that a design needs after packing, and what the device has, by name, as nextpnr's log says."""
    found = re.findall(r"Info:\s+(\w+):\s+(\d+)\s*/\s*(\d+)\s+\d+%", log)
    return {name: (int(used), int(there)) for name, used, there in found}


def clock(report: Path) -> float:
    """The clock that the slowest path allows, in MHz.

    Raises:
        ToolError: the report names none.
    """
    clocks = json.loads(report.read_text())["fmax"] if report.is_file() else {}
    if not clocks:
        raise ToolError(f"nextpnr ended without an error but reported no clock in {report}")
    return min(float(c["achieved"]) for c in clocks.values())


def table(usage: Usage, names: Iterable[str] = ("lut", "ff", "carry", "bram", "dsp")) -> str:
    """The layers' resources as text, a line each."""
    heads = ["layer", *(n.upper() for n in names)]
    rows = [[layer, *(f"{getattr(c, n):,}" for n in names)] for layer, c in usage.layers.items()]
    rows.append(["total", *(f"{getattr(usage, n):,}" for n in names)])
    widths = [max(len(r[i]) for r in [heads, *rows]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(r, widths, strict=True))
        )
        for r in [heads, *rows]
    )
