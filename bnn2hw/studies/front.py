"""The front of a study: the points within limits that no other point beats."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bnn2hw import checks
from bnn2hw.errors import InputError
from bnn2hw.ir import Array
from bnn2hw.studies.points import Row, Value

OBJECTIVES = {
    **dict.fromkeys(("fps", "accuracy"), -1),
    **dict.fromkeys(("lut", "ff", "bram", "dsp", "use", "latency_us", "deviation"), 1),
}
"""Figures that a front can trade: -1 if more is better, 1 if less is."""

LIMITS = {
    "max_lut": ("lut", 1),
    "min_fps": ("fps", -1),
    "max_latency_us": ("latency_us", 1),
    "max_deviation": ("deviation", 1),
    "min_accuracy": ("accuracy", -1),
}
"""By limit, the figure, and 1 if it is the largest that is allowed or -1 if the smallest."""

SAME = ("target", "folding", "fps", "lut", "ff", "bram", "dsp", "deviation", "accuracy")
"""Columns in which the rows of one design are equal, however it was asked for."""


def check(objectives: Collection[str], limits: Mapping[str, float]) -> None:
    """Refuse objectives and limits that do not exist.

    Args:
        objectives: Names of figures.
        limits: Values by name.

    Raises:
        InputError: There is one.
    """
    for name in objectives:
        if name not in OBJECTIVES:
            raise InputError(f"there is no objective {name!r}; objectives: {', '.join(OBJECTIVES)}")
    if not objectives:
        raise InputError(f"name an objective: {', '.join(OBJECTIVES)}")
    for name, value in limits.items():
        if name not in LIMITS:
            raise InputError(f"there is no limit {name!r}; limits: {', '.join(LIMITS)}")
        checks.number(name, value)


def check_measured(figures: Collection[str], images: Any, labels: Any) -> None:
    """Refuse figures that decide what is on the front, if there are no data of the user to measure them on.

    Args:
        figures: Names of the figures.
        images: Images on which they are measured, or None.
        labels: One class per image, or None.

    Raises:
        InputError: There is one.
    """
    if "accuracy" in figures and (images is None or labels is None):
        raise InputError("the accuracy is measured on images with labels; give both")
    if "deviation" in figures and images is None:
        raise InputError(
            "the deviation that a front trades or limits is measured on your images; give some (--images FILE)"
        )


def judged(rows: Sequence[Row], objectives: Sequence[str], limits: Mapping[str, float]) -> list[Row]:
    """Return rows with their place within the limits and on the front.

    Args:
        rows: All points.
        objectives: Figures that the front trades.
        limits: Values by name.
    """
    within = [_within(row, limits) for row in rows]
    candidates = [row for row, good in zip(rows, within, strict=True) if good]
    costs = np.array([[OBJECTIVES[n] * float(row[n] or 0) for n in objectives] for row in candidates])
    leading = (row for row, cost in zip(candidates, costs, strict=True) if not _beaten(cost, costs))
    designs: dict[tuple[Value, ...], Row] = {}
    for row in leading:  # several rates or bits may lead to one design
        designs.setdefault(tuple(row.get(name) for name in SAME), row)
    best = {row["point"] for row in designs.values()}
    return [
        {**row, "within_limits": int(good), "front": int(row["point"] in best)}
        for row, good in zip(rows, within, strict=True)
    ]


def _within(row: Row, limits: Mapping[str, float]) -> bool:
    if row["state"] != "fits":
        return False
    signed = [(LIMITS[name][1], row.get(LIMITS[name][0]), limit) for name, limit in limits.items()]
    return all(found is not None and sign * float(found) <= sign * limit for sign, found, limit in signed)


def _beaten(cost: Array, costs: Array) -> bool:
    """True if another point is as good in everything and better in something."""
    return bool(((costs <= cost).all(1) & (costs < cost).any(1)).any())
