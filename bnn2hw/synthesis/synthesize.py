"""Take a design to resources, a clock and a bitstream with the open tools."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError, TimingError, ToolError
from bnn2hw.progress import Progress, silent
from bnn2hw.synthesis import fit, toolchains, usage
from bnn2hw.synthesis.netlist import rewrite
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import families
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Family


@dataclass(frozen=True)
class Placement:
    """Goals of place and route.

    Attributes:
        package: nextpnr's arguments for package and speed grade; None for those of `Device.part`.
        constraints: File of the design that gives the pins; None lets nextpnr choose all pins.
        clock_mhz: Clock to place and route for; None for the device's planned clock.
        clock_must: True if it is an error when no seed reaches that clock.
    """

    package: tuple[str, ...] | None = None
    constraints: str | None = None
    clock_mhz: float | None = None
    clock_must: bool = False


def synthesize(
    design: Design,
    device: Device,
    folder: Path,
    placement: Placement = Placement(),
    *,
    seeds: Sequence[int] = (1,),
    progress: Progress = silent,
) -> Usage:
    """Map, place, route and pack a design. If open tools cannot place for the device, map it only.

    Args:
        design: Sources. If they are placed, the top has real pins (`bnn2hw.deploy.serial_shell`).
        device: Device that the design must fit.
        folder: Takes sources, netlist, bitstream and the log of each tool.
        placement: Package, pins and clock.
        seeds: Seeds of the placer. All are tried, and the fastest result is packed.
        progress: Called at the start of each step.

    Raises:
        DoesNotFitError: The design does not fit; the message says by how much.
        TimingError: No seed reached a clock that must be reached.
        MissingToolError: A tool is not installed.
        ToolError: A tool failed, or ended without its result.
        InputError: There is no open flow for this device, or no seed.
    """
    if not seeds:
        raise InputError("there is no seed to place with; give at least one")
    routable = toolchains.routable(device)
    if routable:
        _find_tools(device)
    clear(folder)
    progress("mapping to the cells of the device")
    started = time.perf_counter()
    used = area(design, device.family, folder)
    used = replace(used, seconds={"map": time.perf_counter() - started})
    fit.check_mapped(used, device)
    return _routed(used, device, folder, placement, seeds, progress) if routable else used


def _routed(
    used: Usage,
    device: Device,
    folder: Path,
    placement: Placement,
    seeds: Sequence[int],
    progress: Progress,
) -> Usage:
    """Place and route with each seed, and pack the fastest result."""
    goal = placement.clock_mhz or device.clock_mhz
    clocks: dict[int, float] = {}
    seconds = dict(used.seconds)
    for number, seed in enumerate(seeds, 1):
        progress(f"placing and routing, seed {seed} ({number} of {len(seeds)})")
        started = time.perf_counter()
        clocks[seed] = _place(device, folder, placement, seed, set(clocks.values()))
        seconds[f"route, seed {seed}"] = time.perf_counter() - started
    best = max(clocks.values())
    used = replace(used, fmax_mhz=best, clock_mhz=goal, seeds=clocks, seconds=seconds)
    if placement.clock_must and best < goal:
        raise TimingError(
            f"the clock of {goal:g} MHz is not reached: {best:.1f} MHz is the best of {len(clocks)} seeds; "
            "try more seeds, or ask for a lower clock"
        )
    progress("packing the bitstream")
    return replace(used, bitstream=_pack(device, folder), placed=usage.utilization(folder / "timing.json"))


def _find_tools(device: Device) -> None:
    """Look for the tools before hours of work, not after."""
    router, _ = toolchains.router(device)
    tools.yosys(), tools.nextpnr(router.architecture), tools.packer(router.packer, router.packer_package)


def clear(folder: Path) -> None:
    """Remove the results of an earlier run, so that none can pass for a result of this one."""
    routers = [f.router for f in families.known().values() if f.router]
    results = [name for r in routers for name in (r.bitstream, r.result[1])]
    for name in [*results, "netlist.json", "timing.json"]:
        (folder / name).unlink(missing_ok=True)


def _place(device: Device, folder: Path, placement: Placement, seed: int, before: set[float]) -> float:
    """Place and route with one seed, keep the result if it is the fastest, and return the clock."""
    router, part = toolchains.router(device)
    nextpnr = tools.nextpnr(router.architecture)
    option, made = router.result
    trial = {name: f"seed{seed}.{name}" for name in (made, "timing.json")}
    goal = placement.clock_mhz or device.clock_mhz
    command = [*nextpnr.start, *part.arguments, *(placement.package or part.package), *router.arguments]
    command += ["--json", "netlist.json", option, trial[made], "--report", trial["timing.json"]]
    command += ["--freq", f"{goal:g}", "--timing-allow-fail", "--seed", str(seed)]
    if placement.constraints:
        command += [a.format(file=placement.constraints) for a in router.constraints]
    log = folder / f"nextpnr.seed{seed}.log"
    try:
        _make(folder, trial[made], command, "nextpnr", log)
    except ToolError:
        fit.check_placed(log.read_text() if log.is_file() else "", device)
        raise
    reached = usage.clock(folder / trial["timing.json"])
    fastest = all(reached > clock for clock in before)
    for name, tried in trial.items():
        if fastest:
            (folder / tried).replace(folder / name)
        (folder / tried).unlink(missing_ok=True)
    return reached


def _pack(device: Device, folder: Path) -> Path:
    router, part = toolchains.router(device)
    arguments = [a.format(part=part.packed_as) for a in router.pack]
    command = [*tools.packer(router.packer, router.packer_package).start, *arguments]
    return _make(folder, router.bitstream, command, router.packer)


def run_yosys(design: Design, folder: Path, passes: Sequence[str], makes: str) -> Path:
    """Let Yosys read the sources of a design and run passes over them.

    Args:
        design: Sources from the Verilog backend.
        folder: Takes the sources, the script, the log and the files that the passes write.
        passes: Commands of Yosys that follow the reading.
        makes: File that the passes must write.

    Returns:
        The path of that file.

    Raises:
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed, or ended without the file.
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
    """Run a tool that must write a file, and return the path of the file.

    An exit status of 0 is no proof: ABC, which runs inside Yosys, may end without a netlist and
    without a message.
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
    """Map a design to the cells of a family, and run the family's passes over the netlist.

    Args:
        design: Sources from the Verilog backend.
        family: A family with a flow.
        folder: Takes sources, netlist and logs.
        passes: Commands of Yosys before the mapping.
        then: Commands of Yosys after the mapping.

    Returns:
        The path of the netlist, ready to be placed.

    Raises:
        InputError: There is no open flow for this family.
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    mapper = toolchains.mapper(family)
    netlist = run_yosys(design, folder, [*passes, *mapper.command.split("; "), *then], "netlist.json")
    for name in mapper.passes:
        rewrite(netlist, toolchains.PASSES[name](family))
    return netlist


def area(
    design: Design, family: Family, folder: Path, *, only: str | None = None, then: Sequence[str] = ()
) -> Usage:
    """Map a design to the cells of a family and count them.

    Args:
        design: Sources from the Verilog backend.
        family: A family with a flow.
        folder: Takes sources, netlist and logs.
        only: Module of the design to map alone, instead of the whole design.
        then: Commands of Yosys after the mapping.

    Raises:
        InputError: There is no open flow for this family.
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    mapper = toolchains.mapper(family)
    # The family's own command reads primitives that a top may instantiate, and finds missing
    # modules.
    passes = [f"hierarchy -top {design.top}"]
    if only:
        # The parameters of the module are fixed by now; the first root that is left becomes the
        # top.
        passes += [f"delete {design.top} *bnn2hw_last_beat*", f"select -assert-any *{only}*"]
        passes += ["select -clear"]
    netlist = mapped(design, family, folder, passes, then=then)
    return usage.of_netlist(netlist, mapper, {s.id: s.name for s in design.streams})
