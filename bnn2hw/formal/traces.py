"""A counterexample as a table: what each stream does in each cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnn2hw.formal.harness import Harness, Side
from bnn2hw.tables import Table

LEGEND = "values of each beat that is offered; (waits): not taken; *: in the marked frame"


def table(harness: Harness, cycles: Sequence[Mapping[str, int]]) -> str:
    """Return the table of a counterexample.

    Args:
        harness: The harness that it comes from.
        cycles: Outputs of the harness in each cycle.
    """
    sides = [*harness.inputs, harness.output]
    names = [side.axis.stream.name for side in sides]
    drawn = Table(LEGEND, ("cycle", *names, f"{names[-1]} must be", "tlast"), ())
    for number, row in enumerate(cycles):
        drawn.add(str(number), *(_beat(side, row) for side in sides), *_expected(harness.output, row))
    return str(drawn)


def _beat(side: Side, row: Mapping[str, int]) -> str:
    """Return what a stream offers in a cycle, in words."""
    if not row[f"see_valid{side.suffix}"]:
        return ""
    mark = "*" if row[f"see_marked{side.suffix}"] else ""
    waits = "" if row[f"see_ready{side.suffix}"] else " (waits)"
    return f"{_values(side, row[f'see_data{side.suffix}'])}{mark}{waits}"


def _expected(side: Side, row: Mapping[str, int]) -> tuple[str, str]:
    """Return the values that the marked frame must have, and last."""
    if not row[f"see_valid{side.suffix}"]:
        return "", ""
    marked = row[f"see_marked{side.suffix}"]
    return _values(side, row[f"see_want{side.suffix}"]) if marked else "", str(row[f"see_last{side.suffix}"])


def _values(side: Side, beat: int) -> str:
    codes = [beat >> lane * side.bits & 2**side.bits - 1 for lane in side.lanes]
    return " ".join(map(str, side.ints.decode(np.array(codes)).tolist()))
