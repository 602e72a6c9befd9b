"""docs/coverage.md states what the compiler does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import keras
import pytest
from _pytest.mark import ParameterSet

from bnn2hw import nn
from bnn2hw.importers.keras.calls import HANDLERS, JOINS
from tests.importers import coverage

TABLE = {
    tuple(row[:2]): row[2:4]
    for row in re.findall(
        r"^\| (.*?) \| (.*?) \| (exact|rounded|refused) \| (.*) \|$", coverage.PAGE.read_text(), re.M
    )
}


def rows() -> Iterator[ParameterSet]:
    """Yield all rows: by default the first one of each layer with each answer."""
    seen = set()
    for case in coverage.cases():
        answer = (case.layer, TABLE.get((case.layer, case.option), ("no row",))[0])
        yield pytest.param(case, id=case.id, marks=[pytest.mark.soak] if answer in seen else [])
        seen.add(answer)


@pytest.mark.parametrize("case", rows())
def test_the_table_is_true(case: coverage.Case) -> None:
    found, why = coverage.verdict(case)

    assert TABLE[case.layer, case.option] == (found, why.replace("|", "\\|"))


def test_every_layer_has_a_row() -> None:
    shown = {layer for layer, _ in TABLE}
    for module in (keras.layers, nn.layers):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__name__ in {*HANDLERS, *JOINS} and cls.__name__ == name:
                assert name in shown, f"{name} compiles and has no row"


def test_what_is_always_refused_is_named() -> None:
    assert ", ".join(coverage.unknown()) in coverage.PAGE.read_text()
