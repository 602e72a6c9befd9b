"""Design to resources, clock and bitstream with the open tools, each in a process of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.boards import Device, Family
from bnn2hw.errors import FoldingError, InputError, ToolError
from bnn2hw.netlist import absorb_output_registers

Progress = Callable[[str], None]
Takes = Mapping[str, int]


@dataclass(frozen=True)
class Flow:
    """How Yosys maps to a family, and what each cell (a pattern of names) takes of a resource."""

    command: str
    lut: Takes
    ff: str
    bram: Takes
    dsp: Takes


FLOWS = {
    # LUTs wider than four are two to eight LUT4s each, which the mapper spends to save levels; without them designs are
    # a sixth to two fifths smaller. A CCU2C takes the two LUTs of a slice; a 16×4 RAM four, and two for its write port.
    "ecp5": Flow(
        "synth_ecp5 -nowidelut -json netlist.json",
        lut={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        ff="TRELLIS_FF",
        bram={"DP16KD|PDPW16KD": 1},
        dsp={"MULT18X18D": 1},
    ),
    # Vendor's place and route packs two small LUTs into one, and inverters away: this is an upper bound. The proof of
    # each mapping step by SAT takes minutes on popcounts.
    "xilinx": Flow(
        "scratchpad -set abc9.verify 0; synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -json netlist.json",
        lut={
            "LUT[1-6]|INV|SRL16E|SRLC32E|RAM(32|64)X1S": 1,
            "RAM(32|64)X1D|RAM128X1S": 2,
            "RAM(32|64)M|RAM128X1D|RAM256X1S": 4,
        },
        ff="FD[RSCP]E",
        bram={"RAMB18E1": 1, "RAMB36E1": 2},
        dsp={"DSP48E1": 1},
    ),
}

PARTS = {"ecp5-25k": "--25k", "ecp5-45k": "--45k", "ecp5-85k": "--85k"}
"""What nextpnr calls the devices for which a bitstream can be made."""
PACKAGE = ("--package", "CABGA381", "--speed", "6")
PINS = 190
"""Pins that every device has in this package, with some to spare."""


@dataclass(frozen=True)
class Usage:
    """What synthesis made of a design.

    Attributes:
        lut: LUTs of the family's size, those in carry chains and distributed RAM included.
        ff: flip-flops.
        bram: block RAMs of the size that the family's `bram_shapes` describe.
        dsp: DSP blocks.
        cells: netlist cells by type.
        fmax_mhz: clock that place and route reached; None where only the area was asked for.
        bitstream: the packed bitstream, where a packer was run.
    """

    lut: int
    ff: int
    bram: int
    dsp: int
    cells: Mapping[str, int]
    fmax_mhz: float | None = None
    bitstream: Path | None = None


def synthesize(
    design: Design, device: Device, folder: Path, *, seed: int = 1, progress: Progress = lambda _: None
) -> Usage:
    """Map, place, route and pack a design; for families without an open place and route, map it only.

    The streams' pins are placed wherever it suits the router, so the bitstream is one to measure with, not one for a
    board.

    Args:
        design: what the backend rendered.
        device: what it is to fit.
        folder: takes sources, netlist, bitstream and the log of each tool.
        seed: of the placement.
        progress: told what is being done.

    Raises:
        InputError: there is no open flow for this device, or it has fewer pins than the streams have wires.
        FoldingError: the design does not fit; the message says by how much.
        MissingToolError: a tool is not installed.
        ToolError: a tool failed, or ended without its result.
    """
    if device.name in PARTS:
        _check_pins(design, device)
    progress("mapping to the cells of the device")
    usage = area(design, device.family, folder)
    _check_fit(usage, device)
    if device.name not in PARTS:
        return usage
    progress("placing and routing")
    route = ["--json", "netlist.json", "--textcfg", "routed.config", "--report", "timing.json"]
    goal = ["--freq", f"{device.clock_mhz:g}", "--timing-allow-fail", "--lpf-allow-unconstrained"]
    nextpnr = [*tools.nextpnr("ecp5").start, PARTS[device.name], *PACKAGE, *route, *goal, "--seed", str(seed)]
    _make(folder, "routed.config", nextpnr, "nextpnr")
    progress("packing the bitstream")
    packer = [*tools.packer("ecppack").start, "--compress", "routed.config", "design.bit"]
    bitstream = _make(folder, "design.bit", packer, "ecppack")
    return replace(usage, fmax_mhz=_clock(folder / "timing.json"), bitstream=bitstream)


def _check_pins(design: Design, device: Device) -> None:
    pins = 8 * (design.input.bytes + design.output.bytes) + 9
    if pins > PINS:
        raise InputError(
            f"the streams have {pins} wires and {device.name} {PINS} pins; compile with fewer fps"
        )


def _check_fit(usage: Usage, device: Device) -> None:
    over = [
        f"{getattr(usage, name):,} {name.upper()} of {getattr(device, name):,}"
        for name in ("lut", "ff", "bram", "dsp")
        if getattr(usage, name) > getattr(device, name)
    ]
    if over:
        raise FoldingError(
            f"the design needs {' and '.join(over)} of {device.name}; ask for fewer fps, or choose a larger target"
        )


def _clock(report: Path) -> float:
    """The clock that the slowest path allows, in MHz."""
    clocks = json.loads(report.read_text())["fmax"] if report.is_file() else {}
    if not clocks:
        raise ToolError(f"nextpnr ended without an error but reported no clock in {report}")
    return min(float(c["achieved"]) for c in clocks.values())


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


def _make(folder: Path, makes: str, command: Sequence[str], what: str) -> Path:
    """Run a tool that has to write a file.

    An exit status of 0 is no proof: ABC, inside of Yosys, has been seen to end without a netlist and without a word.
    """
    made, log = folder / makes, folder / f"{what.lower()}.log"
    made.unlink(missing_ok=True)
    tools.run(command, folder, what, log)
    if not made.is_file() or not made.stat().st_size:
        raise ToolError(f"{what} ended without an error but wrote no {makes}; its log is {log}")
    return made


def area(design: Design, family: Family, folder: Path, *, only: str | None = None) -> Usage:
    """Map a design to the cells of a family.

    Args:
        design: what the backend rendered.
        family: one that `FLOWS` names.
        folder: takes sources, netlist and logs.
        only: a module of the design that is to be mapped alone, instead of the whole.

    Raises:
        InputError: there is no open flow for this family.
        MissingToolError: no Yosys is installed.
        ToolError: Yosys failed, or left an empty netlist.
    """
    if family.name not in FLOWS:
        raise InputError(f"no synthesis for the family '{family.name}'; there is one for {', '.join(FLOWS)}")
    flow = FLOWS[family.name]
    passes = [f"hierarchy -top {design.top}"]
    if only:
        # Its parameters are settled by now; the first root that is left becomes the top.
        passes += [f"delete {design.top} *bnn2hw_frame*", f"select -assert-any *{only}*"]
        passes += ["select -clear"]
    passes += [*flow.command.split("; "), "tee -q -o area.json stat -json"]
    report = json.loads(run_yosys(design, folder, passes, "area.json").read_text())
    cells = {k: int(n) for k, n in report["design"]["num_cells_by_type"].items() if not k.startswith("$")}
    if not cells:
        raise ToolError(
            f"Yosys ended without an error but its netlist is empty; its log is {folder / 'yosys.log'}"
        )
    if family.name == "ecp5":
        cells[flow.ff] = cells.get(flow.ff, 0) - absorb_output_registers(folder / "netlist.json")
    return _usage(flow, cells)


def _usage(flow: Flow, cells: Mapping[str, int]) -> Usage:
    def total(takes: Takes) -> int:
        return sum(
            each * count
            for cell, count in cells.items()
            for name, each in takes.items()
            if re.fullmatch(name, cell)
        )

    return Usage(total(flow.lut), total({flow.ff: 1}), total(flow.bram), total(flow.dsp), cells)
