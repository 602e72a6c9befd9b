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
}
"""Forms that other files of this folder prove."""


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


def test_a_wrong_form_is_found(tmp_path: Path) -> None:
    ecp5 = families.family("ecp5")
    form = text("adder_chain", ecp5).replace("6996", "6997")

    with pytest.raises(ToolError, match="proof did fail"):
        prove("adder_chain", ecp5, {"portable": text("adder_chain"), "own": form}, tmp_path / "proof")


def test_every_form_is_proved() -> None:
    for family in ops.WITH_FORMS:
        assert ops.forms_of(family) <= {*PARAMETERS, *ELSEWHERE}
    with_cells = {family.name for family in families.known().values() if family.cells}
    folders = {p.name for p in (ROOT / "templates" / "verilog").iterdir() if p.is_dir()}
    assert folders == {"cells", "simulation", *with_cells}
