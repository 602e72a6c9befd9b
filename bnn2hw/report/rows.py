"""Cut the dataflow graph into pieces that are drawn one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnn2hw.report.facts import Facts, Link


@dataclass(frozen=True)
class Arrow:
    """A stream between two boxes of the drawing.

    Attributes:
        start: Name of the box that it leaves.
        end: Name of the box that it enters.
        link: The stream.
    """

    start: str
    end: str
    link: Link


def arrows(facts: Facts, box: Mapping[str, str]) -> list[Arrow]:
    """Return the streams between boxes, without those inside a box.

    Args:
        facts: The facts.
        box: By op, the name of its box.
    """
    ends = ((box[link.source], box[link.reader], link) for link in facts.links)
    return [Arrow(*found) for found in ends if found[0] != found[1]]


def ordered(names: Sequence[str], edges: Sequence[Arrow]) -> list[str]:
    """Return boxes in an order in which streams run forward, else in the given one.

    Args:
        names: Names of the boxes.
        edges: The streams between them.
    """
    waiting: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        waiting[edge.end].add(edge.start)
    done: dict[str, None] = {}
    while waiting:
        free = next((n for n, before in waiting.items() if before <= done.keys()), next(iter(waiting)))
        done[free] = None
        del waiting[free]
    return list(done)


def segments(names: Sequence[str], edges: Sequence[Arrow]) -> list[list[str]]:
    """Cut boxes wherever everything flows through one stream: a residual block is one segment.

    Args:
        names: Names of the boxes, in an order in which streams run forward.
        edges: The streams between them.
    """
    at = {name: i for i, name in enumerate(names)}
    ends: dict[str, int] = {}
    for edge in edges:
        ends[edge.start] = max(ends.get(edge.start, 0), at[edge.end])
    made: list[list[str]] = [[]]
    for i, name in enumerate(names):
        made[-1].append(name)
        crossing = sum(1 for n in names[: i + 1] if ends.get(n, 0) > i)
        if crossing <= 1 and i + 1 < len(names):
            made.append([])
    return made


def by_layer(facts: Facts) -> list[list[str]]:
    """Return the ops in the segments of their layers, so that ops of a layer stay together.

    Args:
        facts: The facts.
    """
    box = {op.name: op.layer for op in facts.ops}
    edges = arrows(facts, box)
    whole = segments(ordered([layer.name for layer in facts.layers], edges), edges)
    number = {layer: i for i, part in enumerate(whole) for layer in part}
    found: list[list[str]] = [[] for _ in whole]
    for op in facts.ops:
        found[number[op.layer]].append(op.name)
    return found


def spine(part: Sequence[str], edges: Sequence[Arrow]) -> set[str]:
    """Return the boxes on the longest way through a part. It is drawn straight.

    Args:
        part: Names of the boxes, in an order in which streams run forward.
        edges: The streams.
    """
    longest: dict[str, tuple[int, str | None]] = {}
    for name in part:
        ways = [(longest[e.start][0], e.start) for e in edges if e.end == name and e.start in longest]
        length, before = max(ways, default=(0, None), key=lambda way: way[0])
        longest[name] = length + 1, before
    at: str | None = max(longest, key=lambda n: longest[n][0])
    found = set()
    while at is not None:
        found.add(at)
        at = longest[at][1]
    return found
