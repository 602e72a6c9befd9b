"""Sums of bits with any constant integers as weights: planes of signs, shifted against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array
from bnn2hw.ops.adder_graph.plans import ANY, Cells
from bnn2hw.ops.adder_graph.sharing import share
from bnn2hw.ops.adder_graph.sums import NOTHING, Sums, Value


def digits(weights: Array) -> Array:
    """Return the digits of integers to base 2, each of them 0 or ±1, no two neighbors other than 0.

    It is the form with the fewest digits other than 0 (Reitwiesner, 1960).

    Args:
        weights: Integers of any shape.

    Returns:
        int64 of shape (places, *shape), the lowest place first; at least one place.
    """
    rest = np.asarray(weights, np.int64)
    found: list[Array] = []
    while not found or np.any(rest):
        odd = rest & 1
        digit = np.where(rest & 3 == 3, -1, 1) * odd
        found.append(digit)
        rest = (rest - digit) >> 1
    return np.stack(found)


def program(weights: Array, cells: Cells = ANY) -> tuple[Sums, list[Value]]:
    """Find a program for the sums of all neurons, each the sum of weight · bit.

    Args:
        weights: Integers of shape (inputs, neurons).
        cells: Cells of the family.

    Returns:
        The program, and the value of each neuron in it: its sign may be a power of two.
    """
    places = digits(weights)
    neurons = places.shape[2]
    sums, found = share(np.concatenate(list(places), axis=1), cells)
    if len(places) == 1:
        return sums, found
    outputs = [_joined(sums, found[n::neurons]) for n in range(neurons)]
    return sums.needed(outputs)


def _joined(sums: Sums, planes: list[Value]) -> Value:
    """Return the sum of values, each shifted by one place more than the one before; pairs first."""
    parts = [(place, value) for place, value in enumerate(planes) if value != NOTHING]
    if not parts:
        return NOTHING
    lowest = parts[0][0]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        joined = [(p, sums.add_shifted(a, b, q - p)) for (p, a), (q, b) in pairs]
        parts = joined + parts[len(parts) // 2 * 2 :]
    value = parts[0][1]
    return replace(value, sign=value.sign << lowest)
