"""Units of many lanes as several of fewer lanes: no word that holds constants of all lanes is too wide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Memory, Param, Part
from bnn2hw.ops.base.folds import MOST_INSIDE


def needed(lanes: int, lane_bits: int) -> bool:
    """True if a word of all lanes would have more than `MOST_INSIDE` bits.

    Args:
        lanes: Lanes of the unit.
        lane_bits: Bits of a lane in the widest word.
    """
    return lanes * lane_bits > MOST_INSIDE


def count(lanes: int, lane_bits: int) -> int:
    """Return the parts of which no word has more than `MOST_INSIDE` bits, or more than one lane.

    Args:
        lanes: Lanes of the unit.
        lane_bits: Bits of a lane in the widest word.
    """
    most = max(MOST_INSIDE // max(lane_bits, 1), 1)
    return math.ceil(lanes / most)


def split(
    lanes: int,
    lane_bits: int,
    params: Mapping[str, Param],
    memories: Mapping[str, Memory],
    *,
    reads_all: bool,
) -> tuple[Part, ...]:
    """Deal the lanes of a unit to parts of about the same size.

    Args:
        lanes: Lanes of the unit, its parameter PE.
        lane_bits: Bits of a lane in the widest word.
        params: Parameters of the unit. Vectors of bits hold the lanes within folds.
        memories: Memories of the unit. Words hold the lanes, and the bits of a lane side by side.
        reads_all: True if each lane reads all lanes of the input, else its own.

    """
    made = []
    for own in np.array_split(np.arange(lanes), count(lanes, lane_bits)):
        first, end = int(own[0]), int(own[-1]) + 1
        cut = {
            n: v if not isinstance(v, np.ndarray) else _lanes(v, lanes, first, end) for n, v in params.items()
        }
        words = {n: replace(m, codes=_lanes(m.codes, lanes, first, end)) for n, m in memories.items()}
        reads = None if reads_all else (first, end)
        made.append(Part((first, end), reads, {**cut, "PE": end - first}, words))
    return tuple(made)


def by_level(part: Part, levels: int, bits: int) -> Iterator[Part]:
    """Deal the levels of one lane of thresholds to parts whose results are added.

    Args:
        part: A part with one lane.
        levels: Levels of the lane.
        bits: Bits of a threshold.
    """
    word = part.memories["THRESHOLDS"]
    for number, own in enumerate(np.array_split(np.arange(levels), count(levels, bits))):
        params = {**part.params, "LEVELS": len(own), **({"OUT_FIRST": 0} if number else {})}
        yield replace(
            part,
            params=params,
            memories={**part.memories, "THRESHOLDS": replace(word, codes=word.codes[:, own])},
        )


def _lanes(values: Array, lanes: int, first: int, end: int) -> Array:
    """Return the values of some lanes: of a vector by fold and lane, or of words of all lanes."""
    if values.ndim == 1:
        return values.reshape(-1, lanes)[:, first:end].reshape(-1)
    return values.reshape(len(values), lanes, -1)[:, first:end].reshape(len(values), -1)
