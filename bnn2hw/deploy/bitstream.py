"""Take an accelerator to a bitstream, and to link.json for its host."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnn2hw import backends, checks, exchange, folders
from bnn2hw.backends.design import Design
from bnn2hw.compiled import CompiledModel
from bnn2hw.dataflow import insert
from bnn2hw.deploy import serial_shell
from bnn2hw.deploy.link import FILE as LINK
from bnn2hw.deploy.link import Link
from bnn2hw.errors import Bnn2hwError, DoesNotFitError, FoldingError, InputError, storing
from bnn2hw.estimate import cycles, resources
from bnn2hw.folders import GENERATOR
from bnn2hw.folding import search
from bnn2hw.ir import Graph
from bnn2hw.progress import Progress, silent
from bnn2hw.synthesis import synthesize
from bnn2hw.synthesis.synthesize import Placement
from bnn2hw.synthesis.toolchains import routable
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device
from bnn2hw.workers import HERE, Pool

FACTS = "usage.json"
"""File that describes the result of synthesis; a folder that has one is ours."""


def implement(
    accelerator: CompiledModel,
    place: Board | Device,
    folder: str | Path,
    *,
    seeds: int | Sequence[int] = 1,
    clock_mhz: float | None = None,
    baud: int | None = None,
    pool: Pool = HERE,
    progress: Progress = silent,
) -> Usage:
    """Synthesize a design for a board, behind its serial line, or for a bare device, to measure it.

    Args:
        accelerator: Accelerator to synthesize.
        place: A board, or a device without a board.
        folder: Takes everything. The files that an earlier run made are removed, no others.
        seeds: Seeds of the placer, or their number; the fastest result is taken.
        clock_mhz: Clock of the accelerator. On a board it must be reached.
        baud: Bits per second on the serial line.
        pool: Where the seeds are placed and routed.
        progress: Called at the start of each step.

    Raises:
        InputError: The folder holds other files, or an option is impossible.
        DoesNotFitError: The design is too large; the message names what is missing and a rate that
            would fit.
        TimingError: The clock of the board is not reached.
        MissingToolError: A tool is not installed.
        ToolError: A tool failed, or ended without its result. Logs are in the folder.
        LinkError: The scheduler does not answer.
    """
    device = place.device if isinstance(place, Board) else place
    checks.path("folder", folder)
    folder, tried = Path(folder), seed_numbers(seeds)
    for name, value in (("clock_mhz", clock_mhz), ("baud", baud)):
        if value is not None:
            checks.number(name, value, above=0)
    if not routable(device) and seeds != 1:
        raise InputError(
            f"seeds are for place and route, and no open tool does that for {device.name}; leave out the seeds, "
            "and the result is an area"
        )
    _check_pool(pool, tried)
    claim(folder)
    job = _job(_design(accelerator, device), place, clock_mhz, baud)
    facts = {
        "generator": GENERATOR,
        "name": accelerator.name,
        "device": device.name,
        "board": place.name if isinstance(place, Board) else None,
    }
    with workplace(folder, facts) as result:
        try:
            used = synthesize.synthesize(
                job.design, device, folder, job.placement, seeds=tried, pool=pool, progress=progress
            )
        except DoesNotFitError as error:
            raise _with_remedy(error, accelerator.graph, device, job.clock_mhz) from error
        if job.link:
            for_host(job.link, accelerator, job.clock_mhz).write(folder)
        result |= {"state": "done", **used.facts}
    return used


def _check_pool(pool: Pool, seeds: Sequence[int]) -> None:
    """Check that seeds can be shared.

    Raises:
        InputError: There is nothing to share, or the pool makes no sense.
        MissingToolError: Dask is not installed.
    """
    pool.check()
    if pool.scheduler is not None and len(seeds) < 2:
        raise InputError("a scheduler shares the seeds of place and route; ask for several, such as seeds=16")


def seed_numbers(seeds: int | Sequence[int]) -> Sequence[int]:
    """Return the seeds that a user asks for, by their number or one by one.

    Raises:
        InputError: They are not whole numbers, or there is none.
    """
    if isinstance(seeds, Sequence):
        for seed in seeds:
            checks.number("each seed", seed, whole=True)
        return seeds
    checks.number("seeds", seeds, above=0, whole=True)
    return range(1, int(seeds) + 1)


def claim(folder: Path) -> None:
    """Check that a synthesis may write into a folder. One that is at work there is waited for, with a warning.

    Raises:
        InputError: It is a file, or holds files but none that synthesis wrote.
        StorageError: It cannot be made or written.
    """
    folders.claim(folder, FACTS, by="synthesis", waiting=lambda: _tell_of_wait(folder))


def _tell_of_wait(folder: Path) -> None:
    text = f"another synthesis writes into '{folder}'; waiting until it ends"
    warnings.warn(text, stacklevel=2)


@dataclass(frozen=True)
class _Job:
    """The input of synthesis.

    Attributes:
        design: Sources, wrapped for the board or device.
        placement: Package, pins and clock.
        clock_mhz: Clock of the accelerator.
        link: What the host must know; None without a board.
    """

    design: Design
    placement: Placement
    clock_mhz: float
    link: Link | None


def _design(accelerator: CompiledModel, device: Device) -> Design:
    """Return the sources, with cells of the family that they are synthesized for."""
    if device.family == accelerator.device.family:
        return accelerator.design
    return backends.render("verilog", accelerator.graph, header=replace(accelerator.header, target=device))


def _job(design: Design, place: Board | Device, clock_mhz: float | None, baud: int | None) -> _Job:
    """Wrap a design for a board or a device.

    Raises:
        InputError: An option is impossible.
    """
    if isinstance(place, Board):
        made = serial_shell.on_board(design, place, clock_mhz=clock_mhz, baud=baud)
        placement = Placement(place.wiring.package, made.constraints, made.clock_mhz, clock_must=True)
        return _Job(made.design, placement, made.clock_mhz, made.link)
    if baud:
        raise InputError("a baud rate is for a board's serial line; name a board")
    clock = clock_mhz or place.clock_mhz
    if not routable(place) and clock_mhz:
        raise InputError(
            f"a clock is for place and route, and no open tool does that for {place.name}; leave out the clock, "
            "and the result is an area"
        )
    wrapped, constraints = serial_shell.scan(design, place) if routable(place) else (design, None)
    return _Job(wrapped, Placement(constraints=constraints, clock_mhz=clock), clock, None)


def for_host(link: Link, accelerator: CompiledModel, clock_mhz: float) -> Link:
    """Add to a link what the shell does not know: the model's name and units, and its speed.

    Args:
        link: Link from the shell.
        accelerator: Accelerator on the board.
        clock_mhz: Clock of the accelerator, by which the host times its patience.
    """
    found = accelerator.estimate().cycles
    seconds = (found.interval + found.latency) / clock_mhz / 1e6
    return replace(
        link, name=accelerator.name, input_specs=accelerator.input_specs, seconds_per_image=seconds
    )


@contextmanager
def workplace(folder: Path, facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Remove the results of an earlier run from a folder, and record the files of this one.

    Args:
        folder: Folder of synthesis.
        facts: Facts that are known before the run.

    Yields:
        Further facts for `FACTS`; the block adds to them.

    Other runs into the same folder wait, and say so. A run that is killed leaves files and the state "unfinished".
    Those of them that a later run writes again are recorded as its own; the others stay.

    Raises:
        InputError: The folder holds files, and synthesis did not write it.
        StorageError: The folder cannot be written.
    """
    claim(folder)
    result: dict[str, Any] = {"state": "unfinished"}
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with storing(folder), exchange.locked(folder, waiting=lambda: _tell_of_wait(folder)):
        old = _facts(folder)
        before = [n for n in folders.listed(folder, FACTS) if n != FACTS]
        _write(folder, {**facts, **result, "files": before})  # first, so that the folder is always known
        folders.delete(folder, [*before, LINK])
        kept = _files(folder) - {FACTS}
        left = kept if old.get("state") == "unfinished" else {n for n in kept if n in old.get("left", [])}
        known = {"left": sorted(left)} if left else {}
        _write(folder, {**facts, **result, **known, "files": []})
        start = (folder / FACTS).stat().st_mtime_ns
        try:
            yield result
        finally:
            there = _files(folder) - {FACTS}
            again = {n for n in there & left if (folder / n).stat().st_mtime_ns >= start}
            _write(folder, {**facts, **result, **known, "files": sorted((there - kept) | again)})


