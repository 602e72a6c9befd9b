"""The search for the cheapest way to count bits with compressors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from bnn2hw.ops.base.compressors import BitPlan, Heights, Part, Plan, apply, bits_alone, first_bits

K = TypeVar("K")
V = TypeVar("V")

BEAM = 12
"""Heights that a search keeps; with more, plans are hardly better."""

FLIP_FLOP = 0.12
"""Price of a flip-flop in LUTs: a slice has twice as many, but every bit needs one at each level."""


LATE = 10.0
"""Price of a bit too many for the levels that are left."""


Shapes = tuple[tuple[int, int], ...]

SHAPES: Shapes = ((7, 0), (6, 0), (5, 1), (3, 2), (3, 0))
"""Bits of its own column and of the next one that a part can take."""

HALF = (2, 0)
"""A half adder: it leaves as many bits as it takes, but passes a carry on to a column that has room."""


def _excess(heights: Iterable[int]) -> int:
    """Return the bits that are more than an accumulator adds."""
    return sum(max(height - (2 if column else 3), 0) for column, height in enumerate(heights))


@dataclass(frozen=True)
class _Found:
    """Parts that were chosen up to a point of a search, and what they cost."""

    cost: float = 0.0
    parts: tuple[tuple[Part, ...], ...] = ()


def _choices(column: int, left: Heights, shapes: Shapes) -> Iterator[tuple[Part, ...]]:
    """Yield what may add the bits of a column in one level: whole compressors first, then any part."""
    most, rest = divmod(left[column], 7)
    whole = (Part(column, 7),) * most
    above = left[column + 1] if column + 1 < len(left) else 0
    yield whole
    for ones, twos in shapes:
        if ones <= rest and twos <= above:
            yield (*whole, Part(column, ones, twos))
            if (ones, twos) == (3, 0) and rest >= 6:
                yield (*whole, Part(column, 3), Part(column, 3))


State = tuple[Heights, Heights]


def _level(heights: Heights, most: int, shapes: Shapes) -> dict[Heights, tuple[Part, ...]]:
    """Return what one level can make of the bits of each column, with the parts that make it.

    Args:
        heights: The bits.
        most: Bits of a column that the levels above reduce in time.
        shapes: Bits that parts may take.
    """
    states: dict[State, tuple[Part, ...]] = {(heights, (0,) * len(heights)): ()}
    for column in range(len(heights)):
        found: dict[State, tuple[Part, ...]] = {}
        for (left, made), parts in states.items():
            for more in _choices(column, left, shapes):
                rest, new = apply(left, more)
                state = rest, tuple(a + b for a, b in zip(made, new, strict=True))
                _keep(found, state, (*parts, *more), _luts)
        price = partial(_price, most=most, done=column + 1)
        states = _best(found, price)
    return {_sums(state): parts for state, parts in states.items()}


def _price(state: State, parts: Iterable[Part], most: int, done: int) -> float:
    return _luts(parts) + _outlook(_sums(state), most, done)


def _sums(state: State) -> Heights:
    """Return the bits that a level leaves or makes."""
    return tuple(a + b for a, b in zip(*state, strict=True))


def _luts(parts: Iterable[Part]) -> int:
    return sum(part.luts for part in parts)


def _outlook(heights: Heights, most: int, done: int) -> float:
    """Return the price of what the levels above must do with some bits.

    Args:
        heights: The bits.
        most: Bits of a column that the levels above reduce in time.
        done: Columns whose bits are complete.
    """
    late = sum(max(height - most, 0) for height in heights[:done])
    return 0.55 * _excess(heights) + FLIP_FLOP * sum(heights) + LATE * late


@cache
def _reach(levels: int) -> int:
    """Return the bits of each column that some levels reduce to two."""
    if levels == 0:
        return 2
    height, goal = 3, _reach(levels - 1)
    while 3 * ((height + 1) // 7) + (height + 1) % 7 <= goal:
        height += 1
    return height


def _keep(found: dict[K, V], key: K, value: V, cost: Callable[[V], float]) -> None:
    if key not in found or cost(value) < cost(found[key]):
        found[key] = value


def _best(found: dict[K, V], price: Callable[[K, V], float]) -> dict[K, V]:
    return dict(sorted(found.items(), key=lambda item: price(*item))[:BEAM])


@cache
def plan(lanes: int) -> Plan | None:
    """Return the cheapest plan that was found, with no more levels than a tree of three-lane nodes.

    Args:
        lanes: Number of lanes, at least 3.

    Returns:
        The plan; None if none was found.
    """
    first, levels = first_bits(lanes), (lanes - 1).bit_length() - 2
    parts = _search(first, levels, SHAPES) or _search(first, levels, (*SHAPES, HALF))
    return None if parts is None else Plan(lanes, parts)


REACH = (9, 23, 55, 135, 280, 800, 2000)
"""Bits up to which 1, 2, 3, … levels were found. A level more saves a LUT at most, but takes more flip-flops."""


def bit_levels(lanes: int) -> int:
    """Return the levels that a plan for single bits may have.

    Args:
        lanes: Number of bits, at most the last of `REACH`.
    """
    return 1 + bisect_left(REACH, lanes)


def bit_luts(lanes: int) -> int:
    """Return about as many LUTs as a plan for single bits takes, and the adder of its rows, without a search.

    Args:
        lanes: Number of bits.
    """
    return lanes // 2 + lanes // 100 + 1  # within 3, or 2 %


@cache
def bit_plan(lanes: int) -> BitPlan:
    """Return the cheapest plan that was found to count single bits in `bit_levels` or fewer.

    Args:
        lanes: Number of bits, at least 7, and at most the last of `REACH`.

    Raises:
        ValueError: None was found.
    """
    first, levels = bits_alone(lanes), bit_levels(lanes)
    parts = _search(first, levels, SHAPES) or _search(first, levels, (*SHAPES, HALF))
    if parts is None:
        raise ValueError(f"no {levels} levels were found that count {lanes} bits")
    return BitPlan(lanes, parts)


def _search(first: Heights, most: int, shapes: Shapes) -> tuple[tuple[Part, ...], ...] | None:
    """Return the parts of each level that reduce some bits to two rows.

    Args:
        first: The bits.
        most: Levels at most.
        shapes: Bits that parts may take.
    """
    states = {first: _Found()}
    for left in reversed(range(most + 1)):
        done = [found for heights, found in states.items() if _excess(heights) == 0]
        if done:
            return min(done, key=lambda found: found.cost).parts
        states = _next(states, _reach(max(left - 1, 0)), shapes)
    return None


def _next(states: dict[Heights, _Found], most: int, shapes: Shapes) -> dict[Heights, _Found]:
    """Return the states one level further.

    Args:
        states: The states.
        most: Bits of a column that the levels above reduce in time.
        shapes: Bits that parts may take.
    """
    found: dict[Heights, _Found] = {}
    for heights, before in states.items():
        for after, parts in _level(heights, most, shapes).items():
            cost = before.cost + _luts(parts) + FLIP_FLOP * sum(after)
            _keep(found, after, _Found(cost, (*before.parts, parts)), lambda f: f.cost)
    return _best(found, lambda heights, f: f.cost + _outlook(heights, most, len(heights)))


EXACT = 64
"""Lanes up to which `expected` asks for the plan itself."""


@dataclass(frozen=True)
class Expected:
    """The LUTs and flip-flops that a plan is expected to take.

    Attributes:
        luts: LUTs of all levels.
        ffs: Flip-flops of all levels.
        levels: Number of levels.
    """

    luts: float
    ffs: float
    levels: int


@cache
def expected(lanes: int) -> Expected:
    """Return what the plan for some lanes takes; of many lanes by rule, since a search asks for many numbers.

    Args:
        lanes: Number of lanes, at least 3.
    """
    found = plan(lanes) if lanes <= EXACT else None
    if found is None:  # fitted to plans of up to 4,608 lanes
        return Expected(0.775 * lanes, 1.1 * lanes, lanes.bit_length() - 2)
    return Expected(found.luts, found.ffs, found.levels)
