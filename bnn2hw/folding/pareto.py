"""The Pareto front of rate against resources: from the smallest design to the fastest that fits the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bnn2hw import checks
from bnn2hw.dataflow import insert
from bnn2hw.errors import InputError
from bnn2hw.estimate.resources import Utilization
from bnn2hw.folding import search, unroll
from bnn2hw.folding.search import Folding
from bnn2hw.ir import Cost, Graph
from bnn2hw.tables import Table, terminal_width, wrapped
from bnn2hw.targets.devices import Device

COLUMNS = ("cycles per frame", "fps", "LUT", "FF", "BRAM", "DSP", "of the device")
BRIEF = {"cycles per frame": "cycles", "of the device": "device"}


@dataclass(frozen=True)
class Point:
    """The cheapest folding for a rate.

    Attributes:
        interval: Cycles per frame.
        fps: Frames per second at the device's planned clock.
        cost: Predicted resources, with FIFOs of the smallest depth.
        use: Share of the device by resource.
        folding: PE and SIMD by layer, in the form that `compile` takes.
        gap: Largest share of the price by which a cheaper folding may exist; 0 if there is provably none.
    """

    interval: int
    fps: float
    cost: Cost
    use: dict[str, float]
    folding: Folding
    gap: float


@dataclass(frozen=True)
class ParetoFront:
    """Points from the slowest to the fastest. Printing it gives a table."""

    points: tuple[Point, ...]
    device: Device

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __repr__(self) -> str:
        rates = f", {self.points[0].fps:,.0f} to {self.points[-1].fps:,.0f} frames/s" if self.points else ""
        return f"<ParetoFront of {len(self)} foldings on {self.device.name}{rates}>"

    def __str__(self) -> str:
        width = terminal_width()
        return self._table().fitted(width) + wrapped([self._proof()], width)

    def _repr_html_(self) -> str:
        return f"{self._table()._repr_html_()}<p>{self._proof()}</p>"

    def _table(self) -> Table:
        title = f"foldings on {self.device.name} at {self.device.clock_mhz:g} MHz"
        table = Table(title, (), COLUMNS, brief=BRIEF)
        for p in self.points:
            worst = max(p.use, key=lambda k: p.use[k])
            figures = (p.cost.lut, p.cost.ff, p.cost.bram, p.cost.dsp)
            table.add(
                f"{p.interval:,}",
                f"{p.fps:,.0f}",
                *(f"{f:,.0f}" for f in figures),
                f"{p.use[worst]:.0%} of {worst.upper()}",
            )
        return table

    def _proof(self) -> str:
        worst = max((p.gap for p in self.points), default=0.0)
        if worst:
            return f"cheaper foldings may exist, by at most {worst:.1%} of the price"
        return "no folding is cheaper at these rates, by the cost models"


def of(graph: Graph, device: Device, ratio: float = 1.1) -> ParetoFront:
    """Compute the front of a graph on a device.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the designs.
        ratio: Smallest ratio of the rates of neighboring points.

    Raises:
        InputError: `ratio` is below 1 or not finite.
        FoldingError: Not even the slowest folding fits.
    """
    checks.number("ratio", ratio)
    if ratio < 1:
        raise InputError(f"the ratio of rates from one point to the next must be at least 1, not {ratio}")
    points = []
    for c in search.pareto(graph, device, ratio=ratio):
        fps, use = device.clock_mhz * 1e6 / c.interval, Utilization(c.cost, device).use
        folding = unroll.folding(graph.map_ops(c.ops))
        gap = 0.0 if c.proved else 1 - max(c.bound, 0.0) / c.price
        points.append(Point(c.interval, fps, c.cost, use, folding, gap))
    return ParetoFront(tuple(points), device)


class Planned(Protocol):
    """The part of an accelerator that a front is computed from."""

    @property
    def graph(self) -> Graph:
        """The streamed graph."""

    @property
    def device(self) -> Device:
        """The device that the design is planned for."""

    def need_hardware(self, what: str) -> None:
        """Refuse native code, which has no folding."""


def pareto(accelerator: Planned, ratio: float = 1.1) -> ParetoFront:
    """Find the foldings of an accelerator that no other beats in both rate and cost, up to the fastest that fits.

    Args:
        accelerator: Accelerator, compiled or loaded, in any folding.
        ratio: Smallest ratio of the rates of neighboring points; 1 for all points.

    Raises:
        InputError: `ratio` is below 1 or not finite, or the accelerator is native code.
        FoldingError: Not even the slowest folding fits.
    """
    accelerator.need_hardware("a list of foldings")
    return of(insert.remove_fifos(accelerator.graph), accelerator.device, ratio)
