"""Our models of block RAMs, each alone, and what models of blocks refuse: they answer what the makers' documents say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support import cells
from tests.synthesis.test_dsp_models import CONTROLS

CYCLES = 3000


class Ram:
    """A block RAM in plain Python: bytes of nine bits, in two ports that read and write by the table of UG473.

    A value that no document promises is None.
    """

    def __init__(self, init: int, parity: int, count: int) -> None:
        self.bytes = [(init >> 8 * k & 0xFF) | (parity >> k & 1) << 8 for k in range(count)]

    def places(self, width: int, address: int) -> list[tuple[int, int]]:
        """Byte and bit of each bit of a port, for an address that counts bits."""
        if width < 9:
            first = address // width * width
            return [((first + i) // 8, (first + i) % 8) for i in range(width)]
        first = address // 8 // (width // 9) * (width // 9)
        return [(first + i // 9, i % 9) for i in range(width)]

    def read(self, width: int, address: int) -> int:
        return sum((self.bytes[k] >> i & 1) << n for n, (k, i) in enumerate(self.places(width, address)))

    def write(self, width: int, address: int, value: int, enables: int) -> None:
        for n, (k, i) in enumerate(self.places(width, address)):
            if enables >> n // 9 & 1:
                self.bytes[k] = self.bytes[k] & ~(1 << i) | (value >> n & 1) << i


class Port:
    """One port: its widths, its mode and its output."""

    def __init__(self, reads: int, writes: int, mode: str) -> None:
        self.reads, self.writes, self.mode = reads, writes, mode
        self.out: int | None = 0
        self.held: int | None = 0

    def answer(self, before: Ram, after: Ram, address: int, *, wrote: bool) -> None:
        """Take a value to the output latch."""
        if not self.reads:
            return
        if not wrote or self.mode == "old":
            self.out = before.read(self.reads, address)
        elif self.mode == "new":
            self.out = after.read(self.reads, address)
        elif self.mode == "none":
            self.out = None


def step(ram: Ram, ports: list[Port], pins: list[tuple[int, int, int, int]], *, old_for_others: bool) -> None:
    """Give both ports a clock; `pins` are enable, address, value and byte enables."""
    before = Ram(0, 0, 0)
    before.bytes = ram.bytes.copy()
    wrote = [bool(p.writes and e and b) for p, (e, _, _, b) in zip(ports, pins, strict=True)]
    for port, w, (_, address, value, enables) in zip(ports, wrote, pins, strict=True):
        if w:
            ram.write(port.writes, address, value, enables)
    for own, other in ((0, 1), (1, 0)):
        enable, address, _, _ = pins[own]
        if not enable:
            continue
        port, there = ports[own], ports[other]
        port.answer(before, ram, address, wrote=wrote[own])
        promised = old_for_others and there.mode == "old"
        if wrote[other] and not promised and port.reads:
            touched = {
                place
                for n, place in enumerate(ram.places(there.writes, pins[other][1]))
                if pins[other][3] >> n // 9 & 1
            }
            if touched & set(ram.places(port.reads, address)):
                port.out = None


def same(found: int, wanted: int | None) -> bool:
    return wanted is None or found == wanted


def check(results: list[tuple[int, int | None]], what: object) -> None:
    wrong = [(n, hex(f), w) for n, (f, w) in enumerate(results) if not same(f, w)]
    assert not wrong, (what, wrong[:5])
    known = {w for _, w in results if w is not None}
    assert sum(w is not None for _, w in results) > len(results) / 2
    assert len(known) > 1


MODES = {"NORMAL": "keep", "WRITETHROUGH": "new", "READBEFOREWRITE": "old"}


def ecp5_mode(width: int, mode: str) -> str:
    return "none" if MODES[mode] == "old" and width < 9 else MODES[mode]


DP16KD = [
    (1, 1, "READBEFOREWRITE", "READBEFOREWRITE", "NOREG", "OUTREG"),
    (2, 9, "READBEFOREWRITE", "NORMAL", "NOREG", "NOREG"),
    (4, 4, "NORMAL", "READBEFOREWRITE", "OUTREG", "NOREG"),
    (9, 18, "READBEFOREWRITE", "WRITETHROUGH", "OUTREG", "OUTREG"),
    (18, 18, "WRITETHROUGH", "NORMAL", "NOREG", "NOREG"),
    (18, 2, "READBEFOREWRITE", "READBEFOREWRITE", "NOREG", "OUTREG"),
]


def test_dp16kd(tmp_path: Path) -> None:
    rng = random.Random(1)
    ram_bits = [rng.getrandbits(8 * 2048), rng.getrandbits(2048)]
    first = Ram(*ram_bits, 2048)
    values = {}
    for block in range(64):
        pairs = [first.bytes[32 * block + i] for i in range(32)]
        value = sum(byte << 20 * (i // 2) + 9 * (i % 2) for i, byte in enumerate(pairs))
        values[f"INITVAL_{block:02X}"] = f"320'h{value:x}"
    instances = [
        values
        | {"DATA_WIDTH_A": a, "DATA_WIDTH_B": b, "WRITEMODE_A": ma, "WRITEMODE_B": mb}
        | {"REGMODE_A": ra, "REGMODE_B": rb}
        for a, b, ma, mb, ra, rb in DP16KD
    ]
    # Ports of one bit have names without a number, so they are pins of buses of their own kind.
    names = {"ADA": 14, "DIA": 18, "ADB": 14, "DIB": 18, "CSA": 3, "CSB": 3}
    single = ("CEA", "CEB", "OCEA", "OCEB", "WEA", "WEB", "RSTA", "RSTB")
    cycles = []
    for _ in range(CYCLES):
        pins = cells.drawn(rng, {**names, **dict.fromkeys(single, 1)})
        for side in "AB":
            pins[f"AD{side}"] &= 0x203F | rng.choice((0, 0x3FFF))
            pins[f"CE{side}"] |= rng.random() < 0.5
        pins |= {"RSTA": 0, "RSTB": 0, "CSA": 0, "CSB": 0}
        pins[rng.choice(("WEA", "WEB"))] = 0
        cycles.append(pins)
    found = cells.ran(
        "DP16KD",
        instances,
        {**dict(names.items()), **dict.fromkeys(single, 1), "CLKA": 0, "CLKB": 0},
        {"DOA": 18, "DOB": 18},
        cycles,
        tmp_path,
        bits=True,
        single=single,
    )

    for (a, b, ma, mb, ra, rb), rows in zip(DP16KD, found, strict=True):
        ram = Ram(*ram_bits, 2048)
        ports = [Port(a, a, ecp5_mode(a, ma)), Port(b, b, ecp5_mode(b, mb))]
        results: tuple[list, list] = ([], [])
        for pins, row in zip(cycles, rows, strict=True):
            for port, side, register, shown in zip(ports, "AB", (ra, rb), results, strict=True):
                shown.append((row[f"DO{side}"], port.held if register == "OUTREG" else port.out))
                if pins[f"OCE{side}"]:
                    port.held = port.out
            moved = [
                (
                    pins[f"CE{side}"],
                    pins[f"AD{side}"],
                    pins[f"DI{side}"],
                    pins[f"WE{side}"] and (pins[f"AD{side}"] & 3 if port.writes == 18 else 1),
                )
                for port, side in zip(ports, "AB", strict=True)
            ]
            step(ram, ports, moved, old_for_others=False)
        for shown in results:
            check(shown, (a, b, ma, mb))


XILINX = {"READ_FIRST": "old", "WRITE_FIRST": "new", "NO_CHANGE": "keep"}


def xilinx(ra: int, wa: int, rb: int, wb: int, ma: str, mb: str, mode: str = "TDP") -> dict[str, int | str]:
    widths = {"READ_WIDTH_A": ra, "WRITE_WIDTH_A": wa, "READ_WIDTH_B": rb, "WRITE_WIDTH_B": wb}
    return {**widths, "WRITE_MODE_A": ma, "WRITE_MODE_B": mb, "RAM_MODE": mode}


def narrow(most: int) -> list[dict[str, int | str]]:
    return [
        xilinx(1, 1, 1, 0, "READ_FIRST", "READ_FIRST"),
        xilinx(2, 4, 9, 9, "WRITE_FIRST", "READ_FIRST"),
        xilinx(0, 9, 18, 0, "READ_FIRST", "READ_FIRST"),
        xilinx(18, 18, 4, 2, "NO_CHANGE", "WRITE_FIRST"),
        xilinx(most // 2, most // 2, most // 2, most // 2, "READ_FIRST", "NO_CHANGE"),
        xilinx(most, 0, 0, most, "READ_FIRST", "READ_FIRST", "SDP"),
        xilinx(most, 0, 0, 9, "WRITE_FIRST", "WRITE_FIRST", "SDP"),
    ]


def joined(data: int, parity: int, count: int) -> int:
    """The nine bits of each byte."""
    return sum((data >> 8 * i & 0xFF | (parity >> i & 1) << 8) << 9 * i for i in range(count))


@pytest.mark.parametrize("kilobits", [18, 36])
def test_ramb(kilobits: int, tmp_path: Path) -> None:
    rng = random.Random(kilobits)
    half = kilobits // 9  # bytes of one port
    count, address = 1024 * half, 14 if kilobits == 18 else 16
    data, parity = rng.getrandbits(8 * count), rng.getrandbits(count)
    word = (1 << 256) - 1
    init: dict[str, int | str] = {
        f"INIT_{i:02X}": f"256'h{data >> 256 * i & word:x}" for i in range(count // 32)
    }
    init |= {f"INITP_{i:02X}": f"256'h{parity >> 256 * i & word:x}" for i in range(count // 256)}
    instances = narrow(18 * half)
    names = {"ADDRARDADDR": address, "ADDRBWRADDR": address, "ENARDEN": 1, "ENBWREN": 1}
    names |= {
        "DIADI": 8 * half,
        "DIBDI": 8 * half,
        "DIPADIP": half,
        "DIPBDIP": half,
        "WEA": half,
        "WEBWE": 2 * half,
    }
    resets = ("RSTRAMARSTRAM", "RSTRAMB", "RSTREGARSTREG", "RSTREGB", "REGCEAREGCE", "REGCEB")
    cycles = []
    for _ in range(CYCLES):
        pins = cells.drawn(rng, names) | dict.fromkeys(resets, 0)
        for name in ("ADDRARDADDR", "ADDRBWRADDR"):
            pins[name] &= 0x207F | rng.choice((0, 0xFFFF))
        pins[rng.choice(("WEA", "WEBWE"))] = 0
        for name in ("WEA", "WEBWE"):
            pins[name] |= bool(pins[name])  # a narrow port is written by its lowest enable
        cycles.append(pins)
    found = cells.ran(
        f"RAMB{kilobits}E1",
        [init | each for each in instances],
        {**names, **dict.fromkeys(resets, 1), "CLKARDCLK": 0, "CLKBWRCLK": 0},
        {"DOADO": 8 * half, "DOPADOP": half, "DOBDO": 8 * half, "DOPBDOP": half},
        cycles,
        tmp_path,
    )

    for p, rows in zip(instances, found, strict=True):
        ram, wide = Ram(data, parity, count), p["RAM_MODE"] == "SDP"
        ports = [
            Port(p[f"READ_WIDTH_{s}"], p[f"WRITE_WIDTH_{s}"], XILINX[p[f"WRITE_MODE_{s}"]]) for s in "AB"
        ]
        results: tuple[list, list] = ([], [])
        for pins, row in zip(cycles, rows, strict=True):
            shown = [joined(row[f"DO{s}DO"], row[f"DOP{s}DOP"], half) for s in "AB"]
            if wide:
                shown[0] |= shown[1] << 9 * half
            for port, value, out in zip(ports, shown, results, strict=True):
                out.append((value & (1 << port.reads) - 1, port.out))  # more pins mean nothing
            given = [joined(pins[f"DI{s}DI"], pins[f"DIP{s}DIP"], half) for s in "AB"]
            if ports[1].writes == 18 * half:
                given[1] = given[0] | given[1] << 9 * half
            moved = [
                (pins["ENARDEN"], pins["ADDRARDADDR"] % (8 * count), given[0], pins["WEA"]),
                (pins["ENBWREN"], pins["ADDRBWRADDR"] % (8 * count), given[1], pins["WEBWE"]),
            ]
            step(ram, ports, moved, old_for_others=True)
        for port, out in zip(ports, results, strict=True):
            if port.reads:
                check(out, p)


REFUSED = [
    ("DP16KD", {"DATA_WIDTH_A": 36}, "widths of 1, 2, 4, 9 and 18 bits of port A"),
    ("DP16KD", {"CLKBMUX": "INV"}, "rising edges of the clock of port B"),
    ("DP16KD", {"CSDECODE_A": "0b111"}, "the chip select 0b000 of port A"),
    ("MULT18X18D", {"REG_OUTPUT_CLK": "CLK0"}, "a multiplier without the register OUTPUT"),
    ("RAMB18E1", {"DOA_REG": 1}, "port A without an output register"),
    ("RAMB18E1", {"READ_WIDTH_B": 36}, "read widths of port B up to its pins"),
    ("RAMB36E1", {"RAM_EXTENSION_B": "LOWER", "READ_WIDTH_B": 9}, "cascades of one bit at port B"),
    ("DSP48E1", dict.fromkeys(CONTROLS, 0) | {"USE_DPORT": "TRUE"}, "without the pre-adder"),
    ("DSP48E1", {}, "controls without registers"),
    (
        "DSP48E1",
        dict.fromkeys(CONTROLS, 0) | {"USE_SIMD": "TWO24"},
        "a multiplier with one adder, or adders alone",
    ),
    ("DSP48E1", dict.fromkeys(CONTROLS, 0) | {"USE_MULT": "NONE"}, "adders alone without the register M"),
]


@pytest.mark.parametrize(("cell", "parameters", "told"), REFUSED)
def test_other_parameters_are_refused(cell: str, parameters: dict, told: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"the model of this cell covers only .*{told}"):
        cells.ran(cell, [parameters], {}, {}, [{}], tmp_path)


@pytest.mark.parametrize(
    ("cell", "pins", "told"),
    [
        ("DSP48E1", {"OPMODE": 0b0001111}, "does not cover the OPMODE"),
        ("DSP48E1", {"OPMODE": 0b0000101, "ALUMODE": 1}, "does not cover the ALUMODE"),
        ("RAMB18E1", {"RSTRAMB": 1}, "covers no resets"),
    ],
)
def test_other_modes_end_the_simulation(cell: str, pins: dict[str, int], told: str, tmp_path: Path) -> None:
    clocks = ("CLK",) if cell == "DSP48E1" else ("CLKARDCLK", "CLKBWRCLK")
    widths = {"OPMODE": 7, "ALUMODE": 4} if cell == "DSP48E1" else {"RSTRAMB": 1}
    parameters = dict.fromkeys(CONTROLS, 0) if cell == "DSP48E1" else {}

    with pytest.raises(AssertionError, match=told):
        cells.ran(
            cell, [parameters], {**widths, **dict.fromkeys(clocks, 0)}, {},
            [dict.fromkeys(widths, 0) | pins] * 3, tmp_path,
        )  # fmt: skip
