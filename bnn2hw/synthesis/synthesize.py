"""Take a design to resources, a clock and a bitstream with the open tools."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import Bnn2hwError, DoesNotFitError, InputError, TimingError, ToolError, storing
from bnn2hw.progress import Progress, silent
from bnn2hw.synthesis import fit, toolchains, usage
from bnn2hw.synthesis.lut_roms import fill_luts
from bnn2hw.synthesis.netlist import rewrite
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import families
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Family
from bnn2hw.workers import HERE, Pool

NETLIST = "netlist.json"
"""File of the mapped netlist, in Yosys' JSON."""

STOP = "halfway.json"
"""File of the design before its memories and logic are mapped, in Yosys' JSON."""


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
    pool: Pool = HERE,
    progress: Progress = silent,
) -> Usage:
    """Map, place, route and pack a design. If open tools cannot place for the device, map it only.

    Args:
        design: Sources. If they are placed, the top has real pins (`bnn2hw.deploy.serial_shell`).
        device: Device that the design must fit.
        folder: Takes sources, netlist, bitstream and the log of each tool.
        placement: Package, pins and clock.
        seeds: Seeds of the placer. All are tried, and the fastest result is packed.
        pool: Where the seeds are placed and routed.
        progress: Called at the start of each step.

    Raises:
        DoesNotFitError: The design does not fit; the message says by how much.
        TimingError: No seed reached a clock that must be reached.
        MissingToolError: A tool is not installed.
        ToolError: A tool failed, or ended without its result.
        InputError: There is no open flow for this device, or no seed.
        LinkError: The scheduler of the pool does not answer.
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
    return _routed(used, device, folder, placement, seeds, pool, progress) if routable else used


def _routed(
    used: Usage,
    device: Device,
    folder: Path,
    placement: Placement,
    seeds: Sequence[int],
    pool: Pool,
    progress: Progress,
) -> Usage:
    """Place and route with each seed, and pack the fastest result."""
    goal = placement.clock_mhz or device.clock_mhz
    order = {seed: -i for i, seed in enumerate(seeds)}
    found: dict[int, Trial] = {}
    progress(f"placing and routing, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}")
    for trial in pool.results(Placer.of(device, placement, folder), seeds):
        found[trial.seed] = replace(trial, files={})
        best = max(found.values(), key=lambda t: (t.clock_mhz, order[t.seed]))
        trial.keep(folder, fastest=best.seed == trial.seed)
        progress(f"seed {trial.seed} ({len(found)} of {len(seeds)}): {trial.clock_mhz:.1f} MHz")
    clocks = {seed: found[seed].clock_mhz for seed in seeds}
    seconds = {**used.seconds, **{f"route, seed {seed}": found[seed].seconds for seed in seeds}}
    reached = max(clocks.values())
    used = replace(used, fmax_mhz=reached, clock_mhz=goal, seeds=clocks, seconds=seconds)
    if placement.clock_must and reached < goal:
        raise TimingError(
            f"the clock of {goal:g} MHz is not reached: {reached:.1f} MHz is the best of {len(clocks)} seeds; "
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
    for name in [*results, NETLIST, "timing.json"]:
        (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Trial:
    """A design that was placed and routed with one seed.

    Attributes:
        seed: The seed.
        log: What nextpnr printed.
        clock_mhz: The clock that it reached; 0 if it failed.
        seconds: Time that it took.
        files: By name, the files that it made.
        failure: Why it failed; None if it did not.
    """

    seed: int
    log: str
    clock_mhz: float = 0.0
    seconds: float = 0.0
    files: Mapping[str, bytes] = field(default_factory=dict)
    failure: Bnn2hwError | None = None

    def keep(self, folder: Path, *, fastest: bool) -> None:
        """Write the log into a folder, and the files if they are those of the fastest trial.

        Raises:
            Bnn2hwError: The reason why it failed.
        """
        (folder / f"nextpnr.seed{self.seed}.log").write_text(self.log)
        if self.failure:
            raise self.failure
        for name, data in self.files.items() if fastest else ():
            (folder / name).write_bytes(data)


@dataclass(frozen=True)
class Placer:
    """Places and routes a netlist, with any seed and on any machine.

    Attributes:
        device: Device to place for.
        placement: Package, pins and clock.
        files: By name, what nextpnr reads: the netlist and perhaps the constraints.
        home: Folder of the synthesis, for messages.
    """

    device: Device
    placement: Placement
    files: Mapping[str, bytes]
    home: Path

    @classmethod
    def of(cls, device: Device, placement: Placement, folder: Path) -> Placer:
        """Return the placer of the netlist in a folder."""
        names = [NETLIST, *([placement.constraints] if placement.constraints else [])]
        return cls(device, placement, {name: (folder / name).read_bytes() for name in names}, folder)

    def __call__(self, seed: int) -> Trial:
        """Place and route with a seed, in a temporary folder."""
        with (
            storing(tempfile.gettempdir()),
            tempfile.TemporaryDirectory(prefix="bnn2hw-") as name,
        ):
            for file, data in self.files.items():
                (Path(name) / file).write_bytes(data)
            return self._tried(seed, Path(name))

    def _tried(self, seed: int, folder: Path) -> Trial:
        log, started = folder / "log", time.perf_counter()
        _, made = toolchains.router(self.device)[0].result
        try:
            tools.run(self._command(seed), folder, "nextpnr", log)
            _check_made(folder / made, "nextpnr", self.home / f"nextpnr.seed{seed}.log")
        except ToolError as error:
            text = log.read_text() if log.is_file() else ""
            return Trial(seed, text, failure=self._reason(text, error))
        return Trial(
            seed,
            log.read_text(),
            usage.clock(folder / "timing.json"),
            time.perf_counter() - started,
            {n: (folder / n).read_bytes() for n in (made, "timing.json")},
        )

    def _command(self, seed: int) -> list[str]:
        router, part = toolchains.router(self.device)
        option, made = router.result
        goal = self.placement.clock_mhz or self.device.clock_mhz
        command = [*tools.nextpnr(router.architecture).start, *part.arguments]
        command += [*(self.placement.package or part.package), *router.arguments]
        command += ["--json", NETLIST, option, made, "--report", "timing.json"]
        command += ["--freq", f"{goal:g}", "--timing-allow-fail", "--seed", str(seed)]
        if self.placement.constraints:
            command += [a.format(file=self.placement.constraints) for a in router.constraints]
        return command

    def _reason(self, log: str, error: ToolError) -> Bnn2hwError:
        """Return why nextpnr failed: for lack of space, or as it says itself."""
        try:
            fit.check_placed(log, self.device)
        except DoesNotFitError as lack:
            return lack
        return error


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
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in design.files.items():
        (folder / name).write_text(text)
    sources = " ".join(name for name in design.files if name.endswith(".sv"))
    return _run_script(folder, [f"read_verilog -sv {sources}", *passes], makes)


def as_verilog(netlist: Path) -> Path:
    """Write a netlist in Yosys' JSON beside it in Verilog, and return its path.

    Raises:
        MissingToolError: Yosys is not installed.
        ToolError: Yosys failed.
    """
    made = netlist.with_suffix(".v").name
    return _run_script(netlist.parent, [f"read_json {netlist.name}", f"write_verilog -noattr {made}"], made)


def _run_script(folder: Path, script: Sequence[str], makes: str) -> Path:
    """Let Yosys run commands in a folder, and return the path of the file that they must write."""
    yosys = tools.yosys()
    (folder / "yosys.ys").write_text("\n".join([*script, ""]))
    return _make(folder, makes, [*yosys.start, "yosys.ys"], "Yosys")


def _make(folder: Path, makes: str, command: Sequence[str], what: str) -> Path:
    """Run a tool that must write a file, and return the path of the file.

    An exit status of 0 is no proof: ABC, which runs inside Yosys, may end without a netlist and
    without a message.
    """
    made, log = folder / makes, folder / f"{what.lower()}.log"
    made.unlink(missing_ok=True)
    tools.run(command, folder, what, log)
    _check_made(made, what, log)
    return made


def _check_made(made: Path, what: str, log: Path) -> None:
    """Raise if a tool did not write its file, and name its log."""
    if not made.is_file() or not made.stat().st_size:
        raise ToolError(f"{what} ended without an error but wrote no {made.name}; its log is {log}")


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
    first, *rest = toolchains.scripts(mapper, design.files)
    if rest and mapper.lut_roms:
        stop = run_yosys(design, folder, [*passes, *first, f"write_json {STOP}"], STOP)
        rewrite(stop, partial(fill_luts, words=mapper.lut_roms.words))
        netlist = _run_script(folder, [f"read_json {STOP}", *rest[0], *then], NETLIST)
    else:
        netlist = run_yosys(design, folder, [*passes, *first, *then], NETLIST)
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
