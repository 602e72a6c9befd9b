"""The estimate of a design: cycles, which are exact, and resources, which are predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnn2hw.estimate import cycles, resources
from bnn2hw.estimate.resources import Utilization
from bnn2hw.ir import Cost, Cycles, Graph
from bnn2hw.tables import Table, counted
from bnn2hw.targets.devices import Device


@dataclass(frozen=True)
class Estimate(Utilization):
    """Cycles and resources of a design on a device, at the clock `device.clock_mhz`.

    Attributes:
        cost: Predicted resources.
        device: Device that the design is planned for.
        cycles: Interval and latency of the network.
        uncalibrated: By kind of op, the part of `cost` that comes from cost models which were not
            compared with synthesis for this family.
    """

    cycles: Cycles
    uncalibrated: Mapping[str, Cost] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Frames per second at the device's planned clock."""
        return self.device.clock_mhz * 1e6 / self.cycles.interval

    @property
    def latency_us(self) -> float:
        """Latency in microseconds at the device's planned clock."""
        return self.cycles.latency / self.device.clock_mhz

    def __repr__(self) -> str:
        needs = ", ".join(f"{self._needed(name):,} {name.upper()}" for name in self.use)
        return (
            f"<Estimate on {self.device.name}: {self.fps:,.0f} frames/s, "
            f"{counted(self.cycles.interval, 'cycle')} per frame, {needs}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (name.upper(), f"{self._needed(name):,}", f"{getattr(self.device, name):,}", f"{share:.1%}")
            for name, share in self.use.items()
        ]
        table = Table(f"estimate on {self.device.name}", ("resource",), COLUMNS, list[tuple[str, ...]](rows))
        below = (
            f"{self.fps:,.0f} frames/s at {self.device.clock_mhz:g} MHz: "
            f"one frame every {counted(self.cycles.interval, 'cycle')}; "
            f"first output after {counted(self.cycles.latency, 'cycle')} ({self.latency_us:,.1f} µs)"
        )
        return f"{table._repr_html_()}<p>{below}</p>"

    def _needed(self, resource: str) -> int:
        return round(float(getattr(self.cost, resource)))


COLUMNS = ("predicted", "of the device", "share")
"""Figures of the table."""


def estimate(graph: Graph, device: Device) -> Estimate:
    """Estimate cycles and resources of a streamed graph on a device."""
    return Estimate(
        resources.cost(graph, device),
        device,
        cycles.cycles(graph),
        resources.uncalibrated(graph, device.family),
    )
