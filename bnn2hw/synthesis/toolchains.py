"""What the open tools are told for each device family, what is done to their netlists, and how cells are counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bnn2hw.synthesis.ecp5_output_registers import absorb_output_registers
from bnn2hw.synthesis.ecp5_register_copies import spread_registers
from bnn2hw.synthesis.netlist import Pass, ice40_kinds, kinds
from bnn2hw.targets.boards import ECP5, Device

Takes = Mapping[str, int]


@dataclass(frozen=True)
class Mapper:
    """How Yosys maps to a family, and what each cell (a pattern of names) takes of a resource.

    Attributes:
        command: passes of Yosys that write netlist.json.
        lut, bram, dsp: how much of each the cells take.
        ff, carry: the cells that are counted as such.
        models: the file of the family's cells for simulation, in Yosys' own share.
        then: what is done to each module of the netlist, in this order.
        kinds: what the cells of a module are counted as, by name.
    """

    command: str
    lut: Takes
    ff: str
    carry: str
    bram: Takes
    dsp: Takes
    models: str
    then: tuple[Pass, ...] = ()
    kinds: Callable[[Mapping[str, Any]], dict[str, str]] = kinds


@dataclass(frozen=True)
class Router:
    """How nextpnr places and routes for a family, and what packs its result.

    Attributes:
        architecture: nextpnr's name of it.
        result: the option that names the result, and its file.
        constraints: the option that names the constraints, and the suffix of their file.
        arguments: further ones.
        packer: the program that packs.
        pack: its arguments; {part} stands for the part's name as it knows it.
        bitstream: what it writes.
        logic: nextpnr's name of the cells of logic, where those are what a design runs out of.
    """

    architecture: str
    result: tuple[str, str]
    constraints: tuple[str, str]
    arguments: tuple[str, ...]
    packer: str
    pack: tuple[str, ...]
    bitstream: str
    logic: str


@dataclass(frozen=True)
class Part:
    """What the tools call a device.

    Attributes:
        arguments: by which nextpnr knows it.
        package: the same for package and speed, where no board says otherwise.
        packed_as: what the packer calls it.
        pins: a clock pin and two others, where nextpnr places no pin by itself.
    """

    arguments: tuple[str, ...]
    package: tuple[str, ...]
    packed_as: str = ""
    pins: tuple[str, ...] = ()


MAPPERS = {
    # LUTs wider than four are two to eight LUT4s each, which the mapper spends to save levels; without them designs are
    # a sixth to two fifths smaller. A CCU2C takes the two LUTs of a slice; a 16×4 RAM four, and two for its write port.
    "ecp5": Mapper(
        "synth_ecp5 -nowidelut -json netlist.json",
        lut={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        ff="TRELLIS_FF",
        carry="CCU2C",
        bram={"DP16KD|PDPW16KD": 1},
        dsp={"MULT18X18D": 1},
        models="ecp5/cells_sim.v",
        then=(absorb_output_registers, partial(spread_registers, share=ECP5.bram_share or 0)),
    ),
    # The eight cells of a tile share their clock enable, so that a flip-flop with one of its own leaves seven idle.
    "ice40": Mapper(
        "synth_ice40 -dsp -dffe_min_ce_use 4 -json netlist.json",
        lut={"SB_LUT4|SB_CARRY alone": 1},
        ff="SB_DFF[A-Z]*",
        carry="SB_CARRY( alone)?",
        bram={"SB_RAM40_4K[A-Z]*": 1},
        dsp={"SB_MAC16": 1},
        models="ice40/cells_sim.v",
        kinds=ice40_kinds,
    ),
    "gowin": Mapper(
        "synth_gowin -nowidelut -json netlist.json",
        lut={"LUT[1-4]": 1, "ALU": 1, "RAM16SDP4": 8},
        ff="DFF[A-Z]*",
        carry="ALU",
        bram={"(SDP|DP|SP|pROM)[BX9]*": 1},
        dsp={"MULT[A-Z0-9]+": 1},
        models="gowin/cells_sim.v",
    ),
    # Vendor's place and route packs two small LUTs into one, and inverters away: this is an upper bound. The proof of
    # each mapping step by SAT takes minutes on popcounts.
    "xilinx": Mapper(
        "scratchpad -set abc9.verify 0; synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -json netlist.json",
        lut={
            "LUT[1-6]|INV|SRL16E|SRLC32E|RAM(32|64)X1S": 1,
            "RAM(32|64)X1D|RAM128X1S": 2,
            "RAM(32|64)M|RAM128X1D|RAM256X1S": 4,
        },
        ff="FD[RSCP]E",
        carry="CARRY4",
        bram={"RAMB18E1": 1, "RAMB36E1": 2},
        dsp={"DSP48E1": 1},
        models="xilinx/cells_sim.v",
    ),
}

ROUTERS = {
    # Large designs are as slow as their longest wires, so the placer is told to care for these more than by itself.
    "ecp5": Router(
        "ecp5",
        ("--textcfg", "routed.config"),
        ("--lpf", ".lpf"),
        ("--lpf-allow-unconstrained", "--placer-heap-timingweight", "40"),
        "ecppack",
        ("--compress", "routed.config", "design.bit"),
        "design.bit",
        "TRELLIS_COMB",
    ),
    "ice40": Router(
        "ice40",
        ("--asc", "routed.asc"),
        ("--pcf", ".pcf"),
        ("--pcf-allow-unconstrained",),
        "icepack",
        ("routed.asc", "design.bin"),
        "design.bin",
        "ICESTORM_LC",
    ),
    "gowin": Router(
        "himbaechel-gowin",
        ("--write", "routed.json"),
        ("--vopt", ".cst"),
        (),
        "gowin_pack",
        ("-d", "{part}", "-o", "design.fs", "routed.json"),
        "design.fs",
        "LUT4",
    ),
}

PARTS = {
    "ecp5-25k": Part(("--25k",), ("--package", "CABGA381", "--speed", "6")),
    "ecp5-45k": Part(("--45k",), ("--package", "CABGA381", "--speed", "6")),
    "ecp5-85k": Part(("--85k",), ("--package", "CABGA381", "--speed", "6")),
    "ice40-up5k": Part(("--up5k",), ("--package", "sg48")),
    "ice40-hx8k": Part(("--hx8k",), ("--package", "ct256")),
    "gw1nr-9": Part(
        ("--vopt", "family=GW1N-9C"), ("--device", "GW1NR-LV9QN88PC6/I5"), "GW1N-9C", ("52", "18", "17")
    ),
    "gw2ar-18": Part(
        ("--vopt", "family=GW2A-18C"), ("--device", "GW2AR-LV18QN88C8/I7"), "GW2A-18C", ("4", "70", "69")
    ),
}
"""The devices for which a bitstream can be made."""


def total(takes: Takes, cells: Mapping[str, int]) -> int:
    """How much of a resource some cells take."""
    return sum(
        each * count
        for cell, count in cells.items()
        for name, each in takes.items()
        if re.fullmatch(name, cell)
    )


def routable(device: Device) -> bool:
    """Whether place and route is open for a device."""
    return device.name in PARTS
