"""Settings of the clock multipliers on the devices, for a clock that a board's oscillator does not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bnn2hw.errors import InputError
from bnn2hw.targets.boards import Family


@dataclass(frozen=True)
class Pll:
    """A setting: the parameters that the family's template prints, and the clock that they give."""

    mhz: float
    settings: Mapping[str, int]


def solve(family: Family, oscillator_mhz: float, clock_mhz: float) -> Pll | None:
    """The setting whose clock is closest to the one asked for without exceeding it; None where no PLL is needed.

    Raises:
        InputError: the family's PLL cannot make a clock near it.
    """
    if clock_mhz == oscillator_mhz:
        return None
    found = _SOLVERS[family.name](oscillator_mhz) if family.name in _SOLVERS else iter(())
    reachable = [p for p in found if 0.9 * clock_mhz <= p.mhz <= clock_mhz + 1e-9]
    if not reachable:
        raise InputError(
            f"no setting of the {family.name} PLL makes {clock_mhz:g} MHz of {oscillator_mhz:g} MHz; "
            "ask for another clock"
        )
    return max(reachable, key=lambda p: p.mhz)


def _ecp5(oscillator: float) -> Iterator[Pll]:
    """Phase detector 3.125 to 400 MHz, VCO 400 to 800 MHz (Lattice FPGA-TN-02200)."""
    for divide in range(1, 9):
        for multiply in range(1, 81):
            out = oscillator / divide * multiply
            if oscillator / divide < 3.125 or not 10 <= out <= 400:
                continue
            post = max((p for p in range(1, 129) if 400 <= out * p <= 800), key=lambda p: -abs(out * p - 600))
            yield Pll(out, {"CLKI_DIV": divide, "CLKFB_DIV": multiply, "CLKOP_DIV": post})


def _ice40(oscillator: float) -> Iterator[Pll]:
    """Phase detector 10 to 133 MHz, VCO 533 to 1066 MHz (Lattice FPGA-TN-02052)."""
    for divide in range(16):
        detector = oscillator / (divide + 1)
        for multiply in range(128):
            vco = detector * (multiply + 1)
            if not (10 <= detector <= 133 and 533 <= vco <= 1066):
                continue
            limits = (17, 26, 44, 66, 101)
            filters = 1 + sum(detector >= limit for limit in limits)
            for shift in range(1, 7):
                settings = {"DIVR": divide, "DIVF": multiply, "DIVQ": shift, "FILTER_RANGE": filters}
                yield Pll(vco / 2**shift, settings)


def _gowin(oscillator: float) -> Iterator[Pll]:
    """Phase detector 3 to 400 MHz, VCO 500 to 1200 MHz, which both families allow (Gowin UG286)."""
    for divide in range(64):
        for multiply in range(64):
            out = oscillator / (divide + 1) * (multiply + 1)
            posts = [p for p in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128) if 500 <= out * p <= 1200]
            if oscillator / (divide + 1) >= 3 and posts:
                yield Pll(out, {"IDIV_SEL": divide, "FBDIV_SEL": multiply, "ODIV_SEL": posts[0]})


_SOLVERS = {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}
