"""Device families, devices and boards: pure data."""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.errors import InputError


@dataclass(frozen=True, eq=False)
class Family:
    """What the cost models need to know of a device family. Each stands for itself: costs are kept by it.

    Attributes:
        name: by which flows and templates know it.
        lut_inputs: of its largest LUT that stands alone.
        bram_shapes: (depth, width) configurations of one block RAM.
        bram_weight: bits of a memory from which Yosys takes a block RAM for them.
        lutram_shapes: (depth, width) of one distributed RAM; none where the family has no such.
        lutram_luts: the LUTs that one takes.
        adder_bits: bits of a sum that a cell of the carry chain makes, in as many LUTs.
        dsp_bits: widths of the operands of a DSP block, the wider first.
        dsp_parts: bits of an operand that each of several blocks side by side takes.
        dsp_from: bits of the narrower operand, and of both together, from which Yosys makes a product in DSP blocks.
        dsp_registers: whether Yosys puts the registers around a product into the DSP block.
        bram_readers: ports of a block RAM that read.
        bram_registers: whether our flow uses the output registers of its block RAMs.
        bram_share: block RAMs that go by one register of their address; our flow copies it for more. None: all do.
    """

    name: str
    lut_inputs: int
    bram_shapes: tuple[tuple[int, int], ...]
    bram_weight: int
    lutram_shapes: tuple[tuple[int, int], ...] = ()
    lutram_luts: int = 0
    adder_bits: int = 1
    dsp_bits: tuple[int, int] = (18, 18)
    dsp_parts: int = 18
    dsp_from: tuple[int, int] = (2, 4)
    dsp_registers: bool = False
    bram_readers: int = 2
    bram_registers: bool = False
    bram_share: int | None = None


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


