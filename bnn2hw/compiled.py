"""The data of a compiled model, which reports, build folders, deployment and reloading read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bnn2hw import backends
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.deviation import Deviation
from bnn2hw.errors import Bnn2hwError
from bnn2hw.estimate import estimate as estimating
from bnn2hw.estimate.estimate import Estimate
from bnn2hw.ir import Graph, Node, Tensor
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.recipe import Recipe
from bnn2hw.ops.source import InputSpecs
from bnn2hw.targets.devices import Device


@dataclass(frozen=True)
class CompiledModel:
    """A model as hardware.

    Attributes:
        name: Name of the model.
        graph: Streamed graph. It alone determines the hardware.
        device: Device that the design is planned for.
        fidelity: By layer of the model, whether the hardware is exact or rounded, and why.
        input_specs: Integers on the input and the real values that they stand for, real = v * scale
            + offset; a mapping by name if the inputs differ.
        backend: "verilog" or "hls".
        recipe: Options of the lowering, if other weights can be loaded; None otherwise.
        measured: By edge, the deviation from Keras on calibration data; empty if there was none.
        options: Options of the compilation by name, without those that have their default.
    """

    name: str
    graph: Graph
    device: Device
    fidelity: Mapping[str, Fidelity]
    input_specs: InputSpecs
    backend: str = "verilog"
    recipe: Recipe | None = None
    measured: Mapping[str, Deviation] = field(default_factory=dict, repr=False, kw_only=True)
    options: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)

    def fidelity_of(self, node: Node) -> Fidelity:
        """Return the fidelity of the layer that a node of the graph comes from.

        Raises:
            Bnn2hwError: Nothing is known of that layer.
        """
        if node.layer not in self.fidelity:
            raise Bnn2hwError(
                f"node '{node.name}' comes from layer '{node.layer}', whose fidelity is not known"
            )
        return self.fidelity[node.layer]

    @property
    def input(self) -> Tensor:
        """Type of the stream that enters the design; of several, the first."""
        return self.graph.types[self.graph.sources[0].name]

    @property
    def output(self) -> Tensor:
        """Type of the stream that leaves the design; of several, the first."""
        return self.graph.types[self.graph.outputs[0]]

    @cached_property
    def design(self) -> Design:
        """The generated sources and the streams that they implement."""
        return backends.render(self.backend, self.graph, header=self.header)

    @property
    def header(self) -> Header:
        """Facts for the headers of the sources."""
        return Header(self.name, self.device, self.options)

    @cached_property
    def _estimate(self) -> Estimate:
        return estimating.estimate(self.graph, self.device)

    def estimate(self) -> Estimate:
        """Return the exact cycles and the predicted resources."""
        return self._estimate
