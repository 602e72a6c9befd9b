"""Predict the resources of a whole graph, and compare them with a device."""

from __future__ import annotations

from dataclasses import dataclass

from bnn2hw.ir import Cost, Graph, hardware_nodes
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Family


@dataclass(frozen=True)
class Utilization:
    """Resources of a design on a device.

    Attributes:
        cost: Resources that the design needs.
        device: Device that holds it.
    """

    cost: Cost
    device: Device

    @property
    def use(self) -> dict[str, float]:
        """Needed share of each resource of the device; infinity if the device has none."""
        have = {name: getattr(self.device, name) for name in ("lut", "ff", "bram", "dsp")}
        return {name: _share(getattr(self.cost, name), count) for name, count in have.items()}

    @property
    def bram_fill(self) -> float | None:
        """Share of the bits of the used block RAMs that hold data; None without block RAM."""
        block = max(depth * width for depth, width in self.device.family.bram_shapes)
        return self.cost.held / (self.cost.bram * block) if self.cost.bram else None

    @property
    def fits(self) -> bool:
        """True if the device has enough of every resource."""
        return max(self.use.values()) <= 1.0

    @property
    def excess(self) -> str:
        """Message about what the device has too little of; empty if the design fits."""
        short = [f"{share:.0%} of the {name.upper()}s" for name, share in self.use.items() if share > 1.0]
        way_out = "ask for fewer fps, or choose a larger target"
        return f"it needs {' and '.join(short)} of {self.device.name}; {way_out}" if short else ""


def _share(needed: float, there: int) -> float:
    if there:
        return needed / there
    return float("inf") if needed else 0.0


def cost(graph: Graph, device: Device) -> Cost:
    """Add up the predicted resources of the ops of a folded or streamed graph."""
    total = Cost()
    for node, op in hardware_nodes(graph):
        total += op.cost(device.family, *graph.inputs_of(node))
    return total


def utilization(graph: Graph, device: Device) -> Utilization:
    """Predict the resources of a folded or streamed graph on a device."""
    return Utilization(cost(graph, device), device)


def uncalibrated(graph: Graph, family: Family) -> dict[str, Cost]:
    """Return the predicted resources of ops that were not compared with synthesis for a family.

    Returns:
        Resources by kind of op; empty if all cost models were compared.
    """
    found: dict[str, Cost] = {}
    for node, op in hardware_nodes(graph):
        if not family.calibrated(op.kind):
            found[op.kind] = found.get(op.kind, Cost()) + op.cost(family, *graph.inputs_of(node))
    return found
