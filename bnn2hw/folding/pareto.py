"""What rate costs what: the foldings between the smallest design and the fastest that fits, as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bnn2hw.dataflow import insert
from bnn2hw.errors import InputError
from bnn2hw.estimate.resources import Utilization
from bnn2hw.folding import search, unroll
from bnn2hw.folding.search import Folding
from bnn2hw.ir import Cost, Graph
from bnn2hw.tables import Table
from bnn2hw.targets.devices import Device

COLUMNS = ("cycles per frame", "fps", "LUT", "FF", "BRAM", "DSP", "of the device")


@dataclass(frozen=True)
class Point:
    """The cheapest folding for a rate.

    Attributes:
        interval: cycles per frame.
        fps: frames per second at the device's planned clock.
        cost: predicted resources, where FIFOs are as deep as neighbours in step need.
        use: the share of the device that each resource takes.
        folding: PE and SIMD by layer, in the form that `compile` takes.
        gap: by which share of the price a cheaper folding might lie below; 0 where it is proved that none does.
    """

    interval: int
    fps: float
    cost: Cost
    use: dict[str, float]
    folding: Folding
    gap: float


@dataclass(frozen=True)
class ParetoFront:
    """The points from the slowest to the fastest; printed, a table."""

    points: tuple[Point, ...]
    device: Device

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __str__(self) -> str:
        title = f"foldings on {self.device.name} at {self.device.clock_mhz:g} MHz"
        table = Table(title, (), COLUMNS)
        for p in self.points:
            worst = max(p.use, key=lambda k: p.use[k])
            figures = (p.cost.lut, p.cost.ff, p.cost.bram, p.cost.dsp)
            table.add(
                f"{p.interval:,}",
                f"{p.fps:,.0f}",
                *(f"{f:,.0f}" for f in figures),
                f"{p.use[worst]:.0%} of {worst.upper()}",
            )
        return str(table) + self._proof()

    def _proof(self) -> str:
        worst = max((p.gap for p in self.points), default=0.0)
        if worst:
            return f"cheaper foldings may lie up to {worst:.1%} below these"
        return "no folding is cheaper at these rates, by the cost models"


def of(graph: Graph, device: Device, ratio: float = 1.1) -> ParetoFront:
    """The front of a graph in hardware form on a device.

    Args:
        graph: in hardware form.
        device: what must hold the designs.
        ratio: at least by how much each point is faster than the one before.

    Raises:
        InputError: a ratio below 1, or none.
        FoldingError: not even the slowest folding fits.
    """
    if not 1 <= ratio < math.inf:
        raise InputError(f"the ratio of rates from one point to the next must be at least 1, not {ratio}")
    points = []
    for c in search.pareto(graph, device, ratio=ratio):
        fps, use = device.clock_mhz * 1e6 / c.interval, Utilization(c.cost, device).use
        folding = unroll.folding(graph.map_ops(c.ops))
        gap = 0.0 if c.proved else 1 - max(c.bound, 0.0) / c.price
        points.append(Point(c.interval, fps, c.cost, use, folding, gap))
    return ParetoFront(tuple(points), device)


class Planned(Protocol):
    """An accelerator, as far as its rates are concerned."""

    @property
    def graph(self) -> Graph:
        """In streamed form."""

    @property
    def device(self) -> Device:
        """What it is planned for."""


def pareto(accelerator: Planned, ratio: float = 1.1) -> ParetoFront:
    """The foldings of an accelerator that no other beats in both rate and cost, up to the fastest that fits its device.

    Args:
        accelerator: compiled or loaded, in whatever folding.
        ratio: at least by how much each is faster than the one before; 1 for all there are.

    Raises:
        InputError: a ratio below 1.
        FoldingError: not even the slowest fits.
    """
    return of(insert.remove_fifos(accelerator.graph), accelerator.device, ratio)
