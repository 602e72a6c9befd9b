"""The Pareto front of rate against resources: from the smallest design to the fastest that fits the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bnn2hw import checks
from bnn2hw.dataflow import connect, free_running, insert
from bnn2hw.errors import FoldingError, InputError
from bnn2hw.estimate import resources
from bnn2hw.folding import search, unroll
from bnn2hw.folding.by_hand import Folding
from bnn2hw.folding.options import FoldingPoint
from bnn2hw.ir import Cost, Graph
from bnn2hw.progress import Progress, silent
from bnn2hw.tables import Table, counted, terminal_width, wrapped
from bnn2hw.targets.devices import Device

COLUMNS = ("cycles per frame", "fps", "LUT", "FF", "BRAM", "DSP", "of the device")
BRIEF = {"cycles per frame": "cycles", "of the device": "device"}


@dataclass(frozen=True)
class Point:
    """The cheapest folding for a rate.

    Attributes:
        interval: Cycles per frame.
        fps: Frames per second at the device's planned clock.
        cost: Predicted resources of the whole design, with FIFOs as deep as it needs them.
        use: Share of the device by resource.
        folding: PE and SIMD by layer, in the form that `compile` takes.
        gap: Largest share of the price by which a cheaper folding may exist; 0 if there is provably none. The
            price counts FIFOs of the smallest depth, as the search does.
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
            return f"cheaper foldings may exist, by at most {worst:.1%} of the price before FIFOs have their depths"
        return "no folding is cheaper at these rates, by the cost models and before FIFOs have their depths"


def of(graph: Graph, device: Device, ratio: float = 1.1, progress: Progress = silent) -> ParetoFront:
    """Compute the front of a graph on a device.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the designs.
        ratio: Smallest ratio of the rates of neighboring points.
        progress: Called with the name of each step.

    Raises:
        InputError: `ratio` is below 1 or not finite.
        FoldingError: Not even the slowest design fits.
    """
    found = _found(graph, device, ratio)
    points = []
    for i, folded in enumerate(found):
        progress(f"laying out design {i + 1} of {counted(len(found), 'design')}")
        points.append(_point(graph, device, folded))
    fitting = [p for p in points if max(p.use.values()) <= 1.0]
    if not fitting:
        least = resources.Utilization(points[0].cost, device)
        raise FoldingError(f"the slowest design does not fit with its FIFOs: {least.excess}")
    return ParetoFront(tuple(_unbeaten(fitting)), device)


def rates(graph: Graph, device: Device, ratio: float) -> list[float]:
    """Return the frames per second of the foldings of a front, before their designs are laid out.

    Args:
        graph: Graph in hardware form.
        device: Device that must hold the designs.
        ratio: Smallest ratio of neighboring rates.

    Raises:
        InputError: `ratio` is below 1 or not finite.
        FoldingError: Not even the slowest folding fits.
    """
    return [_fps(device, folded) for folded in _found(graph, device, ratio)]


def _found(graph: Graph, device: Device, ratio: float) -> list[FoldingPoint]:
    """Return the foldings of a front, the slowest one first."""
    checks.number("ratio", ratio)
    if ratio < 1:
        raise InputError(f"the ratio of rates from one point to the next must be at least 1, not {ratio}")
    return search.pareto(graph, device, ratio=ratio)


def _fps(device: Device, folded: FoldingPoint) -> float:
    return device.clock_mhz * 1e6 / folded.interval


def _point(graph: Graph, device: Device, folded: FoldingPoint) -> Point:
    """Lay out the design of a folding, and return its figures."""
    made = graph.map_ops(folded.ops)
    whole = resources.utilization(free_running.free(connect.connect(made), device.family), device)
    gap = 0.0 if folded.proved else 1 - max(folded.bound, 0.0) / folded.price
    return Point(folded.interval, _fps(device, folded), whole.cost, whole.use, unroll.folding(made), gap)


def _unbeaten(points: list[Point]) -> Iterator[Point]:
    """Yield the points that no faster one beats in every resource.

    Args:
        points: Points from the slowest to the fastest.
    """
    for i, slow in enumerate(points):
        if not any(all(p.use[k] <= slow.use[k] for k in slow.use) for p in points[i + 1 :]):
            yield slow


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


def pareto(accelerator: Planned, ratio: float = 1.1, progress: Progress = silent) -> ParetoFront:
    """Find the foldings that are the cheapest for their rate, from the slowest to the fastest that fits.

    The search compares foldings before their FIFOs have depths. The figures of each point are those of the
    whole design, as `compile` predicts them; a point that another one beats with its FIFOs is left out.

    Args:
        accelerator: Accelerator, compiled or loaded, in any folding.
        ratio: Smallest ratio of the rates of neighboring points; 1 for all points.
        progress: Called with the name of each step.

    Raises:
        InputError: `ratio` is below 1 or not finite, or the accelerator is native code.
        FoldingError: Not even the slowest design fits.
    """
    accelerator.need_hardware("a list of foldings")
    progress("searching all foldings")
    return of(insert.remove_fifos(accelerator.graph), accelerator.device, ratio, progress)