_OF_18_KBIT = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
ECP5 = Family(
    "ecp5",
    lut_inputs=4,
    bram_shapes=_OF_18_KBIT,
    bram_weight=128,
    lutram_shapes=((16, 4),),
    lutram_luts=6,
    adder_bits=2,
    bram_registers=True,
    bram_share=4,
)
ICE40 = Family(
    "ice40",
    lut_inputs=4,
    bram_shapes=((2048, 2), (1024, 4), (512, 8), (256, 16)),
    bram_weight=64,
    dsp_bits=(16, 16),
    dsp_parts=16,
    dsp_from=(2, 11),
    dsp_registers=True,
    bram_readers=1,
)
GOWIN = Family(
    "gowin",
    lut_inputs=4,
    bram_shapes=_OF_18_KBIT,
    bram_weight=128,
    lutram_shapes=((16, 4),),
    lutram_luts=8,
    dsp_from=(4, 8),
)
XILINX = Family(
    "xilinx",
    lut_inputs=6,
    bram_shapes=_OF_18_KBIT,
    bram_weight=65,
    lutram_shapes=((32, 6), (64, 3)),
    lutram_luts=4,
    dsp_bits=(25, 18),
    dsp_parts=17,  # of signed operands
    dsp_from=(2, 9),
    dsp_registers=True,
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


@dataclass(frozen=True)
class Board:
    """A board with a serial line to a host, as far as the shell needs to know it.

    Attributes:
        name: by which users ask for it.
        title: what its maker calls it.
        device: the part on it.
        package: the part's package and speed grade, in the words of the place-and-route tool.
        oscillator_mhz: what drives the clock pin.
        clock_mhz: what the accelerator runs at unless a user asks for another clock.
        baud: of the serial line, in bits per second.
        clock, rx, tx, led: pins; rx carries data from the host, tx data to it.
        led_active_low: whether the LED is lit by a 0.
        led_io: electrical standard of the LED's pin; that of all others is LVCMOS33.
        clock_on_pll: of an iCE40: whether the oscillator's pin is that of the PLL.
        held_high: pins that must be driven to 1, by name.
        memory: what else is on the board, which the shell does not use.
        program: the command that loads a bitstream, whose path follows.
    """

    name: str
    title: str
    device: Device
    package: tuple[str, ...]
    oscillator_mhz: float
    clock_mhz: float
    baud: int
    clock: str
    rx: str
    tx: str
    led: str
    led_active_low: bool
    program: str
    memory: str = ""
    led_io: str = "LVCMOS33"
    clock_on_pll: bool = True
    held_high: tuple[tuple[str, str], ...] = ()


# Pins and oscillators: LiteX-Boards' radiona_ulx3s.py, lambdaconcept_ecpix5.py, gsd_orangecrab.py,
# sipeed_tang_nano_9k.py, sipeed_tang_nano_20k.py; the makers' ulx3s_v20.lpf (also wifi_gpio0) and icebreaker.pcf;
# for the HX8K board PicoSoC's hx8kdemo.pcf (clock, LED), and for its FTDI's serial line public .pcf files that agree.
BOARDS: dict[str, Board] = {
    b.name: b
    for b in (
        Board(
            "ulx3s",
            "Radiona ULX3S 85F",
            DEVICES["ecp5-85k"],
            ("--package", "CABGA381", "--speed", "6"),
            oscillator_mhz=25,
            clock_mhz=75,
            baud=1_000_000,
            clock="G2",
            rx="M1",
            tx="L4",
            led="B2",
            led_active_low=False,
            held_high=(("wifi_gpio0", "L2"),),  # or the ESP32 may take the board over
            memory="32 MB SDRAM, 16 MB flash",
            program="openFPGALoader -b ulx3s",
        ),
        Board(
            "ecpix5",
            "LambdaConcept ECPIX-5 85F",
            DEVICES["ecp5-85k"],
            ("--package", "CABGA554", "--speed", "8"),
            oscillator_mhz=100,
            clock_mhz=75,
            baud=1_000_000,
            clock="K23",
            rx="R26",
            tx="R24",
            led="R23",
            led_active_low=True,
            memory="512 MB DDR3, 32 MB flash",
            program="openFPGALoader -b ecpix5",
        ),
        Board(
            "orangecrab",
            "OrangeCrab r0.2 25F",
            DEVICES["ecp5-25k"],
            ("--package", "CSFBGA285", "--speed", "8"),
            oscillator_mhz=48,
            clock_mhz=48,
            baud=1_000_000,
            clock="A9",
            rx="N17",  # pins 0 and 1 of the header, for a USB bridge of one's own
            tx="M18",
            led="M3",
            led_active_low=True,
            memory="128 MB DDR3, 16 MB flash",
            program="openFPGALoader -b orangeCrab",
        ),
        Board(
            "icebreaker",
            "1BitSquared iCEBreaker",
            DEVICES["ice40-up5k"],
            ("--package", "sg48"),
            oscillator_mhz=12,
            clock_mhz=24,
            baud=1_000_000,
            clock="35",
            rx="6",
            tx="9",
            led="37",
            led_active_low=True,
            memory="16 MB flash",
            program="iceprog",
        ),
        Board(
            "hx8k-evb",
            "Lattice iCE40HX-8K breakout board",
            DEVICES["ice40-hx8k"],
            ("--package", "ct256"),
            oscillator_mhz=12,
            clock_mhz=36,
            baud=1_000_000,
            clock="J3",
            clock_on_pll=False,
            rx="B10",
            tx="B12",
            led="B5",
            led_active_low=False,
            memory="4 MB flash",
            program="iceprog",
        ),
        Board(
            "tangnano9k",
            "Sipeed Tang Nano 9K",
            DEVICES["gw1nr-9"],
            ("--device", "GW1NR-LV9QN88PC6/I5"),
            oscillator_mhz=27,
            clock_mhz=54,
            baud=1_000_000,
            clock="52",
            rx="18",
            tx="17",
            led="10",
            led_io="LVCMOS18",
            led_active_low=True,
            memory="8 MB PSRAM in the package, 4 MB flash",
            program="openFPGALoader -b tangnano9k",
        ),
        Board(
            "tangnano20k",
            "Sipeed Tang Nano 20K",
            DEVICES["gw2ar-18"],
            ("--device", "GW2AR-LV18QN88C8/I7"),
            oscillator_mhz=27,
            clock_mhz=54,
            baud=1_000_000,
            clock="4",
            rx="70",
            tx="69",
            led="15",
            led_active_low=True,
            memory="8 MB SDRAM in the package, 8 MB flash",
            program="openFPGALoader -b tangnano20k",
        ),
    )
}


def board(name: str) -> Board:
    """The board of that name.

    Raises:
        InputError: there is none.
    """
    if name not in BOARDS:
        raise InputError(f"unknown board '{name}'; known boards: {', '.join(BOARDS)}")
    return BOARDS[name]
