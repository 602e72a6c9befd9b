"""The text that a synthesis prints."""

from __future__ import annotations

import pytest

from bnn2hw.cli.synth import outcome, usable_clock
from bnn2hw.ir import Cycles
from bnn2hw.synthesis import usage
from bnn2hw.synthesis.usage import Cells, Usage
from bnn2hw.tables import columns_of


def placed(fmax: float | None) -> Usage:
    return Usage(
        2_830,
        2_176,
        518,
        1,
        14,
        {},
        {f"stage{n}_block_of_a_long_name.fixed.fifo": Cells(29_999, 52, 1_000, 0, 0) for n in range(3)},
        {"TRELLIS_COMB": (3_188, 83_640)},
        fmax,
        100.0,
        {1: fmax or 0.0},
    )


@pytest.mark.parametrize(("fmax", "clock", "rate"), [(79.7, 79.7, "797"), (133.0, 100.0, "1,000")])
def test_the_rate_is_that_of_a_clock_that_was_reached(fmax: float, clock: float, rate: str) -> None:
    *_, last = outcome(placed(fmax), Cycles(100_000, 797))

    assert usable_clock(placed(fmax)) == clock
    assert last.startswith(f"at {clock:g} MHz the accelerator takes {rate} frames/s and answers after ")


def test_an_area_has_no_clock() -> None:
    assert list(outcome(placed(None), Cycles(1, 1))) == [
        "area only: the vendor's tool places and routes this family"
    ]


def test_the_table_of_layers_fits_80_columns() -> None:
    text = usage.table(placed(100)).fitted(80)

    assert max(map(columns_of, text.splitlines())) <= 80
    assert "29,999" in text