def _facts(folder: Path) -> dict[str, Any]:
    """Return what the run before recorded; nothing if that cannot be read."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and isinstance(facts.get("left", []), list) else {}


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
    exchange.replace_file(folder / FACTS, (json.dumps(facts, indent=1) + "\n").encode())


ROOM = 0.9
"""Share of the space that a proposed folding may use, since predictions are a few per cent off."""


def _with_remedy(error: DoesNotFitError, graph: Graph, device: Device, clock_mhz: float) -> DoesNotFitError:
    """Return the same error with the rate of the fastest folding that is predicted to fit."""
    bare = insert.remove_fifos(graph)
    have = resources.cost(graph, device)
    keep = ROOM / max(error.excess, 1.0)
    smaller = replace(
        device,
        lut=int(min(device.lut, have.lut * keep / search.FILL)),
        ff=int(min(device.ff, have.ff / search.FILL)),
        bram=int(min(device.bram, have.bram * (keep if "bram" in error.what else 1.0))),
    )
    fps = None
    try:
        interval = cycles.interval(search.for_device(bare, smaller))
        fps = float(search.rate(clock_mhz, interval))
        remedy = (
            f"a folding for {fps:,g} fps at {clock_mhz:g} MHz is predicted to fit: compile with that many"
        )
    except FoldingError:
        remedy = "no folding is predicted to fit: choose a larger target"
    except Bnn2hwError:
        remedy = ""
    return DoesNotFitError(error.device, error.over, remedy, error.note, fps)
