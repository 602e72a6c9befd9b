"""Device families, devices and boards: pure data."""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.errors import InputError


@dataclass(frozen=True)
class Family:
    """What the cost models need to know of a device family.

    `bram_shapes` are the (depth, width) configurations of one block RAM; `lutram_shapes` those of one
    distributed RAM, none where the family has no such, and `lutram_luts` the LUTs that it takes.
    """

    name: str
    lut_inputs: int
    bram_shapes: tuple[tuple[int, int], ...]
    lutram_shapes: tuple[tuple[int, int], ...]
    lutram_luts: int


@dataclass(frozen=True)
class Device:
    """Capacity of one part, and the clock that designs are planned for (MHz)."""

    name: str
    family: Family
    lut: int
    ff: int
    bram: int
    dsp: int
    clock_mhz: float


ECP5 = Family("ecp5", 4, ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)), ((16, 4),), 6)
ICE40 = Family("ice40", 4, ((2048, 2), (1024, 4), (512, 8), (256, 16)), (), 0)
GOWIN = Family(
    "gowin", 4, ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)), ((16, 4),), 8
)
XILINX = Family(
    "xilinx", 6, ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)), ((32, 6), (64, 3)), 4
)

# Capacities from the vendors' product tables: Lattice FPGA-DS-02012 (ECP5) and FPGA-DS-02008 (iCE40 UltraPlus),
# Gowin DS117 (GW1NR) and DS226 (GW2AR), AMD DS180 (7 series), DS891 (Zynq UltraScale+) and DS962 (Alveo U250, without
# its UltraRAM). Block RAMs of 18 kbit.
DEVICES: dict[str, Device] = {
    d.name: d
    for d in (
        Device("ecp5-25k", ECP5, 24288, 24288, 56, 28, 100.0),
        Device("ecp5-45k", ECP5, 43848, 43848, 108, 72, 100.0),
        Device("ecp5-85k", ECP5, 83640, 83640, 208, 156, 100.0),
        Device("ice40-up5k", ICE40, 5280, 5280, 30, 8, 24.0),
        Device("ice40-hx8k", ICE40, 7680, 7680, 32, 0, 50.0),
        Device("gw1nr-9", GOWIN, 8640, 6480, 26, 20, 50.0),
        Device("gw2ar-18", GOWIN, 20736, 15552, 46, 48, 60.0),
        Device("xc7z020", XILINX, 53200, 106400, 280, 220, 100.0),
        Device("xc7z045", XILINX, 218600, 437200, 1090, 900, 200.0),
        Device("xczu5ev", XILINX, 117120, 234240, 288, 1248, 200.0),
        Device("xcu250", XILINX, 1728000, 3456000, 5376, 12288, 200.0),
    )
}
DEFAULT_DEVICE = "ecp5-85k"


def device(name: str) -> Device:
    """The device of that name.

    Raises:
        InputError: there is none.
    """
    if name not in DEVICES:
        raise InputError(f"unknown target '{name}'; known targets: {', '.join(DEVICES)}")
    return DEVICES[name]
