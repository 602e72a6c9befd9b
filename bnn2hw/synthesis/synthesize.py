"""Design to resources, clock and bitstream with the open tools, each in a process of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import DoesNotFitError, InputError, TimingError, ToolError
from bnn2hw.progress import Progress, silent
from bnn2hw.synthesis import usage
from bnn2hw.synthesis.netlist import rewrite
from bnn2hw.synthesis.toolchains import MAPPERS, PARTS, ROUTERS, routable
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets.boards import Device, Family


def synthesize(
    design: Design,
    device: Device,
    folder: Path,
    *,
    package: tuple[str, ...] | None = None,
    constraints: str | None = None,
    clock_mhz: float | None = None,
    clock_must: bool = False,
    seeds: Sequence[int] = (1,),
    progress: Progress = silent,
) -> Usage:
    """Map, place, route and pack a design; for families without an open place and route, map it only.

    Args:
        design: what is to be synthesized; its top has real pins (`bnn2hw.deploy.serial_shell`) where it is placed.
        device: what it is to fit.
        folder: takes sources, netlist, bitstream and the log of each tool.
        package: nextpnr's words for package and speed, where not those of `flows.PARTS`.
        constraints: the file of the design that says where its pins are; without it they are placed anywhere.
        clock_mhz: what to place and route for; the device's planned clock where none is given.
        clock_must: whether it is an error when no seed reaches that clock.
        seeds: of the placement; all are tried and the fastest is packed.
        progress: told what is being done.

    Raises:
        DoesNotFitError: the design does not fit; the message says by how much.
        TimingError: no seed reached a clock that had to be reached.
        MissingToolError: a tool is not installed.
        ToolError: a tool failed, or ended without its result.
        InputError: there is no open flow for this device.
    """
    if not seeds:
        raise InputError("there is no seed to place with; give at least one")
    if routable(device):
        _find_tools(device)
    clear(folder)
    progress("mapping to the cells of the device")
    started = time.perf_counter()
    used = area(design, device.family, folder)
    used = replace(used, seconds={"map": time.perf_counter() - started})
    _check_fit(used, device)
    if not routable(device):
        return used
    goal = clock_mhz or device.clock_mhz
    clocks: dict[int, float] = {}
    seconds = dict(used.seconds)
    for number, seed in enumerate(seeds, 1):
        progress(f"placing and routing, seed {seed} ({number} of {len(seeds)})")
        started = time.perf_counter()
        clocks[seed] = _place(device, folder, package, constraints, goal, seed, set(clocks.values()))
        seconds[f"route, seed {seed}"] = time.perf_counter() - started
    best = max(clocks.values())
    used = replace(used, fmax_mhz=best, clock_mhz=goal, seeds=clocks, seconds=seconds)
    if clock_must and best < goal:
        raise TimingError(
            f"the clock of {goal:g} MHz is not reached: {best:.1f} MHz is the best of {len(clocks)} seeds; "
            "try more seeds, or ask for a lower clock"
        )
    progress("packing the bitstream")
    return replace(used, bitstream=_pack(device, folder), placed=usage.utilization(folder / "timing.json"))


def _find_tools(device: Device) -> None:
    """Find out that a tool is missing before hours of work, not after."""
    router = ROUTERS[device.family.name]
    tools.yosys(), tools.nextpnr(router.architecture), tools.packer(router.packer)


def clear(folder: Path) -> None:
    """Remove what an earlier run made, so that nothing of it can be taken for the result of this one."""
    results = [r.bitstream for r in ROUTERS.values()] + [r.result[1] for r in ROUTERS.values()]
    for name in [*results, "netlist.json", "timing.json"]:
        (folder / name).unlink(missing_ok=True)


def _place(
    device: Device,
    folder: Path,
    package: tuple[str, ...] | None,
    constraints: str | None,
    clock_mhz: float,
    seed: int,
    before: set[float],
) -> float:
    """Place and route with one seed and keep the result if it is faster than those before; the clock reached."""
    router, part = ROUTERS[device.family.name], PARTS[device.name]
    nextpnr = tools.nextpnr(router.architecture)
    option, made = router.result
    trial = {name: f"seed{seed}.{name}" for name in (made, "timing.json")}
    command = [*nextpnr.start, *part.arguments, *(package or part.package), *router.arguments]
    command += ["--json", "netlist.json", option, trial[made], "--report", trial["timing.json"]]
    command += ["--freq", f"{clock_mhz:g}", "--timing-allow-fail", "--seed", str(seed)]
    if constraints:
        flag = router.constraints[0]
        command += [flag, f"cst={constraints}" if flag == "--vopt" else constraints]
    log = folder / f"nextpnr.seed{seed}.log"
    try:
        _make(folder, trial[made], command, "nextpnr", log)
    except ToolError:
        _check_placed(log, device)
        raise
    reached = usage.clock(folder / trial["timing.json"])
    fastest = all(reached > clock for clock in before)
    for name, tried in trial.items():
        if fastest:
            (folder / tried).replace(folder / name)
        (folder / tried).unlink(missing_ok=True)
    return reached


def _check_placed(log: Path, device: Device) -> None:
    """Tell why nextpnr failed where it did for want of space: packing takes more cells than the netlist has LUTs."""
    said = log.read_text() if log.is_file() else ""
    cells = usage.packed(said)
    over = {name: pair for name, pair in cells.items() if pair[0] > pair[1]}
    if over:
        raise DoesNotFitError(device.name, over)
    logic = ROUTERS[device.family.name].logic
    if logic in cells and re.search(
        r"ERROR: (Unable to (find legal placement|place cell)|Failed to expand)", said
    ):
        raise DoesNotFitError(
            device.name, {logic: cells[logic]}, note=", and nextpnr found no place for all of them"
        )


def _pack(device: Device, folder: Path) -> Path:
    router, part = ROUTERS[device.family.name], PARTS[device.name]
    arguments = [a.format(part=part.packed_as) for a in router.pack]
    command = [*tools.packer(router.packer).start, *arguments]
    return _make(folder, router.bitstream, command, router.packer)


def _check_fit(used: Usage, device: Device) -> None:
    pairs = {n: (getattr(used, n), getattr(device, n)) for n in ("lut", "ff", "bram", "dsp")}
    over = {n.upper(): (need, there) for n, (need, there) in pairs.items() if need > there}
    if over:
        raise DoesNotFitError(device.name, over)


def run_yosys(design: Design, folder: Path, passes: Sequence[str], makes: str) -> Path:
    """Let Yosys read the sources of a design and run passes over them.

    Args:
        design: what the backend rendered.
        folder: takes the sources, the script, the log and what the passes write.
        passes: commands of Yosys that follow the reading.
        makes: the file that the passes must write.

    Returns:
        The path of that file.

    Raises:
        MissingToolError: no Yosys is installed.
        ToolError: it failed, or ended without the file.
    """
    yosys = tools.yosys()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in design.files.items():
        (folder / name).write_text(text)
    sources = " ".join(name for name in design.files if name.endswith(".sv"))
    script = [f"read_verilog -sv {sources}", *passes]
    (folder / "yosys.ys").write_text("\n".join([*script, ""]))
    return _make(folder, makes, [*yosys.start, "yosys.ys"], "Yosys")


def _make(folder: Path, makes: str, command: Sequence[str], what: str, log: Path | None = None) -> Path:
    """Run a tool that has to write a file.

    An exit status of 0 is no proof: ABC, inside of Yosys, has been seen to end without a netlist and without a word.
    """
    made, log = folder / makes, log or folder / f"{what.lower()}.log"
    made.unlink(missing_ok=True)
    tools.run(command, folder, what, log)
    if not made.is_file() or not made.stat().st_size:
        raise ToolError(f"{what} ended without an error but wrote no {makes}; its log is {log}")
    return made


def mapped(
    design: Design, family: Family, folder: Path, passes: Sequence[str], *, then: Sequence[str] = ()
) -> Path:
    """The netlist of a design in a family's cells, as it is to be placed: `run_yosys` with the family's own steps.

    Args:
        design: what the backend rendered.
        family: one that `flows.MAPPERS` names.
        folder: takes sources, netlist and logs.
        passes: commands of Yosys that come before the mapping.
        then: those that follow.

    Raises:
        MissingToolError: no Yosys is installed.
        ToolError: it failed, or left an empty netlist.
    """
    mapper = MAPPERS[family.name]
    netlist = run_yosys(design, folder, [*passes, *mapper.command.split("; "), *then], "netlist.json")
    for change in mapper.then:
        rewrite(netlist, change)
    return netlist


def area(
    design: Design, family: Family, folder: Path, *, only: str | None = None, then: Sequence[str] = ()
) -> Usage:
    """Map a design to the cells of a family.

    Args:
        design: what the backend rendered.
        family: one that `flows.MAPPERS` names.
        folder: takes sources, netlist and logs.
        only: a module of the design that is to be mapped alone, instead of the whole.
        then: commands of Yosys that follow.

    Raises:
        InputError: there is no open flow for this family.
        MissingToolError: no Yosys is installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    if family.name not in MAPPERS:
        raise InputError(
            f"no synthesis for the family '{family.name}'; there is one for {', '.join(MAPPERS)}"
        )
    mapper = MAPPERS[family.name]
    # Primitives of the device that a top may hold are read, and missing modules found, by the command of the family.
    passes = [f"hierarchy -top {design.top}"]
    if only:
        # Its parameters are settled by now; the first root that is left becomes the top.
        passes += [f"delete {design.top} *bnn2hw_last_beat*", f"select -assert-any *{only}*"]
        passes += ["select -clear"]
    netlist = mapped(design, family, folder, passes, then=then)
    return usage.of_netlist(netlist, mapper, {s.id: s.name for s in design.streams})
