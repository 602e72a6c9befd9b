"""From an accelerator's design to files that program a device: shell, synthesis, and what a host needs to know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bnn2hw import backends
from bnn2hw.backends.design import Design
from bnn2hw.compiled import CompiledModel
from bnn2hw.dataflow import insert
from bnn2hw.deploy import serial_shell
from bnn2hw.errors import Bnn2hwError, DoesNotFitError, FoldingError, InputError
from bnn2hw.estimate import cycles, resources
from bnn2hw.folders import GENERATOR
from bnn2hw.folding import search
from bnn2hw.ir import Graph
from bnn2hw.ops import source
from bnn2hw.progress import Progress, silent
from bnn2hw.synthesis import synthesize
from bnn2hw.synthesis.synthesize import Placement
from bnn2hw.synthesis.toolchains import routable
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import boards, devices
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device

FACTS = "usage.json"
LINK = "link.json"


def implement(
    accelerator: CompiledModel,
    place: Board | Device,
    folder: Path,
    *,
    seeds: Sequence[int] = (1,),
    clock_mhz: float | None = None,
    baud: int | None = None,
    progress: Progress = silent,
) -> Usage:
    """Synthesize a design for a board, behind its serial line, or for a device, to be measured.

    Args:
        accelerator: what is to be synthesized.
        place: a board, or a device without one.
        folder: takes everything; what an earlier run left there is replaced.
        seeds: of the placement; the fastest is taken.
        clock_mhz: what to run at; on a board it must be reached.
        baud: of the serial line.
        progress: told what is being done.

    Raises:
        InputError: the folder holds something else, or an option is impossible.
        DoesNotFitError: with what is missing, and the rate that would fit.
        TimingError: the clock of the board is not reached.
        MissingToolError: a tool is not installed.
        ToolError: a tool failed, or ended without its result; logs are in the folder.
    """
    device = place.device if isinstance(place, Board) else place
    prepare = _options(_design(accelerator, device), place, clock_mhz, baud)
    facts: dict[str, Any] = {"generator": GENERATOR, "name": accelerator.name, "device": device.name}
    facts["board"] = place.name if isinstance(place, Board) else None
    _claim(folder)
    _write(folder / FACTS, {**facts, "state": "unfinished"})
    try:
        used = synthesize.synthesize(
            device=device, folder=folder, seeds=seeds, progress=progress, **prepare["synth"]
        )
    except DoesNotFitError as error:
        raise _with_remedy(error, accelerator.graph, device, prepare["clock_mhz"]) from error
    if prepare["link"]:
        _write(folder / LINK, {**prepare["link"], **for_host(accelerator, prepare["clock_mhz"])})
    _write(folder / FACTS, {**facts, "state": "done", **used.facts})
    return used


def _design(accelerator: CompiledModel, device: Device) -> Design:
    """The sources, with cells of the family that they are synthesized for."""
    if device.family == accelerator.device.family:
        return accelerator.design
    return backends.render("verilog", accelerator.graph, summary=accelerator.name, device=device)


def _options(
    design: Design, place: Board | Device, clock_mhz: float | None, baud: int | None
) -> dict[str, Any]:
    """What synthesis is told, the clock to plan with, and the host's part."""
    if isinstance(place, Board):
        made = serial_shell.on_board(design, place, clock_mhz=clock_mhz, baud=baud)
        placement = Placement(place.wiring.package, made.constraints, made.clock_mhz, clock_must=True)
        told: dict[str, Any] = {"design": made.design, "placement": placement}
        return {"synth": told, "clock_mhz": made.clock_mhz, "link": made.link}
    if baud:
        raise InputError("a baud rate is for a board's serial line; name a board")
    clock = clock_mhz or place.clock_mhz
    wrapped, constraints = serial_shell.scan(design, place) if routable(place) else (design, None)
    told = {"design": wrapped, "placement": Placement(constraints=constraints, clock_mhz=clock)}
    return {"synth": told, "clock_mhz": clock, "link": None}


def for_host(accelerator: CompiledModel, clock_mhz: float) -> dict[str, Any]:
    """What a host needs to know of a model, beside what the shell says of itself."""
    found = accelerator.estimate().cycles
    seconds = (found.interval + found.latency) / clock_mhz / 1e6
    return {
        "name": accelerator.name,
        "units": source.facts(accelerator.input_specs),
        "seconds_per_image": seconds,
    }


def _claim(folder: Path) -> None:
    """Refuse a folder with other people's files, and take the results of an earlier run out of ours."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file; name a folder to write into")
    if folder.exists() and any(folder.iterdir()) and not _ours(folder):
        raise InputError(
            f"the folder '{folder}' is not empty and is not one of synthesis; name another or empty it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def _ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / FACTS).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


ROOM = 0.9
"""Share of what would just fit that a proposed folding may use: predictions are a few percent off."""


def _with_remedy(error: DoesNotFitError, graph: Graph, device: Device, clock_mhz: float) -> DoesNotFitError:
    """The same error with the rate of the fastest folding that is predicted to fit."""
    bare = insert.remove_fifos(graph)
    have = resources.cost(graph, device)
    keep = ROOM / max(error.excess, 1.0)
    smaller = replace(
        device,
        lut=int(min(device.lut, have.lut * keep / search.FILL)),
        ff=int(min(device.ff, have.ff / search.FILL)),
        bram=int(min(device.bram, have.bram * (keep if "bram" in error.what else 1.0))),
    )
    try:
        found = search.for_device(bare, smaller)
        fps = clock_mhz * 1e6 / cycles.interval(found)
        remedy = (
            f"a folding for {fps:,.0f} fps at {clock_mhz:g} MHz is predicted to fit: compile with that many"
        )
    except FoldingError:
        remedy = "no folding is predicted to fit: choose a larger target"
    except Bnn2hwError:
        remedy = ""
    return DoesNotFitError(error.device, error.over, remedy, error.note)


def place_named(board: str | None, target: str | None, default: Device) -> Board | Device:
    """The board or device that a user named.

    Raises:
        InputError: both were named, or one that is not known.
    """
    if board and target:
        raise InputError("name a board or a target, not both: a board has its device")
    return boards.board(board) if board else devices.device(target) if target else default
