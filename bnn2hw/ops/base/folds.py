"""Numbers of lanes into which values can be folded.

A vector of n values that passes through `lanes` lanes takes ceil(n / lanes) beats, called folds.
The last fold need not be full.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

SAVING = 1.2
"""A number of lanes that does not divide the values is worth trying if the next one that divides
them is at least this many times as large."""

MOST_INSIDE = 4096
"""Bits of the widest beat between two ops."""


def divisors(n: int) -> Iterator[int]:
    """List all divisors of n in ascending order.

    Args:
        n: Positive integer.
    """
    return (d for d in range(1, n + 1) if n % d == 0)


def fold_sizes(n: int) -> list[int]:
    """List the legal numbers of lanes, ascending: for each number of folds, the fewest lanes.

    Args:
        n: Number of values.
    """
    return sorted({-(-n // folds) for folds in range(1, n + 1)})


def worthwhile(n: int) -> Iterator[int]:
    """List the numbers of lanes that a search tries: divisors, and others that save many lanes.

    Args:
        n: Number of values.
    """
    whole = list(divisors(n))
    for size in fold_sizes(n):
        above = whole[bisect_left(whole, size)]
        if above == size or above >= SAVING * size:
            yield size


def check_folds(name: str, size: int, n: int, what: str) -> None:
    """Check that no smaller number of lanes takes as few folds.

    Args:
        name: Name of the field that holds the lanes, for the message.
        size: Number of lanes.
        n: Number of values.
        what: What the values are, for the message.

    Raises:
        ValueError: There are no lanes, or fewer lanes take as few folds.
    """
    if size < 1:
        raise ValueError(f"{name}={size} must be at least 1")
    folds = -(-n // size)
    if size != (fewest := -(-n // folds)):
        raise ValueError(f"{name}={size} takes {folds} folds of {n} {what}; {name}={fewest} takes as many")
