"""Our models of DSP blocks, each alone: what they answer is what the makers' documents say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support import cells

CYCLES = 3000


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 & 1 else value


def test_mult18x18d(tmp_path: Path) -> None:
    rng = random.Random(3)
    edges = (0, 1, 0x1FFFF, 0x20000, 0x3FFFF)
    single = ("SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB")
    cycles = [
        {"A": rng.choice((rng.getrandbits(18), rng.choice(edges))), "B": rng.choice((rng.getrandbits(18), rng.choice(edges)))}
        | {"C": 0, "SIGNEDA": rng.getrandbits(1), "SIGNEDB": rng.getrandbits(1), "SOURCEA": 0, "SOURCEB": 0}
        for _ in range(CYCLES)
    ]  # fmt: skip

    (rows,) = cells.ran(
        "MULT18X18D", [{}], {"A": 18, "B": 18, "C": 18, **dict.fromkeys(single, 1)}, {"P": 36}, cycles, tmp_path,
        bits=True, single=single,
    )  # fmt: skip

    for pins, row in zip(cycles, rows, strict=True):
        a = signed(pins["A"], 18) if pins["SIGNEDA"] else pins["A"]
        b = signed(pins["B"], 18) if pins["SIGNEDB"] else pins["B"]
        assert row["P"] == a * b % (1 << 36)


CONTROLS = ("ALUMODEREG", "CARRYINREG", "CARRYINSELREG", "INMODEREG", "OPMODEREG")
DSP = [
    (a, b, c, m, p) for a, b, c, m, p in ((0, 0, 0, 0, 1), (1, 2, 1, 1, 1), (2, 1, 0, 1, 1), (1, 0, 1, 0, 1))
]
ADDED = {
    0b0000101: "",
    0b0010101: "PCIN",
    0b0110101: "C",
    0b1010101: "PCIN>>17",
    0b0100101: "P",
    0b1100101: "P>>17",
}


SLICES = [("DSP48E1", 25, 7), ("DSP48E2", 27, 9)]
"""A slice, the bits of the wider factor, and those of OPMODE."""


def pins_of(operation: int, enables: tuple[str, ...]) -> dict[str, int]:
    """Return the bits of the pins that a test draws: operands, OPMODE and the enables of registers."""
    return {"A": 30, "B": 18, "C": 48, "PCIN": 48, "OPMODE": operation, **dict.fromkeys(enables, 1)}


@pytest.mark.parametrize(("cell", "factor", "operation"), SLICES)
def test_dsp48(cell: str, factor: int, operation: int, tmp_path: Path) -> None:
    """Each slice: the registers of UG479 and UG579, and Z plus or minus the product."""
    rng = random.Random(4)
    enables = ("CEA1", "CEA2", "CEB1", "CEB2", "CEC", "CEM", "CEP")
    resets = ("RSTA", "RSTB", "RSTC", "RSTM", "RSTP")
    inputs = pins_of(operation, enables) | {"ALUMODE": 4}
    fixed = {"D": factor, "ACIN": 30, "BCIN": 18, "INMODE": 5, "CARRYIN": 1, "CARRYINSEL": 3}
    cycles = []
    for _ in range(CYCLES):
        pins = cells.drawn(rng, inputs) | dict.fromkeys(fixed, 0)
        pins |= {"OPMODE": rng.choice(list(ADDED)), "ALUMODE": rng.choice((0, 3))}
        pins |= {name: int(rng.random() < 0.05) for name in resets}
        cycles.append(pins)
    instances = [
        {"AREG": a, "BREG": b, "CREG": c, "MREG": m, "PREG": p, "ADREG": 0, "DREG": 0, **dict.fromkeys(CONTROLS, 0)}
        for a, b, c, m, p in DSP
    ]  # fmt: skip
    found = cells.ran(
        cell,
        instances,
        {**inputs, **fixed, **dict.fromkeys(resets, 1), "CLK": 0},
        {"P": 48, "PCOUT": 48},
        cycles,
        tmp_path,
    )

    for (a, b, c, m, p), rows in zip(DSP, found, strict=True):
        old = dict.fromkeys(("A1", "A2", "B1", "B2", "C", "M", "P"), 0)
        for n, (pins, row) in enumerate(zip(cycles, rows, strict=True)):
            operand_a = old["A2"] if a else pins["A"]
            operand_b = old["B2"] if b else pins["B"]
            product = signed(operand_a % (1 << factor), factor) * signed(operand_b, 18)
            z = {
                "": 0,
                "PCIN": pins["PCIN"],
                "C": old["C"] if c else pins["C"],
                "PCIN>>17": signed(pins["PCIN"], 48) >> 17,
                "P": old["P"],
                "P>>17": signed(old["P"], 48) >> 17,
            }[ADDED[pins["OPMODE"]]]
            added = old["M"] if m else product
            total = (z - added if pins["ALUMODE"] else z + added) % (1 << 48)
            assert row["P"] == row["PCOUT"] == (old["P"] if p else total), n
            new = {
                "A1": pins["A"],
                "A2": old["A1"] if a == 2 else pins["A"],
                "C": pins["C"],
                "M": product,
                "P": total,
            }
            new |= {"B1": pins["B"], "B2": old["B1"] if b == 2 else pins["B"]}
            for name, value in new.items():
                if pins[f"RST{name[0]}"]:
                    old[name] = 0
                elif pins[f"CE{name}"]:
                    old[name] = value


ADDERS = [("ONE48", 48, 0), ("TWO24", 24, 1), ("FOUR12", 12, 0), ("FOUR12", 12, 1)]
"""USE_SIMD, the bits of an adder, and whether A, B and C have a register."""


def lanes(bits: int, *terms: int) -> int:
    """Return the sums of adders of some bits, between which no carry passes."""
    mask = (1 << bits) - 1
    return sum((sum(t >> at & mask for t in terms) & mask) << at for at in range(0, 48, bits))


@pytest.mark.parametrize(("cell", "operation"), [(cell, bits) for cell, _, bits in SLICES])
def test_dsp48_without_its_multiplier(cell: str, operation: int, tmp_path: Path) -> None:
    """Each slice as one, two or four adders of Z, A:B and C, as UG479 and UG579 say of USE_SIMD."""
    rng = random.Random(5)
    inputs = pins_of(operation, ("CEA2", "CEB2", "CEC", "CEP"))
    fixed = {"ALUMODE": 4, "INMODE": 5, "CARRYIN": 1, "CARRYINSEL": 3, "RSTP": 1}
    cycles = []
    for _ in range(CYCLES):
        pins = cells.drawn(rng, inputs) | dict.fromkeys(fixed, 0)
        pins["OPMODE"] = rng.choice((0b0001111, 0b0101111, 0b0011111, 0b0000000))
        cycles.append(pins)
    instances = [
        {"USE_MULT": "NONE", "USE_SIMD": simd, "AREG": r, "BREG": r, "CREG": r, "PREG": 1, "MREG": 0, "ADREG": 0, "DREG": 0,
         **dict.fromkeys(CONTROLS, 0)}
        for simd, _, r in ADDERS
    ]  # fmt: skip
    found = cells.ran(cell, instances, {**inputs, **fixed, "CLK": 0}, {"P": 48}, cycles, tmp_path)

    for (simd, bits, r), rows in zip(ADDERS, found, strict=True):
        old = dict.fromkeys(("A", "B", "C", "P"), 0)
        for n, (pins, row) in enumerate(zip(cycles, rows, strict=True)):
            now = old if r else pins
            joined_operands, c = (now["A"] << 18 | now["B"], now["C"]) if pins["OPMODE"] & 0b11 else (0, 0)
            z = {0b010: old["P"], 0b001: pins["PCIN"], 0b000: 0}[pins["OPMODE"] >> 4]
            total = lanes(bits, z, joined_operands, c)
            assert row["P"] == old["P"], (simd, n)
            old |= {
                name: pins[name]
                for name, enable in (("A", "CEA2"), ("B", "CEB2"), ("C", "CEC"))
                if pins[enable]
            }
            old["P"] = total if pins["CEP"] else old["P"]
