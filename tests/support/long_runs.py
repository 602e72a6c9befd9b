"""Parameters of which the default run takes a few, and the long runs the others."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def after(count: int, values: Iterable[object]) -> list[ParameterSet]:
    """Return values as parameters of one test; those after the first `count` are for the long runs."""
    return rows_after(count, ((value,) for value in values))


def rows_after(count: int, rows: Iterable[tuple[object, ...]]) -> list[ParameterSet]:
    """Return rows of several parameters; those after the first `count` are for the long runs."""
    return [
        pytest.param(*row, marks=[pytest.mark.soak] if place >= count else [])
        for place, row in enumerate(rows)
    ]
