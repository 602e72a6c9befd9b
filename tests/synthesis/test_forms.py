"""Yosys proves that a family's form of a module computes what the portable form does, with its models of the cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.errors import ToolError
from bnn2hw.targets import families
from tests.support import ROOT, ops
from tests.support.forms import PARAMETERS, prove, text

pytestmark = pytest.mark.usefixtures("yosys")


ELSEWHERE = {
    "rows": "test_rows.py",
    "bit_count": "test_bit_counts.py",
    "fifo": "test_fifo_forms.py",
    "popcount": "test_fast_forms.py",
    "mac_products": "../formal/test_proofs.py",
}
"""Forms that other files prove, by their paths from this folder."""


@pytest.mark.parametrize(
    ("module", "family"),
    [
        pytest.param(m, f, id=f"{m}-{f.name}")
        for m in PARAMETERS
        for f in ops.WITH_FORMS
        if m in ops.forms_of(f)
    ],
)
def test_both_forms_are_one_function(module: str, family: families.Family, tmp_path: Path) -> None:
    forms = {"portable": text(module), "own": text(module, family)}

    prove(module, family, forms, tmp_path / "proof")


@pytest.mark.parametrize(
    ("module", "family", "old", "new"),
    [
        ("adder_chain", "ecp5", "6996", "6997"),
        ("accumulator_bank", "xilinx", "{1'b0, !first, 5'b01111}", "{1'b0, first, 5'b01111}"),
        ("accumulator_bank", "xilinx", '.USE_SIMD("FOUR12")', '.USE_SIMD("ONE48")'),
        ("accumulator_bank", "ultrascale", "{3'b000, !first, 5'b01111}", "{3'b000, 1'b1, 5'b01111}"),
        ("accumulator", "ultrascale", ".CI(i == 0 ? a ^ b :", ".CI(i == 0 ? 1'b0 :"),
        ("sum", "ultrascale", "carries[i==0?0 : 8*i-1]", "carries[i==0?0 : 8*i-2]"),
    ],
)
def test_a_wrong_form_is_found(module: str, family: str, old: str, new: str, tmp_path: Path) -> None:
    own = text(module, families.family(family))
    assert old in own
    forms = {"portable": text(module), "own": own.replace(old, new)}

    with pytest.raises(ToolError, match="proof did fail"):
        prove(module, families.family(family), forms, tmp_path / "proof")


def test_every_form_is_proved() -> None:
    for family in ops.WITH_FORMS:
        assert ops.forms_of(family) <= {*PARAMETERS, *ELSEWHERE}
    assert all((Path(__file__).parent / path).is_file() for path in ELSEWHERE.values())
    with_cells = {family.templates for family in families.known().values() if family.cells}
    folders = {p.name for p in (ROOT / "templates" / "verilog").iterdir() if p.is_dir()}
    assert folders == {"cells", "simulation", *with_cells}
